//! aws' `credential_process`: one JSON document, version 1 (AWS SDKs and Tools, "Process credential provider").

use clap::Args;
use serde::Serialize;

use crate::cli::env::{self, Selection};
use crate::cli::{CliError, ErrorKind, Globals, Session};
use crate::clock::Timestamp;
use crate::model::{Key, SecretValue};

/// Print AWS_ACCESS_KEY_ID and its companions, for credential_process in ~/.aws/config
#[derive(Debug, Args)]
#[command(
    after_long_help = "In ~/.aws/config: credential_process = hushd credential aws --namespace shop/dev\n\nIt reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where it is there, AWS_SESSION_TOKEN. Where one of\nthem expires, aws is told when."
)]
pub(super) struct AwsArgs {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<Timestamp>,
}

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

pub(super) fn run(_args: &AwsArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let listed = session.client.list_secrets(&session.namespace).map_err(|error| session.explain(error))?.secrets;
    let with_token = listed.iter().any(|secret| secret.key == TOKEN && secret.is_active);
    let names = if with_token { &[ID, SECRET, TOKEN][..] } else { &[ID, SECRET] };
    let keys: Result<Vec<Key>, _> = names.iter().map(|name| name.parse()).collect();
    let keys = keys.map_err(|error: crate::model::InvalidKey| CliError::from_error(ErrorKind::Internal, &error))?;
    let values = env::read(&mut session, &Selection::of(keys))?;
    let value = |name: &str| values.get(name).map(SecretValue::expose_secret);
    let used = listed.iter().filter(|secret| names.contains(&secret.key.as_str()));
    globals.output.json_line(&Document {
        version: 1,
        access_key_id: value(ID).unwrap_or_default(),
        secret_access_key: value(SECRET).unwrap_or_default(),
        session_token: value(TOKEN),
        expiration: used.filter_map(|secret| secret.expires_at).min(),
    })
}
