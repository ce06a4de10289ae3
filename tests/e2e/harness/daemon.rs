//! The real daemon, started on a sandbox and always reaped.
//!
//! Invariants: it is ready when it says so on a notification socket that the harness bound itself; a daemon that dies
//! instead is noticed at once; its log is shown when the test fails.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::cli::{self, PATIENCE};
use super::http::{Address, Connection, Request};
use super::leaks;
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
    /// What it writes to standard output, where a new vault's first key is shown.
    output: PathBuf,
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
        // A daemon of another user tells it too.
        fs::set_permissions(&notify, fs::Permissions::from_mode(0o666)).unwrap();
        let output = sandbox.path(&format!("daemon-{number}.out"));
        command.env("NOTIFY_SOCKET", &notify).stdin(Stdio::null());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&log).unwrap());
        let mut daemon = Self { child: Some(command.spawn().unwrap()), log, output, socket: PathBuf::new(), port: 0 };

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
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        read(&self.output) + &read(&self.log)
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
        self.search_metrics();
        let mut daemon = self;
        daemon.signal(Signal::TERM);
        let status = daemon.wait();
        let log = daemon.log();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// The newest events as they are told; `None` where nobody is told.
    fn events(&self) -> Option<String> {
        /// Events that are looked at.
        const NEWEST: u64 = 1000;

        let open = |after: Option<String>| {
            let headers = after.map(|id| ("Last-Event-ID".to_owned(), id)).into_iter().collect();
            let target = "/api/events".to_owned();
            let request = Request { method: "GET".to_owned(), target, headers, ..Request::default() };
            let mut connection = Connection::open(&self.unix()).ok()?;
            let (status, _) = connection.begin(&request).ok()?;
            (status == 200).then_some(connection)
        };
        let first = String::from_utf8(open(None)?.chunk().ok()??).unwrap();
        let last = first.lines().find_map(|line| line.strip_prefix("id: "))?;
        let (epoch, number) = last.split_once('-')?;
        let from = number.parse::<u64>().unwrap().saturating_sub(NEWEST);
        let mut stream = open(Some(format!("{epoch}-{from}")))?;
        let mut text = String::new();
        while !text.contains(&format!("id: {last}\n")) && !text.contains("event: reset") {
            text += &String::from_utf8(stream.chunk().ok()??).unwrap();
        }
        Some(text)
    }

    /// "A search of all logs, metrics, events and audit exports … finds none of the suite's values or tokens": the metrics
    /// and the events of a daemon that still answers. Its own user needs no credential.
    fn search_metrics(&self) {
        if self.socket.as_os_str().is_empty() {
            return;
        }
        let ask = |target: &str, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let request =
                Request { method: "GET".to_owned(), target: target.to_owned(), headers, ..Request::default() };
            // A daemon that has no descriptor left answers nobody.
            Connection::open(&self.unix()).and_then(|mut connection| connection.send(&request)).ok()
        };
        if let Some(events) = self.events() {
            leaks::search("/api/events", &events);
        }
        for target in ["/metrics", "/api/audit?limit=1000"] {
            if let Some(answer) = ask(target, &[]) {
                leaks::search(target, &String::from_utf8_lossy(&answer.body));
            }
        }
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
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        if thread::panicking() {
            eprintln!("--- the daemon's log\n{log}---");
        } else {
            leaks::search("the daemon's log", &log);
        }
    }
}
