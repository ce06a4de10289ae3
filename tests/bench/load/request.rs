//! Requests as they go over the wire, with digits that are changed in place.

use crate::fixture::{Caller, Credentials, KEY_DIGITS, VALUE_SIZE};

/// Digits of a value that change, so that no two written are the same.
const VALUE_DIGITS: usize = 20;
const HOST: &str = "Host: localhost\r\n";

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    key_at: Option<usize>,
    value_at: Option<usize>,
    /// Whether it changes anything.
    pub writes: bool,
}

impl Request {
    /// Reads a secret of the default namespace.
    pub fn get(credentials: &Credentials, caller: Caller) -> Self {
        Self::of_key(&format!("GET /api/secrets/KEY_{{key}} HTTP/1.1\r\n{HOST}{}\r\n", credentials.header(caller)))
    }

    /// Reads a path without a credential.
    pub fn path(path: &str) -> Self {
        Self::of_key(&format!("GET {path} HTTP/1.1\r\n{HOST}\r\n"))
    }

    /// Changes the value of a secret of the default namespace.
    pub fn put(credentials: &Credentials, caller: Caller) -> Self {
        let body = format!(r#"{{"value":"{}"}}"#, value());
        Self::with_body("PUT /api/secrets/KEY_{key}", &credentials.header(caller), &body)
    }

    /// Creates a secret, as the daemon's own user.
    pub fn create(namespace: &str) -> Self {
        let body = format!(r#"{{"key":"KEY_{{key}}","value":"{}"}}"#, value());
        Self::with_body(&format!("POST /api/secrets?namespace={namespace}"), "", &body)
    }

    /// The bytes to send, for a key's number and a value's digits.
    pub fn filled(&mut self, key: u32, value: u64) -> &[u8] {
        if let Some(at) = self.key_at {
            write_digits(&mut self.bytes[at..at + KEY_DIGITS], u64::from(key));
        }
        if let Some(at) = self.value_at {
            write_digits(&mut self.bytes[at..at + VALUE_DIGITS], value);
        }
        &self.bytes
    }

    fn with_body(start: &str, header: &str, body: &str) -> Self {
        let length = body.replace("{key}", &"0".repeat(KEY_DIGITS)).replace("{value}", &"0".repeat(VALUE_DIGITS)).len();
        let headers = format!("{HOST}{header}Content-Type: application/json\r\nContent-Length: {length}\r\n");
        Self { writes: true, ..Self::of_key(&format!("{start} HTTP/1.1\r\n{headers}\r\n{body}")) }
    }

    fn of_key(text: &str) -> Self {
        let text = text.replace("{key}", &"K".repeat(KEY_DIGITS));
        let value_at = text.find("{value}");
        let text = text.replace("{value}", &"0".repeat(VALUE_DIGITS));
        let key_at = text.find(&"K".repeat(KEY_DIGITS));
        Self { bytes: text.into_bytes(), key_at, value_at, writes: false }
    }
}

fn value() -> String {
    format!("{{value}}{}", "v".repeat(VALUE_SIZE - VALUE_DIGITS))
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}
