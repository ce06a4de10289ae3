//! "Secrets": what a key and a value may be.

use serde_json::json;

use crate::harness::Api;
use crate::harness::api::secret;

over_both!(
    a_key_in_a_path_follows_the_pattern_on_every_method,
    a_key_in_a_body_follows_the_pattern,
    a_key_has_at_most_255_characters,
    a_value_may_hold_any_character,
    a_value_has_at_most_one_mebibyte,
    a_lone_surrogate_is_400,
    invalid_utf_8_is_400,
    names_like_the_vaults_own_are_ordinary_secrets,
);

const PATTERN: &str = "Invalid key format. Use uppercase letters, numbers, and underscores only (e.g., STRIPE_API_KEY)";
const MEBIBYTE: usize = 1 << 20;

/// "Key: `^[A-Z0-9_]+$`, at most 255 characters; else 400 naming the pattern, on every method."
fn a_key_in_a_path_follows_the_pattern_on_every_method(api: &Api) {
    let too_long = "A".repeat(256);
    for key in [
        "lower", "MiXED", "A-B", "A.B", "A%20B", "%C3%84", "A%00", "A%0A", "A%2FB", "api-key", "..A", "A*", "*",
        "A%2A", &too_long,
    ] {
        for (method, rest, body) in [
            ("GET", "", None),
            ("PUT", "", Some(json!({"value": "x"}))),
            ("DELETE", "", None),
            ("DELETE", "?purge=true", None),
            ("GET", "?revision=1", None),
            ("GET", "/revisions", None),
            ("POST", "/rollback", Some(json!({"revision": 1}))),
            ("POST", "/verify", Some(json!({"value": "x"}))),
        ] {
            let call = api.call(method, &format!("/api/secrets/{key}{rest}"));
            let call = if let Some(body) = body { call.json(body) } else { call };
            call.send().fails(400, "INVALID_INPUT", PATTERN);
        }
        api.call("HEAD", &secret(key)).send().is(400);
    }
}

fn a_key_in_a_body_follows_the_pattern(api: &Api) {
    for key in ["lower", "A-B", "A B", "Ä", "A\n", "A\0", " A", "А", &"A".repeat(256)] {
        let answer = api.post("/api/secrets", json!({"key": key, "value": "1"}));
        answer.fails(400, "INVALID_INPUT", PATTERN);
    }
    assert_eq!(api.get("/api/secrets").json(), json!({"secrets": []}));
}

fn a_key_has_at_most_255_characters(api: &Api) {
    for key in ["A", "0", "_", "STRIPE_API_KEY", &"Z".repeat(255)] {
        api.create(key, key);
        assert_eq!(api.value(key), key);
        api.put(&secret(key), json!({"value": "2"})).is(200);
        api.delete(&secret(key)).is(200);
    }
}

/// "Value: UTF-8 string …, any character, newlines and NUL included, stored byte for byte"
fn a_value_may_hold_any_character(api: &Api) {
    let every_ascii: String = (0..=127_u8).map(char::from).collect();
    for (number, value) in [
        " ",
        "  leading and trailing  ",
        "line\nline\r\nline\n",
        "\0",
        "a\0b",
        "tab\tquote\"backslash\\",
        "ä ß 漢字 🗝️ \u{10ffff} \u{fffd} \u{feff}",
        "e\u{301} is not \u{e9}",
        "\u{2028}\u{2029}\u{85}",
        "-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----\n",
        "{\"json\": [null]}",
        "null",
        &every_ascii,
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("KEY_{number}");
        api.create(&key, value);
        assert_eq!(api.value(&key), value);
        api.put(&secret(&key), json!({"value": format!("{value}{value}")})).is(200);
        assert_eq!(api.value(&key), format!("{value}{value}"));
    }
    // A pair of surrogates is one character, however it is escaped.
    api.call("PUT", "/api/secrets/KEY_0").raw_json(r#"{"value": "\ud83d\uDD11 \u0041\/"}"#).send().is(200);
    assert_eq!(api.value("KEY_0"), "🔑 A/");
}

/// "at most 1 MiB (configurable)"; bytes of the value count, not those that JSON needs to write it.
fn a_value_has_at_most_one_mebibyte(api: &Api) {
    for (number, filling) in ["x", "\0", "\"", "ü", "🗝"].into_iter().enumerate() {
        let key = format!("KEY_{number}");
        let mut value = filling.repeat(MEBIBYTE / filling.len());
        api.create(&key, &value);
        assert!(api.value(&key) == value, "{filling:?} came back changed");
        value.push('x');
        let create = api.post("/api/secrets", json!({"key": "TOO_LONG", "value": value}));
        create.refuses(413, "PAYLOAD_TOO_LARGE");
        api.put(&secret(&key), json!({"value": value})).refuses(413, "PAYLOAD_TOO_LARGE");
        assert_eq!(api.value(&key).len(), MEBIBYTE, "the update changed nothing");
    }
    api.get("/api/secrets/TOO_LONG").is(404);
}

/// "a lone surrogate escape … is 400, never replaced silently."
fn a_lone_surrogate_is_400(api: &Api) {
    api.create("A", "1");
    for escape in [r"\ud800", r"\udfff", r"\ud83dx", r"\ud83d\u0041", r"\udd11\ud83d"] {
        let create = format!(r#"{{"key": "B", "value": "{escape}"}}"#);
        api.call("POST", "/api/secrets").raw_json(create).send().refuses(400, "INVALID_INPUT");
        let update = format!(r#"{{"value": "{escape}"}}"#);
        api.call("PUT", "/api/secrets/A").raw_json(update).send().refuses(400, "INVALID_INPUT");
    }
    assert_eq!(api.value("A"), "1");
    api.get("/api/secrets/B").is(404);
}

/// "invalid UTF-8 is 400, never replaced silently."
fn invalid_utf_8_is_400(api: &Api) {
    api.create("A", "1");
    for bytes in
        [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"caf\xe9", b"\xf0\x9f\x94"]
    {
        let body = [b"{\"value\": \"", bytes, b"\"}"].concat();
        api.call("PUT", "/api/secrets/A").raw_json(body).send().refuses(400, "INVALID_INPUT");
        let body = [b"{\"key\": \"B\", \"value\": \"", bytes, b"\"}"].concat();
        api.call("POST", "/api/secrets").raw_json(body).send().refuses(400, "INVALID_INPUT");
        let body = [b"{\"value\": \"2\", \"", bytes, b"\": 1}"].concat();
        api.call("PUT", "/api/secrets/A").raw_json(body).send().refuses(400, "INVALID_INPUT");
    }
    assert_eq!(api.value("A"), "1");
    api.get("/api/secrets/B").is(404);
}

/// "Names such as `API_KEY` or `JWT_SECRET` are ordinary secrets here; the vault's own keys never appear as secrets."
fn names_like_the_vaults_own_are_ordinary_secrets(api: &Api) {
    assert_eq!(api.get("/api/secrets").json(), json!({"secrets": []}));
    for key in ["API_KEY", "ANON_KEY", "JWT_SECRET", "ADMIN_API_KEY", "INSFORGE_API_KEY"] {
        api.get(&secret(key)).is(404);
        api.create(key, "mine");
        api.put(&secret(key), json!({"value": "still mine"})).is(200);
        api.post("/api/secrets/api-key/rotate", json!({})).is(200);
        api.post("/api/secrets/anon-key/rotate", json!({})).is(200);
        assert_eq!(api.value(key), "still mine");
        api.delete(&format!("{}?purge=true", secret(key))).is(200);
    }
    assert_eq!(api.get("/api/secrets").json(), json!({"secrets": []}));
    api.get("/api/secrets").is(200);
}
