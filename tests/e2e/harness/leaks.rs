//! Nothing leaks: every value and every credential that passes through the harness is noted, and all that programs say where
//! it may be kept (logs, standard error, metrics, events, the audit trail) is searched for them.
//!
//! Invariants: what a test sends or is given is noted without the test doing anything; what is found is told by its first
//! characters and its length only. Values too short or too plain to be told from ordinary words are not searched for.

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex};

use serde_json::Value;

/// Shortest value that is searched for.
const SHORTEST: usize = 8;
/// Longest value that is: the rest of a long one says nothing more.
const LONGEST: usize = 4096;

/// How a secret begins.
type Beginning = [u8; SHORTEST];

/// What passed through the harness so far, in any test of this process, by its beginning: one pass over a text finds
/// all of it. (Tests that kill again and again note hundreds of thousands, and everybody waits while one searches.)
static SEEN: LazyLock<Mutex<HashMap<Beginning, BTreeSet<String>>>> = LazyLock::new(Mutex::default);

/// Notes a credential.
pub fn credential(text: &str) {
    note(text);
}

/// Notes a value, where it can be told from ordinary words and from names such as `shop/dev` and `STRIPE_API_KEY`, which
/// another test may give to its secrets.
pub fn value(text: &str) {
    let plain = |character: char| character.is_alphabetic() || character.is_whitespace() || "_-/.".contains(character);
    let words = text.chars().all(plain) || text.split('/').all(|part| part.len() == 1);
    if !words {
        note(text);
    }
}

fn note(text: &str) {
    // A log escapes what is no ordinary character: a part without such characters is what would be found.
    let plain = text.split(|character: char| character.is_control() || matches!(character, '"' | '\\' | '\u{fffd}'));
    for part in plain {
        let part: String = part.chars().take(LONGEST).collect();
        let kinds: BTreeSet<char> = part.chars().collect();
        if let Some(beginning) = part.as_bytes().first_chunk().filter(|_| kinds.len() >= 4) {
            SEEN.lock().unwrap().entry(*beginning).or_default().insert(part);
        }
    }
}

/// Notes what a body of JSON has of values and credentials.
pub fn body(bytes: &[u8]) {
    if let Ok(json) = serde_json::from_slice::<Value>(bytes) {
        fields(&json);
    }
}

fn fields(json: &Value) {
    match json {
        Value::Object(object) => {
            for (name, field) in object {
                match (name.as_str(), field) {
                    ("value", Value::String(text)) => value(text),
                    ("apiKey" | "anonKey" | "token", Value::String(text)) => credential(text),
                    ("environment", Value::Object(values)) => {
                        values.values().filter_map(Value::as_str).for_each(value);
                    }
                    _ => fields(field),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fails where something noted is in this text.
#[track_caller]
pub fn search(what: &str, text: &str) {
    let bytes = text.as_bytes();
    let seen = SEEN.lock().unwrap();
    let found: BTreeSet<String> = (0..bytes.len())
        .filter_map(|at| Some((seen.get(bytes[at..].first_chunk::<SHORTEST>()?)?, &bytes[at..])))
        .flat_map(|(secrets, rest)| secrets.iter().filter(move |secret| rest.starts_with(secret.as_bytes())))
        .map(|secret| format!("{}… ({} bytes)", secret.chars().take(3).collect::<String>(), secret.len()))
        .collect();
    drop(seen);
    assert!(found.is_empty(), "{what} holds a value or a credential: {found:?} in\n{text}");
}

#[test]
fn what_passes_through_is_found_and_ordinary_words_are_not() {
    body(br#"{"key":"A","value":"s3cr3t-of-leaks","list":[{"token":"t0ken-of-leaks"}],"environment":{"X":"v4lue-of-leaks"}}"#);
    body(br#"{"value":"ordinary words","message":"m3ssage-of-leaks"}"#);
    for secret in ["s3cr3t-of-leaks", "t0ken-of-leaks", "v4lue-of-leaks"] {
        let found = std::panic::catch_unwind(|| search("a log", &format!("a line with {secret} in it")));
        assert!(found.is_err(), "{secret}");
    }
    search("a log", "ordinary words and m3ssage-of-leaks");
}
