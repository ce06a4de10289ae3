//! Promise: the vault is sealed before the machine sleeps, as soon as logind says that it will.
//!
//! A real bus (dbus-daemon) of the test's own, on which a program of the test is logind (python3-dbus): it gives locks,
//! and says when they are let go.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::harness::api::secret;
use crate::harness::cli::PATIENCE;
use crate::harness::{Api, Daemon, Transport, Vault, programs, until};

/// A system bus, which ends with the test.
struct Bus {
    child: Child,
    address: String,
}

impl Bus {
    /// `None` where there is no dbus-daemon to be had.
    fn start(vault: &Vault) -> Option<Self> {
        let program = programs::find("dbus-daemon")?;
        let (socket, config) = (vault.sandbox.path("bus"), vault.sandbox.path("bus.conf"));
        let text = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_type=\"method_call\"/><allow send_type=\"method_return\"/>\
             <allow send_type=\"error\"/><allow send_type=\"signal\"/>\
             <allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\
             <allow receive_type=\"error\"/><allow receive_type=\"signal\"/></policy></busconfig>",
            socket.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command.arg("--config-file").arg(config).args(["--nofork", "--nopidfile", "--print-address=1"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:"), "the bus did not start: {address:?}");
        Some(Self { child, address: address.trim().to_owned() })
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A logind, as far as hushd knows one; it ends when this is dropped.
struct Logind {
    child: Child,
    orders: Option<ChildStdin>,
    /// What happens, in order.
    events: Receiver<String>,
}

impl Logind {
    fn start(bus: &Bus) -> Self {
        let mut command = Command::new(programs::find("python3").expect("whoever has a dbus-daemon has python3"));
        command.args(["-c", include_str!("suspend/logind.py"), &bus.address]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (told, events) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It ends with the program.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
        let logind = Self { orders: child.stdin.take(), child, events };
        assert_eq!(logind.event(), "ready");
        logind
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
    }

    /// What happens next.
    fn event(&self) -> String {
        self.events.recv_timeout(PATIENCE).expect("nothing happened")
    }

    /// Waits until a lock is taken, and says by whom.
    fn lock(&self) -> String {
        let event = self.event();
        event.strip_prefix("taken sleep|hushd|seal the vault|delay by ").expect(&event).to_owned()
    }
}

impl Drop for Logind {
    fn drop(&mut self) {
        self.orders = None;
        self.child.wait().ok();
    }
}

/// A daemon that is told to seal before the machine sleeps, with this system bus.
fn serve(vault: Vault, bus: &str) -> Api {
    let config = vault.sandbox.key_file("config.toml", "[seal]\nsuspend = true\n");
    let mut command = Daemon::command(&vault.sandbox);
    command.arg("--config").arg(config).env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    let daemon = Daemon::launch(&vault.sandbox, command).unwrap_or_else(|failure| panic!("{failure:#?}"));
    Api::adopt(daemon, vault, Transport::Unix)
}

fn health(api: &Api) -> String {
    api.bare("GET", "/api/health").send().is(200).json()["status"].as_str().unwrap().to_owned()
}

fn wait_for_log(api: &Api, text: &str) {
    until(&format!("logged: {text}"), || api.daemon().log().contains(text));
}

/// "on suspend (logind, where there is one)"
#[test]
fn the_machine_does_not_sleep_before_the_vault_is_sealed() {
    let vault = Vault::init();
    let Some(bus) = Bus::start(&vault) else { return };
    let mut logind = Logind::start(&bus);
    let api = serve(vault, &bus.address);
    api.create("A", "1");
    logind.lock();
    for _ in 0..2 {
        assert_eq!(api.value("A"), "1");
        logind.order("sleep");
        assert_eq!(logind.event(), "released");
        // From here on the machine may sleep.
        assert_eq!(health(&api), "sealed");
        api.call("GET", &secret("A")).send().refuses(503, "VAULT_SEALED");
        assert!(api.daemon().log().contains("the machine goes to sleep"), "{}", api.daemon().log());
        logind.order("wake");
        logind.lock();
        assert_eq!(health(&api), "sealed", "it does not unseal by itself");
        api.vault.sandbox.run(&["unseal"]).exits(0);
    }
    api.stop();
    assert_eq!(logind.event(), "released");
}

/// Any user of the machine can send signals.
#[test]
fn nobody_but_logind_is_believed() {
    let vault = Vault::init();
    let Some(bus) = Bus::start(&vault) else { return };
    let mut logind = Logind::start(&bus);
    let api = serve(vault, &bus.address);
    api.create("A", "1");
    let holder = logind.lock();
    logind.order(&format!("forge {holder}"));
    assert_eq!(logind.event(), "forged");
    // What the daemon does on this it does after what it was told before.
    logind.order("wake");
    assert_eq!(logind.lock(), holder);
    assert_eq!(logind.event(), "released", "one lock is enough");
    assert_ne!(health(&api), "sealed");
    assert_eq!(api.value("A"), "1");
    assert!(!api.daemon().log().contains("no logind"), "{}", api.daemon().log());
    api.stop();
}

/// logind may start after hushd, and anew.
#[test]
fn a_logind_that_comes_later_is_noticed() {
    let vault = Vault::init();
    let Some(bus) = Bus::start(&vault) else { return };
    let api = serve(vault, &bus.address);
    wait_for_log(&api, "there is no logind on the system bus");
    api.create("A", "1");
    for _ in 0..2 {
        let mut logind = Logind::start(&bus);
        logind.lock();
        logind.order("sleep");
        assert_eq!(logind.event(), "released");
        assert_eq!(health(&api), "sealed");
        api.vault.sandbox.run(&["unseal"]).exits(0);
    }
    assert_eq!(api.value("A"), "1");
    api.stop();
}

#[test]
fn without_a_bus_the_daemon_serves_and_says_so_once() {
    const SAID: &str = "the vault may not be sealed when the machine sleeps";

    let vault = Vault::init();
    let api = serve(vault, "unix:path=/nonexistent/bus");
    wait_for_log(&api, SAID);
    api.create("A", "1");
    assert_eq!(api.value("A"), "1");
    let (daemon, _vault) = api.into_parts();
    let log = daemon.log();
    assert_eq!(log.matches(SAID).count(), 1, "{log}");
    daemon.stop_cleanly();
}

/// Who does not ask for it does not pay for it.
#[test]
fn unasked_the_daemon_does_not_look_for_a_bus() {
    let vault = Vault::init();
    let bus = vault.sandbox.path("bus");
    let listener = std::os::unix::net::UnixListener::bind(&bus).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut command = Daemon::command(&vault.sandbox);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", bus.display()));
    let daemon = Daemon::launch(&vault.sandbox, command).unwrap_or_else(|failure| panic!("{failure:#?}"));
    let api = Api::adopt(daemon, vault, Transport::Unix);
    api.create("A", "1");
    api.stop();
    assert_eq!(listener.accept().err().map(|error| error.kind()), Some(std::io::ErrorKind::WouldBlock));
}
