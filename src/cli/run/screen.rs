//! Where the output of a masked command goes through: a terminal of its own where ours is one, else pipes.
//!
//! Invariants: what was a terminal for hushd is one for the command; ours is given back as it was. Each start of the command
//! has new ones, since a terminal ends with the command that it belonged to.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use tokio::sync::mpsc::UnboundedSender;
use zeroize::Zeroizing;

use super::mask::{Masker, Patterns};
use super::supervise::Happening;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// The screen of a command whose output is masked.
#[derive(Debug)]
pub(super) struct Screen {
    /// The command's terminal, seen from outside; what is typed goes there.
    keyboard: Arc<Mutex<Option<File>>>,
    /// Ours as it was, where it is in raw mode meanwhile.
    restore: Option<Termios>,
}

/// What a command writes to, seen from outside.
#[derive(Debug)]
pub(super) struct Streams {
    terminal: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
}

impl Screen {
    /// Takes our terminal over, where there is one.
    pub(super) fn open() -> io::Result<Self> {
        let mut screen = Self { keyboard: Arc::default(), restore: None };
        if has_terminal() && io::stdin().is_terminal() {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
            screen.restore = Some(before);
            let keyboard = Arc::clone(&screen.keyboard);
            // It ends with the process.
            drop(thread::spawn(move || type_on(&keyboard)));
        }
        Ok(screen)
    }

    /// Gives the command what it reads from and writes to.
    pub(super) fn connect(&self, command: &mut Command) -> io::Result<Streams> {
        let mut streams = Streams { terminal: None, stdout: None, stderr: None };
        let inner = if has_terminal() {
            let (outside, inside) = new_terminal()?;
            copy_size(&outside);
            *self.keyboard.lock() = Some(outside.try_clone()?);
            streams.terminal = Some(outside);
            if io::stdin().is_terminal() {
                command.stdin(Stdio::from(inside.try_clone()?));
            }
            Some(inside)
        } else {
            None
        };
        let end = |terminal: bool| -> io::Result<(Stdio, Option<File>)> {
            match &inner {
                Some(inside) if terminal => Ok((inside.try_clone()?.into(), None)),
                Some(_) | None => {
                    let (reader, writer) = io::pipe()?;
                    Ok((writer.into(), Some(File::from(OwnedFd::from(reader)))))
                }
            }
        };
        let (stdout, stream) = end(io::stdout().is_terminal())?;
        streams.stdout = stream;
        let (stderr, stream) = end(io::stderr().is_terminal())?;
        streams.stderr = stream;
        command.stdout(stdout).stderr(stderr);
        Ok(streams)
    }

    /// Our terminal has another size, and so has the command's.
    pub(super) fn resize(&self) {
        if let Some(terminal) = &*self.keyboard.lock() {
            copy_size(terminal);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.restore {
            tcsetattr(io::stdin(), OptionalActions::Drain, before).ok();
        }
    }
}

impl Streams {
    /// Copies what the command writes, masked, and tells when each of the streams ends. Says how many there are.
    pub(super) fn copy(self, patterns: &Arc<Patterns>, ended: &UnboundedSender<Happening>) -> usize {
        // Where only standard error is a terminal, it is what the terminal is for.
        let to_stderr = !io::stdout().is_terminal();
        let streams = [(self.terminal, to_stderr), (self.stdout, false), (self.stderr, true)];
        let mut count = 0;
        for (stream, to_stderr) in streams {
            let Some(stream) = stream else { continue };
            let (patterns, ended) = (Arc::clone(patterns), ended.clone());
            count += 1;
            drop(thread::spawn(move || {
                if to_stderr {
                    copy(stream, &patterns, &mut io::stderr());
                } else {
                    copy(stream, &patterns, &mut io::stdout());
                }
                drop(ended.send(Happening::StreamEnded));
            }));
        }
        count
    }
}

/// Whether output goes to a terminal.
pub(super) fn has_terminal() -> bool {
    io::stdout().is_terminal() || io::stderr().is_terminal()
}

fn copy(mut from: File, patterns: &Patterns, to: &mut dyn Write) {
    let mut masker = Masker::new(patterns);
    let mut piece = Zeroizing::new(vec![0; PIECE]);
    let mut out = Vec::new();
    // Where our reader has gone, the command must be able to go on until it notices by itself.
    let mut open = true;
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                out.clear();
                masker.take(&piece[..length], &mut out);
                if open && to.write_all(&out).and_then(|()| to.flush()).is_err() {
                    open = false;
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal ends so when nobody has it open any more.
            Err(_) => break,
        }
    }
    if open {
        out.clear();
        masker.finish(&mut out);
        drop(to.write_all(&out).and_then(|()| to.flush()));
    }
}

/// Hands on what is typed on our terminal.
fn type_on(keyboard: &Mutex<Option<File>>) {
    let mut piece = Zeroizing::new([0; 4096]);
    let mut stdin = File::from(match io::stdin().as_fd().try_clone_to_owned() {
        Ok(stdin) => stdin,
        Err(_) => return,
    });
    while let Ok(length @ 1..) = stdin.read(&mut *piece) {
        let terminal = keyboard.lock().as_ref().and_then(|terminal| terminal.try_clone().ok());
        if let Some(mut terminal) = terminal {
            drop(terminal.write_all(&piece[..length]));
        }
    }
}

/// A new terminal: its outside and its inside.
fn new_terminal() -> io::Result<(File, OwnedFd)> {
    let outside = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&outside)?;
    unlockpt(&outside)?;
    let name = ptsname(&outside, Vec::new())?;
    let inside = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((File::from(outside), inside))
}

fn copy_size(terminal: &File) {
    let ours = if io::stdout().is_terminal() { tcgetwinsize(io::stdout()) } else { tcgetwinsize(io::stderr()) };
    if let Ok(size) = ours {
        tcsetwinsize(terminal, size).ok();
    }
}
