//! The real daemon, started on a sandbox and always reaped.
//!
//! Invariants: it is ready when it says so on a notification socket that the harness bound itself; a daemon that dies
//! instead is noticed at once; its log is shown when the test fails.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::cli::{self, PATIENCE};
use super::http::Address;
use super::sandbox::{Sandbox, Vault};

/// How often the harness looks whether a daemon that is not ready is still alive.
const GLANCE: Duration = Duration::from_millis(50);

/// A daemon that did not become ready.
#[derive(Debug)]
pub struct Failure {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it said.
    pub stderr: String,
}

/// A daemon that is ready.
pub struct Daemon {
    child: Option<Child>,
    log: PathBuf,
    /// Its Unix socket.
    pub socket: PathBuf,
    /// Its port on 127.0.0.1; 0 when it has none.
    pub port: u16,
}

impl Daemon {
    /// Serves the vault on its Unix socket and on a port of 127.0.0.1.
    pub fn start(vault: &Vault) -> Self {
        Self::launch(&vault.sandbox, Self::command(&vault.sandbox))
            .unwrap_or_else(|failure| panic!("the daemon did not start: {failure:#?}"))
    }

    /// The command that [`Daemon::start`] runs.
    pub fn command(sandbox: &Sandbox) -> Command {
        let mut command = sandbox.hushd(&["serve"]);
        command.arg("--listen").arg(format!("unix:{}", sandbox.socket().display()));
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// Runs a `serve` command until it is ready, or has failed.
    pub fn launch(sandbox: &Sandbox, mut command: Command) -> Result<Self, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = sandbox.path(&format!("daemon-{number}.log"));
        let notify = sandbox.path(&format!("notify-{number}"));
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_read_timeout(Some(GLANCE)).unwrap();
        let output = File::create(&log).unwrap();
        command.env("NOTIFY_SOCKET", &notify).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let mut daemon = Self { child: Some(command.spawn().unwrap()), log, socket: PathBuf::new(), port: 0 };

        let mut said = String::new();
        let mut buffer = [0; 4096];
        for _ in 0..(PATIENCE.as_millis() / GLANCE.as_millis()) {
            if let Ok(length) = socket.recv(&mut buffer) {
                said.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
                said.push('\n');
                let addresses = said.lines().find_map(|line| line.strip_prefix("STATUS=listening on "));
                if let (true, Some(addresses)) = (said.lines().any(|line| line == "READY=1"), addresses) {
                    daemon.listens_on(addresses);
                    return Ok(daemon);
                }
            } else if let Some(status) = daemon.child.as_mut().unwrap().try_wait().unwrap() {
                daemon.child = None;
                return Err(Failure { code: status.code().unwrap_or(-1), stderr: daemon.log() });
            }
        }
        panic!("neither ready nor dead within {PATIENCE:?}; it said {said:?} and logged {}", daemon.log());
    }

    fn listens_on(&mut self, addresses: &str) {
        for address in addresses.split(' ') {
            if let Some(path) = address.strip_prefix("unix://") {
                self.socket = Path::new(path).to_path_buf();
            } else {
                let (_, port) = address.strip_prefix("http://").unwrap().rsplit_once(':').unwrap();
                self.port = port.parse().unwrap();
            }
        }
    }

    /// Its Unix socket, as an address to connect to.
    pub fn unix(&self) -> Address {
        Address::Unix(self.socket.clone())
    }

    /// Its port, as an address to connect to.
    pub fn tcp(&self) -> Address {
        Address::Tcp(self.port)
    }

    /// All it has written to standard output and standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has stopped.
    pub fn wait(&mut self) -> ExitStatus {
        cli::wait(self.child.take().unwrap())
    }

    /// Stops it as it should stop: with exit code 0 and without ever having panicked.
    pub fn stop_cleanly(self) {
        let log = self.log.clone();
        let status = self.stop();
        let log = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// Ends it by SIGKILL.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if thread::panicking() {
            eprintln!("--- the daemon's log\n{}---", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}
