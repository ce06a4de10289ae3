//! `hushd run --watch` and `--redact`: hushd stays beside the command, hands signals on and ends as it ends.
//!
//! Invariants: on a terminal that both share, what is typed there (Ctrl-C, Ctrl-Z) reaches the command by itself and is not
//! sent twice; a command that ends by itself is not started again; where its secrets cannot be read anew, it goes on with
//! those that it has.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::command::{self, failure};
use super::mask::{Patterns, SHORTEST};
use super::screen::{Screen, has_terminal};
use super::{session, watcher};
use crate::cli::environment::{self, Environment, Selection};
use crate::cli::{CliError, ErrorKind, Globals, Session};
use crate::model::SecretValue;

/// How long after a change others are waited for, so that several together restart the command once.
const SETTLE: Duration = Duration::from_millis(250);

/// What is asked for.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) words: Vec<OsString>,
    pub(super) selection: Selection,
    pub(super) pristine: bool,
    pub(super) redact: bool,
    pub(super) watch: Option<Watch>,
}

/// What a change of the secrets does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The signal that the command gets; `None`: it is started again.
    pub(super) signal: Option<Signal>,
    /// How long it has to end before it is killed.
    pub(super) grace: Duration,
}

/// What the supervisor is told by others.
#[derive(Debug)]
pub(super) enum Happening {
    /// The events of the secrets are listened to.
    Listening,
    /// The events cannot be had.
    Deaf(CliError),
    /// A secret of this name has changed; `None`: any may have.
    Changed(Option<String>),
    /// A stream of the command's output is at its end.
    StreamEnded,
    /// The environment was read anew.
    Read(Result<Environment, CliError>),
}

/// Runs the command and ends as it ends.
///
/// # Errors
///
/// [`ErrorKind::Ended`] with the command's exit code, where it is not 0; those of reading the environment and of running it.
pub(super) fn run(plan: Plan, globals: &Globals) -> Result<(), CliError> {
    let other = |error: io::Error| CliError::from_error(ErrorKind::Other, &error);
    let (sender, mut happenings) = unbounded_channel();
    if plan.watch.is_some() {
        // Listening comes first, so that no change falls between reading and listening.
        watcher::start(globals, &sender);
        loop {
            match happenings.blocking_recv() {
                Some(Happening::Listening) | None => break,
                Some(Happening::Deaf(error)) => return Err(error),
                Some(Happening::Changed(_) | Happening::StreamEnded | Happening::Read(_)) => {}
            }
        }
    }
    let environment = read(globals, &plan.selection)?;
    if plan.redact {
        note_short(&environment, globals);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(other)?;
    let screen = if plan.redact { Some(Screen::open().map_err(other)?) } else { None };
    let mut supervisor =
        Supervisor { globals, screen, sender, environment, hidden: Vec::new(), child: None, streams: 0, plan };
    let code = runtime.block_on(supervisor.supervise(&mut happenings));
    // The terminal is given back before anything is said.
    drop(supervisor);
    // Whoever still reads the environment is not waited for.
    runtime.shutdown_background();
    match code? {
        0 => Ok(()),
        code => Err(CliError::new(ErrorKind::Ended(code), "the command failed")),
    }
}

fn read(globals: &Globals, selection: &Selection) -> Result<Environment, CliError> {
    environment::read(&mut Session::of_project(globals)?, selection)
}

fn note_short(environment: &Environment, globals: &Globals) {
    let is_short = |value: &SecretValue| !value.is_empty() && value.len() < SHORTEST;
    let short = environment.variables.iter().filter(|variable| variable.secret.is_some() && is_short(&variable.value));
    let short: Vec<&str> = short.map(|variable| variable.name.as_str()).collect();
    if !short.is_empty() {
        globals.output.note(format_args!("not masked, because shorter than {SHORTEST} bytes: {}", short.join(", ")));
    }
}

struct Supervisor<'a> {
    globals: &'a Globals,
    plan: Plan,
    screen: Option<Screen>,
    sender: UnboundedSender<Happening>,
    environment: Environment,
    /// What is masked: also what earlier starts of the command had.
    hidden: Vec<SecretValue>,
    child: Option<Child>,
    /// Streams of its output that are not at their end.
    streams: usize,
}

/// What is to be done at a time.
#[derive(Default)]
struct Pending {
    read: Option<Instant>,
    kill: Option<Instant>,
    /// The command is being ended in order to start it again.
    restart: bool,
    /// The environment is being read.
    reading: bool,
    /// With which code the command has ended, while its output is still copied.
    ended: Option<u8>,
}

impl Supervisor<'_> {
    async fn supervise(&mut self, happenings: &mut UnboundedReceiver<Happening>) -> Result<u8, CliError> {
        let other = |error: io::Error| CliError::from_error(ErrorKind::Other, &error);
        let mut children = signal(SignalKind::child()).map_err(other)?;
        let mut sizes = signal(SignalKind::window_change()).map_err(other)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(other)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(other)?;
        let mut quit = signal(SignalKind::quit()).map_err(other)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(other)?;
        let mut user1 = signal(SignalKind::user_defined1()).map_err(other)?;
        let mut user2 = signal(SignalKind::user_defined2()).map_err(other)?;
        let mut pending = Pending::default();
        self.start()?;
        loop {
            if let Some(code) = pending.ended
                && self.streams == 0
            {
                return Ok(code);
            }
            let sent = tokio::select! {
                _ = children.recv() => {
                    if let Some(status) = self.reap()? {
                        pending.kill = None;
                        if std::mem::take(&mut pending.restart) {
                            self.start()?;
                        } else {
                            pending.ended = Some(code_of(status));
                        }
                    }
                    continue;
                }
                _ = sizes.recv() => {
                    if let Some(screen) = &self.screen {
                        screen.resize();
                    }
                    continue;
                }
                Some(happening) = happenings.recv() => {
                    self.happened(happening, &mut pending);
                    continue;
                }
                () = until(pending.read) => {
                    pending.read = None;
                    pending.reading = true;
                    self.read_anew();
                    continue;
                }
                () = until(pending.kill) => {
                    pending.kill = None;
                    self.send(Signal::KILL);
                    continue;
                }
                _ = hang_up.recv() => Signal::HUP,
                _ = interrupt.recv() => Signal::INT,
                _ = quit.recv() => Signal::QUIT,
                _ = terminate.recv() => Signal::TERM,
                _ = user1.recv() => Signal::USR1,
                _ = user2.recv() => Signal::USR2,
            };
            let ends = matches!(sent, Signal::HUP | Signal::INT | Signal::QUIT | Signal::TERM);
            if let (Some(code), true) = (pending.ended, ends) {
                // Somebody else holds on to its output.
                return Ok(code);
            }
            if ends {
                pending.restart = false;
            }
            let typed = matches!(sent, Signal::INT | Signal::QUIT) && self.shares_terminal();
            if !typed {
                self.send(sent);
            }
        }
    }

    fn happened(&mut self, happening: Happening, pending: &mut Pending) {
        match happening {
            Happening::Listening => {}
            Happening::StreamEnded => self.streams -= 1,
            Happening::Deaf(error) => {
                let text = error.message();
                self.globals.output.note(format_args!("warning: changes are no longer noticed: {text}"));
            }
            Happening::Changed(key) => {
                let concerns = match (&key, &self.environment.looked_at) {
                    (Some(key), Some(keys)) => keys.contains(key.as_str()),
                    (None, _) | (_, None) => true,
                };
                if concerns && pending.ended.is_none() {
                    pending.read = Some(Instant::now() + SETTLE);
                }
            }
            Happening::Read(Err(error)) => {
                pending.reading = false;
                let text = error.message();
                self.globals.output.note(format_args!("warning: the command goes on as it is: {text}"));
            }
            Happening::Read(Ok(environment)) => {
                pending.reading = false;
                if environment.variables == self.environment.variables || pending.ended.is_some() {
                    self.environment = environment;
                    return;
                }
                self.environment = environment;
                let Some(Watch { signal, grace }) = self.plan.watch else { return };
                if let Some(signal) = signal {
                    self.globals.output.note("secrets have changed: signalling the command");
                    self.send(signal);
                } else {
                    self.globals.output.note("secrets have changed: starting the command again");
                    pending.restart = true;
                    pending.kill = pending.kill.or(Some(Instant::now() + grace));
                    self.send(Signal::TERM);
                    // One that is stopped does not see it before it goes on.
                    self.send(Signal::CONT);
                }
            }
        }
    }

    fn start(&mut self) -> Result<(), CliError> {
        let words = &self.plan.words;
        let on_terminal = self.screen.is_some() && has_terminal();
        let step;
        let words_to_run = if on_terminal {
            let program = std::env::current_exe().map_err(|error| CliError::from_error(ErrorKind::Other, &error))?;
            step = [program.into_os_string(), session::VERB.into(), "--".into()]
                .into_iter()
                .chain(words.iter().cloned())
                .collect::<Vec<_>>();
            &step
        } else {
            words
        };
        let mut prepared = command::prepare(words_to_run, &self.environment, self.plan.pristine)?;
        let streams = match &self.screen {
            Some(screen) => {
                let connected = screen.connect(&mut prepared.command);
                Some(connected.map_err(|error| CliError::from_error(ErrorKind::Other, &error))?)
            }
            None => None,
        };
        let child = prepared.command.spawn().map_err(|error| failure(words, &error))?;
        self.child = Some(child);
        // What it has of ours ends with it only where we do not have it too.
        drop(prepared);
        if let Some(streams) = streams {
            for value in self.environment.hidden() {
                if !self.hidden.contains(value) {
                    self.hidden.push(value.clone());
                }
            }
            let patterns = Arc::new(Patterns::new(self.hidden.iter()));
            self.streams += streams.copy(&patterns, &self.sender);
        }
        Ok(())
    }

    fn reap(&mut self) -> Result<Option<ExitStatus>, CliError> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait().map_err(|error| CliError::from_error(ErrorKind::Other, &error))?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    fn send(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // It may have ended meanwhile, which is noticed by itself.
            kill_process(Pid::from_child(child), signal).ok();
        }
    }

    fn read_anew(&self) {
        let (globals, selection, sender) = (self.globals.clone(), self.plan.selection.clone(), self.sender.clone());
        drop(tokio::task::spawn_blocking(move || {
            drop(sender.send(Happening::Read(read(&globals, &selection))));
        }));
    }

    /// Whether the command is on the terminal that we are in the foreground of.
    fn shares_terminal(&self) -> bool {
        let foreground = tcgetpgrp(io::stdin()).or_else(|_| tcgetpgrp(io::stderr()));
        !(self.screen.is_some() && has_terminal()) && foreground.is_ok_and(|group| group == getpgrp())
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The exit code, as a shell tells it where a signal ended it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
