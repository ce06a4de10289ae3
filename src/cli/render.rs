//! `hushd render`: a template with the values in their places.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use zeroize::Zeroizing;

use crate::cli::env::{self, Selection};
use crate::cli::error::{io_message, kind_of_io};
use crate::cli::{CliError, ErrorKind, Globals, Session};
use crate::config::FileMode;
use crate::model::{Key, SecretValue, Template};
use crate::paths::{Ownership, replace_rendered};

/// Fill in a template: {{ KEY }}
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct RenderArgs {
    /// The template; - is standard input
    template: PathBuf,
    /// The file that is written; without one the text is printed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Its mode, such as 0640 [default: as it is, or 0600]
    #[arg(long, value_name = "MODE", requires = "output")]
    mode: Option<FileMode>,
    /// A command for the shell, run only where the file changed
    #[arg(long, value_name = "CMD", requires = "output")]
    then: Option<String>,
}

const AFTER_HELP: &str = "\
{{ KEY }} stands for the value, {{ KEY | json }} for a JSON string with its quotes, {{ KEY | shell }} for a
word of a shell, {{ KEY | base64 }} for its base64, and {{ \"{{\" }} for two braces. A secret that is missing
is an error, and nothing is written.

The file is replaced as a whole: who reads it sees the old text or the new one. A symbolic link in its
place is refused. Mode and owner stay what they are. The daemon can do it by itself whenever a secret
changes: [[render]] in its configuration.

With --json: {\"path\", \"changed\"} where there is a file, else {\"text\"}.";

/// Renders.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for what is no template, [`ErrorKind::NotFound`] for missing secrets, [`ErrorKind::Other`] where the
/// command fails.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: RenderArgs, globals: &Globals) -> Result<(), CliError> {
    let template = template(&args.template)?;
    let mut session = Session::open(globals)?;
    let text = text(&mut session, &template)?;
    let Some(path) = &args.output else {
        if globals.output.is_json() {
            return globals.output.json(&serde_json::json!({ "text": text.expose_secret() }));
        }
        return globals.output.data(text.expose_secret().as_bytes());
    };
    let whose = Ownership { mode: args.mode.map(FileMode::bits), ..Ownership::default() };
    let changed = replace_rendered(path, text.expose_secret().as_bytes(), whose)?;
    if globals.output.is_json() {
        globals.output.json(&serde_json::json!({ "path": path, "changed": changed }))?;
    } else {
        let what = if changed { "wrote" } else { "unchanged:" };
        globals.output.note(format_args!("{what} {}", path.display()));
    }
    match &args.then {
        Some(command) if changed => then(command),
        Some(_) | None => Ok(()),
    }
}

fn template(path: &Path) -> Result<Template, CliError> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let read =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = Zeroizing::new(read.map_err(|error| {
        let kind =
            if error.kind() == std::io::ErrorKind::InvalidData { ErrorKind::BadData } else { kind_of_io(&error) };
        CliError::new(kind, format!("cannot read {name}: {}", io_message(&error).to_lowercase()))
    })?);
    Template::parse(&text).map_err(|error| CliError::new(ErrorKind::BadData, format!("{name}: {error}")))
}

fn text(session: &mut Session, template: &Template) -> Result<SecretValue, CliError> {
    let keys: Vec<_> = template.keys().into_iter().collect();
    let values = if keys.is_empty() { env_of_nothing() } else { env::resolved(session, &Selection::of(keys))? };
    template.render(&values).map_err(|missing| {
        let names: Vec<_> = missing.iter().map(Key::as_str).collect();
        CliError::new(ErrorKind::NotFound, format!("secret not found: {}", names.join(", ")))
    })
}

fn env_of_nothing() -> crate::cli::formats::Values {
    crate::cli::formats::Values::new()
}

fn then(command: &str) -> Result<(), CliError> {
    let status = Command::new("sh").arg("-c").arg(command).env_remove("HUSHD_TOKEN").status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(CliError::new(ErrorKind::Other, format!("the file was written, and the command failed: {status}")))
        }
        Err(error) => Err(CliError::new(kind_of_io(&error), format!("cannot run the command: {}", io_message(&error)))),
    }
}
