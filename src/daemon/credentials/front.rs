//! The process that holds one connection for a credential: `hushd answer`, started by `hushd-credentials.socket`.
//!
//! Invariants: it writes a whole value, or an answer that is too long to be a credential, and ends the connection only after
//! that; it never writes a part of a value after it was told only a part. Should it be killed, `ExecStopPost=` of its unit
//! spoils the answer in its place, because systemd keeps the connection until then.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, getsockname, send, sendmsg, shutdown,
};

use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::daemon::credentials::frame::{Answer, LONGEST, Received};
use crate::daemon::{DaemonError, hardening};

/// How long a daemon that is not there, or ends before it answers, is waited for; systemd gives a unit 90 s by default.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long after that it is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// Answers the connection that is standard input with what the daemon says on its socket.
///
/// # Errors
/// [`DaemonError::NoAnswer`], after an answer that makes the unit fail was given.
pub fn answer(socket: &Path) -> Result<(), DaemonError> {
    let _protections = hardening::harden();
    let input = io::stdin();
    let connection = input.as_fd();
    if !getsockname(connection).is_ok_and(|address| address.address_family() == AddressFamily::UNIX) {
        return Err(DaemonError::NoAnswer { why: "standard input is no connection; systemd starts this".to_owned() });
    }
    let clock = SystemClock;
    let until = clock.now().plus(PATIENCE);
    let asked = ask(socket, connection, until, &|| clock.now());
    let (written, why) = match &asked {
        Ok(Answer::Value(value)) => (write_all(connection, value), None),
        Ok(Answer::Refused) => (spoil(connection), None),
        Err(why) => (spoil(connection), Some(why.clone())),
    };
    // Not before now: whatever came so far would count as the credential.
    let ended = written.and_then(|()| Ok(shutdown(connection, Shutdown::Both)?));
    match (why, ended) {
        (Some(why), _) => Err(DaemonError::NoAnswer { why }),
        (None, Ok(())) => Ok(()),
        // Whoever asked may leave before the end of an answer that is too long.
        (None, Err(_)) if matches!(asked, Ok(Answer::Refused)) => Ok(()),
        (None, Err(error)) => {
            // A part of it may have been written, and more makes it too long, if there is still somebody.
            let _gone = spoil(connection).and_then(|()| Ok(shutdown(connection, Shutdown::Both)?));
            Err(DaemonError::NoAnswer { why: format!("whoever asked has gone: {error}") })
        }
    }
}

fn ask(
    socket: &Path,
    connection: BorrowedFd<'_>,
    until: Timestamp,
    now: &dyn Fn() -> Timestamp,
) -> Result<Answer, String> {
    loop {
        let why = match ask_once(socket, connection, until.since(now())) {
            Ok(Received::Whole(answer)) => return Ok(answer),
            Ok(Received::Cut) => return Err("the daemon ended in the middle of its answer".to_owned()),
            Ok(Received::Nothing) => "the daemon ended before it answered".to_owned(),
            Err(error) => format!("the daemon cannot be asked: {error}"),
        };
        if now().plus(AGAIN) >= until {
            return Err(why);
        }
        wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "this process has one thread and nothing else to do")]
fn wait() {
    std::thread::sleep(AGAIN);
}

fn ask_once(socket: &Path, connection: BorrowedFd<'_>, patience: Duration) -> io::Result<Received> {
    let mut stream = UnixStream::connect(socket)?;
    let uid = rustix::net::sockopt::socket_peercred(&stream)?.uid.as_raw();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("its socket belongs to the user {uid}")));
    }
    stream.set_read_timeout(Some(patience.max(AGAIN)))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [connection];
    control.push(SendAncillaryMessage::ScmRights(&passed));
    sendmsg(stream.as_fd(), &[IoSlice::new(b"?")], &mut control, SendFlags::NOSIGNAL)?;
    Answer::read(&mut stream)
}

/// Writes more than a credential can have, so that whoever reads it refuses all of it.
fn spoil(connection: BorrowedFd<'_>) -> io::Result<()> {
    write_all(connection, &vec![0; LONGEST + 1])
}

fn write_all(connection: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(connection, bytes, SendFlags::NOSIGNAL) {
            Ok(length) => bytes = &bytes[length..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use zeroize::Zeroizing;

    use super::*;

    /// Asks a daemon that answers each question with the next of these, and then with nothing.
    fn asked(answers: Vec<Vec<u8>>, patience: Duration) -> Result<Answer, String> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("answers.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        let (connection, _other) = UnixStream::pair().unwrap();
        let clock = SystemClock;
        let answer = ask(&path, connection.as_fd(), clock.now().plus(patience), &|| clock.now());
        daemon.join().unwrap();
        answer
    }

    #[test]
    fn a_daemon_that_ends_before_it_answers_is_asked_again_and_one_that_ends_within_is_not() {
        let patience = Duration::from_secs(30);
        let whole = Answer::Value(Zeroizing::new(b"value".to_vec())).frame().to_vec();
        let answer = asked(vec![Vec::new(), Vec::new(), whole.clone()], patience);
        assert!(matches!(answer, Ok(Answer::Value(value)) if **value == *b"value"));
        let cut = asked(vec![whole[..whole.len() - 1].to_vec()], patience).err().unwrap();
        assert!(cut.contains("in the middle"), "{cut}");
        let gone = asked(Vec::new(), Duration::from_millis(60)).err().unwrap();
        assert!(gone.contains("cannot be asked"), "{gone}");
    }

    #[test]
    fn what_is_spoiled_is_longer_than_a_credential() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let writer = thread::spawn(move || spoil(ours.as_fd()).unwrap());
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).unwrap();
        writer.join().unwrap();
        assert_eq!(read.len(), LONGEST + 1);
    }
}
