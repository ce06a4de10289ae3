//! Bodies of requests: JSON, UTF-8, of a bounded size.
//!
//! Invariants: a body is read only after its sender was authenticated; it is wiped when it is dropped; a message about
//! it names fields and places, never what stood there.

use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use zeroize::Zeroizing;

use crate::http::error::HttpError;

/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Deepest nesting of a body: those that are known have one level.
const MAX_DEPTH: usize = 64;

/// Reads a body. One that is left out counts as `{}`.
pub(super) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<T, HttpError> {
    let has_type = request.headers().contains_key(CONTENT_TYPE) || request.headers().contains_key(CONTENT_ENCODING);
    if has_type {
        check_type(request)?;
    }
    let bytes = read(request, payload, limit).await?;
    if bytes.is_empty() {
        return parse(b"{}");
    }
    if !has_type {
        check_type(request)?;
    }
    parse(&bytes)
}

fn check_type(request: &HttpRequest) -> Result<(), HttpError> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(HttpError::UnsupportedMediaType { message: "Encoded bodies are not taken" });
    }
    let refused = HttpError::UnsupportedMediaType { message: "The body must be application/json in UTF-8" };
    let Some(text) = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Err(refused);
    };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let charset = value.trim().trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        }
        Some(_) | None => true,
    });
    if json && utf8 { Ok(()) } else { Err(refused) }
}

async fn read(request: &HttpRequest, mut payload: web::Payload, limit: usize) -> Result<Zeroizing<Vec<u8>>, HttpError> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(HttpError::BodyTooLarge { limit });
    }
    // Room for all of it at once, so that growing leaves no copies behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(4096)));
    let all = async {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| invalid("The body was cut off or is not valid HTTP"))?;
            if bytes.len() + chunk.len() > limit {
                return Err(HttpError::BodyTooLarge { limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(TIMEOUT, all).await {
        Ok(result) => result?,
        Err(_) => return Err(invalid("The body did not arrive in time")),
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("The body is not UTF-8"))?;
    // A sequence would do for a struct, as far as serde is concerned.
    if !text.trim_start().starts_with('{') {
        return Err(invalid("The body must be a JSON object"));
    }
    if is_too_deep(text) {
        return Err(invalid("The body is nested too deeply"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let content = serde_path_to_error::deserialize(&mut json).map_err(|error| explain(&error))?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(content)
}

/// Whether brackets outside of strings nest too deeply, also in fields that are ignored.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Says what is wrong without repeating what was sent, which may be a secret.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> HttpError {
    let inner = error.inner();
    match inner.classify() {
        Category::Io | Category::Syntax | Category::Eof => malformed(inner),
        Category::Data => {
            let said = inner.to_string();
            let named = |prefix: &str| Some(said.strip_prefix(prefix)?.split('`').next()?.to_owned());
            if let Some(field) = named("missing field `") {
                return invalid(&format!("Field '{field}' is required"));
            }
            if let Some(field) = named("duplicate field `") {
                return invalid(&format!("Field '{field}' stands there twice"));
            }
            let path = error.path().to_string();
            invalid(&format!("Invalid value for field '{path}': expected {}", expected(&path)))
        }
    }
}

fn expected(field: &str) -> &'static str {
    match field {
        "isActive" | "isReserved" | "isTemplate" | "admin" => "true or false",
        "expiresAt" => "an RFC 3339 time such as 2026-07-15T12:00:00.000Z, or null",
        "scope" => "a list of rules such as \"read shop/**\"",
        "gracePeriodHours" | "ttlSeconds" | "revision" | "bindUid" | "uses" => "an integer",
        _ => "a string",
    }
}

fn malformed(error: &serde_json::Error) -> HttpError {
    invalid(&format!("The body is not valid JSON (line {}, column {})", error.line(), error.column()))
}

fn invalid(message: &str) -> HttpError {
    HttpError::InvalidInput { message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CreateSecretRequest, UpdateSecretRequest, VerifyRequest};

    fn message<T: DeserializeOwned + std::fmt::Debug>(body: &[u8]) -> String {
        parse::<T>(body).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_type_names_the_field_and_never_what_was_sent() {
        let said = message::<UpdateSecretRequest>(br#"{"isActive":"sk_live"}"#);
        assert_eq!(said, "Invalid value for field 'isActive': expected true or false");
        let said = message::<UpdateSecretRequest>(br#"{"value":{"sk_live":1}}"#);
        assert_eq!(said, "Invalid value for field 'value': expected a string");
        let said = message::<UpdateSecretRequest>(br#"{"isReserved":null}"#);
        assert_eq!(said, "Invalid value for field 'isReserved': expected true or false");
        assert!(message::<UpdateSecretRequest>(br#"{"expiresAt":"tomorrow"}"#).contains("RFC 3339"));
        assert_eq!(message::<VerifyRequest>(b"{}"), "Field 'value' is required");
        assert_eq!(message::<VerifyRequest>(br#"{"value":"a","value":"b"}"#), "Field 'value' stands there twice");
    }

    #[test]
    fn what_is_not_a_json_object_in_utf_8_is_refused() {
        for body in [
            &b""[..],
            b"null",
            b"[\"KEY\",\"value\"]",
            b"{",
            b"{\"key\":}",
            b"{} {}",
            b"{\"value\":\"\\ud800\"}",
            b"{\"other\":\"\xff\"}",
        ] {
            assert!(parse::<CreateSecretRequest>(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        let bomb = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(parse::<CreateSecretRequest>(bomb.as_bytes()).is_err());
        let ignored = format!("{{\"value\":\"a\",\"other\":{}{}}}", "[".repeat(64), "]".repeat(64));
        assert_eq!(message::<VerifyRequest>(ignored.as_bytes()), "The body is nested too deeply");
        let text = format!("{{\"value\":\"{}\\\"[\"}}", "[".repeat(1000));
        assert!(parse::<VerifyRequest>(text.as_bytes()).is_ok());
    }

    #[test]
    fn an_absent_field_differs_from_null() {
        let update: UpdateSecretRequest = parse(br#"{"unknown":[1]}"#).unwrap();
        assert!(update.expires_at.is_none());
        let update: UpdateSecretRequest = parse(br#"{"expiresAt":null}"#).unwrap();
        assert_eq!(update.expires_at, Some(None));
    }
}
