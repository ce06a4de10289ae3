//! "Concurrency": `ETag` and `If-Match`.

use serde_json::json;

use crate::harness::api::secret;
use crate::harness::{Answer, Api, time_in};

over_both!(
    get_and_put_answer_the_revision_as_etag,
    only_a_new_value_is_a_new_revision,
    put_and_delete_take_if_match,
    a_precondition_that_moved_is_412_and_changes_nothing,
    a_precondition_on_an_unknown_secret_is_404,
    a_malformed_precondition_is_400,
);

fn etag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no ETag: {answer:?}")).to_owned()
}

/// "GET and PUT answer `ETag: "REVISION"`"
fn get_and_put_answer_the_revision_as_etag(api: &Api) {
    api.create("A", "1");
    for revision in 1..4 {
        assert_eq!(etag(&api.get(&secret("A"))), format!("\"{revision}\""));
        assert_eq!(etag(&api.call("HEAD", &secret("A")).send()), format!("\"{revision}\""));
        assert_eq!(api.metadata("A")["revision"], json!(revision));
        let updated = api.put(&secret("A"), json!({"value": "same"})).is(200);
        assert_eq!(etag(&updated), format!("\"{}\"", revision + 1));
    }
    assert_eq!(etag(&api.get("/api/secrets/A?revision=2")), "\"2\"");
}

/// A value always makes a new revision, the same one too; metadata alone never does.
fn only_a_new_value_is_a_new_revision(api: &Api) {
    api.create("A", "1");
    for body in [
        json!({"isActive": true}),
        json!({"isReserved": true}),
        json!({"isReserved": false, "isActive": false}),
        json!({"isActive": true, "expiresAt": time_in(60)}),
    ] {
        assert_eq!(etag(&api.put(&secret("A"), body).is(200)), "\"1\"");
    }
    api.delete(&secret("A")).is(200);
    assert_eq!(api.metadata("A")["revision"], json!(1));
    api.put(&secret("A"), json!({"isActive": true, "value": "1"})).is(200);
    assert_eq!(etag(&api.get(&secret("A"))), "\"2\"");
}

/// "PUT and DELETE take `If-Match`"
fn put_and_delete_take_if_match(api: &Api) {
    api.create("A", "1");
    let call = |method: &str, condition: &str| api.call(method, &secret("A")).header("If-Match", condition);
    let value = || json!({"value": "2"});
    call("PUT", "\"1\"").json(value()).send().is(200);
    call("PUT", "*").json(value()).send().is(200);
    call("PUT", "\"7\", \"3\"").json(value()).send().is(200);
    call("PUT", "\"4\"").json(json!({"isReserved": false})).send().is(200);
    call("DELETE", "\"4\"").send().is(200);
    call("PUT", "\"4\"").json(json!({"isActive": true})).send().is(200);
    let purge = api.call("DELETE", "/api/secrets/A?purge=true");
    purge.clone().header("If-Match", "\"3\"").send().refuses(412, "PRECONDITION_FAILED");
    purge.header("If-Match", "\"4\"").send().is(200);
    api.get(&secret("A")).is(404);
}

/// "412 when it moved."
fn a_precondition_that_moved_is_412_and_changes_nothing(api: &Api) {
    api.create("A", "1");
    api.put(&secret("A"), json!({"value": "2"})).is(200);
    let before = api.metadata("A");
    for condition in ["\"1\"", "\"3\"", "\"0\"", "\"99999999999999999999\"", "\"1\", \"3\"", "\"abc\""] {
        let call = |method: &str| api.call(method, &secret("A")).header("If-Match", condition);
        call("PUT").json(json!({"value": "3"})).send().refuses(412, "PRECONDITION_FAILED");
        call("PUT").json(json!({"isReserved": true})).send().refuses(412, "PRECONDITION_FAILED");
        call("DELETE").send().refuses(412, "PRECONDITION_FAILED");
    }
    assert_eq!(api.metadata("A"), before);
}

fn a_precondition_on_an_unknown_secret_is_404(api: &Api) {
    for condition in ["\"1\"", "*"] {
        let call = |method: &str| api.call(method, "/api/secrets/UNKNOWN").header("If-Match", condition);
        call("PUT").json(json!({"value": "3"})).send().refuses(404, "NOT_FOUND");
        call("DELETE").send().refuses(404, "NOT_FOUND");
    }
}

fn a_malformed_precondition_is_400(api: &Api) {
    api.create("A", "1");
    for condition in ["1", "\"1", "1\"", "", "abc", "\"1\" \"2\""] {
        let call = |method: &str| api.call(method, &secret("A")).header("If-Match", condition);
        call("PUT").json(json!({"value": "3"})).send().refuses(400, "INVALID_INPUT");
        call("DELETE").send().refuses(400, "INVALID_INPUT");
    }
    assert_eq!(api.value("A"), "1");
}
