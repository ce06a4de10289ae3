//! The configuration file: kebab-case TOML in which every key is known.
//!
//! Invariants: an error names the line, the column and the key, and no value is taken over that is out of its range. It
//! does not know defaults.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::config::types::{
    AbsolutePath, FileMode, HostName, Interval, LogFilter, LogFormat, Maybe, SocketMode, number, text, text_or_texts,
    texts,
};
use crate::config::{AuditExport, AuditMode, AuditScope, ClientAddress, ConfigError, ListenAddress, OnChange, Placed};
use crate::model::Namespace;

/// What a configuration file says; `None` where it says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    #[serde(deserialize_with = "texts")]
    pub listen: Option<Vec<ListenAddress>>,
    pub allow_non_loopback: Option<bool>,
    pub require_hardening: Option<bool>,
    pub socket: SocketSection,
    pub vault: VaultSection,
    pub store: StoreSection,
    pub http: HttpSection,
    pub backup: BackupSection,
    pub seal: SealSection,
    pub expiry: ExpirySection,
    pub events: EventsSection,
    pub metrics: MetricsSection,
    pub audit: AuditSection,
    pub log: LogSection,
    pub client: ClientSection,
    pub policy: Vec<PolicySection>,
    pub credential: Vec<CredentialSection>,
    pub render: Vec<RenderSection>,
}

/// A `[[render]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RenderSection {
    #[serde(deserialize_with = "text")]
    pub template: Option<AbsolutePath>,
    #[serde(deserialize_with = "text")]
    pub output: Option<AbsolutePath>,
    #[serde(deserialize_with = "text")]
    pub namespace: Option<Namespace>,
    #[serde(deserialize_with = "text")]
    pub mode: Option<FileMode>,
    pub owner: Option<String>,
    pub group: Option<String>,
    pub then: Vec<String>,
    /// Its line; filled in after it was read.
    #[serde(skip)]
    pub line: usize,
}

/// The keys of a `[[render]]`.
const RENDER_KEYS: [&str; 7] = ["template", "output", "namespace", "mode", "owner", "group", "then"];

/// A `[[policy]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PolicySection {
    pub user: Option<Spanned<String>>,
    pub group: Option<Spanned<String>>,
    pub uid: Option<Spanned<u32>>,
    pub unit: Option<Spanned<String>>,
    pub token: Option<Spanned<String>>,
    pub allow: Vec<Spanned<String>>,
    pub deny: Vec<Spanned<String>>,
    /// Where its texts stand; filled in after it was read.
    #[serde(skip)]
    pub places: Places,
}

/// A `[[credential]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CredentialSection {
    pub unit: Option<Spanned<String>>,
    pub id: Option<Spanned<String>>,
    pub secret: Option<Spanned<String>>,
    pub on_change: Option<Spanned<OnChange>>,
    /// Where its texts stand; filled in after it was read.
    #[serde(skip)]
    pub places: Places,
}

/// The keys of a `[[credential]]`.
const CREDENTIAL_KEYS: [&str; 4] = ["unit", "id", "secret", "on-change"];

/// The keys of a `[[policy]]`.
const POLICY_KEYS: [&str; 7] = ["user", "group", "uid", "unit", "token", "allow", "deny"];

/// Turns what stands at a place of the file into its line and column.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<str>);

impl Places {
    /// The place of a text: of its first character where it is written as it is, else of its quotes.
    pub(super) fn of(&self, text: Spanned<String>) -> Placed {
        let span = text.span();
        let inside = span.start + 1..(span.start + 1 + text.get_ref().len());
        let start = if self.0.get(inside.clone()) == Some(text.get_ref()) { inside.start } else { span.start };
        let (line, column) = position(&self.0, start);
        Placed { text: text.into_inner(), line, column }
    }

    /// The line of the `[[policy]]` itself.
    pub(super) fn line_of(&self, section: &PolicySection) -> usize {
        let texts = [&section.user, &section.group, &section.unit, &section.token].into_iter().flatten();
        let first = texts.chain(&section.allow).chain(&section.deny).map(|text| text.span().start);
        self.line_above(first.chain(section.uid.iter().map(|uid| uid.span().start)).min())
    }

    /// The line of the `[[credential]]` itself.
    pub(super) fn line_of_credential(&self, section: &CredentialSection) -> usize {
        let texts = [&section.unit, &section.id, &section.secret].into_iter().flatten();
        let starts = texts.map(|text| text.span().start);
        self.line_above(starts.chain(section.on_change.iter().map(|verb| verb.span().start)).min())
    }

    /// The line of the `[[…]]` that this byte stands below.
    fn line_above(&self, first: Option<usize>) -> usize {
        let first = first.unwrap_or(0);
        let before = self.0.get(..first).unwrap_or_default();
        position(&self.0, before.rfind("[[").unwrap_or(first)).0
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SocketSection {
    #[serde(deserialize_with = "text")]
    pub group: Option<Maybe<String>>,
    #[serde(deserialize_with = "text")]
    pub mode: Option<SocketMode>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct VaultSection {
    #[serde(deserialize_with = "text")]
    pub data_dir: Option<AbsolutePath>,
    #[serde(deserialize_with = "text_or_texts")]
    pub identity: Option<Vec<AbsolutePath>>,
    #[serde(deserialize_with = "text")]
    pub passphrase_file: Option<Maybe<AbsolutePath>>,
    #[serde(deserialize_with = "number::<1, { super::MAX_VALUE_SIZE_LIMIT }, _>")]
    pub max_value_size: Option<u64>,
    #[serde(deserialize_with = "number::<1, 1000, _>")]
    pub revisions: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StoreSection {
    #[serde(deserialize_with = "number::<1_048_576, 1_099_511_627_776, _>")]
    pub cache_capacity: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HttpSection {
    #[serde(deserialize_with = "texts")]
    pub allowed_hosts: Option<Vec<HostName>>,
    #[serde(deserialize_with = "number::<0, 256, _>")]
    pub workers: Option<u64>,
    #[serde(deserialize_with = "number::<1, 3600, _>")]
    pub request_timeout_seconds: Option<u64>,
    #[serde(deserialize_with = "number::<0, 3600, _>")]
    pub shutdown_timeout_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct BackupSection {
    #[serde(deserialize_with = "text")]
    pub every: Option<Maybe<Interval>>,
    #[serde(deserialize_with = "number::<1, 10_000, _>")]
    pub keep: Option<u64>,
    #[serde(deserialize_with = "text")]
    pub directory: Option<AbsolutePath>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SealSection {
    #[serde(deserialize_with = "text")]
    pub idle: Option<Maybe<Interval>>,
    pub suspend: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ExpirySection {
    #[serde(deserialize_with = "texts")]
    pub warn: Option<Vec<Interval>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EventsSection {
    #[serde(deserialize_with = "number::<1, 1_000_000, _>")]
    pub backlog: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MetricsSection {
    pub public: Option<bool>,
    pub key_labels: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AuditSection {
    pub mode: Option<AuditMode>,
    #[serde(deserialize_with = "number::<1_048_576, 1_099_511_627_776, _>")]
    pub max_size: Option<u64>,
    #[serde(deserialize_with = "text")]
    pub max_age: Option<Interval>,
    #[serde(deserialize_with = "number::<65_536, 1_073_741_824, _>")]
    pub segment_size: Option<u64>,
    #[serde(deserialize_with = "texts")]
    pub require_reason: Option<Vec<AuditScope>>,
    #[serde(deserialize_with = "texts")]
    pub best_effort: Option<Vec<AuditScope>>,
    #[serde(deserialize_with = "text")]
    pub anchor_file: Option<Maybe<AbsolutePath>>,
    pub anchor_command: Option<Vec<String>>,
    #[serde(deserialize_with = "text")]
    pub anchor_every: Option<Interval>,
    #[serde(deserialize_with = "text")]
    pub export: Option<Maybe<AuditExport>>,
    pub export_command: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LogSection {
    #[serde(deserialize_with = "text")]
    pub level: Option<LogFilter>,
    pub format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ClientSection {
    #[serde(deserialize_with = "text")]
    pub addr: Option<Maybe<ClientAddress>>,
    #[serde(deserialize_with = "text")]
    pub namespace: Option<Namespace>,
    pub autostart: Option<bool>,
    #[serde(deserialize_with = "text")]
    pub token_file: Option<Maybe<AbsolutePath>>,
}

/// Reads the file; one that any user can write is refused, because it says where tokens are sent.
pub(super) fn read(path: &Path) -> Result<ConfigFile, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.mode() & 0o002 != 0 && metadata.is_file() {
        return Err(ConfigError::Writable { path: path.to_owned() });
    }
    let contents = fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(contents).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let (line, column) = position(&String::from_utf8_lossy(before), before.len());
        ConfigError::Invalid { path: path.to_owned(), line, column, message: "not UTF-8".to_owned(), hint: None }
    })?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    let invalid = |error: &toml::de::Error, key: Option<String>| {
        let (line, column) = error.span().map_or((1, 1), |span| position(text, span.start));
        let (message, hint) = explain(error.message(), key);
        ConfigError::Invalid { path: path.to_owned(), line, column, message, hint }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| invalid(&error, None))?;
    let file: Result<ConfigFile, _> = serde_path_to_error::deserialize(document);
    let mut file = file.map_err(|error| {
        let key = error.path().to_string();
        invalid(error.inner(), Some(key).filter(|key| key != "."))
    })?;
    let places = Places(text.into());
    for policy in &mut file.policy {
        policy.places = places.clone();
    }
    for credential in &mut file.credential {
        credential.places = places.clone();
    }
    let lines = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("[[render]]"));
    for (render, (line, _)) in file.render.iter_mut().zip(lines) {
        render.line = line + 1;
        let missing =
            if render.template.is_none() { Some("template") } else { render.output.is_none().then_some("output") };
        if let Some(key) = missing {
            let message = format!("[[render]] has no {key}");
            let hint =
                Some("name the template and the file that is written: template = \"/…\", output = \"/…\"".to_owned());
            return Err(ConfigError::Invalid { path: path.to_owned(), line: line + 1, column: 1, message, hint });
        }
    }
    Ok(file)
}

/// Line and column of a byte of the text, both from 1 on; columns count characters.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Turns what serde says into a message and, for a key that nobody knows, into a hint with the nearest one that is known.
fn explain(message: &str, key: Option<String>) -> (String, Option<String>) {
    let Some(unknown) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) else {
        let message = message.replace("expected i64", "expected a whole number");
        let message = match key {
            Some(key) => format!("{key}: {message}"),
            None => message,
        };
        return (message, None);
    };
    let section = key.as_deref().and_then(|key| key.rsplit_once('.')).map(|(section, _)| section);
    let full = section.map_or(unknown.to_owned(), |section| format!("{section}.{unknown}"));
    (format!("unknown key {full}"), nearest(unknown, section))
}

/// The known key that was probably meant.
fn nearest(unknown: &str, section: Option<&str>) -> Option<String> {
    let listed = |name: &str| section.is_some_and(|section| section.starts_with(name));
    let keys: &[&str] = if listed("policy[") {
        &POLICY_KEYS
    } else if listed("credential[") {
        &CREDENTIAL_KEYS
    } else if listed("render[") {
        &RENDER_KEYS
    } else {
        &[]
    };
    if !keys.is_empty() {
        let similar = |name: &&str| strsim::jaro_winkler(&unknown.to_lowercase(), name);
        let best = keys.iter().max_by(|a, b| similar(a).total_cmp(&similar(b)))?;
        return (similar(best) > 0.7).then(|| format!("did you mean {best}?"));
    }
    let known: Vec<_> = super::known_keys()
        .into_iter()
        .map(|key| key.rsplit_once('.').map_or((None, key), |(s, n)| (Some(s), n)))
        .collect();
    if let Some((Some(home), name)) = known.iter().find(|(_, name)| *name == unknown) {
        return Some(format!("{name} belongs under [{home}]"));
    }
    if known.iter().any(|(home, name)| home.is_none() && *name == unknown) {
        return Some(format!("{unknown} belongs at the top of the file, above the first [section]"));
    }
    let words = unknown.replace('_', "-").to_lowercase();
    let similar = |name: &str| strsim::jaro_winkler(&words, name);
    let here = known.iter().filter(|(home, _)| *home == section).map(|(_, name)| *name);
    let sections = known.iter().filter(|_| section.is_none()).filter_map(|(home, _)| *home);
    let best = here.chain(sections).max_by(|a, b| similar(a).total_cmp(&similar(b)))?;
    (similar(best) > 0.8).then(|| format!("did you mean {best}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> (String, Option<String>) {
        let error = parse(Path::new("hushd.toml"), text).unwrap_err();
        (error.to_string(), error.hint())
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
        let (message, hint) = error("# first line\n[vault]\nrevision = 10\n");
        assert_eq!(message, "hushd.toml:3:1: unknown key vault.revision");
        assert_eq!(hint.unwrap(), "did you mean revisions?");
        let (message, hint) = error("[valt]\n");
        assert_eq!(message, "hushd.toml:1:2: unknown key valt");
        assert_eq!(hint.unwrap(), "did you mean vault?");
        let (_, hint) = error("[vault]\nMax_Value_Size = 1\n");
        assert_eq!(hint.unwrap(), "did you mean max-value-size?");
        let (_, hint) = error("[vault]\nzzz = 1\n");
        assert_eq!(hint, None);
    }

    #[test]
    fn a_key_in_the_wrong_section_is_sent_home() {
        assert_eq!(error("revisions = 10\n").1.unwrap(), "revisions belongs under [vault]");
        assert_eq!(
            error("[vault]\nlisten = []\n").1.unwrap(),
            "listen belongs at the top of the file, above the first [section]"
        );
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_key_and_what_is_expected() {
        for (text, expected) in [
            (
                "[vault]\nrevisions = \"ten\"",
                "hushd.toml:2:13: vault.revisions: invalid type: string \"ten\", expected a whole number",
            ),
            ("[vault]\nrevisions = 0", "hushd.toml:2:13: vault.revisions: 0 is out of range; expected 1 to 1000"),
            (
                "[vault]\nidentity = \"~/id\"",
                "hushd.toml:2:12: vault.identity: not an absolute path: \"~/id\"; write it from / on, without ~ or variables",
            ),
            (
                "[log]\nlevel = \"loud\"",
                "hushd.toml:2:9: log.level: not a log level: \"loud\"; expected off, error, warn, info, debug or trace, or a list such as info,hushd::store=debug",
            ),
            (
                "[log]\nformat = \"xml\"",
                "hushd.toml:2:10: log.format: unknown variant `xml`, expected one of `auto`, `human`, `json`, `journald`",
            ),
            (
                "listen = [\"4874\"]",
                "hushd.toml:1:10: listen: not an address: \"4874\"; expected unix:/PATH or 127.0.0.1:PORT",
            ),
            ("[vault\n", "hushd.toml:1:7: unclosed table, expected `]`"),
            ("[vault]\nrevisions = 1\nrevisions = 2", "hushd.toml:3:1: duplicate key"),
        ] {
            assert_eq!(error(text).0, expected);
        }
    }
}
