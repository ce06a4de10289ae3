//! How much this process can see of its peers: a hardened unit may hide them from it.
//!
//! Invariant: it says what rules cannot work, before somebody wonders why they do not.

use std::fs;
use std::path::Path;

/// How much of peers is in sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Whether users and groups have the numbers that the rest of the machine knows them by.
    pub users: bool,
    /// Whether the processes of other users are in sight, and with them their units.
    pub units: bool,
    /// What is hidden and what to do about it, each in a sentence.
    pub notes: Vec<String>,
}

/// Looks how much of peers is in sight.
pub fn view() -> PeerView {
    look(Path::new("/proc"))
}

fn look(proc: &Path) -> PeerView {
    let mut view = PeerView { users: true, units: true, notes: Vec::new() };
    for (file, what) in [("self/uid_map", "users"), ("self/gid_map", "groups")] {
        if !fs::read_to_string(proc.join(file)).is_ok_and(|map| is_identity(&map)) {
            view.users = false;
            view.notes.push(format!(
                "this process is in a user namespace where {what} have other numbers: rules for those it does not map \
                 never apply; set PrivateUsers=no in the unit"
            ));
        }
    }
    if fs::read(proc.join("1/cgroup")).is_err() {
        view.units = false;
        view.notes.push(
            "processes of other users are hidden in /proc: rules for units apply to none of them; set \
             ProtectProc=default in the unit, and mount /proc without hidepid"
                .to_owned(),
        );
    }
    view
}

/// Whether every number stands for itself (user_namespaces(7)).
fn is_identity(map: &str) -> bool {
    let numbers: Vec<u64> = map.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    matches!(numbers[..], [0, 0, count] if count >= u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc(map: &str, has_manager: bool) -> PeerView {
        let root = tempfile::tempdir().unwrap();
        for directory in ["self", "1"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        for file in ["uid_map", "gid_map"] {
            crate::paths::write_private_new(&root.path().join("self").join(file), map.as_bytes()).unwrap();
        }
        if has_manager {
            crate::paths::write_private_new(&root.path().join("1/cgroup"), b"0::/init.scope\n").unwrap();
        }
        look(root.path())
    }

    #[test]
    fn what_a_hardened_unit_hides_is_told() {
        let whole = "         0          0 4294967295\n";
        assert_eq!(proc(whole, true), PeerView { users: true, units: true, notes: Vec::new() });
        let hidden = proc(whole, false);
        assert!(!hidden.units && hidden.users && hidden.notes[0].contains("ProtectProc"));
        for map in ["0 0 1\n", "0 1000 1\n", "0 0 1000\n1000 1000 1\n", "0 100000 65536\n", ""] {
            let private = proc(map, true);
            assert!(!private.users && private.units && private.notes[0].contains("PrivateUsers"), "{map}");
        }
    }
}
