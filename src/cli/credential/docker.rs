//! docker's credential helper protocol (docker-credential-helpers): JSON and URLs on standard input.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::stored::{self, Stored};
use crate::cli::{CliError, ErrorKind, Globals};

/// Keep docker's logins, as the program docker-credential-hushd that the README shows
#[derive(Debug, Args)]
pub(super) struct DockerArgs {
    /// What docker asks for
    operation: Operation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// A login, for the URL on standard input
    Get,
    /// To keep one
    Store,
    /// To forget one
    Erase,
    /// Whose logins there are
    List,
}

/// As docker spells it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Login {
    #[serde(rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

/// What docker knows an unknown login by.
const NOT_FOUND: &str = "credentials not found in native keychain";
const KIND: &str = "DOCKER";

pub(super) fn run(args: &DockerArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = stored::open(globals)?;
    let key = |url: &str| stored::key(&stored::prefix(KIND, url), &[url]);
    match args.operation {
        Operation::Store => {
            let request = stored::request()?;
            let login: Login = serde_json::from_str(&request).map_err(|error| {
                CliError::new(
                    ErrorKind::BadData,
                    format!("docker's request is not the expected JSON (column {})", error.column()),
                )
            })?;
            let stored = Stored {
                host: login.server_url.clone(),
                username: login.username,
                password: login.secret,
                protocol: String::new(),
                path: None,
                password_expiry_utc: None,
                oauth_refresh_token: None,
            };
            stored::store(&mut session, &key(&login.server_url)?, &stored)
        }
        Operation::Erase => stored::erase(&mut session, &key(stored::request()?.trim())?),
        Operation::Get => {
            let url = stored::request()?;
            let url = url.trim();
            let found = stored::find(&mut session, &stored::prefix(KIND, url))?;
            let Some((_, stored)) = found.iter().find(|(_, stored)| stored.host == url) else {
                // On standard output: that is where docker looks for it.
                globals.output.line(NOT_FOUND)?;
                return Err(CliError::new(ErrorKind::Other, NOT_FOUND));
            };
            let (username, secret) = (stored.username.clone(), stored.password.clone());
            globals.output.json_line(&Login { server_url: url.to_owned(), username, secret })
        }
        Operation::List => {
            let found = stored::find(&mut session, &format!("{KIND}_"))?;
            let logins: BTreeMap<&str, &str> =
                found.iter().map(|(_, stored)| (stored.host.as_str(), stored.username.as_str())).collect();
            globals.output.json_line(&logins)
        }
    }
}
