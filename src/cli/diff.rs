//! `hushd diff`: what two namespaces have not in common.
//!
//! Invariant: without `--reveal` no value is shown, and a digest says nothing beyond this one output: its key is random and
//! forgotten, so that nobody tries guesses against it.

use std::collections::BTreeSet;

use clap::Args;
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::cli::env::{self, Selection};
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, ErrorKind, Globals, Session, Style, parse};
use crate::model::{Key, Namespace, SecretValue};

/// Compare the secrets of two namespaces, by name and digest
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct DiffArgs {
    /// The one namespace
    #[arg(value_name = "NS1", value_parser = parse::namespace)]
    one: Namespace,
    /// The other
    #[arg(value_name = "NS2", value_parser = parse::namespace)]
    other: Namespace,
    /// Show values in the place of digests
    #[arg(long)]
    reveal: bool,
    /// Exit with 1 where they differ
    #[arg(long)]
    exit_code: bool,
}

const AFTER_HELP: &str = "\
Equal digests are equal values, within one output: with every call they are others. To compare is to
read, and is recorded so.

With --json: {\"namespaces\": [NS1, NS2], \"differences\": [{\"key\", \"difference\": \"removed\"|\"added\"|
\"changed\", \"values\": [V1, V2]}]}; the values are digests or, with --reveal, the values, and null
where there is none.";

const COLUMNS: [Column; 4] = [
    Column { title: "KEY", spare: 0 },
    Column { title: "DIFFERENCE", spare: 0 },
    Column { title: "NS1", spare: 1 },
    Column { title: "NS2", spare: 1 },
];

/// Prints the differences.
///
/// # Errors
///
/// [`ErrorKind::Other`] with `--exit-code` where there are some.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: DiffArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let one = env::read_from(&mut session, &args.one, &Selection::default())?;
    let other = env::read_from(&mut session, &args.other, &Selection::default())?;
    let digest = digests()?;
    let shown = |value: Option<&SecretValue>| {
        value.map(|value| if args.reveal { value.expose_secret().to_owned() } else { digest(value) })
    };
    let keys: BTreeSet<&Key> = one.keys().chain(other.keys()).collect();
    let different = keys.into_iter().filter(|key| one.get(*key) != other.get(*key));
    let rows: Vec<(&Key, [Option<String>; 2])> =
        different.map(|key| (key, [shown(one.get(key)), shown(other.get(key))])).collect();
    if output.is_json() {
        let differences: Vec<_> = rows
            .iter()
            .map(|(key, values)| json!({ "key": key.as_str(), "difference": kind(values), "values": values }))
            .collect();
        output.json(&json!({ "namespaces": [args.one.as_str(), args.other.as_str()], "differences": differences }))?;
    } else if rows.is_empty() {
        output.note(format_args!("{} and {} have the same secrets", args.one, args.other));
    } else {
        let cells = |(key, values): &(&Key, [Option<String>; 2])| {
            let value = |value: &Option<String>| Cell::from(value.clone().unwrap_or_else(|| "-".to_owned()));
            let kind = Cell { text: kind(values).to_owned(), style: Style::Warning };
            vec![key.as_str().into(), kind, value(&values[0]), value(&values[1])]
        };
        let rows: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
        output.data(table::render(output, &COLUMNS, &rows).as_bytes())?;
    }
    if args.exit_code && !rows.is_empty() {
        return Err(CliError::new(ErrorKind::Other, format!("{} and {} differ", args.one, args.other)));
    }
    Ok(())
}

fn kind(values: &[Option<String>; 2]) -> &'static str {
    match values {
        [Some(_), None] => "removed",
        [None, _] => "added",
        [Some(_), Some(_)] => "changed",
    }
}

/// Digests under a key of their own.
fn digests() -> Result<impl Fn(&SecretValue) -> String, CliError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(|error| {
        CliError::new(ErrorKind::Internal, format!("the operating system gives no randomness: {error}"))
    })?;
    let keyed =
        Hmac::<Sha256>::new_from_slice(&*key).map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
    Ok(move |value: &SecretValue| {
        let digest = keyed.clone().chain_update(value.expose_secret()).finalize().into_bytes();
        let mut digits = format!("{digest:x}");
        digits.truncate(12);
        digits
    })
}
