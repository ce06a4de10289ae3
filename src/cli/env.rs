//! `hushd env` and `hushd export`: the values of a namespace as other programs read them; [`resolved`] and [`read`], by
//! which every verb that needs many values gets them.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::dotenv::Dialect;
use crate::cli::formats::{self, Format, Values};
use crate::cli::{CliError, ErrorKind, Globals, Session, environment, parse};
use crate::model::{Key, Namespace};
use crate::paths::{PathsError, replace_private, write_private_new};

/// Print the values of the namespace as other programs read them
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct EnvArgs {
    /// What they are written as [default: dotenv]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    what: What,
}

/// Write the values of the namespace to a file that only you can read
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_EXPORT)]
pub struct ExportArgs {
    /// The file; without one, they are printed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What they are written as [default: by the ending of the file, else dotenv]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Replace the file where there is one
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    what: What,
}

#[derive(Debug, Args)]
struct What {
    /// Whose rules a dotenv file follows where they differ
    #[arg(long, value_name = "DIALECT", default_value = "node")]
    dialect: Dialect,
    #[command(flatten)]
    selection: Selection,
}

/// Which values of a namespace are wanted.
#[derive(Debug, Default, Args)]
pub struct Selection {
    /// Only these secrets; each must be there
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', value_parser = parse::key)]
    only: Option<Vec<Key>>,
    /// Only secrets whose names begin so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
}

const AFTER_HELP: &str = "\
A value that the format cannot hold is refused, and its key named: docker's file cannot hold
newlines, no environment a NUL, and node's dotenv no value with all three of its quotes.

To have them in a shell: eval \"$(hushd env --format shell)\"

With --json: {\"namespace\", \"environment\": {KEY: VALUE}}.";

const AFTER_EXPORT: &str = "\
The file has mode 0600 and its name only when it is whole. Endings that tell the format: .json, .yaml,
.yml, .sh, .env. Remember that it holds the values in the clear: keep it out of git, and delete it.

With --json: {\"path\", \"format\", \"secrets\"} where there is a file, else as hushd env.";

#[derive(Serialize)]
struct Document<'a> {
    namespace: &'a str,
    environment: std::collections::BTreeMap<&'a str, &'a str>,
}

/// Prints the values.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] with the names that are missing, [`ErrorKind::BadData`] for what the format cannot hold.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: EnvArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let values = resolved(&mut session, &args.what.selection)?;
    print(&values, args.format, &args.what, &session.namespace, globals)
}

/// Writes the values to a file.
///
/// # Errors
///
/// As [`run`], and [`ErrorKind::Conflict`] where there is a file already.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn export(args: ExportArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let values = resolved(&mut session, &args.what.selection)?;
    let Some(path) = &args.output else {
        return print(&values, args.format, &args.what, &session.namespace, globals);
    };
    let format = args.format.or_else(|| Format::of(path)).unwrap_or(Format::Dotenv);
    let text = formats::write(&values, format, args.what.dialect)?;
    let written = if args.force { replace_private } else { write_private_new }(path, text.as_bytes());
    written.map_err(|error| {
        let exists =
            matches!(&error, PathsError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists);
        let error = CliError::from(error);
        if exists { error.only_hint("add --force to replace it") } else { error }
    })?;
    let format = clap::ValueEnum::to_possible_value(&format).map_or(String::new(), |name| name.get_name().to_owned());
    if globals.output.is_json() {
        return globals.output.json(&serde_json::json!({ "path": path, "format": format, "secrets": values.len() }));
    }
    globals.output.note(format_args!("wrote {} secrets to {} ({format})", values.len(), path.display()));
    Ok(())
}

fn print(
    values: &Values,
    format: Option<Format>,
    what: &What,
    namespace: &Namespace,
    globals: &Globals,
) -> Result<(), CliError> {
    if globals.output.is_json() && format.is_none() {
        let environment = values.iter().map(|(key, value)| (key.as_str(), value.expose_secret())).collect();
        return globals.output.json(&Document { namespace: namespace.as_str(), environment });
    }
    let text: Zeroizing<String> = formats::write(values, format.unwrap_or(Format::Dotenv), what.dialect)?;
    globals.output.data(text.as_bytes())
}

/// The values as commands get them: with what the namespace inherits, and templates resolved.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] with the names that are missing, and what is wrong with a template.
pub fn resolved(session: &mut Session, selection: &Selection) -> Result<Values, CliError> {
    environment::values(session, selection.only.as_deref(), selection.prefix.as_deref())
}

/// The values of the session's namespace as they are stored: for who changes or compares them.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] with the names that are missing.
pub fn read(session: &mut Session, selection: &Selection) -> Result<Values, CliError> {
    let namespace = session.namespace.clone();
    read_from(session, &namespace, selection)
}

/// The values of a namespace.
///
/// # Errors
///
/// As [`read`].
pub fn read_from(session: &mut Session, namespace: &Namespace, selection: &Selection) -> Result<Values, CliError> {
    let answer = session.client.environment(namespace, selection.only.as_deref(), selection.prefix.as_deref());
    let environment = answer.map_err(|error| session.explain(error))?.environment;
    let typed = environment.into_iter().map(|(name, value)| Ok((name.parse::<Key>()?, value)));
    typed.collect::<Result<_, crate::model::InvalidKey>>().map_err(|error| {
        CliError::from_error(ErrorKind::Internal, &error).hint("compare: hushd --version, and what hushd status tells")
    })
}

impl Selection {
    /// These secrets and no others.
    pub fn of(keys: Vec<Key>) -> Self {
        Self { only: Some(keys), prefix: None }
    }
}
