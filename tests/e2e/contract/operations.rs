//! "Operations" and "Tokens", as far as they are built: health, ready, status, the OpenAPI document, administrators' tokens.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Answer, Api, Transport, jwt, now};

over_both!(
    health_says_ok,
    ready_says_so,
    status_tells_about_the_vault,
    an_administrators_token_is_minted,
    a_token_that_cannot_be_is_400,
    the_openapi_document_is_the_golden_one,
    the_openapi_document_has_every_call,
);

/// "`{"status":"ok"|"sealed","service":"hushd","version","timestamp"}`"
fn health_says_ok(api: &Api) {
    let body = api.bare("GET", "/api/health").send().is(200).json();
    let timestamp = &body["timestamp"];
    let seconds = timestamp.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert!((now() - seconds).abs() < 5, "{timestamp}");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(body, json!({"status": "ok", "service": "hushd", "version": version, "timestamp": timestamp}));
}

/// "`GET /api/ready` (503 while sealed or when the store refuses writes)"
fn ready_says_so(api: &Api) {
    assert_eq!(api.get("/api/ready").is(200).json(), json!({"ready": true}));
}

fn status_tells_about_the_vault(api: &Api) {
    api.create("A", "1");
    api.create("B", "1");
    api.delete("/api/secrets/B").is(200);
    api.create_expired("C", "1");
    api.put("/api/secrets/A", json!({"expiresAt": "2036-07-15T12:00:00Z"})).is(200);
    let body = api.get("/api/status").is(200).json();
    let listeners =
        [format!("unix://{}", api.daemon().socket.display()), format!("http://127.0.0.1:{}", api.daemon().port)];
    let expected = json!({
        "status": "ok", "version": env!("CARGO_PKG_VERSION"), "vaultId": body["vaultId"],
        "dataDirectory": api.vault.sandbox.data(), "listeners": listeners, "active": 1, "total": 3,
        "nextExpiry": "2036-07-15T12:00:00.000Z", "writable": true, "problems": [], "backup": null, "rekey": null,
        "hardening": body["hardening"], "peers": body["peers"], "audit": "on", "findings": body["findings"], "renders": [],
        "policy": {"policies": 0, "problem": null},
    });
    assert_eq!(body, expected);
    // What holds depends on the machine; that the list and the notes are whole does not.
    let hardening = body["hardening"].as_array().unwrap();
    assert_eq!(hardening.len(), 7, "{body}");
    for one in hardening {
        assert!(one["name"].is_string() && one["holds"].is_boolean(), "{one}");
        assert!(one["holds"] == true || one["note"].is_string(), "what does not hold says why: {one}");
    }
    let missing: Vec<_> = hardening.iter().filter(|one| one["holds"] == false).map(|one| &one["name"]).collect();
    let findings = body["findings"].as_array().unwrap();
    assert_eq!(findings.iter().map(|finding| &finding["subject"]).collect::<Vec<_>>(), missing, "{body}");
    let peers = &body["peers"];
    assert_eq!(peers["notes"].as_array().unwrap().is_empty(), peers["users"] == true && peers["units"] == true);
    assert!(body["vaultId"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
}

/// "`POST /api/tokens`": `{"admin":true,"ttlSeconds":N}` → 201 `{"token","id","expiresAt"}`
fn an_administrators_token_is_minted(api: &Api) {
    for (body, seconds) in [
        (json!({"admin": true, "ttlSeconds": 3600}), 3600),
        (json!({"admin": true, "ttlSeconds": 1}), 1),
        (json!({"admin": true, "ttlSeconds": 31_536_000, "subject": "deploy"}), 31_536_000),
    ] {
        let answer = api.post("/api/tokens", body.clone()).is(201).json();
        let token = answer["token"].as_str().unwrap();
        let expires = answer["expiresAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
        assert!((expires - now() - seconds).abs() < 5, "{answer}");
        assert!(answer["id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
        assert_eq!(answer.as_object().unwrap().len(), 3);
        let claims = jwt::read(token);
        assert_eq!((&claims["role"], &claims["exp"]), (&json!("project_admin"), &json!(expires)));
        // Whom it is for; the caller when that was not said.
        assert_eq!(claims["sub"], body["subject"].as_str().unwrap_or("e2e"));
        assert_eq!(token, jwt::hs256_like(token, &api.vault.jwt_secret), "signed with the vault's own secret");
        if seconds > 1 {
            api.bare("GET", "/api/secrets").bearer(token).send().is(200);
        }
    }
}

fn a_token_that_cannot_be_is_400(api: &Api) {
    for body in [
        json!({}),
        json!({"admin": true}),
        json!({"ttlSeconds": 60}),
        json!({"admin": false, "ttlSeconds": 60}),
        json!({"admin": true, "ttlSeconds": 0}),
        json!({"admin": true, "ttlSeconds": -1}),
        json!({"admin": true, "ttlSeconds": 31_536_001}),
        json!({"admin": true, "ttlSeconds": i64::MAX}),
        json!({"admin": true, "ttlSeconds": 60, "subject": ""}),
        json!({"admin": true, "ttlSeconds": 60, "subject": null}),
        json!({"admin": true, "ttlSeconds": 60, "subject": "x".repeat(129)}),
        json!([true, 60]),
    ] {
        api.post("/api/tokens", body).refuses(400, "INVALID_INPUT");
    }
}

/// "`GET /api/openapi.json` (OpenAPI 3, generated from the code, the same that is tested)."
///
/// With `HUSHD_UPDATE_GOLDEN=1` in the environment the golden file is written anew.
fn the_openapi_document_is_the_golden_one(api: &Api) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    let document = format!("{:#}\n", openapi(api).json());
    if std::env::var_os("HUSHD_UPDATE_GOLDEN").is_some() && api.transport == Transport::Unix {
        fs::write(&path, &document).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(document == golden, "the document has changed: run with HUSHD_UPDATE_GOLDEN=1 and look at the difference");
}

fn openapi(api: &Api) -> Answer {
    api.get("/api/openapi.json").is(200)
}

fn the_openapi_document_has_every_call(api: &Api) {
    let document = openapi(api).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{}", document["openapi"]);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for (path, methods) in [
        ("/api/secrets", &["get", "post"][..]),
        ("/api/secrets/{key}", &["get", "put", "delete"]),
        ("/api/secrets/{key}/revisions", &["get"]),
        ("/api/secrets/{key}/rollback", &["post"]),
        ("/api/secrets/{key}/verify", &["post"]),
        ("/api/secrets/api-key/rotate", &["post"]),
        ("/api/secrets/anon-key/rotate", &["post"]),
        ("/api/namespaces", &["get"]),
        ("/api/environment", &["get"]),
        ("/api/tokens", &["post"]),
        ("/api/status", &["get"]),
        ("/api/health", &["get"]),
        ("/api/ready", &["get"]),
        ("/api/openapi.json", &["get"]),
    ] {
        for method in methods {
            let operation = &document["paths"][path][method];
            assert!(operation["responses"].is_object(), "{method} {path} is missing");
            // What the document names, the daemon answers: not 404 for the path, not 405 for the method.
            let call = api.call(&method.to_uppercase(), &path.replace("{key}", "lower"));
            assert!(!matches!(call.send().status, 404 | 405), "{method} {path}");
        }
    }
    // Whoever makes a client of it makes a function of each.
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let names: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let different: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), different.len(), "{names:?}");
    // The page that this project was created from.
    let update = &document["paths"]["/api/secrets/{key}"]["put"];
    let statuses = |operation: &Value| operation["responses"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for status in ["200", "404", "500"] {
        assert!(statuses(update).iter().any(|known| known == status), "{update}");
    }
}
