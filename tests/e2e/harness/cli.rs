//! Runs a program to its end, within a time, and keeps what it said.

use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::leaks;
use rustix::process::{Pid, Signal, kill_process};

/// After this long a program hangs.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// Fails unless the program ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Fails unless it ended with this code and said `hushd: error: …` with these words and, where it says what to
    /// do, a `hushd: hint: …` with those.
    #[track_caller]
    pub fn fails(self, code: i32, error: &str, hint: &str) -> Self {
        let output = self.exits(code);
        let line = |prefix: &str, words: &str| {
            output.stderr.lines().any(|line| line.starts_with(prefix) && line.contains(words))
        };
        assert!(line("hushd: error: ", error), "no error with {error:?}: {output:#?}");
        assert!(hint.is_empty() || line("hushd: hint: ", hint), "no hint with {hint:?}: {output:#?}");
        assert!(!output.stderr.contains("panicked"), "{output:#?}");
        output
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Runs the command to its end.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let described = format!("{command:?}");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || stdin.write_all(&input).ok());
    let pid = Pid::from_child(&child);
    let (done, answer) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()).ok());
    let Ok(output) = answer.recv_timeout(PATIENCE) else {
        kill_process(pid, Signal::KILL).ok();
        panic!("hangs: {described}, {:?}", answer.recv());
    };
    writer.join().unwrap();
    let output = output.unwrap();
    leaks::search(&described, &String::from_utf8_lossy(&output.stderr));
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
    }
}

/// Waits for the child's end; one that takes too long is killed and the test fails.
pub fn wait(mut child: Child) -> ExitStatus {
    let pid = Pid::from_child(&child);
    let (done, answer) = mpsc::channel();
    thread::spawn(move || done.send(child.wait()).ok());
    if let Ok(status) = answer.recv_timeout(PATIENCE) {
        return status.unwrap();
    }
    kill_process(pid, Signal::KILL).ok();
    panic!("does not stop within {PATIENCE:?}: {:?}", answer.recv());
}
