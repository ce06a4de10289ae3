//! Which files the process can reach, by Landlock (landlock(7)), whatever its user could.
//!
//! Invariant: it takes rights away and never gives any. Sockets are not files here: to connect to one stays as it was.

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, path_beneath_rules,
};

use crate::api::Protection;
use crate::daemon::hardening::Places;

/// The newest version of Landlock whose rights are known here; of an older kernel it takes what that one has.
const VERSION: ABI = ABI::V5;

/// What every program reads: the users, the time zone, the machine, its own process and those of its peers, credentials.
pub(super) const SYSTEM: [&str; 8] =
    ["/etc", "/proc", "/sys", "/run/systemd", "/run/credentials", "/run/nscd", "/run/dbus", "/var/lib/sss"];

/// Where programs and their libraries are, for age plugins.
pub(super) const PROGRAMS: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"];

/// Randomness, the terminal that a passphrase is asked for on, the hardware that holds a key.
const DEVICES: [&str; 1] = ["/dev"];

/// Leaves the process these places and no others.
pub(super) fn restrict(places: &Places) -> Protection {
    let (holds, note) = match enforce(places) {
        Ok(RulesetStatus::FullyEnforced) => (true, None),
        Ok(RulesetStatus::PartiallyEnforced) => (true, Some("as far as this kernel's Landlock goes".to_owned())),
        Ok(RulesetStatus::NotEnforced) => {
            (false, Some("this kernel has no Landlock, or it is switched off".to_owned()))
        }
        Err(error) => (false, Some(error.to_string())),
    };
    Protection { name: "files".to_owned(), holds, note }
}

fn enforce(places: &Places) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let own = read | (AccessFs::from_write(VERSION) & !devices());
    let device = read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(VERSION))?.create()?;
    let ruleset = ruleset
        .add_rules(path_beneath_rules(&places.own, own))?
        .add_rules(path_beneath_rules(&places.readable, read))?
        .add_rules(path_beneath_rules(&places.programs, read | AccessFs::Execute))?
        .add_rules(path_beneath_rules(DEVICES, device))?;
    Ok(ruleset.restrict_self()?.ruleset)
}

/// What nobody needs in a directory of his own.
fn devices() -> BitFlags<AccessFs> {
    AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::thread;

    use super::*;
    use crate::paths::{replace_private, write_private_new};

    /// What a thread is forbidden is forbidden to it alone, so that the other tests go on.
    #[test]
    fn only_the_given_places_are_left() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["own", "readable", "other"] {
            fs::create_dir(path(name)).unwrap();
            write_private_new(&path(name).join("file"), b"1").unwrap();
        }
        let places = Places {
            own: vec![path("own"), path("missing")],
            readable: vec![path("readable")],
            programs: PROGRAMS.iter().map(Into::into).collect(),
        };
        let inside = move || {
            let protection = restrict(&places);
            if !protection.holds {
                return Err(protection.note);
            }
            let try_all = |directory: &Path| {
                let file = directory.join("file");
                let renamed =
                    fs::rename(&file, directory.join("new")).and_then(|()| fs::rename(directory.join("new"), &file));
                (fs::read(&file).is_ok(), replace_private(&file, b"2").is_ok(), renamed.is_ok())
            };
            let run = std::process::Command::new(path("own").join("file")).spawn().is_ok();
            let program = std::process::Command::new("/bin/true").status().is_ok();
            Ok(([try_all(&path("own")), try_all(&path("readable")), try_all(&path("other"))], run, program))
        };
        let found = thread::scope(|scope| scope.spawn(inside).join().unwrap());
        let all = (true, true, true);
        let expected = ([all, (true, false, false), (false, false, false)], false, true);
        assert!(
            found == Ok(expected)
                || found == Err(Some("this kernel has no Landlock, or it is switched off".to_owned())),
            "{found:?}"
        );
    }
}
