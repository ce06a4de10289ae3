//! Values as dotenv files can hold them.
//!
//! Invariant: what is written is read again, by the very rules of the dialect, before it is given to anybody; a form that
//! all three dialects read alike is taken before one that only the wanted dialect reads.

use super::{Dialect, read};

/// What may follow a value in its file: quotes of all kinds, to which an unfinished one would reach.
const SENTINEL: &str = "\nQ='q\"'\nR=\"r\"\nS=`s`\n";

/// The value as it stands behind `NAME=`; `None` where this dialect has no way to say it.
pub fn quote(value: &str, dialect: Dialect) -> Option<String> {
    let candidates = candidates(value);
    let alike = candidates.iter().find(|text| Dialect::ALL.iter().all(|dialect| says(text, value, *dialect)));
    alike.or_else(|| candidates.iter().find(|text| says(text, value, dialect))).cloned()
}

/// The ways to write a value, the plainest first.
fn candidates(value: &str) -> Vec<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n").replace('\r', r"\r");
    let mut candidates = Vec::with_capacity(8);
    if !value.is_empty() && value.chars().all(plain) {
        candidates.push(value.to_owned());
    }
    candidates.extend([
        format!("'{value}'"),
        format!("\"{value}\""),
        format!("\"{escaped}\""),
        format!("`{value}`"),
        // compose
        format!("\"{}\"", escaped.replace('$', r"\$")),
        format!("'{}'", value.replace('\'', r"\'")),
        // python
        format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
        // node, which knows no other escapes
        format!("\"{}\"", value.replace('\r', r"\r")),
        format!("\"{}\"", value.replace('\r', r"\r").replace('\n', r"\n")),
        // python, where a default that is always taken stands for what cannot be escaped
        format!("\"{}\"", escaped.replace("${", "${:-$}{")),
        value.to_owned(),
    ]);
    candidates
}

fn says(text: &str, value: &str, dialect: Dialect) -> bool {
    if dialect == Dialect::Node && !is_closed(text) {
        return false;
    }
    let file = format!("K={text}{SENTINEL}");
    let Ok(read) = read(&file, dialect) else { return false };
    let found = |name: &str| read.values.get(name).map(String::as_str);
    found("K") == Some(value) && found("Q") == Some("q\"") && found("R") == Some("r") && read.values.len() == 4
}

/// Whether node finds the end of a value whatever follows it: a quote that is protected is none to it, or is one, whichever
/// fits the rest of the file.
fn is_closed(text: &str) -> bool {
    let Some(quote) = text.chars().next().filter(|quote| matches!(quote, '\'' | '"' | '`')) else { return true };
    let inner = text[1..].strip_suffix(quote);
    inner.is_some_and(|inner| !inner.contains(quote) && !inner.ends_with('\\'))
}
