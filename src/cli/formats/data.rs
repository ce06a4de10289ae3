//! JSON, YAML and what Vault prints.
//!
//! Invariants: numbers and booleans are taken as they are written; whatever is no single value (null, a list, a mapping, a
//! name that comes twice) is refused with its name.

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Found, Values};
use crate::cli::{CliError, ErrorKind};
use crate::model::SecretValue;

pub(super) fn write_json(values: &Values) -> Result<Zeroizing<String>, CliError> {
    let exposed: std::collections::BTreeMap<&str, &str> =
        values.iter().map(|(key, value)| (key.as_str(), value.expose_secret())).collect();
    let mut text = serde_json::to_string_pretty(&exposed)
        .map(Zeroizing::new)
        .map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
    text.push('\n');
    Ok(text)
}

/// Every value in double quotes, whose escapes are those of JSON and some more (YAML 1.2, 5.7).
pub(super) fn write_yaml(values: &Values) -> Zeroizing<String> {
    let room = values.iter().map(|(key, value)| key.as_str().len() + 2 * value.len() + 16).sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (key, value) in values {
        let key = key.as_str();
        // What YAML 1.1 takes for a boolean, a null or a number is no name without quotes.
        let word = matches!(key, "Y" | "N" | "YES" | "NO" | "TRUE" | "FALSE" | "ON" | "OFF" | "NULL");
        let quote = if word || !key.starts_with(|c: char| c.is_ascii_uppercase()) { "\"" } else { "" };
        text.extend([quote, key, quote, ": \""]);
        for character in value.expose_secret().chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\r' => text.push_str("\\r"),
                other if printable(other) => text.push(other),
                other => text.extend(["\\U", &format!("{:08X}", u32::from(other))]),
            }
        }
        text.push_str("\"\n");
    }
    if text.is_empty() {
        text.push_str("{}\n");
    }
    text
}

/// What may stand in a YAML file as it is, and is no line break to anybody.
fn printable(character: char) -> bool {
    match character {
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{85}' => false,
        ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => true,
        _ => false,
    }
}

/// The members of an object, in their order, as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object with values by name")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self, M::Error> {
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}

/// The members of the object that the text is. serde_json's own messages quote what they read.
fn members(text: &str) -> Result<Vec<(String, &RawValue)>, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(Members(Vec::new())).and_then(|members| reader.end().map(|()| members.0));
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { "this is not one JSON object with values by name" } else { "this is not JSON" };
        format!("line {line}, column {column}: {what}")
    })
}

pub(super) fn read_json(text: &str, of_vault: bool) -> Result<Found, String> {
    let mut all = members(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let has = |all: &[(String, &RawValue)], name: &str| all.iter().any(|(other, _)| other == name);
    if of_vault || (has(&all, "request_id") && has(&all, "lease_id") && has(&all, "data")) {
        // Version 2 of the KV engine puts the values one deeper, beside their metadata.
        all = inside(&all, "data")?;
        if has(&all, "data") && has(&all, "metadata") {
            all = inside(&all, "data")?;
        }
    }
    let mut found = Found::default();
    for (name, value) in all {
        let text = value.get();
        let value = match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text)
                .map_err(|_| format!("the value of {name} is not a text of Unicode characters"))?,
            Some(b'n') => return Err(format!("the value of {name} is null, which is none")),
            Some(b'{' | b'[') => return Err(format!("the value of {name} is a list or an object, and not one")),
            Some(_) | None => text.to_owned(),
        };
        push(&mut found, name, value)?;
    }
    Ok(found)
}

fn inside<'a>(all: &[(String, &'a RawValue)], name: &str) -> Result<Vec<(String, &'a RawValue)>, String> {
    let value = all.iter().find(|(other, _)| other == name);
    let value = value.ok_or_else(|| format!("there is no {name:?}, as vault kv get -format=json prints it"))?.1;
    members(value.get()).map_err(|_| format!("{name:?} is not an object"))
}

pub(super) fn read_yaml(text: &str) -> Result<Found, String> {
    const SHAPE: &str = "this is not one mapping with values by name";
    let mut found = Found::default();
    let mut name: Option<String> = None;
    let (mut depth, mut documents) = (0, 0);
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) = event.map_err(|error| format!("line {}: this is not YAML", error.marker().line()))?;
        let line = span.start.line();
        let wrong = |what: &str| Err(format!("line {line}: {what}"));
        match (event, name.take()) {
            (Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::DocumentStart(_), _) => {
                documents += 1;
                if documents > 1 {
                    return wrong("there is more than one document");
                }
            }
            (Event::MappingStart(..), None) if depth == 0 => depth = 1,
            (Event::MappingEnd, None) => depth = 0,
            // An empty document.
            (Event::Scalar(value, ScalarStyle::Plain, ..), None) if depth == 0 && matches!(&*value, "" | "~") => {}
            (Event::Scalar(text, ..), None) if depth == 1 => name = Some(text.into_owned()),
            (Event::Scalar(value, style, ..), Some(name)) => {
                if style == ScalarStyle::Plain && matches!(&*value, "" | "~" | "null" | "Null" | "NULL") {
                    return Err(format!("line {line}: {name} is null, which is no value; the empty one is \"\""));
                }
                push(&mut found, name, value.into_owned()).map_err(|what| format!("line {line}: {what}"))?;
            }
            (Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_), Some(name)) => {
                return Err(format!("line {line}: {name} is a list, a mapping or an alias, and not one value"));
            }
            (
                Event::MappingStart(..)
                | Event::MappingEnd
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::Alias(_)
                | Event::Scalar(..),
                _,
            ) => return wrong(SHAPE),
        }
    }
    Ok(found)
}

fn push(found: &mut Found, name: String, value: String) -> Result<(), String> {
    if found.values.iter().any(|(other, _)| *other == name) {
        return Err(format!("{name} is there twice"));
    }
    found.values.push((name, SecretValue::new(value)));
    Ok(())
}
