//! A value on the clipboard, for a while: by the programs that the desktop has for it.
//!
//! Invariants: the value goes through standard input, never through arguments; what clears it knows a digest of it only,
//! and leaves alone what was copied since.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::cli::error::{io_message, kind_of_io};
use crate::cli::{CliError, ErrorKind, Globals};
use crate::model::SecretValue;
use crate::paths::Environment;

/// Clear the clipboard later
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// The program that copied
    #[arg(long)]
    tool: Tool,
    /// Seconds from now
    #[arg(long)]
    after: u64,
}

/// What the desktop has for its clipboard
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// Wayland
    WlCopy,
    /// X11
    Xclip,
    /// X11
    Xsel,
    /// macOS
    Pbcopy,
}

impl Tool {
    /// What copies, what pastes, what clears; the last takes an empty input where that is how it clears.
    fn commands(self) -> [&'static [&'static str]; 3] {
        match self {
            Self::WlCopy => [&["wl-copy"], &["wl-paste", "--no-newline"], &["wl-copy", "--clear"]],
            Self::Xclip => {
                let copy: &[&str] = &["xclip", "-selection", "clipboard"];
                [copy, &["xclip", "-selection", "clipboard", "-o"], copy]
            }
            Self::Xsel => [
                &["xsel", "--clipboard", "--input"],
                &["xsel", "--clipboard", "--output"],
                &["xsel", "--clipboard", "--clear"],
            ],
            Self::Pbcopy => [&["pbcopy"], &["pbpaste"], &["pbcopy"]],
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}

/// Copies a value, and has it cleared after so many seconds.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] where there is no clipboard, or no program for it.
pub fn copy(value: &SecretValue, seconds: u64, globals: &Globals) -> Result<(), CliError> {
    let mut missing = Vec::new();
    for tool in tools(&globals.environment) {
        let [copy, ..] = tool.commands();
        match feed(copy, value.expose_secret().as_bytes()) {
            Ok(true) => return clear_later(tool, value, seconds),
            Ok(false) => return Err(CliError::new(ErrorKind::Other, format!("{} could not copy the value", copy[0]))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing.push(copy[0]),
            Err(error) => return Err(failed(copy[0], &error)),
        }
    }
    if missing.is_empty() {
        return Err(CliError::new(ErrorKind::NotFound, "there is no clipboard: neither Wayland nor X11 is here")
            .hint("print the value: hushd get KEY"));
    }
    Err(CliError::new(
        ErrorKind::NotFound,
        format!("the clipboard needs a program that is not installed: {}", missing.join(" or ")),
    ))
}

fn tools(environment: &Environment) -> Vec<Tool> {
    let mut tools = Vec::new();
    if environment.get("WAYLAND_DISPLAY").is_some() {
        tools.push(Tool::WlCopy);
    }
    if environment.get("DISPLAY").is_some() {
        tools.extend([Tool::Xclip, Tool::Xsel]);
    }
    if cfg!(target_os = "macos") {
        tools.push(Tool::Pbcopy);
    }
    tools
}

/// Runs a command with this input; says whether it succeeded. What it leaves running keeps none of our outputs.
fn feed(command: &[&str], input: &[u8]) -> std::io::Result<bool> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .env_remove("HUSHD_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // One that does not read its input is free to end.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let status = child.wait()?;
    Ok(status.success() && written.is_ok())
}

/// Starts this program once more, in the background.
fn clear_later(tool: Tool, value: &SecretValue, seconds: u64) -> Result<(), CliError> {
    let start = || {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["clear-clipboard", "--tool", &tool.name(), "--after", &seconds.to_string()])
            .env_remove("HUSHD_TOKEN")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&digest(value.expose_secret().as_bytes())))
    };
    start().map_err(|error| failed("the clearing of the clipboard", &error))
}

/// Waits, and clears the clipboard where it still holds the value with the digest on standard input.
///
/// # Errors
///
/// [`ErrorKind::Other`] where the clipboard's program fails.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn clear(args: ClearArgs, _globals: &Globals) -> Result<(), CliError> {
    let mut expected = [0; 32];
    std::io::stdin().read_exact(&mut expected).map_err(|error| failed("standard input", &error))?;
    wait(Duration::from_secs(args.after));
    let [_, paste, clear] = args.tool.commands();
    let held = Command::new(paste[0]).args(&paste[1..]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    // Where nobody can look, it is cleared to be sure.
    if held.is_ok_and(|held| digest(&Zeroizing::new(held.stdout)) != expected) {
        return Ok(());
    }
    feed(clear, b"").map(drop).map_err(|error| failed(clear[0], &error))
}

#[expect(clippy::disallowed_methods, reason = "nothing tells that a value was on the clipboard for long enough")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn digest(value: &[u8]) -> [u8; 32] {
    Sha256::digest(value).into()
}

fn failed(what: &str, error: &std::io::Error) -> CliError {
    CliError::new(kind_of_io(error), format!("cannot run {what}: {}", io_message(error).to_lowercase()))
}
