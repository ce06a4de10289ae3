//! One rule as it is written: verbs and a pattern.
//!
//! Invariant: a text that is no rule is refused with its place and, where one can be guessed, the nearest rule, which is
//! then one.

use crate::auth::policy::pattern::Pattern;

/// The verbs, in the order of their bits.
const VERBS: [&str; 5] = ["read", "write", "list", "verify", "admin"];

/// A set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verbs(u8);

impl Verbs {
    pub(super) const READ: Self = Self(1);
    pub(super) const WRITE: Self = Self(2);
    pub(super) const LIST: Self = Self(4);
    pub(super) const VERIFY: Self = Self(8);
    pub(super) const ADMIN: Self = Self(16);
    pub(super) const READ_OR_LIST: Self = Self(1 | 4);
    pub(super) const ALL: Self = Self(31);

    pub(super) fn has_one_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Without those that come with `read`.
    pub(super) const fn without_implied(self) -> Self {
        Self(self.0 & !(Self::LIST.0 | Self::VERIFY.0))
    }

    fn parse(text: &str) -> Option<Self> {
        VERBS.iter().position(|verb| *verb == text).map(|bit| Self(1 << bit))
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParsedRule {
    pub(super) verbs: Verbs,
    pub(super) pattern: Pattern,
}

/// A text that is no rule. It is shown to whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}{}", hint(nearest.as_deref()))]
pub struct ScopeError {
    /// Line of the text, or number of the rule where there is a list of them; from 1 on.
    pub line: usize,
    /// Column, in characters from 1 on.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The nearest that is a rule.
    pub nearest: Option<String>,
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest:?}?")).unwrap_or_default()
}

impl ParsedRule {
    /// Reads a rule. The error's line is 1.
    pub(super) fn parse(text: &str) -> Result<Self, ScopeError> {
        Self::read(text).map_err(|(at, message)| {
            let column = text.get(..at).unwrap_or(text).chars().count() + 1;
            ScopeError { line: 1, column, message, nearest: nearest(text) }
        })
    }

    fn read(text: &str) -> Result<Self, (usize, String)> {
        let mut words = words(text);
        let Some((verbs_at, verbs)) = words.next() else {
            return Err((0, "a rule is a verb and a pattern, such as read shop/**".to_owned()));
        };
        let mut set = Verbs(0);
        let mut at = verbs_at;
        for verb in verbs.split(',') {
            let one = Verbs::parse(verb).ok_or_else(|| (at, format!("{verb:?} is no verb: {}", VERBS.join(", "))))?;
            set = Verbs(set.0 | one.0);
            at += verb.len() + 1;
        }
        let Some((pattern_at, pattern)) = words.next() else {
            if set == Verbs::ADMIN {
                return Ok(Self { verbs: set, pattern: Pattern::everything() });
            }
            return Err((text.len(), "a pattern is missing after the verb".to_owned()));
        };
        if let Some((at, _)) = words.next() {
            return Err((at, "a rule has one pattern".to_owned()));
        }
        let pattern = Pattern::parse(pattern).map_err(|fault| (pattern_at + fault.at, fault.message.to_owned()))?;
        if set.has_one_of(Verbs::ADMIN) && !pattern.is_everything() {
            return Err((pattern_at, "admin is for the daemon and has no pattern".to_owned()));
        }
        Ok(Self { verbs: set, pattern })
    }
}

/// The words of a text with their places in it.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_ascii_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// The rule that was probably meant.
fn nearest(text: &str) -> Option<String> {
    let mut words = text.split(|c: char| c.is_whitespace() || c == ':' || c == '=').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let fixed: Vec<&str> = first.split([',', '|', '+']).filter_map(verb_near).collect();
    // A pattern alone is probably to be read.
    let (mut verbs, pattern) = if fixed.is_empty() { (vec!["read"], Some(first)) } else { (fixed, words.next()) };
    verbs.dedup();
    let verbs = verbs.join(",");
    let pattern = pattern.filter(|pattern| !pattern.is_empty()).unwrap_or("**");
    let candidates = std::iter::once(pattern.to_owned()).chain(patterns_near(pattern)).chain([String::new()]);
    candidates
        .map(|pattern| format!("{verbs} {pattern}").trim_end().to_owned())
        .find(|rule| rule != text && ParsedRule::read(rule).is_ok())
}

/// The verb that was probably meant.
fn verb_near(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let meant = match word.as_str() {
        "get" | "reveal" | "r" => "read",
        "set" | "put" | "create" | "update" | "delete" | "w" => "write",
        "ls" | "see" => "list",
        "check" | "compare" => "verify",
        "root" | "sudo" => "admin",
        _ => "",
    };
    if let Some(verb) = VERBS.into_iter().find(|verb| *verb == meant) {
        return Some(verb);
    }
    let near = |verb: &&str| strsim::damerau_levenshtein(&word, verb) <= 2 && word.len() > 2;
    VERBS.into_iter().filter(near).min_by_key(|verb| strsim::damerau_levenshtein(&word, verb))
}

/// Patterns that were probably meant, the likeliest first.
fn patterns_near(text: &str) -> Vec<String> {
    let clean: String = text
        .chars()
        .map(|c| {
            if c == '\\' {
                '/'
            } else if matches!(c, '?' | '%') {
                '*'
            } else {
                c
            }
        })
        .filter(|c| c.is_ascii_alphanumeric() || "._-*/".contains(*c))
        .collect();
    let parts: Vec<String> = clean
        .split('/')
        .map(|part| if part == "**" { part.to_owned() } else { collapse(part) })
        .filter(|part| !part.is_empty())
        .collect();
    let Some((last, namespace)) = parts.split_last() else { return Vec::new() };
    let namespace: Vec<String> =
        namespace.iter().map(|part| part.to_lowercase().trim_start_matches(['.', '_', '-']).to_owned()).collect();
    let is_namespace = last.chars().all(|c| !c.is_ascii_uppercase()) && !last.contains('_');
    let below = |last: &str| {
        let mut all = namespace.clone();
        all.push(last.to_lowercase().trim_start_matches(['.', '_', '-']).to_owned());
        all.join("/")
    };
    let key = last.to_uppercase().replace(['-', '.'], "_");
    let key = if namespace.is_empty() { format!("default/{key}") } else { format!("{}/{key}", namespace.join("/")) };
    if text.ends_with('/') || (is_namespace && last != "*") {
        vec![format!("{}/*", below(last)), key]
    } else {
        vec![key, format!("{}/*", below(last))]
    }
}

/// One `*` for several.
fn collapse(part: &str) -> String {
    let mut text = String::new();
    for c in part.chars() {
        if c != '*' || !text.ends_with('*') {
            text.push(c);
        }
    }
    text
}
