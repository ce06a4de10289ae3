//! Listens to the changes of secrets, for as long as the process lives.
//!
//! Invariants: a daemon that was away is found again; what may have been missed meanwhile is told as a change.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::supervise::Happening;
use crate::api::EventKind;
use crate::cli::{CliError, ErrorKind, Globals, Session};
use crate::client::ClientError;

/// How long it waits before it connects again.
const PAUSE: Duration = Duration::from_millis(500);

/// Begins to listen, on a thread of its own.
pub(super) fn start(globals: &Globals, sender: &UnboundedSender<Happening>) {
    let (globals, sender) = (globals.clone(), sender.clone());
    drop(std::thread::spawn(move || listen(&globals, &sender)));
}

fn listen(globals: &Globals, sender: &UnboundedSender<Happening>) {
    let mut last = None;
    let mut connected = false;
    loop {
        let ended = once(globals, sender, &mut last, &mut connected);
        match ended {
            Ok(()) => {}
            Err(error) if connected && matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TryAgain) => {}
            Err(error) => {
                drop(sender.send(Happening::Deaf(error)));
                return;
            }
        }
        if sender.is_closed() {
            return;
        }
        pause();
    }
}

/// Listens until the connection ends.
fn once(
    globals: &Globals,
    sender: &UnboundedSender<Happening>,
    last: &mut Option<String>,
    connected: &mut bool,
) -> Result<(), CliError> {
    let mut session = Session::of_project(globals)?;
    let namespaces = session.namespaces();
    let one = match namespaces.as_slice() {
        [one] => Some(one),
        _ => None,
    };
    let first = last.is_none();
    let mut opened = || {
        *connected = true;
        drop(sender.send(Happening::Listening));
    };
    let ended = session.client.follow(one, last, &mut opened, &mut |event| {
        let of_ours = |name: &String| namespaces.iter().any(|namespace| namespace.as_str() == name);
        match event.kind {
            EventKind::Created | EventKind::Updated | EventKind::Deleted | EventKind::Expired
                if event.namespace.as_ref().is_none_or(of_ours) =>
            {
                drop(sender.send(Happening::Changed(event.key)));
            }
            // The first connection has missed nothing.
            EventKind::Reset if !first => drop(sender.send(Happening::Changed(None))),
            EventKind::Created
            | EventKind::Updated
            | EventKind::Deleted
            | EventKind::Expired
            | EventKind::Expiring
            | EventKind::Rotated
            | EventKind::Reset
            | EventKind::End => {}
        }
        if sender.is_closed() { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    });
    match ended {
        Ok(()) | Err(ClientError::Unwritten { .. } | ClientError::Broken { .. } | ClientError::TimedOut { .. }) => {
            Ok(())
        }
        Err(error) => Err(session.explain(error)),
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no event that says when a daemon is back")]
fn pause() {
    std::thread::sleep(PAUSE);
}
