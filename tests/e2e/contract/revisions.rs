//! "Revisions": the values that a secret had, and the way back to one.

use serde_json::{Value, json};

use crate::harness::Api;
use crate::harness::api::secret;

over_both!(
    revisions_are_listed_without_values,
    an_older_revision_can_be_read,
    the_last_ten_are_kept,
    a_rollback_makes_a_new_revision,
    a_revision_that_is_not_there_is_404,
    a_malformed_revision_is_400,
    an_inactive_secret_reveals_none_of_its_revisions,
);

fn listed(api: &Api) -> Vec<u64> {
    let body = api.get("/api/secrets/A/revisions").is(200).json();
    body["revisions"].as_array().unwrap().iter().map(|revision| revision["revision"].as_u64().unwrap()).collect()
}

fn create_with_revisions(api: &Api, count: u64) {
    api.create("A", "value 1");
    for revision in 2..=count {
        api.put(&secret("A"), json!({"value": format!("value {revision}")})).is(200);
    }
}

/// "`GET /api/secrets/{key}/revisions` (number, createdAt, by whom; no values)"
fn revisions_are_listed_without_values(api: &Api) {
    create_with_revisions(api, 3);
    let body = api.get("/api/secrets/A/revisions").is(200).json();
    let revisions = body["revisions"].as_array().unwrap();
    for (revision, number) in revisions.iter().zip([3, 2, 1]) {
        let mut revision = revision.as_object().unwrap().clone();
        assert_eq!(revision.remove("revision"), Some(json!(number)));
        assert!(revision.remove("createdAt").unwrap().is_string());
        let by = revision.remove("createdBy").unwrap();
        assert!(by.as_str().unwrap().contains("e2e"), "the token's subject wrote it, not {by}");
        assert!(revision.is_empty(), "{revision:?}");
    }
    assert_eq!(revisions.len(), 3);
    assert!(!body.to_string().contains("value"));
}

/// "`GET /api/secrets/{key}?revision=N`"
fn an_older_revision_can_be_read(api: &Api) {
    create_with_revisions(api, 3);
    for number in 1..=3 {
        let answer = api.get(&format!("/api/secrets/A?revision={number}")).is(200);
        assert_eq!(answer.json(), json!({"key": "A", "value": format!("value {number}")}));
        assert_eq!(answer.header("etag"), Some(&*format!("\"{number}\"")));
    }
    assert_eq!(api.value("A"), "value 3");
}

/// "The last 10 are kept (configurable)."
fn the_last_ten_are_kept(api: &Api) {
    create_with_revisions(api, 13);
    assert_eq!(listed(api), (4..=13).rev().collect::<Vec<_>>());
    for number in 1..=3 {
        api.get(&format!("/api/secrets/A?revision={number}")).is(404);
    }
    for number in 4..=13 {
        let answer = api.get(&format!("/api/secrets/A?revision={number}")).is(200);
        assert_eq!(answer.json()["value"], format!("value {number}"));
    }
}

/// "`POST /api/secrets/{key}/rollback {"revision":N}` (makes a new revision)"
fn a_rollback_makes_a_new_revision(api: &Api) {
    create_with_revisions(api, 3);
    let body = api.post("/api/secrets/A/rollback", json!({"revision": 1})).is(200).json();
    assert_eq!((&body["success"], &body["revision"]), (&json!(true), &json!(4)));
    assert!(body["message"].is_string());
    assert_eq!(api.value("A"), "value 1");
    assert_eq!(listed(api), [4, 3, 2, 1]);
    let third = api.get("/api/secrets/A?revision=3").is(200).json();
    assert_eq!(third["value"], "value 3");
    api.post("/api/secrets/A/rollback", json!({"revision": 4})).is(200);
    assert_eq!(listed(api), [5, 4, 3, 2, 1]);
}

fn a_revision_that_is_not_there_is_404(api: &Api) {
    create_with_revisions(api, 11);
    for number in [json!(1), json!(12), json!(9_007_199_254_740_993_u64), json!(i64::MAX)] {
        api.get(&format!("/api/secrets/A?revision={number}")).refuses(404, "NOT_FOUND");
        api.post("/api/secrets/A/rollback", json!({"revision": number})).refuses(404, "NOT_FOUND");
    }
    api.post("/api/secrets/A/rollback", json!({"revision": u64::MAX})).refuses(404, "NOT_FOUND");
    api.get("/api/secrets/UNKNOWN?revision=1").fails(404, "NOT_FOUND", "Secret not found: UNKNOWN");
    api.get("/api/secrets/UNKNOWN/revisions").fails(404, "NOT_FOUND", "Secret not found: UNKNOWN");
    let unknown = api.post("/api/secrets/UNKNOWN/rollback", json!({"revision": 1}));
    unknown.fails(404, "NOT_FOUND", "Secret not found: UNKNOWN");
    assert_eq!(api.value("A"), "value 11");
}

fn a_malformed_revision_is_400(api: &Api) {
    create_with_revisions(api, 2);
    for number in ["abc", "-1", "1.5", "1e0", "", "%20", "9223372036854775808", "99999999999999999999999"] {
        api.get(&format!("/api/secrets/A?revision={number}")).refuses(400, "INVALID_INPUT");
    }
    for body in [json!({}), json!({"revision": null}), json!({"revision": "1"}), json!([1]), json!(1)] {
        api.post("/api/secrets/A/rollback", body).refuses(400, "INVALID_INPUT");
    }
    assert_eq!(listed(api), [2, 1]);
}

fn an_inactive_secret_reveals_none_of_its_revisions(api: &Api) {
    create_with_revisions(api, 2);
    api.delete(&secret("A")).is(200);
    for path in ["/api/secrets/A?revision=1", "/api/secrets/A?revision=2"] {
        api.get(path).fails(404, "NOT_FOUND", "Secret not found: A");
    }
    let body: Value = api.put(&secret("A"), json!({"isActive": true})).is(200).json();
    assert_eq!(body["success"], json!(true));
    api.get("/api/secrets/A?revision=1").is(200);
}
