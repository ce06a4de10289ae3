//! Values of the configuration that cannot be wrong.
//!
//! Invariant: each is checked when it is read, so that an error names the place in the file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is logged: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or several with the part of the program that
/// each is for: `info,hushd::store=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// The text is not a filter of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a log level: {text:?}; expected off, error, warn, info, debug or trace, or a list such as info,hushd::store=debug"
)]
pub struct InvalidLogFilter {
    /// What was given.
    pub text: String,
}

impl LogFilter {
    /// The filter as `tracing_subscriber::EnvFilter` reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<Self, InvalidLogFilter> {
        let is_level = |level: &str| matches!(level, "off" | "error" | "warn" | "info" | "debug" | "trace");
        let is_target = |target: &str| {
            !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-'))
        };
        let is_part = |part: &str| match part.split_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(part),
        };
        if !text.split(',').all(is_part) {
            return Err(InvalidLogFilter { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// To the journal where systemd connected standard error to it, else for people.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
    /// To the journal, with fields.
    Journald,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            "journald" => Ok(Self::Journald),
            _ => Err(format!("not a format of the log: {text:?}; expected auto, human, json or journald")),
        }
    }
}

/// A name under which the daemon is called over TCP: a host name without a port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

/// The text is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name: {text:?}; expected a name such as vault.localhost, without a port")]
pub struct InvalidHostName {
    /// What was given.
    pub text: String,
}

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        let label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.len() <= 63 && label.bytes().all(inner) && !label.starts_with('-')
        };
        if text.len() > 253 || !text.split('.').all(label) {
            return Err(InvalidHostName { text: text.to_owned() });
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The mode of a socket: who may connect, as `0660`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for SocketMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // To connect takes the right to write (unix(7)); one without the other lets nobody in or looks as if it did not.
        match text.strip_prefix('0').unwrap_or(text) {
            "600" => Ok(Self(0o600)),
            "660" => Ok(Self(0o660)),
            "666" => Ok(Self(0o666)),
            _ => Err(format!(
                "not a mode of a socket: {text:?}; expected 0600 (the owner), 0660 (its group too) or 0666 (everybody)"
            )),
        }
    }
}

/// The mode of a file, as `0640`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| (3..=4).contains(&text.len()) && bits & !0o777 == 0);
        match bits {
            Some(bits) if bits & 0o002 != 0 => Err(format!("everybody could write a file of mode {text}")),
            Some(bits) if bits & 0o400 != 0 => Ok(Self(bits)),
            _ => Err(format!("not a mode of a file: {text:?}; expected one such as 0600, 0640 or 0644")),
        }
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A path that does not depend on the working directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct AbsolutePath(pub PathBuf);

impl FromStr for AbsolutePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if Path::new(text).is_absolute() {
            Ok(Self(text.into()))
        } else {
            Err(format!("not an absolute path: {text:?}; write it from / on, without ~ or variables"))
        }
    }
}

/// Longest duration: a hundred years.
const LONGEST: u64 = 100 * 365 * 86_400;

/// Reads `90s`, `15m`, `12h`, `30d`, `1w` or several of them, as in `1h30m`.
///
/// # Errors
///
/// What is expected instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 90m, 12h, 30d or 1w".to_owned();
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest[digits..].chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 7 * 86_400,
            _ => return Err(wrong()),
        };
        seconds = number.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    match seconds {
        0 => Err(wrong()),
        1..=LONGEST => Ok(Duration::from_secs(seconds)),
        _ => Err("longer than a hundred years".to_owned()),
    }
}

/// How often something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    text: String,
    duration: Duration,
}

impl Interval {
    /// So many days.
    pub fn days(days: u64) -> Self {
        Self { text: format!("{days}d"), duration: Duration::from_hours(24 * days) }
    }

    /// So many minutes.
    pub(super) fn minutes(minutes: u64) -> Self {
        Self { text: format!("{minutes}m"), duration: Duration::from_mins(minutes) }
    }

    /// Time from one to the next.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { duration: duration(text)?, text: text.to_owned() })
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A value that may be left empty: `""` stands for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maybe<T>(pub Option<T>);

impl<T: FromStr<Err: fmt::Display>> FromStr for Maybe<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|value| Self(Some(value))) }
    }
}

/// Reads an optional field from its text.
pub(super) fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

/// Reads an optional list of texts.
pub(super) fn texts<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Some).map_err(de::Error::custom)
}

/// Reads one optional text, or a list of them that is not empty.
pub(super) fn text_or_texts<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    /// What stands there.
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a list of texts")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }

    let texts = match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    };
    if texts.is_empty() {
        return Err(de::Error::custom("the list is empty; name at least one"));
    }
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Some).map_err(de::Error::custom)
}

/// Reads an optional number between `MIN` and `MAX`.
pub(super) fn number<'de, const MIN: u64, const MAX: u64, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    let number = i64::deserialize(deserializer)?;
    match u64::try_from(number) {
        Ok(number) if (MIN..=MAX).contains(&number) => Ok(Some(number)),
        _ => Err(de::Error::custom(format_args!("{number} is out of range; expected {MIN} to {MAX}"))),
    }
}

/// Serializes through `Display`.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

as_text!(FileMode, LogFilter, HostName, Interval, SocketMode, super::ListenAddress, super::ClientAddress);

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_filters_are_levels_with_or_without_a_target() {
        for good in ["off", "info", "trace", "info,hushd::store=debug", "hushd=trace"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "inof", "INFO", "hushd", "info,", "hushd=loud", "=info"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sockets_mode_says_who_may_connect() {
        for (text, bits) in [("0600", 0o600), ("660", 0o660), ("0666", 0o666)] {
            let mode: SocketMode = text.parse().unwrap();
            assert_eq!((mode.bits(), mode.to_string()), (bits, format!("{bits:04o}")));
        }
        for bad in ["", "0640", "0777", "rw", "0o660", "00660", "-660"] {
            assert!(bad.parse::<SocketMode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_have_no_port_and_lower_case() {
        assert_eq!("Vault.LocalHost".parse::<HostName>().unwrap().as_str(), "vault.localhost");
        for bad in ["", "a:80", "a b", "http://a", "a..b", "-a", "[::1]"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }
}
