//! Patterns over names: `NAMESPACE/KEY` with `*` and `**`.
//!
//! Invariant: a pattern can match something: each of its parts has only characters that names have, and wildcards.

use crate::model::{Key, Namespace};

/// Longest pattern, in bytes.
const MAX_LENGTH: usize = 512;

/// What a pattern stands for: see [`super`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    namespace: Vec<Part>,
    key: Glob,
}

/// A part of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`: any number of parts.
    Deep,
    /// One part.
    One(Glob),
}

/// Text with `*` for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Glob {
    Any,
    Literal(Box<str>),
    Wild(Box<str>),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where, in bytes from the pattern's start.
    pub(super) at: usize,
    pub(super) message: &'static str,
}

const KEY: &str = "the last part of a pattern is the key: capitals, digits, '_' and '*'";
const PART: &str =
    "a namespace has lowercase letters, digits, '.', '_', '-' and '*', and starts with none of '.', '_', '-'";

impl Pattern {
    /// Everything.
    pub(super) fn everything() -> Self {
        Self { namespace: vec![Part::Deep], key: Glob::Any }
    }

    /// Reads a pattern.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > MAX_LENGTH {
            return Err(Fault { at: MAX_LENGTH, message: "the pattern is too long" });
        }
        let (namespace, key) = match text.rsplit_once('/') {
            _ if text == "**" => return Ok(Self::everything()),
            None => return Err(Fault { at: 0, message: "a pattern is NAMESPACE/KEY, or ** for everything" }),
            Some(both) => both,
        };
        let mut parts = Vec::new();
        let mut at = 0;
        for part in namespace.split('/') {
            let part_at = at;
            at += part.len() + 1;
            match part {
                "**" if parts.last() == Some(&Part::Deep) => {}
                "**" => parts.push(Part::Deep),
                _ => parts.push(Part::One(
                    Glob::parse(part, is_first_of_part, is_of_part)
                        .map_err(|(offset, kind)| Fault { at: part_at + offset, message: kind.message(PART) })?,
                )),
            }
        }
        if parts.iter().filter(|part| **part != Part::Deep).count() > Namespace::MAX_PARTS {
            return Err(Fault { at: 0, message: "a namespace has 8 parts at most" });
        }
        if key == "**" {
            if parts.last() != Some(&Part::Deep) {
                parts.push(Part::Deep);
            }
            return Ok(Self { namespace: parts, key: Glob::Any });
        }
        let key = Glob::parse(key, is_of_key, is_of_key)
            .map_err(|(offset, kind)| Fault { at: at + offset, message: kind.message(KEY) })?;
        Ok(Self { namespace: parts, key })
    }

    /// Whether it is about this secret.
    pub(super) fn matches(&self, namespace: &Namespace, key: &Key) -> bool {
        self.key.matches(key.as_str()) && self.matches_namespace(namespace)
    }

    /// Whether it is about some key of this namespace.
    pub(super) fn matches_namespace(&self, namespace: &Namespace) -> bool {
        // At most one `**` is open at a time: what an earlier one took can stay as it is (as with `*` in `Glob`).
        let parts = &self.namespace;
        let mut rest = Some(namespace.as_str());
        let mut next = 0;
        let mut open: Option<(usize, Option<&str>)> = None;
        loop {
            match (parts.get(next), rest) {
                (None, None) => return true,
                (Some(Part::Deep), _) => {
                    open = Some((next + 1, rest));
                    next += 1;
                    continue;
                }
                (Some(Part::One(glob)), Some(text)) => {
                    let (part, after) = split(text);
                    if glob.matches(part) {
                        rest = after;
                        next += 1;
                        continue;
                    }
                }
                (Some(Part::One(_)), None) | (None, Some(_)) => {}
            }
            match open {
                Some((after, Some(text))) => {
                    let (_, shorter) = split(text);
                    open = Some((after, shorter));
                    (next, rest) = (after, shorter);
                }
                Some((_, None)) | None => return false,
            }
        }
    }

    /// Whether it is about every key of the namespaces that it is about.
    pub(super) fn takes_every_key(&self) -> bool {
        self.key == Glob::Any
    }

    /// Whether it is about everything.
    pub(super) fn is_everything(&self) -> bool {
        self.takes_every_key() && self.namespace == [Part::Deep]
    }
}

/// The first part, and those after it.
fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(part, after)| (part, Some(after)))
}

fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

fn is_first_of_part(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_of_part(byte: u8) -> bool {
    is_first_of_part(byte) || matches!(byte, b'.' | b'_' | b'-')
}

enum GlobFault {
    Empty,
    Doubled,
    Character,
}

impl GlobFault {
    fn message(&self, otherwise: &'static str) -> &'static str {
        match self {
            Self::Empty => "a part of the pattern is empty",
            Self::Doubled => "** stands alone between two '/' or at an end",
            Self::Character => otherwise,
        }
    }
}

impl Glob {
    fn parse(text: &str, first: fn(u8) -> bool, other: fn(u8) -> bool) -> Result<Self, (usize, GlobFault)> {
        if text.is_empty() {
            return Err((0, GlobFault::Empty));
        }
        if let Some(at) = text.find("**") {
            return Err((at, GlobFault::Doubled));
        }
        let allowed = |(at, byte): (usize, u8)| byte == b'*' || if at == 0 { first(byte) } else { other(byte) };
        if let Some(at) = text.bytes().enumerate().position(|each| !allowed(each)) {
            return Err((at, GlobFault::Character));
        }
        Ok(match text {
            "*" => Self::Any,
            _ if text.contains('*') => Self::Wild(text.into()),
            _ => Self::Literal(text.into()),
        })
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => **literal == *text,
            Self::Wild(pattern) => wild(pattern.as_bytes(), text.as_bytes()),
        }
    }
}

/// Matches `*` without recursion: only the last one that was met is ever tried longer.
fn wild(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
