//! docker compose: the rules of its documentation ("Set environment variables", "Interpolation", env file syntax).
//!
//! Invariant: unlike the other two it refuses what it does not understand.

use std::collections::BTreeMap;

use super::{Read, Wrong, line_of, no_value, unset};

/// A file under way.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    read: Read,
}

pub(super) fn read(text: &str) -> Result<Read, Wrong> {
    let text = text.replace("\r\n", "\n");
    let mut reader = Reader { text: &text, at: 0, read: Read::default() };
    while reader.begin() {
        reader.statement()?;
    }
    Ok(reader.read)
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn wrong(&self, what: &'static str) -> Wrong {
        Wrong { line: line_of(self.text, self.at.min(self.text.len())), what }
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.at = self.text.len() - self.rest().trim_start_matches(skipped).len();
    }

    /// Goes to the next statement, over empty lines and comments.
    fn begin(&mut self) -> bool {
        loop {
            self.skip(char::is_whitespace);
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.skip(|character| character != '\n');
        }
    }

    fn statement(&mut self) -> Result<(), Wrong> {
        if let Some(after) = self.rest().strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.at += "export".len();
            self.skip(is_blank);
        }
        let allowed = |c: char| is_blank(c) || c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
        let end = self.rest().find(|c| !allowed(c)).unwrap_or(self.rest().len());
        let name = self.rest()[..end].trim_end().to_owned();
        let line = line_of(self.text, self.at);
        let delimiter = self.rest()[end..].chars().next();
        match delimiter {
            Some('=' | ':' | '\n') | None if name.contains(char::is_whitespace) => {
                return Err(self.wrong("a name with a space in it"));
            }
            Some('=' | ':') => self.at += end + 1,
            Some('\n') | None => {
                self.at += end;
                self.read.notes.push(no_value(line));
                return Ok(());
            }
            Some(_) => return Err(self.wrong("a character that names do not have, before any = or :")),
        }
        self.skip(is_blank);
        let value = self.value(&name)?;
        self.read.values.insert(name, value);
        Ok(())
    }

    fn value(&mut self, name: &str) -> Result<String, Wrong> {
        let quote = self.rest().chars().next().filter(|quote| matches!(quote, '"' | '\''));
        let Some(quote) = quote else {
            let line = self.rest().split('\n').next().unwrap_or_default();
            let (length, value) = (line.len(), line.split(" #").next().unwrap_or_default().trim_end().to_owned());
            let value = self.expanded(name, &value)?;
            self.at += length;
            return Ok(value);
        };
        let mut value = String::new();
        let mut escaped = false;
        for (at, character) in self.rest().char_indices().skip(1) {
            if character == quote && !escaped {
                let end = at + 1;
                if quote == '"' {
                    value = self.expanded(name, &unescaped(&value))?;
                }
                self.at += end;
                return Ok(value);
            }
            if character == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && character != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(character);
        }
        Err(self.wrong("a quote that is never closed"))
    }

    fn expanded(&mut self, name: &str, value: &str) -> Result<String, Wrong> {
        let mut missing = false;
        let expanded = expand(value, &self.read.values, &mut missing).map_err(|what| self.wrong(what))?;
        if missing {
            self.read.notes.push(unset(name));
        }
        Ok(expanded)
    }
}

/// The escapes of double quotes; a dollar that was escaped becomes the two that stand for one.
fn unescaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut taken = 1;
        match rest.chars().next() {
            Some('a') => value.push('\u{7}'),
            Some('f') => value.push('\u{c}'),
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some('v') => value.push('\u{b}'),
            Some('"') => value.push('"'),
            Some('\\') => value.push('\\'),
            Some('$') => value.push_str("$$"),
            Some('0') if octal(&rest[1..]).is_some() => {
                value.extend(octal(&rest[1..]));
                taken = 4;
            }
            Some(_) | None => {
                value.push('\\');
                taken = 0;
            }
        }
        rest = &rest[taken..];
    }
    value + rest
}

fn octal(text: &str) -> Option<char> {
    let digits = text.get(..3).filter(|digits| digits.bytes().all(|digit| (b'0'..b'8').contains(&digit)))?;
    u8::from_str_radix(digits, 8).ok().map(char::from)
}

/// Expands `$NAME`, `${NAME}` and the forms of it with a default, an alternative or an error.
fn expand(text: &str, known: &BTreeMap<String, String>, missing: &mut bool) -> Result<String, &'static str> {
    const INVALID: &str = "a $ that begins no variable; one that is meant is written $$, or in single quotes";
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            value.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = closing(inside).ok_or(INVALID)?;
            value.push_str(&braced(&inside[..end], known, missing)?.ok_or(INVALID)?);
            rest = &inside[end + 1..];
        } else {
            let length = name_length(rest);
            if length == 0 {
                return Err(INVALID);
            }
            match known.get(&rest[..length]) {
                Some(found) => value.push_str(found),
                None => *missing = true,
            }
            rest = &rest[length..];
        }
    }
    Ok(value + rest)
}

/// What stands for `${…}`; nothing where it is not of any of the forms.
fn braced(inside: &str, known: &BTreeMap<String, String>, missing: &mut bool) -> Result<Option<String>, &'static str> {
    let length = name_length(inside);
    let (name, operator) = inside.split_at(length);
    if name.is_empty() {
        return Ok(None);
    }
    let found = known.get(name);
    let (operator, unless_empty) = operator.strip_prefix(':').map_or((operator, false), |operator| (operator, true));
    let counts = found.filter(|value| !unless_empty || !value.is_empty());
    let word = operator.get(1..).unwrap_or_default();
    match operator.chars().next() {
        Some('-') => counts.map_or_else(|| expand(word, known, missing).map(Some), |value| Ok(Some(value.clone()))),
        Some('+') => counts.map_or_else(|| Ok(Some(String::new())), |_| expand(word, known, missing).map(Some)),
        Some('?') => counts.cloned().map(Some).ok_or("a variable that the file says it needs, and does not set"),
        None if !unless_empty => {
            *missing |= found.is_none();
            Ok(Some(found.cloned().unwrap_or_default()))
        }
        Some(_) | None => Ok(None),
    }
}

fn name_length(text: &str) -> usize {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c| !name(c)).unwrap_or(text.len())
}

/// Where the brace closes that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        match character {
            '}' => depth -= 1,
            '{' if text[..at].ends_with('$') => depth += 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}
