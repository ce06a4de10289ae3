//! Units: which service of the service manager a process belongs to, by its control group.
//!
//! Invariants: a unit of the system's manager and one of a user's manager are never equal, whatever the user names his; what
//! stands below a unit's own group (it may be delegated, a container may make any name there) does not matter.

use std::fmt;
use std::str::FromStr;

/// A unit of a service manager (systemd.unit(5)).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Of the system's manager, which only root tells what to start: `shop.service`.
    System(String),
    /// Of a user's own manager, who names them as he likes: `user@1000.service/shop.service`.
    User {
        /// Whose manager.
        uid: u32,
        /// The unit.
        name: String,
    },
}

/// The text is not a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a unit: {text:?}; expected one such as shop.service, or user@1000.service/shop.service for a user's own")]
pub struct InvalidUnit {
    /// What was given.
    pub text: String,
}

/// What units are that have processes, and so a control group.
const KINDS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

impl Unit {
    /// The unit that this process runs in.
    pub fn of_this_process() -> Option<Self> {
        Self::of_cgroups(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
    }

    /// The unit of a process, from its `/proc/PID/cgroup` (cgroups(7)).
    pub(super) fn of_cgroups(text: &str) -> Option<Self> {
        let path = |wanted: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            lines.find(|(controllers, _)| *controllers == wanted).map(|(_, path)| path)
        };
        // With version 2 alone, or with both where the manager has its units in version 2, it is the line without
        // controllers; the manager of a system with version 1 has a hierarchy of its own.
        let unified = path("").filter(|path| *path != "/");
        Self::of_cgroup(unified.or_else(|| path("name=systemd"))?)
    }

    /// The unit that a control group belongs to: the first of its path that is no slice.
    fn of_cgroup(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        if path.split('/').any(|part| part == "..") {
            // Outside of this process's own view.
            return None;
        }
        let mut slices = Vec::new();
        let name = next_unit(&mut parts, &mut slices)?;
        let Some(uid) =
            manager_of(&name).filter(|uid| slices == ["user.slice".to_owned(), format!("user-{uid}.slice")])
        else {
            return Some(Self::System(name));
        };
        match next_unit(&mut parts, &mut Vec::new()) {
            Some(name) => Some(Self::User { uid, name }),
            // The manager itself.
            None => Some(Self::System(name)),
        }
    }
}

/// The first part that is no slice, where it is a unit's.
fn next_unit<'a>(parts: &mut impl Iterator<Item = &'a str>, slices: &mut Vec<String>) -> Option<String> {
    for part in parts {
        // systemd puts `_` before a name that the kernel could take for one of its own files.
        let part = part.strip_prefix('_').unwrap_or(part);
        match part.rsplit_once('.') {
            Some((_, "slice")) => slices.push(part.to_owned()),
            Some(_) | None => return is_unit(part).then(|| part.to_owned()),
        }
    }
    None
}

/// Whose manager a unit is: 1000 for `user@1000.service`.
fn manager_of(name: &str) -> Option<u32> {
    let uid = name.strip_prefix("user@")?.strip_suffix(".service")?;
    uid.parse().ok().filter(|number: &u32| number.to_string() == uid)
}

fn is_unit(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let kind = KINDS.iter().find(|kind| name.ends_with(**kind));
    kind.is_some_and(|kind| name.len() > kind.len()) && name.len() <= 255 && name.bytes().all(allowed)
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(name) => f.write_str(name),
            Self::User { uid, name } => write!(f, "user@{uid}.service/{name}"),
        }
    }
}

impl FromStr for Unit {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let found = match text.split_once('/') {
            None => is_unit(text).then(|| Self::System(text.to_owned())),
            Some((manager, name)) => {
                let uid = manager_of(manager).filter(|_| is_unit(name));
                uid.map(|uid| Self::User { uid, name: name.to_owned() })
            }
        };
        found.ok_or_else(|| InvalidUnit { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<String> {
        Unit::of_cgroups(&format!("0::{path}\n")).map(|unit| unit.to_string())
    }

    #[test]
    fn a_process_belongs_to_the_first_unit_of_its_path() {
        for (path, unit) in [
            ("/system.slice/shop.service", "shop.service"),
            ("/system.slice/system-shop.slice/shop@1.service", "shop@1.service"),
            ("/a.slice/a-b.slice/a-b-c.slice/x.scope", "x.scope"),
            ("/init.scope", "init.scope"),
            ("/system.slice/_cgroup.service", "cgroup.service"),
            ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
            ("/user.slice/user-1000.slice/user@1000.service", "user@1000.service"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service", "user@1000.service/shop.service"),
            ("/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service/init.scope"),
            // Below its own group a unit, a container or whoever it was delegated to can make any name.
            ("/system.slice/shop.service/system.slice/other.service", "shop.service"),
            ("/machine.slice/machine-a.scope/payload/system.slice/shop.service", "machine-a.scope"),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/mine.service/system.slice/shop.service",
                "user@1000.service/mine.service",
            ),
            // No user's manager of the system: somebody's service that is called like one.
            ("/system.slice/user@1000.service/app.slice/shop.service", "user@1000.service"),
            ("/user.slice/user-1001.slice/user@1000.service/app.slice/shop.service", "user@1000.service"),
        ] {
            assert_eq!(of(path).as_deref(), Some(unit), "{path}");
        }
    }

    #[test]
    fn what_is_in_no_unit_is_in_none() {
        for path in [
            "/",
            "",
            "/system.slice",
            "/docker/0123/system.slice/shop.service",
            "/kubepods/pod1/shop.service",
            "/../system.slice/shop.service",
            "/system.slice/../shop.service",
            "/system.slice/shop.service (deleted)",
            "/system.slice/.service",
            "/system.slice/shop",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn version_2_comes_first_and_the_managers_own_hierarchy_second() {
        let of = |text| Unit::of_cgroups(text).map(|unit| unit.to_string());
        let mixed = "12:pids:/user.slice\n1:name=systemd:/system.slice/one.service\n0::/system.slice/two.service\n";
        assert_eq!(of(mixed).as_deref(), Some("two.service"));
        let legacy = "2:cpu,cpuacct:/x\n1:name=systemd:/system.slice/one.service\n0::/\n";
        assert_eq!(of(legacy).as_deref(), Some("one.service"));
        assert_eq!(of("2:cpu:/system.slice/one.service\n1:name=other:/system.slice/one.service\n"), None);
        assert_eq!(of("nonsense"), None);
    }

    #[test]
    fn a_users_unit_is_never_the_systems() {
        let system: Unit = "shop.service".parse().unwrap();
        let user: Unit = "user@1000.service/shop.service".parse().unwrap();
        assert_ne!(system, user);
        for unit in [system, user] {
            assert_eq!(unit.to_string().parse::<Unit>().unwrap(), unit);
        }
        for text in [
            "",
            "shop",
            ".service",
            "a/b.service",
            "user@x.service/a.service",
            "user@01.service/a.service",
            "a b.service",
        ] {
            let error = text.parse::<Unit>().unwrap_err().to_string();
            assert!(error.contains("shop.service"), "{error}");
        }
    }
}
