//! The vault's own keys: the admin API key and the anon key, kept as digests.
//!
//! Invariants: a key is 256 random bits and shown once; at most one key of a kind is current; the others are in their
//! grace period, which ends by the clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::model::SecretValue;

/// Which of the vault's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// The administrator's.
    Api,
    /// The one that authenticates, but allows nothing.
    Anon,
}

impl KeyKind {
    /// How keys of the kind begin.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Api => "ik_",
            Self::Anon => "anon_",
        }
    }

    /// Longest grace period after a rotation, in hours (API contract).
    pub const fn max_grace_hours(self) -> i64 {
        match self {
            Self::Api => 168,
            Self::Anon => 720,
        }
    }

    /// Grace period after a rotation that names none, in hours (API contract).
    pub const fn default_grace_hours(self) -> i64 {
        match self {
            Self::Api => 24,
            Self::Anon => 168,
        }
    }
}

/// The text is not a key of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected ik_ followed by 64 hexadecimal digits")]
pub struct InvalidApiKey;

/// A key itself, as it is shown once.
#[derive(Clone, Debug)]
pub struct ApiKey {
    kind: KeyKind,
    text: SecretValue,
}

impl ApiKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(kind: KeyKind) -> Result<Self, getrandom::Error> {
        Ok(Self { kind, text: random(kind.prefix())? })
    }

    /// Takes over an admin API key that was issued elsewhere.
    ///
    /// # Errors
    /// [`InvalidApiKey`] when it is not `ik_` and 64 hexadecimal digits.
    pub fn import(text: &str) -> Result<Self, InvalidApiKey> {
        let digits = text.strip_prefix(KeyKind::Api.prefix()).ok_or(InvalidApiKey)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidApiKey);
        }
        Ok(Self { kind: KeyKind::Api, text: SecretValue::new(text.to_owned()) })
    }

    /// The key, to be shown once.
    pub fn text(&self) -> &SecretValue {
        &self.text
    }

    /// What is kept of it.
    pub fn to_stored(&self, created_at: Timestamp) -> StoredKey {
        StoredKey { kind: self.kind, digest: digest(self.text.expose_secret()), created_at, valid_until: None }
    }
}

/// What is kept of a key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredKey {
    kind: KeyKind,
    #[serde(with = "hex_for_people")]
    digest: [u8; 32],
    created_at: Timestamp,
    /// The end of its grace period; none for the current key.
    valid_until: Option<Timestamp>,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey")
            .field("kind", &self.kind)
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}

/// The keys of one kind: the current one and those in their grace period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRing(Vec<StoredKey>);

impl KeyRing {
    /// A ring with one current key.
    pub fn new(current: StoredKey) -> Self {
        Self(vec![current])
    }

    /// The ring after a rotation: `new` is current, the old one ends at `now + grace`, ended ones are gone.
    #[must_use]
    pub fn rotated(&self, new: StoredKey, now: Timestamp, grace: Duration) -> Self {
        let ends = now.plus(grace);
        let mut keys: Vec<StoredKey> = self
            .0
            .iter()
            .filter(|key| key.valid_until.is_none_or(|until| until > now))
            .cloned()
            .map(|mut key| {
                key.valid_until.get_or_insert(ends);
                key
            })
            .collect();
        keys.push(new);
        Self(keys)
    }

    /// How many keys are in their grace period at `now`.
    pub fn in_grace(&self, now: Timestamp) -> usize {
        self.0.iter().filter(|key| key.valid_until.is_some_and(|until| until > now)).count()
    }

    /// Whether `text` is one of the keys; `Some(true)` for one in its grace period.
    ///
    /// Every key of the ring is compared, in constant time.
    pub fn check(&self, text: &str, now: Timestamp) -> Option<bool> {
        let presented = digest(text);
        let mut found = None;
        for key in &self.0 {
            let valid = key.valid_until.is_none_or(|until| until > now);
            if bool::from(key.digest.ct_eq(&presented)) && valid {
                found = Some(key.valid_until.is_some());
            }
        }
        found
    }
}

/// A digest as hexadecimal text where the format is one that people read, and as its bytes elsewhere.
pub(super) mod hex_for_people {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(in crate::auth) fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return digest.serialize(serializer);
        }
        serializer.serialize_str(&super::hexadecimal(digest).collect::<String>())
    }

    pub(in crate::auth) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer);
        }
        let wrong = || de::Error::custom("expected 64 hexadecimal digits");
        let text = String::deserialize(deserializer)?;
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(digest)
    }
}

/// A new credential that begins like this: 256 random bits as 64 hexadecimal digits.
pub(super) fn random(prefix: &str) -> Result<SecretValue, getrandom::Error> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut())?;
    let mut text = String::with_capacity(prefix.len() + 2 * bytes.len());
    text.push_str(prefix);
    text.extend(hexadecimal(&bytes));
    Ok(SecretValue::new(text))
}

fn hexadecimal(bytes: &[u8; 32]) -> impl Iterator<Item = char> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16))
}

/// What is kept of a credential.
pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_rotated_key_is_valid_in_its_grace_period_only() {
        let (old, new) = (ApiKey::generate(KeyKind::Api).unwrap(), ApiKey::generate(KeyKind::Api).unwrap());
        let ring = KeyRing::new(old.to_stored(NOW)).rotated(new.to_stored(NOW), NOW, HOUR);
        assert_eq!(ring.check(old.text().expose_secret(), NOW), Some(true));
        assert_eq!(ring.check(new.text().expose_secret(), NOW), Some(false));
        assert_eq!(ring.check(old.text().expose_secret(), NOW.plus(HOUR)), None);
        assert_eq!(ring.check("ik_", NOW), None);
    }

    /// "comparison is constant-time": every key is looked at, whichever one fits, and all of its digest.
    #[test]
    fn a_key_is_compared_in_constant_time() {
        let source = include_str!("keys.rs");
        let check = source.split("pub fn check(").nth(1).unwrap().split("\n    }\n").next().unwrap();
        assert!(check.contains("digest.ct_eq(&presented)"), "{check}");
        for shortcut in ["==", "!=", "return", "break", "continue", ".any(", ".find(", ".position(", "?;", "?."] {
            assert!(!check.contains(shortcut), "{shortcut} ends the comparison early: {check}");
        }
        // Of a fixed length: nothing is told by how long a wrong one is.
        let stored = ApiKey::generate(KeyKind::Api).unwrap().to_stored(NOW);
        assert_eq!((stored.digest.len(), digest("").len(), digest(&"x".repeat(9999)).len()), (32, 32, 32));
    }

    #[test]
    fn a_second_rotation_does_not_prolong_a_grace_period() {
        let keys: Vec<ApiKey> = (0..3).map(|_| ApiKey::generate(KeyKind::Anon).unwrap()).collect();
        let ring = KeyRing::new(keys[0].to_stored(NOW)).rotated(keys[1].to_stored(NOW), NOW, HOUR);
        let later = NOW.plus(HOUR / 2);
        let ring = ring.rotated(keys[2].to_stored(later), later, HOUR);
        assert_eq!(ring.check(keys[0].text().expose_secret(), later), Some(true));
        assert_eq!(ring.check(keys[0].text().expose_secret(), NOW.plus(HOUR)), None);
        assert_eq!(ring.check(keys[1].text().expose_secret(), NOW.plus(HOUR)), Some(true));
    }

    #[test]
    fn an_imported_key_has_the_contracts_form() {
        assert!(ApiKey::import(&format!("ik_{}", "0aF".repeat(21) + "0")).is_ok());
        for bad in ["", "ik_", "anon_00", &format!("ik_{}", "g".repeat(64)), &format!("ik_{}\n", "0".repeat(64))] {
            assert!(ApiKey::import(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_256_random_bits_that_nothing_shows() {
        for (kind, grace) in [(KeyKind::Api, (24, 168)), (KeyKind::Anon, (168, 720))] {
            let (one, other) = (ApiKey::generate(kind).unwrap(), ApiKey::generate(kind).unwrap());
            let digits = one.text().expose_secret().strip_prefix(kind.prefix()).unwrap().to_owned();
            assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
            // Of the sixteen digits 64 random ones have nearly all, and two keys differ.
            assert!("0123456789abcdef".chars().filter(|digit| digits.contains(*digit)).count() > 8, "{digits}");
            assert_ne!(digits, other.text().expose_secret()[kind.prefix().len()..]);
            assert_eq!((kind.default_grace_hours(), kind.max_grace_hours()), grace);
            let shown = format!("{one:?} {:?}", one.to_stored(NOW));
            assert!(shown.contains("StoredKey") && !shown.contains(&digits[..8]), "{shown}");
        }
    }

    #[test]
    fn what_has_ended_is_gone_at_the_next_rotation_and_counted_before() {
        let keys: Vec<ApiKey> = (0..3).map(|_| ApiKey::generate(KeyKind::Api).unwrap()).collect();
        let ring = KeyRing::new(keys[0].to_stored(NOW)).rotated(keys[1].to_stored(NOW), NOW, HOUR);
        assert_eq!((ring.in_grace(NOW), ring.in_grace(NOW.plus(HOUR))), (1, 0));
        let ring = ring.rotated(keys[2].to_stored(NOW), NOW.plus(HOUR), HOUR);
        assert_eq!(ring.0.len(), 2);
        assert_eq!(ring.check(keys[1].text().expose_secret(), NOW.plus(HOUR)), Some(true));
    }

    #[test]
    fn a_digest_is_read_back_from_text_and_from_bytes_and_nothing_else_is_one() {
        let stored = ApiKey::generate(KeyKind::Api).unwrap().to_stored(NOW);
        let text = serde_json::to_string(&stored).unwrap();
        let digits = serde_json::to_value(&stored).unwrap()["digest"].as_str().unwrap().to_owned();
        assert!(digits.len() == 64 && u8::from_str_radix(&digits[62..], 16).unwrap() == stored.digest[31], "{text}");
        assert!(serde_json::from_str::<StoredKey>(&text).unwrap() == stored);
        let bytes = postcard::to_allocvec(&stored).unwrap();
        assert!(bytes.windows(32).any(|window| window == stored.digest));
        assert!(postcard::from_bytes::<StoredKey>(&bytes).unwrap() == stored);
        for wrong in [&digits[1..], &format!("{digits}0"), &format!("g{}", &digits[1..]), &format!("+{}", &digits[1..])]
        {
            assert!(serde_json::from_str::<StoredKey>(&text.replace(&digits, wrong)).is_err(), "{wrong}");
        }
    }
}
