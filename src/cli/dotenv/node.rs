//! node's dotenv, from version 15 on: one regular expression over the whole file.

use std::sync::LazyLock;

use regex::Regex;

use super::{Read, line_of, nothing_said};

/// What `\s` is in JavaScript (ECMA-262, WhiteSpace and LineTerminator).
const SPACE: &str = r"[\t\n\x0B\x0C\r \u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}]";

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?m)^S*(?:exportS+)?([0-9A-Za-z_.\-]+)(?:S*?=S*?|:S+?)(S*'(?:\\'|[^'])*'|S*"(?:\\"|[^"])*"|S*`(?:\\`|[^`])*`|[^#\r\n]+)?S*(?:#.*)?$"#;
    super::pattern(&pattern.replace('S', SPACE))
});

pub(super) fn read(text: &str) -> Read {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut read = Read::default();
    let mut end = 0;
    for found in LINE.captures_iter(&text) {
        let Some(whole) = found.get(0) else { continue };
        skipped(&text, end, whole.start(), &mut read.notes);
        end = whole.end();
        let value = found.get(2).map_or("", |value| value.as_str());
        let name = found.get(1).map_or("", |name| name.as_str());
        read.values.insert(name.to_owned(), unquoted(value));
    }
    skipped(&text, end, text.len(), &mut read.notes);
    read
}

/// Without its quotes; in double ones `\n` and `\r` are characters.
fn unquoted(value: &str) -> String {
    let value = value.trim_matches(is_space);
    let quote = value.chars().next().filter(|quote| matches!(quote, '\'' | '"' | '`'));
    let inner = quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value);
    // The quote is looked at before the strip, so that it counts where it is not closed, too.
    if quote == Some('"') { inner.replace(r"\n", "\n").replace(r"\r", "\r") } else { inner.to_owned() }
}

fn is_space(character: char) -> bool {
    matches!(character, '\u{feff}') || (character.is_whitespace() && character != '\u{85}')
}

/// Notes the lines between two assignments that are neither empty nor comments.
fn skipped(text: &str, from: usize, to: usize, notes: &mut Vec<String>) {
    let mut offset = from;
    for line in text[from..to].split_inclusive('\n') {
        let content = line.trim_matches(is_space);
        if !content.is_empty() && !content.starts_with('#') {
            notes.push(nothing_said(line_of(text, offset)));
        }
        offset += line.len();
    }
}
