//! "Secrets": `DELETE /api/secrets/{key}`.

use serde_json::json;

use crate::harness::Api;
use crate::harness::api::secret;

over_both!(
    a_deletion_is_200_and_again_200,
    an_unknown_secret_is_404,
    a_reserved_secret_is_403,
    deletion_keeps_the_revisions,
    purging_destroys_everything_for_good,
    purging_is_only_what_says_so,
);

/// "200 `{"success":true,"message":"Secret KEY has been deleted successfully"}`; again: 200"
fn a_deletion_is_200_and_again_200(api: &Api) {
    api.create("A", "1");
    for _ in 0..2 {
        let answer = api.delete(&secret("A")).is(200);
        assert_eq!(answer.json(), json!({"success": true, "message": "Secret A has been deleted successfully"}));
        api.get(&secret("A")).fails(404, "NOT_FOUND", "Secret not found: A");
        assert_eq!(api.metadata("A")["isActive"], json!(false));
    }
    api.create_expired("B", "1");
    api.delete(&secret("B")).is(200);
    assert_eq!(api.metadata("B")["isActive"], json!(false));
}

fn an_unknown_secret_is_404(api: &Api) {
    for path in ["/api/secrets/UNKNOWN", "/api/secrets/UNKNOWN?purge=true"] {
        api.delete(path).fails(404, "NOT_FOUND", "Secret not found: UNKNOWN");
    }
}

/// "403 `FORBIDDEN` `Cannot delete reserved secret: KEY`"
fn a_reserved_secret_is_403(api: &Api) {
    api.post("/api/secrets", json!({"key": "A", "value": "1", "isReserved": true})).is(201);
    for path in ["/api/secrets/A", "/api/secrets/A?purge=true"] {
        api.delete(path).fails(403, "FORBIDDEN", "Cannot delete reserved secret: A");
    }
    assert_eq!(api.value("A"), "1");
}

/// "DELETE keeps the revisions (`isActive:true` brings the secret back)"
fn deletion_keeps_the_revisions(api: &Api) {
    api.create("A", "1");
    api.put(&secret("A"), json!({"value": "2"})).is(200);
    api.delete(&secret("A")).is(200);
    api.put(&secret("A"), json!({"isActive": true})).is(200);
    assert_eq!(api.value("A"), "2");
    let first = api.get("/api/secrets/A?revision=1").is(200);
    assert_eq!(first.json()["value"], "1");
}

/// "`DELETE …?purge=true` destroys every revision and the metadata for good, and says so in `message`."
fn purging_destroys_everything_for_good(api: &Api) {
    let id = api.create("A", "1");
    api.put(&secret("A"), json!({"value": "2"})).is(200);
    let answer = api.delete("/api/secrets/A?purge=true").is(200);
    assert_eq!(answer.json()["success"], json!(true));
    let message = answer.message();
    assert!(message.contains('A') && message != "Secret A has been deleted successfully", "{message}");
    assert_eq!(api.get("/api/secrets").json(), json!({"secrets": []}));
    for path in ["/api/secrets/A", "/api/secrets/A?revision=1", "/api/secrets/A/revisions"] {
        api.get(path).is(404);
    }
    api.put(&secret("A"), json!({"isActive": true})).is(404);
    api.delete(&secret("A")).is(404);
    api.delete("/api/secrets/A?purge=true").is(404);
    // The name is free again, for a secret that has nothing of the old one.
    assert_ne!(api.create("A", "3"), id);
    assert_eq!(api.get("/api/secrets/A/revisions").is(200).json()["revisions"].as_array().unwrap().len(), 1);
    // An inactive secret can be purged too.
    api.delete(&secret("A")).is(200);
    api.delete("/api/secrets/A?purge=true").is(200);
    api.delete(&secret("A")).is(404);
}

fn purging_is_only_what_says_so(api: &Api) {
    api.create("A", "1");
    api.delete("/api/secrets/A?purge=false").is(200);
    api.put(&secret("A"), json!({"isActive": true})).is(200);
    for query in ["purge=maybe", "purge=1x"] {
        api.delete(&format!("/api/secrets/A?{query}")).refuses(400, "INVALID_INPUT");
    }
    assert_eq!(api.value("A"), "1");
}
