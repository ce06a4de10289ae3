//! A text with places for secrets in it: `{{ KEY }}`, `{{ KEY | json }}`, and `{{ "{{" }}` for two braces.
//!
//! Invariant: what is rendered is whole: a secret that is missing is an error that names it. It has no loops and no
//! conditions, so that what a template reads can be told without running it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::{Key, SecretValue};

/// A template.
#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TemplateError {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Secret(Key, Filter),
}

/// How a value is put into the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    /// As it is.
    Plain,
    /// As a string of JSON, with its quotes.
    Json,
    /// As one word of a shell, in quotes.
    Shell,
    /// In base64.
    Base64,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] with the line.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            parts.push(Part::Text(rest[..start].to_owned()));
            rest = &rest[start..];
            let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
            let wrong = |what| TemplateError { line, what };
            if let Some(after) = literal(rest) {
                parts.push(Part::Text("{{".to_owned()));
                rest = after;
                continue;
            }
            let end =
                rest.find("}}").ok_or_else(|| wrong("{{ is never closed; two braces themselves are {{ \"{{\" }}"))?;
            parts.push(place(&rest[2..end]).map_err(wrong)?);
            rest = &rest[end + 2..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The secrets that it needs.
    pub fn keys(&self) -> BTreeSet<Key> {
        let key = |part: &Part| match part {
            Part::Secret(key, _) => Some(key.clone()),
            Part::Text(_) => None,
        };
        self.0.iter().filter_map(key).collect()
    }

    /// The text with the values in their places.
    ///
    /// # Errors
    ///
    /// The secrets that are missing.
    pub fn render(&self, values: &BTreeMap<Key, SecretValue>) -> Result<SecretValue, Vec<Key>> {
        let missing: Vec<Key> = self.keys().into_iter().filter(|key| !values.contains_key(key)).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Secret(key, filter) => {
                    let value = values.get(key).map_or("", |value| value.expose_secret());
                    match filter {
                        Filter::Plain => text.push_str(value),
                        Filter::Json => text.push_str(&serde_json::Value::from(value).to_string()),
                        Filter::Shell => text.extend(["'", &value.replace('\'', r"'\''"), "'"]),
                        Filter::Base64 => STANDARD.encode_string(value, &mut text),
                    }
                }
            }
        }
        Ok(SecretValue::new(text))
    }
}

/// What follows `{{ "{{" }}`.
fn literal(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.trim_start_matches(' ').strip_prefix("\"{{\"")?;
    inner.trim_start_matches(' ').strip_prefix("}}")
}

fn place(inside: &str) -> Result<Part, &'static str> {
    let (name, filter) = inside.split_once('|').map_or((inside, None), |(name, filter)| (name, Some(filter.trim())));
    let filter = match filter {
        None => Filter::Plain,
        Some("json") => Filter::Json,
        Some("shell") => Filter::Shell,
        Some("base64") => Filter::Base64,
        Some(_) => return Err("there is no such filter; there are json, shell and base64"),
    };
    let key = name.trim().parse().map_err(|_| "between the braces there must be a key, such as {{ DB_PASSWORD }}")?;
    Ok(Part::Secret(key, filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, Vec<Key>> {
        let values = [("A", "it's \"1\""), ("B", "two\nlines")];
        let values = values.map(|(key, value)| (key.parse().unwrap(), SecretValue::new(value.to_owned())));
        Template::parse(text).unwrap().render(&values.into()).map(|text| text.expose_secret().to_owned())
    }

    #[test]
    fn values_take_their_places() {
        for (text, expected) in [
            ("", ""),
            ("a { b }} c", "a { b }} c"),
            ("x={{ A }}\n", "x=it's \"1\"\n"),
            ("{{A}}{{  B  }}", "it's \"1\"two\nlines"),
            ("{\"a\": {{ B | json }}}", "{\"a\": \"two\\nlines\"}"),
            ("a={{ A | shell }}", "a='it'\\''s \"1\"'"),
            ("{{B|base64}}", "dHdvCmxpbmVz"),
            ("{{ \"{{\" }} .Values.a }}", "{{ .Values.a }}"),
        ] {
            assert_eq!(render(text).unwrap(), expected, "{text}");
        }
        let missing = render("{{ A }}{{ NO }}{{ NONE }}").unwrap_err();
        assert_eq!(missing.iter().map(Key::as_str).collect::<Vec<_>>(), ["NO", "NONE"]);
    }

    #[test]
    fn what_is_no_template_is_told_by_its_line() {
        for (text, expected) in [
            ("\n{{ A", "line 2: {{ is never closed"),
            ("{{ a }}", "line 1: between the braces there must be a key"),
            ("\n\n{{ A | upper }}", "line 3: there is no such filter"),
            ("{{}}", "line 1: between the braces"),
        ] {
            assert!(Template::parse(text).unwrap_err().to_string().starts_with(expected), "{text}");
        }
    }
}
