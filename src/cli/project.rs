//! The project that a command is typed in: its file, and whether that may be followed.
//!
//! Invariant: what a project's file says is only followed once its owner has said so, and anew after each change of it: a
//! file that came with somebody's repository must not choose which secrets are read. What is remembered is the path of the
//! file and a digest of its text.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cli::{CliError, ErrorKind, Globals};
use crate::config::{Project, ProjectText};
use crate::paths::{Paths, Role, create_private_dir_all, read_private, replace_private};

/// What is remembered of a file that is trusted.
#[derive(Debug, Deserialize, Serialize)]
struct Remembered {
    path: PathBuf,
    digest: String,
}

/// Whether a project's file may be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It may.
    Given,
    /// It might, but has been changed since.
    Changed,
    /// Nobody has said so.
    None,
}

/// The file of the project that the working directory is in.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] for one that cannot be read.
pub fn find(globals: &Globals) -> Result<Option<ProjectText>, CliError> {
    // Where the working directory is gone there is no project either.
    let Ok(directory) = std::env::current_dir() else { return Ok(None) };
    if globals.no_project { Ok(None) } else { Ok(ProjectText::find(&directory)?) }
}

/// What the project's file says for the profile that was asked for.
///
/// # Errors
///
/// [`ErrorKind::Configuration`].
pub fn parse(text: &ProjectText, globals: &Globals) -> Result<Project, CliError> {
    Ok(text.parse(globals.profile()?)?)
}

/// The project that the working directory is in, which must be trusted; asks on a terminal.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`] for one that is not trusted, [`ErrorKind::Configuration`], [`ErrorKind::Usage`] for a profile
/// without a project.
pub fn trusted(globals: &Globals) -> Result<Option<Project>, CliError> {
    let Some(text) = find(globals)? else {
        return match globals.profile()? {
            Some(profile) if !globals.no_project => {
                let message = format!("there is no project here that could have the profile {profile}");
                Err(CliError::new(ErrorKind::Usage, message).hint("profiles are in the file .hushd.toml of a project"))
            }
            Some(_) | None => Ok(None),
        };
    };
    let project = parse(&text, globals)?;
    let trust = trust(&text, globals)?;
    if trust != Trust::Given {
        ask(&text, &project, trust, globals)?;
    }
    globals.output.detail(format_args!("project: {}", text.path.display()));
    Ok(Some(project))
}

/// Whether this file may be followed, with this text.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`] where what is remembered cannot be read.
pub fn trust(text: &ProjectText, globals: &Globals) -> Result<Trust, CliError> {
    let place = place(&text.path, globals)?;
    let contents = match read_private(&place) {
        Ok(contents) => contents,
        Err(crate::paths::PathsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Trust::None);
        }
        Err(error) => return Err(error.into()),
    };
    // One that makes no sense is as good as none.
    let remembered = serde_json::from_slice::<Remembered>(&contents).ok().filter(|known| known.path == text.path);
    Ok(match remembered {
        Some(remembered) if remembered.digest == text.digest() => Trust::Given,
        Some(_) => Trust::Changed,
        None => Trust::None,
    })
}

/// Remembers that this file may be followed, with this text.
///
/// # Errors
///
/// Those of the directory for state.
pub fn remember(text: &ProjectText, globals: &Globals) -> Result<(), CliError> {
    let place = place(&text.path, globals)?;
    if let Some(directory) = place.parent() {
        create_private_dir_all(directory)?;
    }
    let remembered = Remembered { path: text.path.clone(), digest: text.digest() };
    let contents =
        serde_json::to_vec(&remembered).map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
    Ok(replace_private(&place, &contents)?)
}

/// Forgets that the file may be followed. Says whether it was.
///
/// # Errors
///
/// Those of the directory for state.
pub fn forget(path: &Path, globals: &Globals) -> Result<bool, CliError> {
    match std::fs::remove_file(place(path, globals)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CliError::from_error(ErrorKind::Other, &error)),
    }
}

/// What a project's file asks for, in lines for people.
pub fn summary(project: &Project) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(namespace) = &project.namespace {
        let inherited: Vec<&str> = project.inherit.iter().map(crate::model::Namespace::as_str).collect();
        let inherited = if inherited.is_empty() { String::new() } else { format!(", then {}", inherited.join(", ")) };
        lines.push(format!("reads the namespace {namespace}{inherited}"));
    }
    match &project.variables {
        Some(variables) => {
            let names: Vec<String> = variables
                .iter()
                .map(|(name, variable)| {
                    let key = variable.key.as_str();
                    if name.as_str() == key { key.to_owned() } else { format!("{name} ({key})") }
                })
                .collect();
            lines.push(format!("gives to commands: {}", names.join(", ")));
        }
        None => lines.push("gives to commands: every secret that is there".to_owned()),
    }
    lines
}

fn ask(text: &ProjectText, project: &Project, trust: Trust, globals: &Globals) -> Result<(), CliError> {
    let path = text.path.display();
    let state = if trust == Trust::Changed { "has changed since it was trusted" } else { "is not trusted" };
    let refused = || {
        CliError::new(ErrorKind::NotPermitted, format!("the project's file {path} {state}"))
            .hint("read it, then say so: hushd trust")
            .hint("or go without it: --no-project")
    };
    if !globals.output.can_confirm() {
        return Err(refused());
    }
    let mut question = format!("the project's file {path} {state}\n");
    for line in summary(project) {
        question.extend(["hushd:   ", &line, "\n"]);
    }
    if !globals.output.confirm(question + "hushd: trust it?")? {
        return Err(refused());
    }
    remember(text, globals)
}

fn place(path: &Path, globals: &Globals) -> Result<PathBuf, CliError> {
    let name = format!("{:x}", Sha256::digest(path.as_os_str().as_encoded_bytes()));
    Ok(Paths::resolve(&globals.environment, Role::Client)?.state_dir.join("trusted").join(name))
}
