//! "Namespaces": `?namespace=shop/dev` on every call, and `GET /api/namespaces`.

use serde_json::{Value, json};

use crate::harness::Api;

over_both!(
    each_namespace_has_its_own_keys,
    the_default_namespace_is_default,
    every_call_takes_a_namespace,
    a_malformed_namespace_is_400_on_every_call,
    namespaces_are_listed_with_counts,
);

/// "Each has its own keys, so that two projects can both have `DATABASE_URL`."
fn each_namespace_has_its_own_keys(api: &Api) {
    let spaces = ["shop/dev", "shop", "shop/dev/eu", "0.a_b-c", "a/b/c/d/e/f/g/h", &"n".repeat(128)];
    for space in spaces {
        let body = json!({"key": "DATABASE_URL", "value": format!("postgres://{space}")});
        api.post(&format!("/api/secrets?namespace={space}"), body.clone()).is(201);
        api.post(&format!("/api/secrets?namespace={space}"), body).is(409);
    }
    for space in spaces {
        let answer = api.get(&format!("/api/secrets/DATABASE_URL?namespace={}", space.replace('/', "%2F"))).is(200);
        assert_eq!(answer.json()["value"], format!("postgres://{space}"));
        let list = api.get(&format!("/api/secrets?namespace={space}")).is(200).json();
        assert_eq!(list["secrets"].as_array().unwrap().len(), 1);
        assert_eq!(list["secrets"][0]["namespace"], space);
    }
    api.delete("/api/secrets/DATABASE_URL?namespace=shop&purge=true").is(200);
    api.get("/api/secrets/DATABASE_URL?namespace=shop").is(404);
    api.get("/api/secrets/DATABASE_URL?namespace=shop/dev").is(200);
    api.get("/api/secrets/DATABASE_URL").is(404);
}

/// "`namespace` is an optional query parameter on each, default `default`"
fn the_default_namespace_is_default(api: &Api) {
    api.create("A", "1");
    assert_eq!(api.metadata("A")["namespace"], "default");
    assert_eq!(api.get("/api/secrets/A?namespace=default").is(200).json()["value"], "1");
    api.put("/api/secrets/A?namespace=default", json!({"value": "2"})).is(200);
    assert_eq!(api.value("A"), "2");
    api.post("/api/secrets?namespace=default", json!({"key": "A", "value": "1"})).is(409);
}

fn every_call_takes_a_namespace(api: &Api) {
    api.create("A", "elsewhere");
    let path = |rest: &str| format!("/api/secrets/A{rest}?namespace=shop");
    api.post("/api/secrets?namespace=shop", json!({"key": "A", "value": "1"})).is(201);
    api.put(&path(""), json!({"value": "2"})).is(200);
    assert_eq!(api.get(&path("/revisions")).is(200).json()["revisions"].as_array().unwrap().len(), 2);
    let first = api.get("/api/secrets/A?revision=1&namespace=shop").is(200).json();
    assert_eq!(first["value"], "1");
    api.post(&path("/rollback"), json!({"revision": 1})).is(200);
    assert_eq!(api.post(&path("/verify"), json!({"value": "1"})).is(200).json(), json!({"matches": true}));
    let environment = api.get("/api/environment?namespace=shop").is(200).json();
    assert_eq!(environment["environment"], json!({"A": "1"}));
    api.call("HEAD", &path("")).send().is(200);
    api.delete(&path("")).is(200);
    api.get(&path("")).is(404);
    assert_eq!(api.value("A"), "elsewhere");
    assert_eq!(api.metadata("A")["revision"], json!(1));
}

/// "`^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){0,7}$`, at most 128 characters."
fn a_malformed_namespace_is_400_on_every_call(api: &Api) {
    api.create("A", "1");
    let too_long = "n".repeat(129);
    for space in [
        "",
        "Shop",
        "shop/",
        "/shop",
        "shop//dev",
        "..",
        "shop/../etc",
        "shop/*",
        "shop/%2A%2A",
        "-a",
        "a%20b",
        "%C3%A4",
        "a%00",
        "a/b/c/d/e/f/g/h/i",
        &too_long,
    ] {
        for (method, path, body) in [
            ("GET", "/api/secrets", None),
            ("POST", "/api/secrets", Some(json!({"key": "B", "value": "1"}))),
            ("GET", "/api/secrets/A", None),
            ("PUT", "/api/secrets/A", Some(json!({"value": "2"}))),
            ("DELETE", "/api/secrets/A", None),
            ("GET", "/api/secrets/A/revisions", None),
            ("POST", "/api/secrets/A/rollback", Some(json!({"revision": 1}))),
            ("POST", "/api/secrets/A/verify", Some(json!({"value": "1"}))),
            ("GET", "/api/environment", None),
        ] {
            let call = api.call(method, &format!("{path}?namespace={space}"));
            let call = if let Some(body) = body { call.json(body) } else { call };
            call.send().refuses(400, "INVALID_INPUT");
        }
    }
    assert_eq!(api.value("A"), "1");
}

/// "`GET /api/namespaces` lists them with counts."
fn namespaces_are_listed_with_counts(api: &Api) {
    let list = || api.get("/api/namespaces").is(200).json()["namespaces"].clone();
    let count = |space: &str, active: u64, total: u64| json!({"namespace": space, "active": active, "total": total});
    let create = |space: &str, key: &str| {
        api.post(&format!("/api/secrets?namespace={space}"), json!({"key": key, "value": "1"})).is(201);
    };
    create("shop/dev", "A");
    create("shop/dev", "B");
    create("shop/dev", "C");
    create("blog", "A");
    api.delete("/api/secrets/B?namespace=shop/dev").is(200);
    let expired = json!({"expiresAt": "2020-01-01T00:00:00Z"});
    api.put("/api/secrets/C?namespace=shop/dev", expired).is(200);
    let without_default = |list: Value| {
        let spaces = list.as_array().unwrap().iter().filter(|space| space["namespace"] != "default").cloned();
        Value::Array(spaces.collect())
    };
    assert_eq!(without_default(list()), json!([count("blog", 1, 1), count("shop/dev", 1, 3)]));
    api.delete("/api/secrets/A?namespace=blog&purge=true").is(200);
    api.create("A", "1");
    assert_eq!(list(), json!([count("default", 1, 1), count("shop/dev", 1, 3)]));
}
