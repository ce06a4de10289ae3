//! "Common to every answer": headers and the identifier of a request.
//!
//! That every answer has them is checked by the harness; here are the answers that other tests do not ask for.

use serde_json::json;

use crate::harness::Api;
use crate::harness::api::secret;

over_both!(
    every_kind_of_answer_has_the_headers,
    a_sane_request_id_is_echoed,
    another_request_id_is_replaced,
    request_ids_differ,
    a_connection_is_kept_alive,
    head_works_where_get_does,
    an_unknown_path_is_404,
    a_known_path_with_a_wrong_method_is_405_with_allow,
    unknown_query_parameters_are_ignored,
);

/// "Headers: `Cache-Control: no-store`, `X-Request-Id` …, no CORS headers, no `Server`."
fn every_kind_of_answer_has_the_headers(api: &Api) {
    api.create("A", "1");
    for (call, status) in [
        (api.bare("GET", "/api/health"), 200),
        (api.call("GET", "/api/ready"), 200),
        (api.call("GET", "/api/openapi.json"), 200),
        (api.call("GET", "/"), 404),
        (api.call("GET", "/api"), 404),
        (api.call("GET", "/favicon.ico"), 404),
        (api.call("GET", "/api/secrets/A/nothing"), 404),
        (api.call("OPTIONS", "/api/secrets"), 405),
        (api.call("TRACE", "/api/secrets"), 405),
        (api.call("HEAD", "/api/secrets/A"), 200),
        (api.call("HEAD", "/api/secrets/UNKNOWN"), 404),
        (api.bare("HEAD", "/api/secrets").header("Authorization", "Bearer x"), 401),
        (api.call("PUT", "/api/secrets/A").raw_json("{"), 400),
    ] {
        call.send().is(status);
    }
}

/// "`X-Request-Id` (echoed when the client sent a sane one)"
fn a_sane_request_id_is_echoed(api: &Api) {
    for id in ["a", "7f3c9a52-5d1b-4c44-8d55-0e9a3fb0b3a1", "req_42.x-Y", &"a".repeat(64)] {
        let answer = api.call("GET", "/api/secrets").header("X-Request-Id", id).send().is(200);
        assert_eq!(answer.header("x-request-id"), Some(id));
        let refused = api.bare("GET", "/api/secrets").bearer("x").header("X-Request-Id", id).send().is(401);
        assert_eq!(refused.header("x-request-id"), Some(id));
    }
}

/// One that is not sane is replaced: it would end up in logs.
fn another_request_id_is_replaced(api: &Api) {
    for id in ["", "two words", "a;b", "<script>", "\u{e4}", "a\tb", "\"quoted\"", &"a".repeat(1000)] {
        let answer = api.call("GET", "/api/secrets").header("X-Request-Id", id).send().is(200);
        let given = answer.header("x-request-id").unwrap();
        assert!(given != id && given.len() <= 128, "{id:?} became {given:?}");
    }
}

fn request_ids_differ(api: &Api) {
    let id = || api.get("/api/secrets").header("x-request-id").unwrap().to_owned();
    assert_ne!(id(), id());
}

fn a_connection_is_kept_alive(api: &Api) {
    api.create("A", "1");
    let mut connection = api.connect();
    for _ in 0..3 {
        let answer = connection.send(&api.call("GET", "/api/secrets/A").request()).unwrap();
        assert_eq!(answer.status, 200);
        let answer = connection.send(&api.call("GET", "/api/secrets/UNKNOWN").request()).unwrap();
        assert_eq!(answer.status, 404);
    }
}

/// "HEAD works where GET does."
fn head_works_where_get_does(api: &Api) {
    api.create("A", "1");
    for path in [
        "/api/secrets",
        "/api/secrets/A",
        "/api/secrets/A?revision=1",
        "/api/secrets/A/revisions",
        "/api/secrets/UNKNOWN",
        "/api/secrets/lower",
        "/api/namespaces",
        "/api/environment",
        "/api/environment?keys=UNKNOWN",
        "/api/status",
        "/api/health",
        "/api/ready",
        "/api/openapi.json",
        "/api/nothing",
    ] {
        let get = api.get(path);
        let head = api.call("HEAD", path).send().is(get.status);
        assert!(head.body.is_empty());
        for name in ["content-type", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
    api.bare("HEAD", "/api/secrets/A").bearer("x").send().is(401);
    // No body comes after the head: the next answer on the connection starts where it should.
    let mut connection = api.connect();
    connection.send(&api.call("HEAD", "/api/secrets/A").request()).unwrap();
    let next = connection.send(&api.call("GET", "/api/secrets/A").request()).unwrap();
    assert_eq!(next.body, json!({"key": "A", "value": "1"}).to_string().into_bytes());
}

/// "Unknown path: 404"
fn an_unknown_path_is_404(api: &Api) {
    for path in ["/", "/api", "/api/", "/api/secret", "/api/secrets/A/x", "/api/secrets/A/revisions/1", "/API/SECRETS"]
    {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            api.call(method, path).send().refuses(404, "NOT_FOUND");
        }
    }
}

/// "known path, wrong method: 405 with `Allow`."
fn a_known_path_with_a_wrong_method_is_405_with_allow(api: &Api) {
    api.create("A", "1");
    for (method, path, allowed) in [
        ("PUT", "/api/secrets", &["GET", "HEAD", "POST"][..]),
        ("DELETE", "/api/secrets", &["GET", "HEAD", "POST"]),
        ("OPTIONS", "/api/secrets", &["GET", "HEAD", "POST"]),
        ("POST", "/api/secrets/A", &["DELETE", "GET", "HEAD", "PUT"]),
        ("PATCH", "/api/secrets/A", &["DELETE", "GET", "HEAD", "PUT"]),
        ("POST", "/api/secrets/A/revisions", &["GET", "HEAD"]),
        ("GET", "/api/secrets/A/rollback", &["POST"]),
        ("PUT", "/api/secrets/A/verify", &["POST"]),
        ("GET", "/api/secrets/A/verify", &["POST"]),
        ("GET", "/api/secrets/api-key/rotate", &["POST"]),
        ("DELETE", "/api/secrets/anon-key/rotate", &["POST"]),
        ("POST", "/api/namespaces", &["GET", "HEAD"]),
        ("PUT", "/api/environment", &["GET", "HEAD"]),
        ("POST", "/api/health", &["GET", "HEAD"]),
        ("DELETE", "/api/ready", &["GET", "HEAD"]),
        ("POST", "/api/status", &["GET", "HEAD"]),
    ] {
        let answer = api.call(method, path).send().refuses(405, "METHOD_NOT_ALLOWED");
        let mut allow: Vec<_> = answer.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow, allowed, "{method} {path}");
    }
}

fn unknown_query_parameters_are_ignored(api: &Api) {
    api.create("A", "1");
    for path in ["/api/secrets?x=1", "/api/secrets/A?x=1&y", "/api/environment?color=red", "/api/health?x=%ff"] {
        api.get(path).is(200);
    }
    api.put("/api/secrets/A?x=1", json!({"value": "2"})).is(200);
    api.delete("/api/secrets/A?x=1").is(200);
    api.put(&secret("A"), json!({"isActive": true})).is(200);
    assert_eq!(api.value("A"), "2");
}
