//! `hushd shell-hook`: the secrets of a trusted project in the shell itself, while one is in its directory.
//!
//! Invariants: it is only done where the hook was put into the shell's own file, and only in a project that is trusted; the
//! daemon is asked when a project is entered, not at every prompt; leaving it gives the shell back what it had.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cli::environment::{self, Selection, Variable};
use crate::cli::project::{self, Trust};
use crate::cli::{CliError, ErrorKind, Globals, Session};

/// Print what a shell needs to have a project's secrets while one is in it
///
/// Opt in by a line in the shell's own file. The secrets are then in the environment of everything that is started from the
/// shell: hushd run gives them to one command only.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct ShellHookArgs {
    /// The shell, or direnv
    shell: Shell,
}

const AFTER_HELP: &str = "\
For bash, in ~/.bashrc: eval \"$(hushd shell-hook bash)\"
For zsh, in ~/.zshrc: eval \"$(hushd shell-hook zsh)\"
For fish, in ~/.config/fish/config.fish: hushd shell-hook fish | source
For direnv: hushd shell-hook direnv > ~/.config/direnv/lib/hushd.sh, then `use hushd` in .envrc

It works in projects that are trusted (hushd trust). What has changed since a project was entered is
seen when it is entered again.";

/// Print the commands that bring a shell's environment up to date
#[derive(Debug, Args)]
pub struct ShellEnvArgs {
    /// The shell, or direnv
    shell: Shell,
}

/// What speaks its own language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Direnv,
}

const BASH: &str = r#"_hushd_hook() {
  local previous=$?
  eval "$(command hushd shell-env bash)"
  return $previous
}
if [[ ";${PROMPT_COMMAND[*]:-};" != *";_hushd_hook;"* ]]; then
  PROMPT_COMMAND="_hushd_hook${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
fi
"#;

const ZSH: &str = r#"_hushd_hook() {
  eval "$(command hushd shell-env zsh)"
}
autoload -Uz add-zsh-hook
add-zsh-hook precmd _hushd_hook
"#;

const FISH: &str = "function _hushd_hook --on-event fish_prompt
  command hushd shell-env fish | source
end
";

const DIRENV: &str = r#"use_hushd() {
  local file
  file="$(find_up .hushd.toml)" && watch_file "$file"
  eval "$(HUSHD_PROFILE="${1:-$HUSHD_PROFILE}" command hushd shell-env direnv)"
}
"#;

/// What the shell has of us.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The project's file with the digest of its text, its profile, and whether it is trusted.
    project: String,
    /// The variables that were set, with what they were before.
    variables: BTreeMap<String, Option<String>>,
}

/// Prints the hook.
///
/// # Errors
///
/// Only where it cannot be written.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: ShellHookArgs, globals: &Globals) -> Result<(), CliError> {
    let text = match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        Shell::Direnv => DIRENV,
    };
    globals.output.data(text.as_bytes())
}

/// Prints what brings the shell up to date; nothing where it is.
///
/// # Errors
///
/// For direnv, those of reading the environment. A shell goes on without it.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run_env(args: ShellEnvArgs, globals: &Globals) -> Result<(), CliError> {
    let shell = args.shell;
    if shell == Shell::Direnv {
        // direnv remembers by itself what it has set.
        let variables = variables(globals)?;
        let lines = variables.iter().filter_map(|variable| set(shell, &variable.name, variable.value.expose_secret()));
        return print(globals, lines);
    }
    let before = State::read(globals);
    let (project, trust) = match project::find(globals) {
        Ok(Some(text)) => {
            let trust = project::trust(&text, globals)?;
            let profile = globals.profile()?.unwrap_or_default();
            (format!("{}\n{}\n{profile}\n{trust:?}", text.path.display(), text.digest()), trust)
        }
        Ok(None) => (String::new(), Trust::None),
        Err(error) => (format!("\n{}", error.message()), Trust::None),
    };
    if project == before.project {
        return Ok(());
    }
    let wanted = if trust == Trust::Given {
        variables(globals).unwrap_or_else(|error| {
            globals.output.note(format_args!("{}; {}", error.message(), error.hints().join("; ")));
            Vec::new()
        })
    } else {
        if !project.is_empty() {
            let path = project.lines().next().unwrap_or_default();
            globals.output.note(format_args!("the project's file {path} is not trusted: read it, then hushd trust"));
        }
        Vec::new()
    };
    print(globals, change(shell, &before, &project, &wanted, &mut current).into_iter())
}

fn current(name: &str) -> Option<String> {
    std::env::vars_os().find(|(known, _)| known.as_os_str() == name).and_then(|(_, value)| value.into_string().ok())
}

fn variables(globals: &Globals) -> Result<Vec<Variable>, CliError> {
    let environment = environment::read(&mut Session::of_project(globals)?, &Selection::default())?;
    let (fit, others): (Vec<_>, Vec<_>) =
        environment.variables.into_iter().partition(|one| !one.file && !one.value.expose_secret().contains('\0'));
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|one| one.name.as_str()).collect();
        globals.output.note(format_args!("only for hushd run, not for a shell: {}", names.join(", ")));
    }
    Ok(fit)
}

/// The commands that lead from what the shell has to what it is to have.
fn change(
    shell: Shell,
    before: &State,
    project: &str,
    wanted: &[Variable],
    current: &mut dyn FnMut(&str) -> Option<String>,
) -> Vec<Zeroizing<String>> {
    let mut lines = Vec::new();
    for (name, old) in &before.variables {
        if !wanted.iter().any(|variable| variable.name == *name) {
            lines.extend(match old {
                Some(old) => set(shell, name, old),
                None => Some(unset(shell, name)),
            });
        }
    }
    let mut state = State { project: project.to_owned(), variables: BTreeMap::new() };
    for variable in wanted {
        let old = before.variables.get(&variable.name).cloned();
        state.variables.insert(variable.name.clone(), old.unwrap_or_else(|| current(&variable.name)));
        lines.extend(set(shell, &variable.name, variable.value.expose_secret()));
    }
    if state == State::default() {
        lines.push(unset(shell, "HUSHD_HOOK"));
    } else {
        lines.extend(set(shell, "HUSHD_HOOK", &state.encode()));
    }
    lines
}

impl State {
    /// What the environment says; one that makes no sense is none.
    fn read(globals: &Globals) -> Self {
        let text = globals.environment.get("HUSHD_HOOK").and_then(|text| text.to_str());
        let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The command that sets a variable.
fn set(shell: Shell, name: &str, value: &str) -> Option<Zeroizing<String>> {
    if value.contains('\0') {
        return None;
    }
    Some(Zeroizing::new(match shell {
        Shell::Bash | Shell::Zsh | Shell::Direnv => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
        Shell::Fish => {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            format!("set -gx {name} '{value}'\n")
        }
    }))
}

fn unset(shell: Shell, name: &str) -> Zeroizing<String> {
    Zeroizing::new(match shell {
        Shell::Bash | Shell::Zsh | Shell::Direnv => format!("unset {name}\n"),
        Shell::Fish => format!("set -e {name}\n"),
    })
}

fn print(globals: &Globals, lines: impl Iterator<Item = Zeroizing<String>>) -> Result<(), CliError> {
    let mut text = Zeroizing::new(String::new());
    for line in lines {
        text.push_str(&line);
    }
    match globals.output.data(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::ClosedPipe => Ok(()),
        result => result,
    }
}
