//! What people type, as types that cannot be wrong: durations, moments, keys.
//!
//! Invariant: an error says what is expected, and never repeats what may be a value.

use std::str::FromStr;
use std::time::Duration;

use rustix::process::Signal;

use crate::cli::environment::Mapping;
use crate::clock::Timestamp;
pub use crate::config::duration;
use crate::model::{InvalidNamespace, InvalidVariableName, Key, Namespace, VariableName};

/// From when on a secret can no longer be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It can always be read.
    Never,
    /// So long from now.
    In(Duration),
    /// At that moment.
    At(Timestamp),
}

impl Expiry {
    /// The moment; `None` for never.
    pub fn moment(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::In(duration) => Some(now.plus(duration)),
            Self::At(moment) => Some(moment),
        }
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(moment) = text.parse() {
            return Ok(Self::At(moment));
        }
        let expected = "expected a duration such as 30d, a time such as 2026-07-15T12:00:00Z, or never";
        duration(text).map(Self::In).map_err(|_| expected.to_owned())
    }
}

/// Reads the name of a secret.
pub fn key(text: &str) -> Result<Key, String> {
    text.parse().map_err(|_| {
        let rule = "a key has uppercase letters, digits and underscores only, at most 255";
        match text.to_uppercase().replace('-', "_").parse::<Key>() {
            Ok(key) if !text.contains('=') => format!("{rule}; did you mean {key}?"),
            _ => rule.to_owned(),
        }
    })
}

/// Reads a namespace.
pub fn namespace(text: &str) -> Result<Namespace, String> {
    text.parse().map_err(|_: InvalidNamespace| {
        "a namespace has up to 8 parts with / between them, each of lowercase letters, digits, '.', '_' and '-', as in shop/dev"
            .to_owned()
    })
}

/// Reads the name of a variable.
pub fn variable(text: &str) -> Result<VariableName, String> {
    text.parse().map_err(|error: InvalidVariableName| error.to_string())
}

/// Reads `ENV=KEY`.
pub fn mapping(text: &str) -> Result<Mapping, String> {
    let (name, key) = text.split_once('=').ok_or("expected ENV=KEY: a variable and the secret that it is")?;
    Ok(Mapping { name: variable(name)?, key: self::key(key)? })
}

/// Reads the name of a signal that makes a program look at something anew, or end.
pub fn signal(text: &str) -> Result<Signal, String> {
    match text.to_uppercase().trim_start_matches("SIG") {
        "HUP" => Ok(Signal::HUP),
        "INT" => Ok(Signal::INT),
        "QUIT" => Ok(Signal::QUIT),
        "TERM" => Ok(Signal::TERM),
        "USR1" => Ok(Signal::USR1),
        "USR2" => Ok(Signal::USR2),
        "WINCH" => Ok(Signal::WINCH),
        _ => Err("expected HUP, INT, QUIT, TERM, USR1, USR2 or WINCH".to_owned()),
    }
}

/// A number of things that have an `s` where there is not one: `1 fault`, `2 faults`.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// How long ago a moment was, or how far off it is, in its largest unit: `3d ago`, `in 29d`.
pub fn distance(now: Timestamp, moment: Timestamp) -> String {
    let whole = |duration: Duration| {
        let seconds = duration.as_secs();
        match seconds {
            0..60 => format!("{seconds}s"),
            60..3600 => format!("{}m", seconds / 60),
            3600..86_400 => format!("{}h", seconds / 3600),
            86_400..63_072_000 => format!("{}d", seconds / 86_400),
            _ => format!("{}y", seconds / 31_536_000),
        }
    };
    if moment > now { format!("in {}", whole(moment.since(now))) } else { format!("{} ago", whole(now.since(moment))) }
}

/// The same with the moment itself, in UTC: `3d ago, 2026-07-15 12:00Z`.
pub fn distance_and_moment(now: Timestamp, moment: Timestamp) -> String {
    let text = moment.to_string();
    let minutes = text.get(..16).unwrap_or(&text).replace('T', " ");
    format!("{}, {minutes}Z", distance(now, moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("1w", 604_800), ("1h30m", 5400)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0d", "30", "d", "-1d", "1y", "1.5h", "1 h", "1h30", "99999999999999999999d", "36501d", "3０d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_expiry_is_a_duration_a_moment_or_never() {
        let now = Timestamp::from_millis(1000);
        let moment = |text: &str| text.parse::<Expiry>().unwrap().moment(now);
        assert_eq!(moment("never"), None);
        assert_eq!(moment("1m"), Some(Timestamp::from_millis(61_000)));
        assert_eq!(moment("1970-01-01T01:00:02+01:00"), Some(Timestamp::from_millis(2000)));
        for text in ["", "soon", "30", "2026-07-15"] {
            assert!(text.parse::<Expiry>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_was_nearly_right_is_offered_and_a_value_is_not_repeated() {
        assert!(key("stripe-key").unwrap_err().ends_with("did you mean STRIPE_KEY?"));
        assert!(!key("STRIPE_KEY=SK_LIVE").unwrap_err().contains("SK_LIVE"));
    }

    #[test]
    fn a_moment_is_told_to_the_minute() {
        let (now, moment) = (Timestamp::from_millis(1_784_116_860_000), Timestamp::from_millis(1_784_116_800_000));
        assert_eq!(distance_and_moment(now, moment), "1m ago, 2026-07-15 12:00Z");
    }

    #[test]
    fn distances_are_told_in_their_largest_unit() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let now = at(1_000_000_000);
        assert_eq!(distance(now, now), "0s ago");
        assert_eq!(distance(now, at(1_000_000_000 - 59)), "59s ago");
        assert_eq!(distance(now, at(1_000_000_000 - 3 * 86_400 - 5)), "3d ago");
        assert_eq!(distance(now, at(1_000_000_000 + 90 * 60)), "in 1h");
        assert_eq!(distance(now, at(1_000_000_000 + 731 * 86_400)), "in 2y");
    }
}
