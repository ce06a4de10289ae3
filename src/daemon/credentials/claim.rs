//! The name of the socket that a credential is asked for from: NUL, a random number in hexadecimal, `/unit/UNIT/ID`.
//!
//! Invariant: it is a claim that any process can make; whoever reads it checks who it was.

use std::os::fd::AsFd;

use rustix::net::{SocketAddrUnix, getpeername};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// For which unit.
    pub unit: String,
    /// Under which id.
    pub id: String,
}

impl Claim {
    /// What the peer of this connection claims; `None` where it is not asked as systemd does.
    pub(super) fn of(connection: impl AsFd) -> Option<Self> {
        let address = SocketAddrUnix::try_from(getpeername(connection).ok()??).ok()?;
        Self::parse(address.abstract_name()?)
    }

    fn parse(name: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(name).ok()?.split('/');
        let (random, word, unit, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_random = (1..=16).contains(&random.len()) && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
        let is_claim = is_random && word == "unit" && is_plain(unit) && is_plain(id) && parts.next().is_none();
        is_claim.then(|| Self { unit: unit.to_owned(), id: id.to_owned() })
    }
}

/// The parts of a name that is one; for the fuzzer.
#[cfg(fuzzing)]
pub fn claimed(name: &[u8]) -> Option<(String, String)> {
    Claim::parse(name).map(|Claim { unit, id }| (unit, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_as_systemd_writes_it() {
        let claim = |unit: &str, id: &str| Some(Claim { unit: unit.to_owned(), id: id.to_owned() });
        assert_eq!(Claim::parse(b"9d0067d1a0c27ae3/unit/shop.service/db"), claim("shop.service", "db"));
        assert_eq!(Claim::parse(b"7/unit/shop@eu.service/shop.eu.DB"), claim("shop@eu.service", "shop.eu.DB"));
        for name in [
            "",
            "/unit/shop.service/db",
            "x/unit/shop.service/db",
            "00000000000000001/unit/shop.service/db",
            "1/unit/shop.service",
            "1/unit/shop.service/",
            "1/unit//db",
            "1/unit/shop.service/db/x",
            "1/unix/shop.service/db",
            "1/unit/shop.service/d\nb",
            "1/unit/sh\u{e9}p.service/db",
        ] {
            assert_eq!(Claim::parse(name.as_bytes()), None, "{name}");
        }
        assert_eq!(Claim::parse(b"1/unit/\xff/db"), None);
    }
}
