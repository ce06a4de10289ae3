//! Telling others: where the head of the trail is (anchors), and the entries themselves (exports).
//!
//! Invariants: what is told are names and digests, never values or credentials; an anchor names a position that is on the
//! disk; whoever is slow to take something makes nobody wait but the thread that tells it.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// The journal's native socket (systemd, "Native Journal Protocol").
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// Somebody who takes lines.
#[derive(Debug)]
pub enum Outlet {
    /// The system's journal, at this socket.
    Journal(PathBuf),
    /// A file, to whose end they are written.
    File(PathBuf),
    /// A program that runs as long as there are lines, and reads them on its standard input.
    Program(Program),
}

/// A program that reads lines.
#[derive(Debug)]
pub struct Program {
    words: Vec<String>,
    running: Option<(Child, ChildStdin)>,
}

impl Outlet {
    /// The program of these words, the first of which is its name.
    pub fn program(words: &[String]) -> Self {
        Self::Program(Program { words: words.to_vec(), running: None })
    }

    /// Writes lines, each without its newline. Blocks as long as whoever takes them does.
    ///
    /// # Errors
    /// When they are not taken; a part of them may have been.
    pub fn write(&mut self, lines: &[String]) -> io::Result<()> {
        match self {
            Self::Journal(socket) => lines.iter().try_for_each(|line| journal(socket, line)),
            Self::File(path) => {
                let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
                file.write_all(joined(lines).as_bytes())
            }
            Self::Program(program) => program.write(&joined(lines)),
        }
    }

    /// Ends a program by the end of its input, and waits until it has gone.
    pub fn finish(&mut self) {
        if let Self::Program(program) = self
            && let Some((mut child, input)) = program.running.take()
        {
            drop(input);
            drop(child.wait());
        }
    }
}

impl Program {
    fn write(&mut self, text: &str) -> io::Result<()> {
        let (mut child, mut input) = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        match input.write_all(text.as_bytes()).and_then(|()| input.flush()) {
            Ok(()) => {
                self.running = Some((child, input));
                Ok(())
            }
            Err(error) => {
                drop(input);
                drop(child.wait());
                Err(error)
            }
        }
    }

    fn start(&self) -> io::Result<(Child, ChildStdin)> {
        let Some((name, arguments)) = self.words.split_first() else { return Err(io::ErrorKind::InvalidInput.into()) };
        // Nothing of ours: no token, no socket of the service manager's.
        let mut command = Command::new(name);
        command.args(arguments).env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((child, input))
    }
}

fn journal(socket: &Path, line: &str) -> io::Result<()> {
    let message = format!("MESSAGE={line}\nPRIORITY=6\nSYSLOG_IDENTIFIER=hushd-audit\n");
    UnixDatagram::unbound()?.send_to(message.as_bytes(), socket).map(drop)
}

fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outlet_gets_every_line() {
        let directory = tempfile::tempdir().unwrap();
        let lines = ["one".to_owned(), "two".to_owned()];
        let (file, copy) = (directory.path().join("file"), directory.path().join("copy"));
        Outlet::File(file.clone()).write(&lines).unwrap();
        Outlet::File(file.clone()).write(&lines[..1]).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "one\ntwo\none\n");
        let words = ["/bin/sh".to_owned(), "-c".to_owned(), format!("cat > {}", copy.display())];
        let mut program = Outlet::program(&words);
        program.write(&lines).unwrap();
        program.write(&lines).unwrap();
        program.finish();
        assert_eq!(std::fs::read_to_string(copy).unwrap(), "one\ntwo\none\ntwo\n");
        assert!(Outlet::program(&["/nowhere".to_owned()]).write(&lines).is_err());

        let socket = directory.path().join("journal");
        let journal = UnixDatagram::bind(&socket).unwrap();
        Outlet::Journal(socket).write(&lines[..1]).unwrap();
        let mut bytes = [0; 200];
        let length = journal.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"MESSAGE=one\nPRIORITY=6\nSYSLOG_IDENTIFIER=hushd-audit\n");
    }
}
