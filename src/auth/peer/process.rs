//! The peer's process in `/proc`.
//!
//! Invariant: what was read counts only if the process that connected was still alive afterwards: its number could not
//! have been given to another one in between.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::auth::peer::{Unit, socket};

/// Longest name of a program that is kept, in characters.
const LONGEST_NAME: usize = 64;

/// What was seen of a process.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) unit: Option<Unit>,
    pub(super) program: Option<Arc<str>>,
}

/// Looks at the process that connected; `None` when it is gone.
pub(super) fn look_at(socket: BorrowedFd<'_>, pid: i32, uid: u32) -> Option<Seen> {
    look_at_pinned(socket::process(socket), pid, uid)
}

fn look_at_pinned(process: io::Result<OwnedFd>, pid: i32, uid: u32) -> Option<Seen> {
    let (pinned, is_the_peer) = match process {
        Ok(pinned) => (pinned, true),
        // Before Linux 6.5. The number may have been given away since: a process of the same user is believed, who could
        // have taken part in the other one's business anyhow.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            (pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?, false)
        }
        Err(_) => return None,
    };
    let seen = Seen { unit: unit(pid), program: program(pid) };
    let is_the_peer = is_the_peer || user(pid) == Some(uid);
    (is_the_peer && is_alive(pinned.as_fd())).then_some(seen)
}

/// Whether the process has not ended (pidfd_open(2): its descriptor becomes readable then).
fn is_alive(process: BorrowedFd<'_>) -> bool {
    let mut ended = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
}

fn unit(pid: i32) -> Option<Unit> {
    Unit::of_cgroups(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// The name of the file that it runs, where that may be seen (not by a process that Landlock confines, since it may not look
/// into others), else what it calls itself, of which the kernel keeps 15 bytes.
fn program(pid: i32) -> Option<Arc<str>> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let file = file.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = file.or_else(|| fs::read_to_string(format!("/proc/{pid}/comm")).ok())?;
    let name: String = name.trim_end().chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
    (!name.is_empty()).then(|| name.into())
}

/// The real user (proc_pid_status(5)).
fn user(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    const CONNECT: &str = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                           print('there', flush=True)\nsys.stdin.read()";

    #[test]
    fn a_process_that_has_ended_is_not_believed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let mut command = Command::new("python3");
        command.args(["-c", CONNECT]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 is needed");
        let (stream, _) = listener.accept().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let uid = rustix::process::getuid().as_raw();
        let seen = look_at(stream.as_fd(), pid, uid).unwrap();
        assert!(seen.program.is_some_and(|program| program.starts_with("python3")));
        child.kill().unwrap();
        child.wait().unwrap();
        // Its number may be another's by now: this process stands for that one.
        let ours = i32::try_from(std::process::id()).unwrap();
        assert!(look_at(stream.as_fd(), pid, uid).is_none());
        assert!(look_at(stream.as_fd(), ours, uid).is_none());
    }

    #[test]
    fn without_a_pinned_process_one_of_the_same_user_is_believed() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let uid = rustix::process::getuid().as_raw();
        let unknown = || Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT));
        assert!(look_at_pinned(unknown(), pid, uid).is_some_and(|seen| seen.program.is_some()));
        assert!(look_at_pinned(unknown(), pid, uid + 1).is_none());
        assert!(look_at_pinned(unknown(), i32::MAX, uid).is_none());
        // Any other error means that it is gone.
        assert!(look_at_pinned(Err(io::Error::from_raw_os_error(libc::ESRCH)), pid, uid).is_none());
    }

    #[test]
    fn this_process_is_seen() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(look_at(socket.as_fd(), pid, 0).is_some());
        let own = rustix::process::getuid().as_raw();
        assert_eq!((user(pid), user(i32::MAX)), (Some(own), None));
        // Root can be somebody else.
        let (other, mut command) = (if own == 0 { 65_534 } else { own }, Command::new("cat"));
        let mut child = command.uid(other).stdin(Stdio::piped()).spawn().unwrap();
        let found = user(i32::try_from(child.id()).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(found, Some(other));
    }
}
