//! Peers: the process at the other end of a Unix socket, as the kernel vouches for it.
//!
//! Invariants: user, groups and process are those of whoever connected, at the time of connecting (unix(7)); a unit is
//! told only while that very process lives, so that one which got the number of a dead one is never taken for it. What
//! a process calls itself is for people to read and decides nothing.

mod process;
mod socket;
mod unit;
mod view;

pub use unit::{InvalidUnit, Unit};
pub use view::{PeerView, view};

use std::os::fd::AsFd;
use std::sync::Arc;

/// The process at the other end of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups, without duplicates of `gid`, where the system tells.
    pub groups: Vec<u32>,
    /// Its process, where it is in sight.
    pub pid: Option<i32>,
    /// The unit of the service manager that it runs in.
    pub unit: Option<Unit>,
    /// The name of its program, as the process itself may have set it.
    pub program: Option<Arc<str>>,
}

impl Peer {
    /// A peer of whom only user and group are known.
    pub fn new(uid: u32, gid: u32) -> Self {
        Self { uid, gid, groups: Vec::new(), pid: None, unit: None, program: None }
    }

    /// Asks the kernel who is at the other end of this Unix socket, of whom user, group and process are known.
    pub fn of(socket: impl AsFd, uid: u32, gid: u32, pid: Option<i32>) -> Self {
        let socket = socket.as_fd();
        let groups = supplementary(socket::groups(socket).unwrap_or_default(), gid);
        // A process in another PID namespace has the number 0.
        let pid = pid.filter(|pid| *pid > 0);
        let seen = pid.and_then(|pid| process::look_at(socket, pid, uid)).unwrap_or_default();
        Self { uid, gid, groups, pid, unit: seen.unit, program: seen.program }
    }

    /// Whether it is in this group, as its own or as one more.
    pub fn is_in_group(&self, group: u32) -> bool {
        self.gid == group || self.groups.contains(&group)
    }
}

/// The groups beside a process's own.
fn supplementary(mut groups: Vec<u32>, own: u32) -> Vec<u32> {
    groups.retain(|group| *group != own);
    groups
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_kernel_tells_who_connected() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let peer = Peer::of(&ours, uid, gid, Some(pid));
        let mut groups: Vec<u32> =
            rustix::process::getgroups().unwrap().into_iter().map(rustix::fs::Gid::as_raw).collect();
        groups.retain(|group| *group != gid);
        assert_eq!((peer.uid, peer.gid, peer.pid, &peer.groups), (uid, gid, Some(pid), &groups));
        assert!(peer.is_in_group(gid) && groups.iter().all(|group| peer.is_in_group(*group)));
        let program = std::env::current_exe().unwrap();
        assert_eq!(peer.program.as_deref(), program.file_name().unwrap().to_str());
        assert_eq!(supplementary(vec![4, 1000, 27], 1000), [4, 27]);
        // Out of sight: nothing is made up.
        let peer = Peer::of(&ours, uid, gid, Some(0));
        assert_eq!((peer.pid, peer.unit, peer.program), (None, None, None));
    }
}
