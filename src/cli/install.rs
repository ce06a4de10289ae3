//! `hushd install` and `hushd uninstall`: puts the units of systemd in place, and takes them away.
//!
//! Invariants: a file that is not ours is never replaced or removed, and no vault, key or configuration is ever touched; with
//! `--dry-run` nothing is; what was done is said, file by file.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::json;

use crate::cli::error::{io_message, kind_of_io};
use crate::cli::{CliError, ErrorKind, Globals};

/// Put the units of systemd in place, so that the first client starts the daemon
///
/// From a package they are there already.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct InstallArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Take away what `hushd install` put in place; vaults, keys and configuration stay
#[derive(Debug, Args)]
#[command(after_long_help = UNINSTALL_HELP)]
pub struct UninstallArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// For the whole machine; needs root
    #[arg(long, required_unless_present = "user", conflicts_with = "user")]
    system: bool,
    /// For the user who calls it
    #[arg(long)]
    user: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

const AFTER_HELP: &str = "\
Then, for the machine:  systemctl enable --now hushd.socket
and for a user:         systemctl --user enable --now hushd.socket

With --json: {\"files\": [{\"path\", \"action\"}], \"commands\": [[…]], \"dryRun\"}.";

const UNINSTALL_HELP: &str = "\
With --json: as hushd install has it.";

/// How each of our files begins.
const OURS: &str = "# Part of hushd.";
/// What stands in them for the program.
const PROGRAM: &str = "/usr/bin/hushd";
/// Where a package has them.
const PACKAGED: &str = "/usr/lib/systemd/system/hushd.service";

macro_rules! files {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../../systemd/", $name)))),*] };
}

/// The files of the machine's daemon, by their place in `systemd/`.
const SYSTEM: [(&str, &str); 8] = files![
    "sysusers.d/hushd.conf",
    "tmpfiles.d/hushd.conf",
    "system/hushd-answers.socket",
    "system/hushd-credentials.socket",
    "system/hushd-credentials@.service",
    "system/hushd-init.service",
    "system/hushd.service",
    "system/hushd.socket"
];
/// Those of a user's.
const USER: [(&str, &str); 5] = files![
    "user/hushd-answers.socket",
    "user/hushd-credentials.socket",
    "user/hushd-credentials@.service",
    "user/hushd.service",
    "user/hushd.socket"
];

/// What is to be done.
struct Plan {
    files: Vec<(PathBuf, String)>,
    /// Commands before the files are there, or gone, and after it.
    before: Vec<Vec<&'static str>>,
    after: Vec<Vec<&'static str>>,
    dry_run: bool,
}

/// Puts the units in place.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] where a file is there that is not ours; [`ErrorKind::NotPermitted`] without the right to.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn install(args: InstallArgs, globals: &Globals) -> Result<(), CliError> {
    let mut plan = Plan::new(&args.place, globals)?;
    if args.place.system && Path::new(PACKAGED).exists() {
        return Err(CliError::new(ErrorKind::Conflict, format!("a package has put the units in place: {PACKAGED}"))
            .hint("use them: systemctl enable --now hushd.socket"));
    }
    let program = program(args.place.system)?;
    for (_, text) in &mut plan.files {
        *text = text.replace(PROGRAM, &program);
    }
    plan.after = if args.place.system {
        vec![
            vec!["systemd-sysusers", "hushd.conf"],
            vec!["systemd-tmpfiles", "--create", "hushd.conf"],
            vec!["systemctl", "daemon-reload"],
        ]
    } else {
        vec![vec!["systemctl", "--user", "daemon-reload"]]
    };
    let mut done = Vec::new();
    for (path, text) in &plan.files {
        let action = match fs::read(path) {
            Ok(found) if found == text.as_bytes() => "unchanged",
            Ok(found) if !is_ours(&found) => {
                return Err(CliError::new(ErrorKind::Conflict, format!("{} is not from hushd", path.display()))
                    .hint("move it away, or keep it and write what it should say into a drop-in: systemctl edit"));
            }
            Ok(_) => "replaced",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "created",
            Err(error) => return Err(failed("read", path, &error)),
        };
        done.push((path, action));
    }
    if !plan.dry_run {
        for (path, text) in &plan.files {
            place(path, text.as_bytes())?;
        }
    }
    plan.finish(&done, globals)
}

/// Takes the units away.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`] without the right to.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn uninstall(args: UninstallArgs, globals: &Globals) -> Result<(), CliError> {
    const STOP: &[&str] = &["disable", "--now", "hushd.socket", "hushd-credentials.socket", "hushd-answers.socket"];
    let mut plan = Plan::new(&args.place, globals)?;
    let systemctl = || if args.place.system { vec!["systemctl"] } else { vec!["systemctl", "--user"] };
    let with = |rest: &[&'static str]| systemctl().into_iter().chain(rest.iter().copied()).collect::<Vec<_>>();
    plan.before = vec![with(STOP), with(&["disable", "--now", "hushd.service"])];
    plan.after = vec![with(&["daemon-reload"])];
    let mut done = Vec::new();
    for (path, _) in &plan.files {
        match fs::read(path) {
            Ok(found) if is_ours(&found) => done.push((path, "removed")),
            Ok(_) => done.push((path, "left: it is not from hushd")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", path, &error)),
        }
    }
    if done.is_empty() {
        globals.output.note("there is nothing to take away");
        plan.before.clear();
        plan.after.clear();
    }
    if !plan.dry_run {
        for command in &plan.before {
            run(command, globals);
        }
        for (path, _) in done.iter().filter(|(_, action)| *action == "removed") {
            fs::remove_file(path).map_err(|error| failed("remove", path, &error))?;
        }
    }
    plan.finish(&done, globals)
}

impl Plan {
    fn new(args: &PlaceArgs, globals: &Globals) -> Result<Self, CliError> {
        let (files, directories): (&[(&str, &str)], _) = if args.system {
            (&SYSTEM, ("/etc/sysusers.d".into(), "/etc/tmpfiles.d".into(), PathBuf::from("/etc/systemd/system")))
        } else {
            let user = globals.environment.user_directories().and_then(|user| user.config.parent());
            let home = user.ok_or_else(|| {
                CliError::new(ErrorKind::Configuration, "there is no home to put the units in").hint("set HOME")
            })?;
            (&USER, (PathBuf::new(), PathBuf::new(), home.join("systemd/user")))
        };
        let (sysusers, tmpfiles, units) = directories;
        let place = |name: &str| match name.split_once('/') {
            Some(("sysusers.d", file)) => sysusers.join(file),
            Some(("tmpfiles.d", file)) => tmpfiles.join(file),
            Some((_, file)) => units.join(file),
            None => units.join(name),
        };
        let files = files.iter().map(|(name, text)| (place(name), (*text).to_owned())).collect();
        Ok(Self { files, before: Vec::new(), after: Vec::new(), dry_run: args.dry_run })
    }

    /// Runs what comes after, and says what was done.
    fn finish(&self, done: &[(&PathBuf, &str)], globals: &Globals) -> Result<(), CliError> {
        let output = &globals.output;
        let commands: Vec<_> = self.before.iter().chain(&self.after).collect();
        if output.is_json() {
            let files: Vec<_> = done.iter().map(|(path, action)| json!({ "path": path, "action": action })).collect();
            output.json(&json!({ "files": files, "commands": commands, "dryRun": self.dry_run }))?;
        } else {
            let would = if self.dry_run { "would be " } else { "" };
            for (path, action) in done {
                output.line(format_args!("{would}{action}: {}", path.display()))?;
            }
            for command in commands {
                output.line(format_args!(
                    "{}: {}",
                    if self.dry_run { "would run" } else { "run" },
                    command.join(" ")
                ))?;
            }
        }
        if !self.dry_run {
            for command in &self.after {
                run(command, globals);
            }
        }
        Ok(())
    }
}

/// The program that the units start.
fn program(system: bool) -> Result<String, CliError> {
    let path = std::env::current_exe().and_then(fs::canonicalize);
    let path = path.map_err(|error| CliError::from_error(ErrorKind::Other, &error))?;
    let text =
        path.to_str().filter(|text| !text.chars().any(|letter| letter.is_whitespace() || "%\"'\\$".contains(letter)));
    let text = text.ok_or_else(|| {
        CliError::new(ErrorKind::Configuration, format!("systemd cannot start {}", path.display()))
            .hint("put the program into a directory without spaces and the like in its name")
    })?;
    let hint = format!("install -o root -g root -m 755 {text} /usr/local/bin/hushd, and call that one");
    // ProtectHome= hides what is there.
    if system && ["/home", "/root", "/run/user", "/tmp"].iter().any(|home| path.starts_with(home)) {
        let message = format!("{text} is in a directory that the machine's daemon does not see");
        return Err(CliError::new(ErrorKind::Configuration, message).hint(hint));
    }
    if system {
        let found = fs::metadata(&path).map_err(|error| failed("look at", &path, &error))?;
        if found.uid() != 0 || found.mode() & 0o022 != 0 {
            let message = format!("{text} can be changed by others than root");
            return Err(CliError::new(ErrorKind::NotPermitted, message).hint(hint));
        }
    }
    Ok(text.to_owned())
}

fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(OURS.as_bytes())
}

/// Writes a file that all may read, whole or not at all.
pub(super) fn place(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let written = fs::create_dir_all(directory).and_then(|()| {
        let mut file =
            tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(directory)?;
        file.write_all(bytes)?;
        // The umask may have taken something away.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(drop).map_err(|error| failed("write", path, &error))
}

/// Runs a command of systemd's. Where it is missing or fails that is said: the files are in place all the same.
fn run(command: &[&str], globals: &Globals) {
    let [program, arguments @ ..] = command else { return };
    let output = Command::new(program).args(arguments).output();
    let problem = match output {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => io_message(&error),
    };
    globals.output.note(format_args!("{} failed: {problem}", command.join(" ")));
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> CliError {
    let failure = CliError::new(kind_of_io(error), format!("cannot {verb} {}: {}", path.display(), io_message(error)));
    if error.kind() == io::ErrorKind::PermissionDenied {
        failure.hint("call it as root, or with --user")
    } else {
        failure
    }
}
