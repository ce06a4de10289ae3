//! `hushd edit`: the namespace as a dotenv text in an editor.
//!
//! Invariants: the text is in the user's runtime directory, 0600, and gone afterwards; what was typed is never lost: where
//! it cannot be applied it is kept, and the way back is told. Only what was changed is written, and only where nobody else
//! changed it meanwhile.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::Command;

use clap::Args;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::cli::changes::{self, Action, Change, Present};
use crate::cli::dotenv::{self, Dialect};
use crate::cli::env::{self, Selection};
use crate::cli::error::{io_message, kind_of_io};
use crate::cli::formats::{self, Format, Values};
use crate::cli::{CliError, ErrorKind, Globals, Session};
use crate::model::{Key, SecretValue};
use crate::paths::{Role, ensure_private_dir};

/// Edit the secrets of the namespace as text, in $VISUAL or $EDITOR
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct EditArgs {
    #[command(flatten)]
    selection: Selection,
}

const AFTER_HELP: &str = "\
The text is in a file of yours alone, in memory where the runtime directory is. A line that is new
creates a secret, one that is gone deletes it (hushd undelete brings it back), one that is changed
updates it. Nothing is written where a secret that you changed was changed by others meanwhile; your
text is kept then, and where it is is told.

With --json: {\"namespace\", \"dryRun\": false, \"changes\": [{\"key\", \"action\": \"create\"|\"update\"|
\"delete\"}]}.";

/// Edits.
///
/// # Errors
///
/// [`ErrorKind::Other`] where the editor fails, [`ErrorKind::BadData`] for a text that is no dotenv and that nobody is there
/// to correct, [`ErrorKind::Conflict`] where others were faster.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: EditArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let before = changes::present(&mut session)?;
    let values = env::read(&mut session, &args.selection)?;
    let text =
        Zeroizing::new(format!("{}{}", header(&session), &*formats::write(&values, Format::Dotenv, Dialect::Compose)?));
    let file = private_file(&text, globals)?;
    loop {
        open_editor(file.path(), globals)?;
        let wrong = match wanted(file.path()) {
            Ok(wanted) => {
                let planned = planned(&values, wanted, &before);
                return finish(&mut session, file, &planned, &before, globals);
            }
            Err(error) => error,
        };
        globals.output.note(format_args!("{}", wrong.message()));
        let again = std::io::stdin().is_terminal() && globals.output.confirm("edit it again?").unwrap_or(false);
        if !again {
            return Err(kept(file, wrong));
        }
    }
}

fn header(session: &Session) -> String {
    format!(
        "# The secrets of {}. A line that goes deletes its secret, a new one creates it.\n# Quotes are those of docker \
         compose: '…' holds everything but ', \"…\" knows \\n, \\\", \\\\ and \\$.\n",
        session.namespace
    )
}

fn private_file(text: &str, globals: &Globals) -> Result<NamedTempFile, CliError> {
    let directory = globals.load(Role::Client)?.paths.runtime_dir;
    ensure_private_dir(&directory)?;
    if !is_in_memory(&directory) {
        globals
            .output
            .note(format_args!("{} is on a disk, and so is the text until you are done", directory.display()));
    }
    // tempfile creates with O_EXCL and 0600.
    let fill = || {
        let mut file = tempfile::Builder::new().prefix("edit-").suffix(".env").tempfile_in(&directory)?;
        file.write_all(text.as_bytes())?;
        file.flush()?;
        Ok(file)
    };
    fill().map_err(|error: std::io::Error| {
        CliError::new(kind_of_io(&error), format!("cannot write in {}: {}", directory.display(), io_message(&error)))
    })
}

fn is_in_memory(directory: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    #[cfg(target_os = "linux")]
    let found = rustix::fs::statfs(directory).is_ok_and(|system| system.f_type == TMPFS);
    #[cfg(not(target_os = "linux"))]
    let found = false;
    found
}

fn open_editor(file: &Path, globals: &Globals) -> Result<(), CliError> {
    let environment = &globals.environment;
    let named = [environment.text("VISUAL")?, environment.text("EDITOR")?];
    let editor = named.into_iter().flatten().next().unwrap_or("vi");
    // As git does: the editor may have arguments of its own.
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{editor} \"$1\"")).arg("hushd").arg(file).env_remove("HUSHD_TOKEN");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(CliError::new(ErrorKind::Other, "the editor failed: nothing was changed")
            .hint("name another one: EDITOR=nano hushd edit")),
        Err(error) => Err(CliError::new(kind_of_io(&error), format!("cannot run an editor: {}", io_message(&error)))),
    }
}

/// What the text says now.
fn wanted(file: &Path) -> Result<Values, CliError> {
    let wrong = |what: String| CliError::new(ErrorKind::BadData, what);
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text =
        text.map_err(|error| wrong(format!("the text cannot be read: {}", io_message(&error).to_lowercase())))?;
    let read =
        dotenv::read(&text, Dialect::Compose).map_err(|error| wrong(format!("line {}: {}", error.line, error.what)))?;
    // A line that says nothing would delete a secret, and a variable that is not set would empty one.
    if let Some(note) = read.notes.first() {
        return Err(wrong(note.clone()));
    }
    let keyed = read.values.into_iter().map(|(name, value)| {
        let key = name.parse::<Key>().map_err(|error| CliError::from_error(ErrorKind::BadData, &error))?;
        Ok((key, SecretValue::new(value)))
    });
    keyed.collect()
}

fn planned(before: &Values, wanted: Values, present: &Present) -> Vec<Change> {
    let revision = |key: &Key| present.get(key.as_str()).map(|(revision, _)| *revision);
    let gone = before.keys().filter(|key| !wanted.contains_key(*key));
    let mut planned: Vec<Change> =
        gone.map(|key| Change::new(key.clone(), Action::Delete, None, revision(key))).collect();
    for (key, value) in wanted {
        let action = match before.get(&key) {
            Some(old) if *old == value => continue,
            Some(_) => Action::Update,
            None => Action::Create,
        };
        let revision = revision(&key);
        planned.push(Change::new(key, action, Some(value), revision));
    }
    planned
}

fn finish(
    session: &mut Session,
    file: NamedTempFile,
    planned: &[Change],
    before: &Present,
    globals: &Globals,
) -> Result<(), CliError> {
    if planned.is_empty() && !globals.output.is_json() {
        globals.output.note("nothing was changed");
        return Ok(());
    }
    let now = match changes::present(session) {
        Ok(now) => now,
        Err(error) => return Err(kept(file, error)),
    };
    let moved = planned.iter().find(|change| {
        let key = change.key.as_str();
        let other = now.get(key) != before.get(key);
        // What is new here may not be there by now.
        other || (change.action == Action::Create && now.get(key).is_some_and(|(_, readable)| *readable))
    });
    if let Some(change) = moved {
        let error =
            CliError::new(ErrorKind::Conflict, format!("nothing was written: {} was changed meanwhile", change.key));
        return Err(kept(file, error));
    }
    if let Err(error) = changes::apply(session, planned, globals) {
        return Err(kept(file, error));
    }
    if globals.output.is_json() {
        return globals.output.json(&changes::document(planned, session, false));
    }
    for line in changes::text(planned, globals).lines() {
        globals.output.note(line);
    }
    Ok(())
}

/// Leaves the text where it is, and says where.
fn kept(file: NamedTempFile, error: CliError) -> CliError {
    match file.keep() {
        Ok((_, path)) => {
            let path = path.display();
            error
                .hint(format!("your text is kept: {path}"))
                .hint(format!(
                    "to write it when it is right: hushd import {path} --dialect compose --on-conflict overwrite && rm {path}"
                ))
        }
        Err(unkept) => error.hint(format!("and your text could not be kept: {}", io_message(&unkept.error))),
    }
}
