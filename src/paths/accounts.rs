//! The machine's groups, as the system's own library finds them: in files, in a directory service, in systemd.

use std::io;

use nix::unistd::Group;

/// The number of a group that is given by name or by number; `None` where there is none of that name.
///
/// # Errors
/// When the system cannot tell.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let group = Group::from_name(name).map_err(io::Error::from)?;
    Ok(group.map(|group| group.gid.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_by_number() {
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(group_id("4711").unwrap(), Some(4711));
        assert_eq!(group_id("no-such-group-here").unwrap(), None);
    }
}
