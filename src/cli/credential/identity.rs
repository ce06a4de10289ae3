//! Identities for age: what `age --decrypt --identity` reads.

use clap::Args;

use crate::cli::env::{self, Selection};
use crate::cli::{CliError, ErrorKind, Globals, Session, parse};
use crate::model::Key;

/// Print age identities: hushd credential age | age --decrypt --identity - FILE
#[derive(Debug, Args)]
#[command(
    after_long_help = "The secret is an age identity file (AGE-SECRET-KEY-1…, of age-keygen), a plugin's, or an SSH key. With\nencrypted text on standard input: age --decrypt --identity <(hushd credential age) < FILE"
)]
pub(super) struct AgeArgs {
    /// Names of the secrets
    #[arg(value_name = "KEY", default_value = "AGE_IDENTITY", value_parser = parse::key)]
    keys: Vec<Key>,
}

pub(super) fn run(args: &AgeArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let values = env::read(&mut session, &Selection::of(args.keys.clone()))?;
    for (key, value) in &values {
        let text = value.expose_secret();
        let identity = |line: &str| {
            ["AGE-SECRET-KEY-", "AGE-PLUGIN-", "-----BEGIN "].iter().any(|start| line.trim_start().starts_with(start))
        };
        if !text.lines().any(identity) {
            return Err(CliError::new(ErrorKind::BadData, format!("{key} is no age identity"))
                .hint(format!("make one: age-keygen | hushd set {key}")));
        }
        globals.output.data(text.as_bytes())?;
        if !text.ends_with('\n') {
            globals.output.data(b"\n")?;
        }
    }
    Ok(())
}
