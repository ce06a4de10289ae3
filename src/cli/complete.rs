//! What a shell completes: names of secrets and namespaces, as the daemon has them, and profiles of the project.
//!
//! Invariants: nothing is asked, started or said for it, and no value is read; where something is wrong there is nothing to
//! complete.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::CompletionCandidate;

use crate::cli::globals::GlobalArgs;
use crate::cli::{Globals, Session, project};
use crate::config::ProjectText;
use crate::paths::Environment;

/// How long the daemon may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Names of secrets of the namespace.
pub(super) fn keys(current: &OsStr) -> Vec<CompletionCandidate> {
    let (before, start) = last_of_list(current);
    let secrets = session().and_then(|mut session| session.client.list_secrets(&session.namespace).ok());
    let secrets = secrets.into_iter().flat_map(|answer| answer.secrets);
    let names = secrets.filter(|secret| secret.is_active).map(|secret| secret.key);
    candidates(before, start, names)
}

/// Names of secrets that were deleted.
pub(super) fn deleted_keys(current: &OsStr) -> Vec<CompletionCandidate> {
    let (before, start) = last_of_list(current);
    let secrets = session().and_then(|mut session| session.client.list_secrets(&session.namespace).ok());
    let secrets = secrets.into_iter().flat_map(|answer| answer.secrets);
    candidates(before, start, secrets.filter(|secret| !secret.is_active).map(|secret| secret.key))
}

/// Namespaces that have secrets.
pub(super) fn namespaces(current: &OsStr) -> Vec<CompletionCandidate> {
    let namespaces = session().and_then(|mut session| session.client.list_namespaces().ok());
    let names = namespaces.into_iter().flat_map(|answer| answer.namespaces).map(|summary| summary.namespace);
    candidates("", current.to_str().unwrap_or_default(), names)
}

/// Profiles of the project's file, which need no trust to be named.
pub(super) fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = std::env::current_dir().ok().and_then(|directory| ProjectText::find(&directory).ok().flatten());
    let names = text.into_iter().flat_map(|text| text.profiles());
    candidates("", current.to_str().unwrap_or_default(), names)
}

/// A list with commas is completed in its last part.
fn last_of_list(current: &OsStr) -> (&str, &str) {
    let text = current.to_str().unwrap_or_default();
    let at = text.rfind(',').map_or(0, |comma| comma + 1);
    text.split_at(at)
}

fn candidates(before: &str, start: &str, names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut fitting: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
    fitting.sort_unstable();
    fitting.into_iter().map(|name| CompletionCandidate::new(format!("{before}{name}"))).collect()
}

fn session() -> Option<Session> {
    let args = GlobalArgs::of_words(std::env::args_os().filter_map(|word| word.into_string().ok()));
    let mut globals = Globals::new(args, Environment::read());
    globals.autostart = false;
    // The question of trust has its place before a command, not within one that is being typed.
    let trusted = |text: &ProjectText| project::trust(text, &globals).is_ok_and(|trust| trust == project::Trust::Given);
    if !project::find(&globals).ok()?.as_ref().is_none_or(trusted) {
        globals.no_project = true;
    }
    Session::patient(&globals, LIMIT).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_completed_in_its_last_part() {
        let (before, start) = last_of_list(OsStr::new("A,B,DB_"));
        let found = candidates(before, start, ["DB_URL", "OTHER"].map(str::to_owned).into_iter());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].get_value(), "A,B,DB_URL");
    }
}
