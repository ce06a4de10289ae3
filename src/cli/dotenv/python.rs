//! python-dotenv, from version 1.2 on: a parser of bindings, then `${NAME}` and `${NAME:-default}` in every value.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::{Read, line_of, no_value, nothing_said, unset};

static SINGLE: LazyLock<Regex> = LazyLock::new(|| super::pattern(r"(?s)^'((?:\\.|[^'\\])*)'"));
static DOUBLE: LazyLock<Regex> = LazyLock::new(|| super::pattern(r#"(?s)^"((?:\\.|[^"\\])*)""#));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| super::pattern(r"\$\{([^}:]*)(?::-([^}]*))?\}"));

/// That a binding is not one; the rest of its line is skipped.
struct Broken;

pub(super) fn read(text: &str) -> Read {
    // Python opens text files with universal newlines.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut read = Read::default();
    let mut rest = text.as_str();
    loop {
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return read;
        }
        let line = line_of(&text, text.len() - rest.len());
        match binding(&mut rest) {
            Ok(Some((name, Some(value)))) => {
                let value = expand(&name, &value, &read.values, &mut read.notes);
                read.values.insert(name, value);
            }
            Ok(Some((_, None))) => read.notes.push(no_value(line)),
            Ok(None) => {}
            Err(Broken) => {
                rest = rest.find('\n').map_or("", |end| &rest[end + 1..]);
                read.notes.push(nothing_said(line));
            }
        }
    }
}

type Binding = Option<(String, Option<String>)>;

fn binding(rest: &mut &str) -> Result<Binding, Broken> {
    if let Some(after) = rest.strip_prefix("export")
        && after.starts_with(is_blank)
    {
        *rest = after.trim_start_matches(is_blank);
    }
    let name = match rest.chars().next() {
        Some('#') => None,
        Some('\'') => {
            let end = rest[1..].find('\'').filter(|end| *end > 0).ok_or(Broken)?;
            Some(take(rest, 1, end + 1, 1))
        }
        _ => {
            let end = rest.find(|c: char| matches!(c, '=' | '#') || is_space(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(Broken);
            }
            Some(take(rest, 0, end, 0))
        }
    };
    *rest = rest.trim_start_matches(is_blank);
    let mut value = None;
    if let Some(after) = rest.strip_prefix('=') {
        *rest = after.trim_start_matches(is_blank);
        // With white space before it, it is a comment.
        let comment = rest.starts_with('#') && rest.len() < after.len();
        value = Some(if comment { String::new() } else { self::value(rest)? });
    }
    // A comment, and the end of the line.
    let after = rest.trim_start_matches(is_blank);
    if after.starts_with('#') {
        *rest = &after[after.find('\n').unwrap_or(after.len())..];
    } else {
        *rest = after;
    }
    match rest.strip_prefix('\n') {
        Some(after) => *rest = after,
        None if rest.is_empty() => {}
        None => return Err(Broken),
    }
    Ok(name.map(|name| (name, value)))
}

/// What stands between two offsets; goes on behind it and `after` more.
fn take(rest: &mut &str, from: usize, to: usize, after: usize) -> String {
    let taken = rest[from..to].to_owned();
    *rest = &rest[to + after..];
    taken
}

fn value(rest: &mut &str) -> Result<String, Broken> {
    let (pattern, escapes) = match rest.chars().next() {
        Some('\'') => (&SINGLE, r"\'"),
        Some('"') => (&DOUBLE, r#"\'"abfnrtv"#),
        Some('\n') | None => return Ok(String::new()),
        Some(_) => return Ok(unquoted(rest)),
    };
    let found = pattern.captures(rest).ok_or(Broken)?;
    let (whole, inner) = (found.get(0).map_or(0, |all| all.end()), found.get(1).map_or("", |inner| inner.as_str()));
    let value = unescaped(inner, escapes);
    *rest = &rest[whole..];
    Ok(value)
}

fn unquoted(rest: &mut &str) -> String {
    let end = rest.find('\n').unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = &rest[end..];
    // Up to a `#` with white space before it.
    let comment = line.char_indices().find(|(at, c)| *c == '#' && line[..*at].ends_with(is_space));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim_end_matches(is_space).to_owned()
}

fn unescaped(text: &str, known: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek().copied().filter(|next| character == '\\' && known.contains(*next)) {
            Some(next) => {
                characters.next();
                value.push(match next {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    other => other,
                });
            }
            None => value.push(character),
        }
    }
    value
}

fn expand(name: &str, value: &str, known: &BTreeMap<String, String>, notes: &mut Vec<String>) -> String {
    let mut missing = false;
    let expanded = VARIABLE.replace_all(value, |found: &regex::Captures<'_>| {
        let default = found.get(2).map(|default| default.as_str());
        let found = known.get(found.get(1).map_or("", |name| name.as_str())).map(String::as_str);
        missing |= found.or(default).is_none();
        found.or(default).unwrap_or_default().to_owned()
    });
    if missing {
        notes.push(unset(name));
    }
    expanded.into_owned()
}

/// What `\s` is in Python.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// White space within a line.
fn is_blank(character: char) -> bool {
    is_space(character) && character != '\n'
}
