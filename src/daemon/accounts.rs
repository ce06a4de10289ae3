//! What the system knows of users, groups and units.
//!
//! Invariant: users and groups are asked of the system (nsswitch.conf(5)), so that those of a directory service count too.

use std::ffi::CString;
use std::io;
use std::path::Path;

use nix::unistd::{Gid, Group, User, getgrouplist};

use crate::auth::{Accounts, Unit};

/// Where unit files are (systemd.unit(5)), of the system and of users.
const UNIT_FILES: [&str; 10] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/lib/systemd/user",
];

/// The system's own lists.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl System {
    /// The group of a user, and those that he is in beside it.
    pub fn groups_of(user: &str) -> (Option<u32>, Vec<u32>) {
        let Ok(Some(found)) = User::from_name(user) else { return (None, Vec::new()) };
        let listed = CString::new(user).ok().and_then(|name| getgrouplist(&name, found.gid).ok());
        let groups =
            listed.unwrap_or_default().into_iter().map(Gid::as_raw).filter(|group| *group != found.gid.as_raw());
        (Some(found.gid.as_raw()), groups.collect())
    }
}

impl Accounts for System {
    fn user(&self, name: &str) -> io::Result<Option<u32>> {
        Ok(User::from_name(name).map_err(io::Error::from)?.map(|user| user.uid.as_raw()))
    }

    fn group(&self, name: &str) -> io::Result<Option<u32>> {
        Ok(Group::from_name(name).map_err(io::Error::from)?.map(|group| group.gid.as_raw()))
    }

    fn knows_unit(&self, unit: &Unit) -> bool {
        let (name, home) = match unit {
            Unit::System(name) => (name, None),
            Unit::User { uid, name } => (name, User::from_uid((*uid).into()).ok().flatten().map(|user| user.dir)),
        };
        // Of an instance (`shop@1.service`) there is the template.
        let template =
            name.split_once('@').and_then(|(prefix, rest)| Some(format!("{prefix}@.{}", rest.rsplit_once('.')?.1)));
        let own = home.map(|home| home.join(".config/systemd/user"));
        let places = UNIT_FILES.iter().map(|place| Path::new(*place)).chain(own.as_deref());
        let names = || std::iter::once(name.as_str()).chain(template.as_deref());
        // Scopes are made by programs and have no file.
        name.rsplit_once('.').is_some_and(|(_, kind)| kind == "scope")
            || places.flat_map(|place| names().map(|name| place.join(name))).any(|path| path.exists())
    }
}
