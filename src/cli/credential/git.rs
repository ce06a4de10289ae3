//! git's credential helper protocol (gitcredentials(7), git-credential(1)): attributes as `name=value` lines.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use super::stored::{self, Stored};
use crate::cli::{CliError, ErrorKind, Globals};
use crate::clock::{Clock as _, SystemClock};

/// Keep git's passwords: git config --global credential.helper '!hushd credential git'
#[derive(Debug, Args)]
pub(super) struct GitArgs {
    /// What git asks for
    operation: Operation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// A credential, by the description on standard input
    Get,
    /// To keep one that worked
    Store,
    /// To forget one that did not
    Erase,
}

pub(super) fn run(args: &GitArgs, globals: &Globals) -> Result<(), CliError> {
    let request = stored::request()?;
    let asked: BTreeMap<&str, &str> = request.lines().filter_map(|line| line.split_once('=')).collect();
    let part = |name: &str| asked.get(name).copied().filter(|value| !value.is_empty());
    // Without both, git asks about something that is not on a network.
    let (Some(protocol), Some(host)) = (part("protocol"), part("host")) else { return Ok(()) };
    let prefix = stored::prefix("GIT", &format!("{protocol}_{host}"));
    let mut session = stored::open(globals)?;
    if args.operation == Operation::Store {
        let (Some(username), Some(password)) = (part("username"), part("password")) else {
            return Err(CliError::new(ErrorKind::BadData, "git gave no username or no password to store"));
        };
        let stored = Stored {
            protocol: protocol.to_owned(),
            host: host.to_owned(),
            path: part("path").map(str::to_owned),
            username: username.to_owned(),
            password: password.to_owned(),
            password_expiry_utc: part("password_expiry_utc").and_then(|time| time.parse().ok()),
            oauth_refresh_token: part("oauth_refresh_token").map(str::to_owned),
        };
        let key = stored::key(&prefix, &[protocol, host, part("path").unwrap_or_default(), username])?;
        return stored::store(&mut session, &key, &stored);
    }
    let fits = |stored: &Stored| {
        stored.protocol == protocol
            && stored.host == host
            && part("username").is_none_or(|username| stored.username == username)
            && stored.path.as_deref().is_none_or(|path| part("path") == Some(path))
    };
    let mut found = stored::find(&mut session, &prefix)?;
    found.retain(|(_, stored)| fits(stored));
    if args.operation == Operation::Erase {
        // Only what was refused: another process may have stored a new one.
        let refused = |stored: &Stored| part("password").is_none_or(|password| stored.password == password);
        return found
            .iter()
            .filter(|(_, stored)| refused(stored))
            .try_for_each(|(key, _)| stored::erase(&mut session, key));
    }
    let now = SystemClock.now().as_millis() / 1000;
    found.retain(|(_, stored)| stored.password_expiry_utc.is_none_or(|at| at > now));
    // One for this very path before one for the host.
    found.sort_by_key(|(_, stored)| stored.path.is_none());
    found.first().map_or(Ok(()), |(_, stored)| globals.output.data(answer(stored).as_bytes()))
}

fn answer(stored: &Stored) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("username={}\npassword={}\n", stored.username, stored.password));
    if let Some(time) = stored.password_expiry_utc {
        text.extend(["password_expiry_utc=", &time.to_string(), "\n"]);
    }
    if let Some(token) = &stored.oauth_refresh_token {
        text.extend(["oauth_refresh_token=", token, "\n"]);
    }
    text
}
