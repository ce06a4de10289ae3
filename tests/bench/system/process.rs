//! A server in a process of its own.
//!
//! Invariants: it is ready when it says so on the `NOTIFY_SOCKET` that was bound for it; it is reaped whatever happens.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, stopwatch};

/// Longest start that is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Its Unix socket.
    pub unix: PathBuf,
    /// Its port on loopback.
    pub tcp: SocketAddr,
}

/// A server that runs.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub addresses: Addresses,
    /// How long it took from its start to being ready.
    pub start: Duration,
}

impl Process {
    /// Starts a server and waits until it is ready. `scratch` is a directory for its notifications and its log.
    pub fn start(mut command: Command, scratch: &Path) -> Result<Self> {
        let notify = scratch.join("notify");
        // One is left there by the process before.
        if notify.exists() {
            fs::remove_file(&notify)?;
        }
        let socket = UnixDatagram::bind(&notify)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let log_path = scratch.join("log");
        let log = OpenOptions::new().create(true).append(true).open(&log_path)?;
        command.env("NOTIFY_SOCKET", &notify).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = stopwatch::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        match wait_until_ready(&mut child, &socket, started) {
            Ok((addresses, start)) => Ok(Self { child, addresses, start }),
            Err(error) => {
                reap(&mut child);
                let log = fs::read_to_string(log_path).unwrap_or_default();
                Err(format!("{} did not start: {error}\n{log}", command.get_program().display()).into())
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a server ended with {status}").into()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        reap(&mut self.child);
    }
}

fn reap(child: &mut Child) {
    // Fails when it was reaped before.
    drop(child.kill());
    drop(child.wait());
}

fn wait_until_ready(child: &mut Child, socket: &UnixDatagram, started: Instant) -> Result<(Addresses, Duration)> {
    let mut buffer = [0; 4096];
    while started.elapsed() < PATIENCE {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let start = started.elapsed();
                let message = String::from_utf8_lossy(&buffer[..length]);
                if message.lines().any(|line| line == "READY=1") {
                    return Ok((addresses(&message).ok_or_else(|| format!("no addresses in {message:?}"))?, start));
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if let Some(status) = child.try_wait()? {
                    return Err(format!("it ended with {status}").into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("it was not ready within {} s", PATIENCE.as_secs()).into())
}

/// Reads `STATUS=listening on unix:///… http://127.0.0.1:PORT`.
fn addresses(message: &str) -> Option<Addresses> {
    let status = message.lines().find_map(|line| line.strip_prefix("STATUS=listening on "))?;
    let unix = status.split(' ').find_map(|address| address.strip_prefix("unix://"))?;
    let tcp = status.split(' ').find_map(|address| address.strip_prefix("http://"))?;
    Some(Addresses { unix: unix.into(), tcp: tcp.parse().ok()? })
}
