//! "Authentication": who may call, and with what.

use serde_json::{Value, json};

use crate::harness::api::{Call, secret};
use crate::harness::files;
use crate::harness::http::Connection;
use crate::harness::{Api, Transport, jwt, now};

over_both!(
    a_token_with_just_these_claims_works,
    exp_is_required,
    an_expired_token_is_said_to_be_expired,
    sub_is_required_and_not_empty,
    another_role_is_not_an_administrator,
    no_other_algorithm_is_ever_accepted,
    issuer_and_audience_are_checked_when_present_and_ours,
    the_api_key_works_as_bearer_and_as_header,
    a_wrong_api_key_is_401,
    x_api_key_decides,
    the_anon_key_is_403_on_everything_but_health,
    a_credential_that_is_sent_decides,
    wrong_credentials_are_slowed_down_and_written_nowhere,
    nothing_sent_is_401_on_tcp_and_the_peer_on_unix,
    health_takes_no_credential,
    valid_but_not_allowed_is_403,
    only_digests_of_api_keys_are_stored,
);

fn status_of(api: &Api, claims: &Value) -> u16 {
    api.call("GET", "/api/secrets").bearer(&jwt::hs256(&api.vault.jwt_secret, claims)).send().status
}

/// "A token signed by other software with the same secret and just these claims works."
fn a_token_with_just_these_claims_works(api: &Api) {
    assert_eq!(status_of(api, &jwt::admin_claims()), 200);
    // Other claims are nobody's business, and the name of the scheme has no case (RFC 7235, 2.1).
    assert_eq!(status_of(api, &jwt::claims(json!({"email": "a@b.c", "iat": now(), "jti": "1"}))), 200);
    let token = api.vault.admin_token();
    api.bare("GET", "/api/secrets").header("Authorization", &format!("bearer {token}")).send().is(200);
    api.bare("POST", "/api/secrets").bearer(&token).json(json!({"key": "A", "value": "1"})).send().is(201);
}

/// "`exp` required"
fn exp_is_required(api: &Api) {
    for exp in [json!(null), json!((now() + 3600).to_string()), json!(true), json!([]), json!({})] {
        assert_eq!(status_of(api, &jwt::claims(json!({"exp": exp}))), 401, "{exp}");
    }
}

/// "`AUTH_TOKEN_EXPIRED` 401"
fn an_expired_token_is_said_to_be_expired(api: &Api) {
    for exp in [0, 1, now() - 86_400, now() - 120] {
        let token = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"exp": exp})));
        api.call("GET", "/api/secrets").bearer(&token).send().refuses(401, "AUTH_TOKEN_EXPIRED");
    }
    // One that somebody else signed is not worth that word.
    let token = jwt::hs256("another secret of a good length, really", &jwt::claims(json!({"exp": 1})));
    api.call("GET", "/api/secrets").bearer(&token).send().refuses(401, "AUTH_INVALID_CREDENTIALS");
}

/// "`sub` required and not empty"
fn sub_is_required_and_not_empty(api: &Api) {
    for sub in [json!(null), json!(""), json!(1), json!(["e2e"])] {
        assert_eq!(status_of(api, &jwt::claims(json!({"sub": sub}))), 401, "{sub}");
    }
}

/// "`role: "project_admin"` for an administrator"
fn another_role_is_not_an_administrator(api: &Api) {
    for role in [json!(null), json!(""), json!("anon"), json!("authenticated"), json!("PROJECT_ADMIN")] {
        let token = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"role": role})));
        let answer = api.call("GET", "/api/secrets").bearer(&token).send();
        answer.fails(403, "FORBIDDEN", "Admin access required");
    }
}

/// "no other algorithm ever accepted"
fn no_other_algorithm_is_ever_accepted(api: &Api) {
    let secret = &api.vault.jwt_secret;
    let claims = jwt::admin_claims();
    for (named, signed) in [
        ("none", "none"),
        ("None", "none"),
        ("", "none"),
        ("HS256", "none"),
        ("none", "HS256"),
        ("HS384", "HS384"),
        ("HS512", "HS512"),
        ("HS512", "HS256"),
        ("HS256", "HS512"),
        ("hs256", "HS256"),
        ("RS256", "HS256"),
        ("ES256", "HS256"),
        ("EdDSA", "HS256"),
    ] {
        let token = jwt::sign(named, signed, secret, &claims);
        let answer = api.call("GET", "/api/secrets").bearer(&token).send();
        assert_eq!(answer.status, 401, "{named} signed as {signed}");
    }
}

/// "`iss`/`aud` are checked when present and ours."
fn issuer_and_audience_are_checked_when_present_and_ours(api: &Api) {
    let answer = api.post("/api/tokens", json!({"admin": true, "ttlSeconds": 60})).is(201);
    let ours = jwt::read(answer.json()["token"].as_str().unwrap());
    assert_eq!(status_of(api, &ours), 200);
    assert_eq!(ours["iss"], "hushd", "a token of ours says so");
    let mut elsewhere = ours.clone();
    elsewhere["aud"] = json!("another-vault");
    assert_eq!(status_of(api, &elsewhere), 401, "a token of ours for another vault");
}

/// "`Authorization: Bearer ik_…` or `x-api-key: ik_…`: the admin API key (`ik_` + 64 hex)."
fn the_api_key_works_as_bearer_and_as_header(api: &Api) {
    let key = &api.vault.api_key;
    api.bare("GET", "/api/secrets").bearer(key).send().is(200);
    api.bare("GET", "/api/secrets").header("x-api-key", key).send().is(200);
    let create = api.bare("POST", "/api/secrets").header("X-API-Key", key);
    create.json(json!({"key": "A", "value": "1"})).send().is(201);
}

fn a_wrong_api_key_is_401(api: &Api) {
    let key = &api.vault.api_key;
    let mut last_changed = key.clone();
    let last = last_changed.pop().unwrap();
    last_changed.push(if last == '0' { '1' } else { '0' });
    for wrong in [
        last_changed,
        key.to_uppercase(),
        key[..key.len() - 1].to_owned(),
        format!("{key}0"),
        key["ik_".len()..].to_owned(),
        "ik_".to_owned(),
        format!("ik_{}", "0".repeat(64)),
    ] {
        api.bare("GET", "/api/secrets").header("x-api-key", &wrong).send().refuses(401, "AUTH_INVALID_API_KEY");
        let bearer = api.bare("GET", "/api/secrets").bearer(&wrong).send().is(401);
        if wrong.starts_with("ik_") {
            bearer.refuses(401, "AUTH_INVALID_API_KEY");
        }
    }
}

/// "When `x-api-key` is there it decides, and a bad one is 401 even beside a good bearer token."
fn x_api_key_decides(api: &Api) {
    let key = &api.vault.api_key;
    for bad in ["ik_wrong", "x", "", &api.vault.admin_token()] {
        api.call("GET", "/api/secrets").header("x-api-key", bad).send().refuses(401, "AUTH_INVALID_API_KEY");
    }
    api.bare("GET", "/api/secrets").bearer("no.good.token").header("x-api-key", key).send().is(200);
}

/// "the anon key. Authenticated, not an administrator: 403 on everything below, but health."
fn the_anon_key_is_403_on_everything_but_health(api: &Api) {
    api.create("A", "1");
    let anon = api.anon_key();
    let hex = anon.strip_prefix("anon_").unwrap();
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{anon}");
    api.bare("GET", "/api/health").bearer(&anon).send().is(200);
    for call in everything(api) {
        call.bearer(&anon).send().fails(403, "FORBIDDEN", "Admin access required");
    }
    api.bare("GET", "/api/secrets").bearer(&format!("anon_{}", "0".repeat(64))).send().is(401);
    assert_eq!(api.value("A"), "1");
}

/// "A credential that is sent decides; a bad one is 401, it never falls back to the peer." (Where there were so many that
/// whoever sends them has to wait, it is 429.)
fn a_credential_that_is_sent_decides(api: &Api) {
    api.bare("GET", "/api/secrets").header("x-api-key", "").send().is(401);
    api.bare("GET", "/api/secrets").bearer(&"x".repeat(7000)).send().is(401);
    api.bare("GET", "/api/secrets").bearer("a.b.c\u{e4}").send().is(401);
    let mut bad = 3;
    for header in ["Bearer x", "Bearer", "Bearer ", "", "Basic cm9vdDo=", "x", "Bearer a b", "Token abc"] {
        for call in everything(api) {
            let answer = call.header("Authorization", header).send();
            bad += 1;
            let waits = bad > 30 && answer.status == 429;
            assert!(answer.status == 401 || waits, "{bad}: {answer:?}");
        }
    }
}

/// "failed authentications are counted per peer (uid or address) with backoff (429, `Retry-After`)"; "a wrong key costs no
/// write".
fn wrong_credentials_are_slowed_down_and_written_nowhere(api: &Api) {
    api.create("A", "1");
    let (before, began) = (commits(api), now());
    let ask = |credential: &str| api.bare("GET", "/api/secrets/A").bearer(credential).send();
    for number in 0..30 {
        // Neither who sends nothing nor who had a token once is guessing.
        let expired = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"exp": now() - 60})));
        ask(&expired).refuses(401, "AUTH_TOKEN_EXPIRED");
        ask(if number % 2 == 0 { "ik_wrong" } else { "no.such.token" }).is(401);
    }
    let answer = ask("ik_wrong").refuses(429, "RATE_LIMITED");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert!(answer.message().starts_with("Too many wrong credentials"), "{answer:?}");
    // Where the trail ends is stored once a second, whatever came; 31 wrong keys of their own would be 31 commits.
    let (more, seconds) = (commits(api) - before, now() - began);
    assert!(more <= seconds + 3, "{more} commits in {seconds} s: a wrong key was written down");
    match api.transport {
        // Everybody is the same there, so that a right one is never refused for what others sent.
        Transport::Tcp => drop(ask(&api.vault.api_key).is(200)),
        // Whoever guesses waits; without a credential the kernel says who asks, and nothing is guessed.
        Transport::Unix => {
            ask(&api.vault.api_key).refuses(429, "RATE_LIMITED");
            api.bare("GET", "/api/secrets/A").send().is(200);
            let request = api.bare("GET", "/api/secrets/A").bearer(&api.vault.api_key).request();
            let mut tcp = Connection::open(&api.daemon().tcp()).unwrap();
            assert_eq!(tcp.send(&request).unwrap().status, 200);
        }
    }
    api.bare("GET", "/api/health").send().is(200);
}

/// How often the store has committed. (Whoever guesses waits, so over the Unix socket no credential is presented.)
fn commits(api: &Api) -> i64 {
    let call = match api.transport {
        Transport::Tcp => api.call("GET", "/metrics"),
        Transport::Unix => api.bare("GET", "/metrics"),
    };
    let answer = api.connect().send(&call.request()).unwrap();
    let metrics = String::from_utf8(answer.body).unwrap();
    let count = metrics.lines().find_map(|line| line.strip_prefix("hushd_commit_duration_seconds_count "));
    count.unwrap_or_else(|| panic!("commits are not counted: {metrics}")).parse().unwrap()
}

/// "On the Unix socket only: the peer's user … (by default the daemon's own user is an administrator)."
/// "Nothing sent: 401 `AUTH_INVALID_CREDENTIALS`, with `WWW-Authenticate: Bearer`."
fn nothing_sent_is_401_on_tcp_and_the_peer_on_unix(api: &Api) {
    if api.transport == Transport::Unix {
        api.bare("POST", "/api/secrets").json(json!({"key": "A", "value": "1"})).send().is(201);
        api.bare("GET", "/api/secrets/A").send().is(200);
        api.bare("POST", "/api/secrets/api-key/rotate").send().is(200);
    } else {
        for call in everything(api) {
            let answer = call.send().refuses(401, "AUTH_INVALID_CREDENTIALS");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
}

/// "`GET /api/health` (no authentication …)"
fn health_takes_no_credential(api: &Api) {
    api.bare("GET", "/api/health").send().is(200);
    api.bare("GET", "/api/health").bearer("x").send().is(200);
}

/// "Valid, but not allowed: 403 `FORBIDDEN` (`Admin access required`, or the scope that is missing)."
fn valid_but_not_allowed_is_403(api: &Api) {
    let token = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"role": "authenticated"})));
    for call in everything(api) {
        call.bearer(&token).send().fails(403, "FORBIDDEN", "Admin access required");
    }
}

/// "only digests of API keys are stored."
fn only_digests_of_api_keys_are_stored(api: &Api) {
    let rotated = api.post("/api/secrets/api-key/rotate", json!({})).is(200).json();
    let keys = [api.vault.api_key.clone(), rotated["apiKey"].as_str().unwrap().to_owned(), api.anon_key()];
    for directory in [api.vault.sandbox.config(), api.vault.sandbox.data()] {
        for (path, content) in files::contents(&directory) {
            for key in &keys {
                let digits = key.rsplit_once('_').unwrap().1;
                assert!(!files::holds(&content, digits.as_bytes()), "{} holds a key", path.display());
            }
        }
    }
}

/// One call of each kind that takes an administrator, without a credential.
fn everything(api: &Api) -> Vec<Call> {
    let value = json!({"value": "changed"});
    vec![
        api.bare("GET", "/api/secrets"),
        api.bare("POST", "/api/secrets").json(json!({"key": "NEW", "value": "1"})),
        api.bare("GET", &secret("A")),
        api.bare("PUT", &secret("A")).json(value.clone()),
        api.bare("DELETE", &secret("A")),
        api.bare("DELETE", "/api/secrets/A?purge=true"),
        api.bare("GET", "/api/secrets/A/revisions"),
        api.bare("POST", "/api/secrets/A/rollback").json(json!({"revision": 1})),
        api.bare("POST", "/api/secrets/A/verify").json(value),
        api.bare("POST", "/api/secrets/api-key/rotate").json(json!({})),
        api.bare("POST", "/api/secrets/anon-key/rotate").json(json!({})),
        api.bare("GET", "/api/namespaces"),
        api.bare("GET", "/api/environment"),
        api.bare("GET", "/api/status"),
        api.bare("POST", "/api/tokens").json(json!({"admin": true, "ttlSeconds": 60})),
    ]
}
