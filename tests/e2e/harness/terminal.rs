//! A real pseudo-terminal with a program on it, as a person at a keyboard has one.
//!
//! Invariant: nothing sleeps: what is waited for is what appears on the screen, or the end of the program.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::cli;
use super::sandbox::Sandbox;

/// A terminal with a program in its foreground.
pub struct Terminal {
    outside: File,
    child: Option<Child>,
    pieces: Receiver<Vec<u8>>,
    /// All that has appeared.
    pub screen: String,
    looked_at: usize,
}

impl Terminal {
    /// Starts a program on a terminal of its own; `prepare` may change how.
    pub fn start(sandbox: &Sandbox, words: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let outside = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&outside).unwrap();
        unlockpt(&outside).unwrap();
        let name = ptsname(&outside, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let inside: OwnedFd = open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let outside = File::from(outside);
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&outside, size).unwrap();
        // It begins a session, which a process can only do itself.
        // Signals that whoever runs the tests ignores would be ignored by it, too.
        let mut command = sandbox.command(Path::new("/usr/bin/env"));
        command.args(["--default-signal", env!("CARGO_BIN_EXE_hushd"), "run-on-terminal", "--"]);
        command.args(words).env("TERM", "xterm").env("PS1", "$ ");
        prepare(&mut command);
        command.stdin(inside.try_clone().unwrap()).stdout(inside.try_clone().unwrap()).stderr(inside);
        let child = command.spawn().unwrap();
        drop(command);
        let (sender, pieces) = channel();
        let mut reader = outside.try_clone().unwrap();
        thread::spawn(move || {
            let mut piece = vec![0; 65_536];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { outside, child: Some(child), pieces, screen: String::new(), looked_at: 0 }
    }

    /// Runs hushd on it.
    pub fn hushd(sandbox: &Sandbox, words: &[&str]) -> Self {
        let words: Vec<&str> = [env!("CARGO_BIN_EXE_hushd")].iter().chain(words).copied().collect();
        Self::start(sandbox, &words, |_| {})
    }

    /// Types this.
    pub fn types(&mut self, text: &str) {
        self.outside.write_all(text.as_bytes()).unwrap();
    }

    /// Gives it another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.outside, size).unwrap();
    }

    /// Its program.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Waits until this appears after what was waited for before; gives what came before it.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.screen[self.looked_at..].find(text) {
                let before = self.screen[self.looked_at..self.looked_at + at].to_owned();
                self.looked_at += at + text.len();
                return before;
            }
            match self.pieces.recv_timeout(cli::PATIENCE / 2) {
                Ok(piece) => self.screen += &String::from_utf8_lossy(&piece),
                Err(error) => panic!("{text:?} does not appear ({error}): {:?}", &self.screen[self.looked_at..]),
            }
        }
    }

    /// Waits until the program has ended; gives its exit code, -1 where a signal ended it.
    #[track_caller]
    pub fn ends(&mut self) -> i32 {
        let status = cli::wait(self.child.take().unwrap());
        // What it wrote last comes before the end of the terminal.
        while let Ok(piece) = self.pieces.recv_timeout(cli::PATIENCE / 12) {
            self.screen += &String::from_utf8_lossy(&piece);
        }
        status.code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), Signal::KILL).ok();
            child.wait().ok();
        }
        if thread::panicking() {
            eprintln!("--- the screen\n{}\n---", self.screen);
        }
    }
}
