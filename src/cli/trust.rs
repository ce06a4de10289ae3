//! `hushd trust`: says that a project's file may be followed, or no longer.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::project::{self, Trust};
use crate::cli::{CliError, ErrorKind, Globals};
use crate::config::{PROJECT_FILE, ProjectText};

/// Trust the file of a project, .hushd.toml, as it is now
///
/// It names the namespace that is read and the variables that commands get, so that one that came with somebody's
/// repository is not followed unasked. After each change of the file it is asked for again.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct TrustArgs {
    /// Directory of the project [default: the working directory, or one above it]
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Trust it no longer
    #[arg(long, conflicts_with = "check")]
    revoke: bool,
    /// Only say whether it is trusted
    #[arg(long)]
    check: bool,
}

const AFTER_HELP: &str = "\
With --check it fails with 77 where the file is not trusted, and with 66 where there is none.

With --json: {\"path\", \"trusted\": true|false}.";

/// Trusts it, or no longer.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] where there is no project; [`ErrorKind::Configuration`] where its file is wrong.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: TrustArgs, globals: &Globals) -> Result<(), CliError> {
    let text = match &args.directory {
        Some(directory) => {
            let absolute = directory.canonicalize().map_err(|error| {
                let message = format!("cannot look at {}: {}", directory.display(), super::error::io_message(&error));
                CliError::new(ErrorKind::NotFound, message.to_lowercase())
            })?;
            ProjectText::find(&absolute)?
        }
        None => project::find(globals)?,
    };
    let text = text.ok_or_else(|| {
        CliError::new(ErrorKind::NotFound, format!("there is no {PROJECT_FILE} here or above"))
            .hint(format!("write one: printf 'namespace = \"shop/dev\"\\n' > {PROJECT_FILE}"))
    })?;
    let trusted = if args.revoke {
        project::forget(&text.path, globals)?;
        false
    } else if args.check {
        project::trust(&text, globals)? == Trust::Given
    } else {
        let read = project::parse(&text, globals)?;
        project::remember(&text, globals)?;
        for line in project::summary(&read) {
            globals.output.detail(line);
        }
        true
    };
    if globals.output.is_json() {
        globals.output.json(&json!({ "path": text.path, "trusted": trusted }))?;
    } else {
        let state = if trusted { "trusted" } else { "not trusted" };
        globals.output.note(format_args!("{}: {state}", text.path.display()));
    }
    if args.check && !trusted {
        return Err(CliError::new(ErrorKind::NotPermitted, "the project's file is not trusted")
            .hint("read it, then say so: hushd trust"));
    }
    Ok(())
}
