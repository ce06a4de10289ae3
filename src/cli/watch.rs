//! `hushd watch`: prints changes as they happen.

use std::time::Duration;

use clap::Args;

use crate::api::{EventKind, EventMessage};
use crate::cli::{CliError, ErrorKind, Globals, Session, Style};
use crate::client::{ClientError, REQUEST_TIMEOUT};

/// How long it waits before it connects again.
const PAUSE: Duration = Duration::from_secs(1);

/// Print changes as they happen
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct WatchArgs {
    /// Watch all namespaces, and the vault's own keys
    #[arg(long)]
    all_namespaces: bool,
    /// Begin after this event
    #[arg(long, value_name = "ID")]
    since: Option<String>,
    /// End after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

const AFTER_HELP: &str = "\
It tells what changed, never a value: created, updated, deleted, expired, expiring (soon), and
rotated for the vault's own keys. It connects again when the daemon was away. `reset` says that
events may have been missed: read anew what you know.

With --json: one document a line: {\"type\", \"namespace\", \"key\", \"revision\", \"at\", \"expiresAt\",
\"within\", \"reason\"}, each field where it applies.";

/// Watches until it is ended.
///
/// # Errors
///
/// Whatever keeps it from the first connection; later [`ErrorKind::NotPermitted`] when the credential is no longer valid.
pub fn run(args: WatchArgs, globals: &Globals) -> Result<(), CliError> {
    let mut last = args.since;
    let mut left = args.count;
    let mut connected = false;
    loop {
        let mut session = match Session::patient(globals, REQUEST_TIMEOUT) {
            Ok(session) => session,
            Err(error) if connected && error.kind() == ErrorKind::Unreachable => {
                pause();
                continue;
            }
            Err(error) => return Err(error),
        };
        let namespace = (!args.all_namespaces).then(|| session.namespace.clone());
        let mut unprinted = None;
        let ended = session.client.events(namespace.as_ref(), &mut last, &mut |event| {
            if event.kind == EventKind::End {
                globals.output.detail(format_args!("the stream ended: {}", event.reason.unwrap_or_default()));
                return Ok(());
            }
            let printed = print(&event, globals);
            left = left.map(|left| left - 1);
            match printed {
                Ok(()) if left != Some(0) => Ok(()),
                Ok(()) => Err(std::io::ErrorKind::Interrupted.into()),
                Err(error) => {
                    unprinted = Some(error);
                    Err(std::io::ErrorKind::BrokenPipe.into())
                }
            }
        });
        if let Some(error) = unprinted {
            return Err(error);
        }
        match ended {
            Err(ClientError::Unwritten { .. }) => return Ok(()),
            Ok(()) | Err(ClientError::Broken { .. } | ClientError::TimedOut { .. }) => {}
            Err(ClientError::Sealed { .. }) if connected => {}
            Err(error) => return Err(session.explain(error)),
        }
        if !connected {
            globals.output.detail("the connection ended; connecting again");
        }
        connected = true;
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no event that says when a daemon is back")]
fn pause() {
    std::thread::sleep(PAUSE);
}

fn print(event: &EventMessage, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    if output.is_json() {
        let line = serde_json::to_string(event).map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
        return output.line(line);
    }
    output.line(text(event, &|style, text| output.styled(style, text)))
}

fn text(event: &EventMessage, styled: &dyn Fn(Style, &str) -> String) -> String {
    let style = match event.kind {
        EventKind::Created | EventKind::Updated | EventKind::Deleted | EventKind::Rotated => Style::Plain,
        EventKind::Expired | EventKind::Expiring | EventKind::Reset | EventKind::End => Style::Warning,
    };
    let mut text = format!("{}  {}", event.at, styled(style, &format!("{:<8}", event.kind.name())));
    if let Some(key) = &event.key {
        let namespace = event.namespace.as_ref().map_or(String::new(), |namespace| format!("{namespace}/"));
        text.extend(["  ", &namespace, key]);
    }
    if let Some(revision) = event.revision {
        text.extend(["  revision ", &revision.to_string()]);
    }
    if let Some(at) = event.expires_at {
        text.extend(["  expires ", &at.to_string()]);
    }
    if event.kind == EventKind::Reset {
        text += "  events may have been missed";
    }
    if let Some(reason) = &event.reason {
        text.extend([" (", reason, ")"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_line_tells_what_when_and_which() {
        let at = Timestamp::from_millis(1_784_116_800_000);
        let plain = |_: Style, text: &str| text.to_owned();
        let mut event = EventMessage::of_stream(EventKind::Reset, "restarted", at);
        assert_eq!(text(&event, &plain), "2026-07-15T12:00:00.000Z  reset     events may have been missed (restarted)");
        event = EventMessage { kind: EventKind::Updated, reason: None, revision: Some(2), ..event };
        event = EventMessage { namespace: Some("shop/dev".into()), key: Some("A".into()), ..event };
        assert_eq!(text(&event, &plain), "2026-07-15T12:00:00.000Z  updated   shop/dev/A  revision 2");
    }
}
