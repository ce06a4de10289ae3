//! "Many at once": `GET /api/environment`.

use serde_json::{Value, json};

use crate::harness::Api;
use crate::harness::api::secret;

over_both!(
    the_environment_has_what_can_be_read,
    keys_choose_among_them,
    a_prefix_chooses_among_them,
    missing_keys_are_404_naming_all,
    malformed_keys_are_400,
    the_revision_moves_with_every_change,
);

fn environment(api: &Api, query: &str) -> Value {
    api.get(&format!("/api/environment?{query}")).is(200).json()["environment"].clone()
}

fn create_some(api: &Api) {
    for key in ["DB_URL", "DB_PASSWORD", "STRIPE_KEY", "GONE", "OLD"] {
        api.create(key, &format!("value of {key}\n"));
    }
    api.delete(&secret("GONE")).is(200);
    api.put(&secret("OLD"), json!({"expiresAt": "2020-01-01T00:00:00Z"})).is(200);
}

/// "`{"environment":{"A":"…"}, "revision":…}`, one request for what a process needs"
fn the_environment_has_what_can_be_read(api: &Api) {
    assert_eq!(environment(api, ""), json!({}));
    create_some(api);
    let body = api.get("/api/environment").is(200).json();
    let values = json!({
        "DB_PASSWORD": "value of DB_PASSWORD\n", "DB_URL": "value of DB_URL\n", "STRIPE_KEY": "value of STRIPE_KEY\n",
    });
    assert_eq!(body["environment"], values);
    assert!(body["revision"].is_u64(), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2);
    assert_eq!(environment(api, "namespace=elsewhere"), json!({}));
}

fn keys_choose_among_them(api: &Api) {
    create_some(api);
    let one = json!({"DB_URL": "value of DB_URL\n"});
    let two = json!({"DB_URL": "value of DB_URL\n", "STRIPE_KEY": "value of STRIPE_KEY\n"});
    assert_eq!(environment(api, "keys=DB_URL"), one);
    assert_eq!(environment(api, "keys=STRIPE_KEY,DB_URL"), two);
    assert_eq!(environment(api, "keys=STRIPE_KEY%2CDB_URL,DB_URL"), two);
    assert_eq!(environment(api, "namespace=default&keys=DB_URL"), one);
}

fn a_prefix_chooses_among_them(api: &Api) {
    create_some(api);
    let both = json!({"DB_PASSWORD": "value of DB_PASSWORD\n", "DB_URL": "value of DB_URL\n"});
    assert_eq!(environment(api, "prefix=DB_"), both);
    assert_eq!(environment(api, "prefix=DB_U"), json!({"DB_URL": "value of DB_URL\n"}));
    assert_eq!(environment(api, "prefix=NONE_"), json!({}));
    assert_eq!(environment(api, "prefix=")["STRIPE_KEY"], "value of STRIPE_KEY\n");
}

/// "a named key that is missing is 404 naming all that are missing."
fn missing_keys_are_404_naming_all(api: &Api) {
    create_some(api);
    let answer = api.get("/api/environment?keys=DB_URL,NOWHERE,GONE,OLD,STRIPE_KEY").refuses(404, "NOT_FOUND");
    let message = answer.message();
    for missing in ["NOWHERE", "GONE", "OLD"] {
        assert!(message.contains(missing), "{message}");
    }
    for found in ["DB_URL", "STRIPE_KEY"] {
        assert!(!message.contains(found), "{message}");
    }
    api.get("/api/environment?keys=DB_URL&namespace=elsewhere").refuses(404, "NOT_FOUND");
}

fn malformed_keys_are_400(api: &Api) {
    create_some(api);
    for keys in ["lower", "DB_URL,lower", "DB-URL", "DB_URL,%00", "DB_URL%20STRIPE_KEY"] {
        api.get(&format!("/api/environment?keys={keys}")).refuses(400, "INVALID_INPUT");
    }
}

fn the_revision_moves_with_every_change(api: &Api) {
    let revision = || api.get("/api/environment").is(200).json()["revision"].as_u64().unwrap();
    let mut last = revision();
    let mut moves = |change: &dyn Fn()| {
        change();
        let now = revision();
        assert!(now > last, "{now} is not after {last}");
        assert_eq!(revision(), now, "reading moves nothing");
        last = now;
    };
    moves(&|| drop(api.create("A", "1")));
    moves(&|| drop(api.put(&secret("A"), json!({"value": "1"})).is(200)));
    moves(&|| drop(api.delete(&secret("A")).is(200)));
    moves(&|| drop(api.put(&secret("A"), json!({"isActive": true})).is(200)));
    moves(&|| drop(api.delete("/api/secrets/A?purge=true").is(200)));
    moves(&|| drop(api.create("A", "1")));
}
