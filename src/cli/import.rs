//! `hushd import`: takes over the values of a file, or of an InsForge server.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use crate::cli::changes::{self, Action, Change};
use crate::cli::dotenv::Dialect;
use crate::cli::error::{io_message, kind_of_io};
use crate::cli::formats::{self, Found, Source, Values};
use crate::cli::{CliError, ErrorKind, Globals, Session, Unit};
use crate::client::{Client, REQUEST_TIMEOUT};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{ClientAddress, TokenSource};
use crate::model::Key;

/// Take over the values of a .env file, of JSON, YAML or Vault, or of an InsForge server
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct ImportArgs {
    /// The file; - is standard input
    #[arg(required_unless_present = "from_insforge", conflicts_with = "from_insforge")]
    file: Option<PathBuf>,
    /// What it is [default: by its ending, else dotenv]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Source>,
    /// Whose rules a dotenv file follows
    #[arg(long, value_name = "DIALECT", default_value = "node")]
    dialect: Dialect,
    /// Ask a server with the InsForge Secrets API: http://127.0.0.1:PORT
    #[arg(long, value_name = "URL")]
    from_insforge: Option<String>,
    /// File with the credential for that server: its API key (ik_…) or an administrator's token
    #[arg(long, value_name = "FILE", requires = "from_insforge")]
    from_token_file: Option<PathBuf>,
    /// Turn names such as db.password into keys: DB_PASSWORD
    #[arg(long)]
    upper: bool,
    /// What happens where a secret has another value already
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    on_conflict: OnConflict,
    /// Show what would change, without values, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What happens where a secret has another value already
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnConflict {
    /// It keeps its value
    Skip,
    /// It gets the new value, as a new revision
    Overwrite,
    /// Nothing is imported at all
    Fail,
}

const AFTER_HELP: &str = "\
The dialects of dotenv differ in quotes, escapes and variables. node is the default: most files are
written for it, and it never expands a $, so that a password with one stays what it is. Variables
that python and compose expand are looked for in the file itself, never in the environment. What a
dialect skips is told by its line.

A server is asked over http on loopback only; for one on another machine: ssh -L
7130:127.0.0.1:7130.

With --json: {\"namespace\", \"dryRun\", \"changes\": [{\"key\", \"action\": \"create\"|\"update\"|
\"unchanged\"|\"skip\"}]}.";

/// Largest file, in bytes.
const LIMIT: u64 = 256 * 1024 * 1024;
/// Keys that an error names.
const NAMED: usize = 5;

/// Imports.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a file that cannot be read as what it is, [`ErrorKind::Conflict`] where a secret has another
/// value, [`ErrorKind::NotFound`] for a missing file.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: ImportArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let found = match (&args.from_insforge, &args.file) {
        (Some(url), _) => from_server(url, args.from_token_file.as_deref(), globals)?,
        (None, Some(file)) => from_file(file, &args)?,
        (None, None) => Found::default(),
    };
    for note in &found.notes {
        output.note(note);
    }
    if let Some(file) = args.file.as_deref().filter(|file| is_tracked(file)) {
        output.note(format_args!(
            "{0} is tracked by git: its values are in the history for whoever has a copy. Take them as leaked, and \
             change them; git rm --cached {0} ends it",
            file.display()
        ));
    }
    let wanted = keys(found, args.upper)?;
    let mut session = Session::open(globals)?;
    let mut changes = changes::plan(&mut session, wanted, globals)?;
    resolve(&mut changes, args.on_conflict, args.dry_run)?;
    if output.is_json() {
        output.json(&changes::document(&changes, &session, args.dry_run))?;
    } else if args.dry_run {
        output.data(changes::text(&changes, globals).as_bytes())?;
    }
    if args.dry_run {
        output.note("nothing was changed: --dry-run");
        return Ok(());
    }
    changes::apply(&mut session, &changes, globals)?;
    if !output.is_json() {
        output.note(format_args!("imported into {}: {}", session.namespace, summary(&changes)));
    }
    Ok(())
}

/// How many of each.
fn summary(changes: &[Change]) -> String {
    let count = |action| changes.iter().filter(|change| change.action == action).count();
    let counts = [
        ("created", count(Action::Create)),
        ("updated", count(Action::Update)),
        ("skipped", count(Action::Skip)),
        ("unchanged", count(Action::Unchanged)),
    ];
    let told: Vec<String> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect();
    if told.is_empty() { "nothing, there are no values".to_owned() } else { told.join(", ") }
}

fn resolve(changes: &mut [Change], on_conflict: OnConflict, dry_run: bool) -> Result<(), CliError> {
    let conflicts = changes.iter_mut().filter(|change| change.action == Action::Update);
    match on_conflict {
        OnConflict::Overwrite => {}
        OnConflict::Skip => conflicts.for_each(|change| change.action = Action::Skip),
        OnConflict::Fail if dry_run => {}
        OnConflict::Fail => {
            let names: Vec<String> = conflicts.map(|change| change.key.to_string()).collect();
            if !names.is_empty() {
                return Err(CliError::new(
                    ErrorKind::Conflict,
                    format!("nothing was imported: {} with another value already", some(&names)),
                )
                .hint("see what would change: --dry-run; then take --on-conflict overwrite, or skip"));
            }
        }
    }
    Ok(())
}

/// The first few of the names.
fn some(names: &[String]) -> String {
    let listed = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (names.len(), names.len().saturating_sub(NAMED)) {
        (1, _) => format!("{listed} is there"),
        (_, 0) => format!("{listed} are there"),
        (_, more) => format!("{listed} and {more} more are there"),
    }
}

/// Names that are keys, or become keys.
fn keys(found: Found, upper: bool) -> Result<Values, CliError> {
    let mut values = Values::new();
    for (name, value) in found.values {
        let wanted = if upper { name.to_uppercase().replace(['-', '.', ' '], "_") } else { name.clone() };
        let Ok(key) = wanted.parse::<Key>() else {
            // A name that is none may be a part of a value that was not quoted.
            let shown: String =
                if name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
                    name
                } else {
                    "a name".to_owned()
                };
            return Err(CliError::new(
                ErrorKind::BadData,
                format!("{shown} is no key: those have uppercase letters, digits and underscores only"),
            )
            .hint("--upper makes db.password and db-password DB_PASSWORD"));
        };
        if values.insert(key.clone(), value).is_some() {
            return Err(CliError::new(ErrorKind::BadData, format!("two names become {key}"))
                .hint("rename one of them in the file"));
        }
    }
    Ok(values)
}

fn from_file(file: &Path, args: &ImportArgs) -> Result<Found, CliError> {
    let (name, text) = if file == Path::new("-") {
        ("standard input".to_owned(), text(std::io::stdin().lock(), "standard input")?)
    } else {
        let name = file.display().to_string();
        let opened = File::open(file).map_err(|error| unreadable(&name, &error))?;
        let text = text(opened, &name)?;
        (name, text)
    };
    let source = args.format.unwrap_or_else(|| Source::of(file));
    formats::read(&text, source, args.dialect).map_err(|error| {
        let hint = match source {
            Source::Dotenv => "other rules may fit: --dialect node, python or compose",
            Source::Json | Source::Yaml | Source::Vault | Source::Docker => {
                "values are texts, numbers and booleans by name; say what the file is with --format"
            }
        };
        CliError::new(error.kind(), format!("{name}: {}", error.message())).hint(hint)
    })
}

fn text(source: impl Read, name: &str) -> Result<Zeroizing<String>, CliError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    source.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    if bytes.len() as u64 > LIMIT {
        return Err(CliError::new(ErrorKind::BadData, format!("{name} is longer than {} MiB", LIMIT >> 20)));
    }
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        drop(Zeroizing::new(error.into_bytes()));
        CliError::new(ErrorKind::BadData, format!("{name} is not UTF-8: byte {} is wrong", at + 1))
    })
}

fn unreadable(name: &str, error: &std::io::Error) -> CliError {
    CliError::new(kind_of_io(error), format!("cannot read {name}: {}", io_message(error).to_lowercase()))
}

/// Whether git knows the file. A repository's own configuration is not let run anything.
fn is_tracked(file: &Path) -> bool {
    let (Some(name), false) = (file.file_name(), file == Path::new("-")) else { return false };
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).args(["-c", "core.fsmonitor=false", "ls-files", "--error-unmatch", "--"]).arg(name);
    git.env_remove("HUSHD_TOKEN").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    git.status().is_ok_and(|status| status.success())
}

/// Asks a server with the original API for all that can be read there.
fn from_server(url: &str, token: Option<&Path>, globals: &Globals) -> Result<Found, CliError> {
    let address = match url.trim_end_matches('/').parse::<ClientAddress>() {
        Ok(address @ ClientAddress::Tcp(_)) => address,
        Ok(ClientAddress::Unix(_)) | Err(_) => {
            return Err(CliError::new(ErrorKind::Usage, "this is no address of a server that can be asked")
                .hint("it is asked over http on loopback only: --from-insforge http://127.0.0.1:7130")
                .hint("for one on another machine: ssh -L 7130:127.0.0.1:7130 HOST, and then that address"));
        }
    };
    let token = token.map(|path| TokenSource::File(path.to_owned()));
    let mut client = Client::connect(&[address], token.as_ref(), REQUEST_TIMEOUT)?;
    let now = SystemClock.now();
    let listed = client.foreign_secrets()?;
    let mut found = Found::default();
    let readable =
        |secret: &crate::client::ForeignSecret| secret.is_active && secret.expires_at.is_none_or(|at| at > now);
    let (wanted, left): (Vec<_>, Vec<_>) = listed.into_iter().partition(readable);
    if !left.is_empty() {
        found.notes.push(format!("{} deleted or expired secrets are left out", left.len()));
    }
    let bar = globals.output.bar("fetching", Unit::Things);
    let progress = bar.progress(Unit::Things);
    for (done, secret) in wanted.iter().enumerate() {
        progress.tell(done as u64, wanted.len() as u64);
        let key = secret.key.parse::<Key>().map_err(|error| CliError::from_error(ErrorKind::BadData, &error))?;
        found.values.push((secret.key.clone(), client.foreign_secret(&key)?.value));
    }
    Ok(found)
}
