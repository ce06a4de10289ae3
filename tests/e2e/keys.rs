//! Promise: the vault's own keys can be changed while it is served, and taken away; nothing is lost by it.

mod data_key;
mod master_keys;
mod passphrase;
mod recipients;
mod signing_secret;

use std::fs;

use serde_json::Value;

use crate::harness::{Api, Sandbox, cli};

/// Makes an age identity and gives its file and its public half.
pub fn identity(sandbox: &Sandbox, name: &str) -> (std::path::PathBuf, String) {
    let other = Sandbox::new();
    other.run(&["init"]).exits(0);
    let text = fs::read_to_string(other.identity()).unwrap();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    (sandbox.key_file(name, &text), recipient)
}

/// What the status says of a rotation under way.
pub fn rekey(api: &Api) -> Value {
    hushd(api, &["status", "--json"]).json()["rekey"].clone()
}

/// Runs the program against the daemon, and it must work.
#[track_caller]
pub fn hushd(api: &Api, arguments: &[&str]) -> cli::Output {
    api.vault.sandbox.run(arguments).exits(0)
}
