//! System calls that fail or kill, by strace's fault injection (strace(1), "Tampering").

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Sandbox;

/// Turns a command into one that runs the same process under strace, with faults such as `fdatasync:signal=KILL:when=3`.
///
/// The tracer is a grandchild, so that the process is the one that was asked for. strace counts the calls of each thread.
pub fn wrap(sandbox: &Sandbox, command: &Command, fault: &str) -> Command {
    let mut wrapped = sandbox.command("strace".as_ref());
    wrapped.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &traced(fault), "-e", &format!("inject={fault}")]);
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// The system call of a fault is all that is traced.
fn traced(fault: &str) -> String {
    format!("trace={}", fault.split(':').next().unwrap())
}

/// A fault in a process that runs already; gone when dropped.
pub struct Fault(Child, Signal);

impl Fault {
    /// Lets system calls of a process fail, e.g. `fdatasync:error=EIO`. From here on they do.
    pub fn inject(pid: Pid, fault: &str) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &traced(fault), "-e", &format!("inject={fault}")]);
        strace.arg("-p").arg(pid.as_raw_nonzero().to_string());
        let mut child = strace.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(" attached") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "strace has ended");
        }
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self(child, Signal::INT)
    }
}

impl Fault {
    /// Ends it where the process is dead or is to die: strace would wait for what is left of it.
    pub fn end_with_its_process(mut self) {
        self.1 = Signal::KILL;
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.0), self.1).ok();
        self.0.wait().ok();
    }
}
