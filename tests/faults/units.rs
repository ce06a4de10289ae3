//! Units of real processes, in control groups made for the purpose: "cannot forge a unit".

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hushd::auth::{Peer, Unit};

use crate::needs;

/// Connects, says so, and stays.
const CONNECT: &str = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                       print('there', flush=True)\nsys.stdin.read()";

/// A control group, and those above it that were not there before; gone when dropped.
pub struct Group(Vec<PathBuf>);

impl Group {
    /// Makes one at this path; `None` where no hierarchy of version 2 can be written.
    pub fn make(path: &str) -> Option<Self> {
        let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let root = root.into_iter().find(|root| root.join("cgroup.controllers").exists())?;
        let mut made = Self(Vec::new());
        let mut directory = root.to_owned();
        for part in path.trim_matches('/').split('/') {
            directory.push(part);
            match fs::create_dir(&directory) {
                Ok(()) => made.0.push(directory.clone()),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
        }
        Some(made)
    }

    /// Moves a process into it.
    pub fn take(&self, pid: u32) {
        fs::write(self.0.last().unwrap().join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for directory in self.0.iter().rev() {
            fs::remove_dir(directory).ok();
        }
    }
}

/// The turn to make control groups, of which there is one set on the machine; `None`, said aloud, where none can be made,
/// which with `CI` set is a failure.
pub fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());

    if !needs::met(&["python3", "setpriv"]) {
        return None;
    }
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let made = Group::make("hushd-test.slice").is_some();
    assert!(made || std::env::var_os("CI").is_none(), "with CI set nothing is skipped: no control group can be made");
    if !made {
        eprintln!("skipped: no control group can be made");
    }
    made.then_some(turn)
}

/// A process in a control group that is connected to us.
struct Client {
    child: Child,
    stream: UnixStream,
}

impl Client {
    fn start(group: &Group) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        // The shell waits until it is in its group, and then is the program.
        let mut command = Command::new("sh");
        command.args(["-c", "read _ && exec python3 -c \"$0\" \"$1\"", CONNECT]).arg(&path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        group.take(child.id());
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
        Self { child, stream: listener.accept().unwrap().0 }
    }

    fn peer(&self) -> Peer {
        Peer::of(self.stream.as_fd(), 0, 0, i32::try_from(self.child.id()).ok())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_process_is_known_by_its_unit_whatever_it_makes_below_it() {
    let Some(_turn) = turn() else { return };
    for (path, unit) in [
        ("hushd.slice/hushd-test.slice/shop.service", Some("shop.service")),
        ("hushd.slice/hushd-test.slice/shop@eu.service", Some("shop@eu.service")),
        // Delegated to the service, which can make any name below its own.
        ("hushd.slice/shop.service/system.slice/other.service", Some("shop.service")),
        // A user's own manager: the same name is another unit.
        (
            "user.slice/user-64202.slice/user@64202.service/app.slice/shop.service",
            Some("user@64202.service/shop.service"),
        ),
        ("hushd-test-container/system.slice/shop.service", None),
    ] {
        let group = Group::make(path).unwrap();
        let client = Client::start(&group);
        let peer = client.peer();
        assert_eq!(peer.unit.as_ref().map(ToString::to_string).as_deref(), unit, "{path}");
        assert!(peer.program.is_some_and(|program| program.starts_with("python3")));
        if let Some(unit) = unit {
            assert_ne!(peer.unit, Some(Unit::System("other.service".to_owned())));
            assert_eq!(peer.unit, Some(unit.parse().unwrap()));
        }
    }
}

/// "pinned by pidfd (`SO_PEERPIDFD`) so that a reused pid is not believed"
#[test]
fn whoever_connected_and_ended_is_in_no_unit() {
    let Some(_turn) = turn() else { return };
    let group = Group::make("hushd.slice/shop.service").unwrap();
    let mut client = Client::start(&group);
    assert!(client.peer().unit.is_some());
    client.child.kill().unwrap();
    client.child.wait().unwrap();
    // Another process of the unit stands for the one that got the number.
    let other = Client::start(&group);
    let pid = i32::try_from(other.child.id()).ok();
    let peer = Peer::of(client.stream.as_fd(), 0, 0, pid);
    assert_eq!((peer.unit, peer.program), (None, None));
}
