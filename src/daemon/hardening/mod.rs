//! What the process does to keep its memory and its files to itself.
//!
//! Invariants: nothing of it stops the daemon where the kernel lacks it, unless the configuration requires it; what does not
//! hold is logged and told in the status. It happens before there are threads: what a thread is forbidden, only its
//! children inherit.

mod calls;
mod files;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};
use rustix::thread::set_no_new_privs;

use crate::api::Protection;
use crate::config::{AuditExport, Config, ListenAddress};
use crate::crypto::KeyMemory;
use crate::daemon::DaemonError;
use crate::daemon::create::master_keys;
use crate::paths::{create_private_dir_all, program_directories, scrub_environment};

/// Gives every file and directory that is created from here on to its owner alone, whatever the umask was.
pub fn private_umask() {
    umask(Mode::from_raw_mode(0o077));
}

/// Keeps the process's memory out of core dumps and away from other processes of the same user (prctl(2),
/// `PR_SET_DUMPABLE`), and lets it have as many files open as the system allows.
pub(super) fn harden() -> Vec<Protection> {
    let done = vec![
        protection("not-dumpable", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        protection("no-core", setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })),
    ];
    let files = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }) {
        tracing::warn!(%error, "the limit of open files is not raised");
    }
    done
}

/// Does all that, and takes away from the process whatever a daemon that serves does not need: its environment, other
/// people's files, system calls. It makes the sockets of `listen` itself; `file` is the configuration's.
///
/// # Errors
/// [`DaemonError::NotHardened`] where something does not hold and the configuration requires all of it.
pub(super) fn confine(
    config: &Config,
    listen: &[ListenAddress],
    file: Option<&Path>,
) -> Result<Vec<Protection>, DaemonError> {
    let mut done = harden();
    let programs = program_directories();
    let scrubbed = if scrub_environment() { Ok(()) } else { Err("the process has threads already") };
    done.push(protection("environment-scrubbed", scrubbed));
    done.push(key_memory());
    done.push(protection("no-new-privileges", set_no_new_privs(true)));
    done.push(files::restrict(&places(config, listen, file, programs)));
    // The directory of all temporary files is none of ours any more; age plugins are run in one of their own.
    let _first = tempfile::env::override_temp_dir(&config.vault.data_dir);
    done.push(protection("system-calls", calls::restrict()));
    let missing: Vec<_> = done.iter().filter(|protection| !protection.holds).collect();
    for protection in &missing {
        tracing::warn!(protection = protection.name, reason = protection.note, "the process is less protected");
    }
    if config.require_hardening && !missing.is_empty() {
        let missing = missing.iter().map(|protection| {
            let note = protection.note.as_deref().unwrap_or("unknown");
            format!("{} ({note})", protection.name)
        });
        return Err(DaemonError::NotHardened { missing: missing.collect::<Vec<_>>().join(", ") });
    }
    Ok(done)
}

/// Which parts of the file system the daemon needs.
struct Places {
    /// To write, with everything below.
    own: Vec<PathBuf>,
    /// To read, with everything below.
    readable: Vec<PathBuf>,
    /// To read and to run, with everything below.
    programs: Vec<PathBuf>,
}

fn places(config: &Config, listen: &[ListenAddress], file: Option<&Path>, mut programs: Vec<PathBuf>) -> Places {
    let parent = |path: &Path| path.parent().filter(|parent| *parent != Path::new("/")).map(Path::to_owned);
    let mut own = vec![config.vault.data_dir.clone()];
    own.extend(listen.iter().filter_map(|address| match address {
        ListenAddress::Unix(path) => parent(path),
        ListenAddress::Tcp(_) => None,
    }));
    if config.backup.every.is_some() {
        own.push(config.backup.directory.clone());
    }
    for directory in &own {
        // A rule needs something that is there. What is wrong with it is told by whoever uses it.
        let _created = create_private_dir_all(directory);
    }
    // A file that is replaced as a whole is made beside the old one.
    own.extend(config.renders.iter().filter_map(|render| parent(&render.output)).filter(|parent| parent.is_dir()));
    let export = match &config.audit.export {
        Some(AuditExport::File(path)) => Some(path.clone()),
        Some(AuditExport::Journald) | None => None,
    };
    for path in config.audit.anchor_file.clone().into_iter().chain(export) {
        // The file and not its directory, which may be the logs of the whole machine.
        let _created = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        own.push(path);
    }
    // Directories, not files: one that is replaced is another file, and may be read again.
    let files = master_keys(&config.vault).chain(config.vault.passphrase_file.as_deref()).chain(file);
    let templates = config.renders.iter().map(|render| render.template.as_path());
    let files: Vec<&Path> = files.chain(templates).collect();
    let mut readable: Vec<PathBuf> = files.iter().map(|path| around(path)).collect();
    let targets = files.iter().filter_map(|path| path.canonicalize().ok());
    readable.extend(targets.map(|path| around(&path)));
    readable.extend(files::SYSTEM.iter().map(PathBuf::from));
    programs.extend(files::PROGRAMS.iter().map(PathBuf::from));
    Places { own, readable, programs }
}

/// The directory of a file that is read: one that is replaced is another file, and may be read again. Of one that lies in
/// somebody's home, or at the root, the file alone.
fn around(file: &Path) -> PathBuf {
    let directory = file.parent().unwrap_or(file);
    let of_all = ["/", "/root"].iter().any(|path| directory == Path::new(path));
    let is_home = directory.parent() == Some(Path::new("/home"));
    if of_all || is_home { file.to_owned() } else { directory.to_owned() }
}

fn key_memory() -> Protection {
    let (holds, note) = match KeyMemory::of_process() {
        KeyMemory::Secret => (true, "in memory that the kernel itself does not map (memfd_secret)"),
        KeyMemory::Locked => (true, "in memory that is not swapped (mlock); this kernel has no memfd_secret"),
        KeyMemory::Ordinary => (false, "the limit of locked memory is too low (RLIMIT_MEMLOCK, LimitMEMLOCK=)"),
    };
    Protection { name: "keys-locked".to_owned(), holds, note: Some(note.to_owned()) }
}

fn protection<T, E: std::fmt::Display>(name: &str, result: Result<T, E>) -> Protection {
    let note = result.err().map(|error| error.to_string());
    Protection { name: name.to_owned(), holds: note.is_none(), note }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;

    #[test]
    fn the_daemon_needs_its_own_directories_and_those_of_its_keys() {
        let root = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(&Paths::system());
        config.vault.data_dir = root.path().join("data");
        config.vault.identity = "/root/identity.txt".into();
        config.vault.passphrase_file = Some("/secrets/hushd/passphrase".into());
        config.listen = vec![
            ListenAddress::Unix(root.path().join("run/s")),
            ListenAddress::Unix("/s".into()),
            "127.0.0.1:0".parse().unwrap(),
        ];
        config.backup.directory = root.path().join("backups");
        let found = places(&config, &config.listen, Some(Path::new("/home/me/hushd.toml")), vec!["/opt/bin".into()]);
        assert_eq!(found.own, [root.path().join("data"), root.path().join("run")]);
        assert!(found.own.iter().all(|directory| directory.is_dir()));
        for path in ["/root/identity.txt", "/secrets/hushd", "/home/me/hushd.toml", "/proc"] {
            assert!(found.readable.contains(&path.into()), "{path}: {:?}", found.readable);
        }
        for path in ["/", "/root", "/home/me", "/home"] {
            assert!(!found.readable.contains(&path.into()), "{path}: {:?}", found.readable);
        }
        assert!(found.programs.contains(&"/opt/bin".into()) && found.programs.contains(&"/usr".into()));
        config.backup.every = Some("1d".parse().unwrap());
        assert!(places(&config, &[], None, Vec::new()).own.contains(&config.backup.directory));
    }
}
