//! What a Unix socket knows of its peer, by socket options that no safe library has (unix(7)).
//!
//! Invariant: an option that the kernel lacks is an error, never a guess.

#![expect(unsafe_code, reason = "SO_PEERGROUPS and SO_PEERPIDFD are in no safe library")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// `SO_PEERPIDFD` of Linux 6.5, which the library does not name for every architecture.
const PEERPIDFD: libc::c_int = 77;
/// Most groups that a process can have (credentials(7), `NGROUPS_MAX`).
const MOST_GROUPS: usize = 65_536;

/// The groups of whoever connected, at the time of connecting (`SO_PEERGROUPS`, Linux 4.13).
pub(super) fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 32];
    loop {
        let size = groups.len() * size_of::<u32>();
        // SAFETY: so many bytes are there, and any bytes make numbers.
        match unsafe { option(socket, libc::SO_PEERGROUPS, groups.as_mut_ptr().cast(), size) } {
            Ok(size) => {
                groups.truncate(size / size_of::<u32>());
                return Ok(groups);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < MOST_GROUPS => {
                groups.resize(MOST_GROUPS, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A descriptor of the very process that connected (`SO_PEERPIDFD`, Linux 6.5); an error when it is gone.
pub(super) fn process(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut descriptor: RawFd = -1;
    let target = (&raw mut descriptor).cast();
    // SAFETY: the target is one number of this size.
    unsafe { option(socket, PEERPIDFD, target, size_of::<RawFd>()) }?;
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Reads a socket's option into `size` bytes at `target`, and says how many there are now.
///
/// # Safety
/// So many bytes must be ours to write, and mean something whatever they are.
unsafe fn option(
    socket: BorrowedFd<'_>,
    name: libc::c_int,
    target: *mut libc::c_void,
    size: usize,
) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(size).map_err(io::Error::other)?;
    // SAFETY: the caller vouches for `target`, and the kernel writes no more than `length` bytes.
    let answer = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, target, &raw mut length) };
    if answer == 0 { Ok(length as usize) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use rustix::process::Gid;
    use rustix::thread::set_thread_groups;

    use super::*;

    #[test]
    fn what_is_no_unix_socket_has_no_peer() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(process(tcp.as_fd()).is_err());
        assert!(groups(tcp.as_fd()).is_err());
    }

    #[test]
    fn all_groups_are_told_also_more_than_there_was_room_for_at_first() {
        for count in [0, 3, 32, 33, 500] {
            // A thread has groups of its own, but only root may take some.
            let told = thread::spawn(move || {
                let wanted: Vec<u32> = (1000..1000 + count).collect();
                let taken: Vec<Gid> = wanted.iter().copied().map(Gid::from_raw).collect();
                set_thread_groups(&taken).ok()?;
                let (socket, _other) = UnixStream::pair().unwrap();
                Some((groups(socket.as_fd()).unwrap(), wanted))
            });
            match told.join().unwrap() {
                Some((told, wanted)) => assert_eq!(told, wanted),
                None => eprintln!("skipped: only root can take {count} groups"),
            }
        }
    }
}
