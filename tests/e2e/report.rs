//! "a picture at a glance of expiring, unused and duplicated secrets": what a report tells, and to whom.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::{Value, json};

use crate::at_rest::records::{AtRest, VALUE, change};
use crate::harness::{Api, Transport};

const SAME: &str = "one-value-between-them";

fn put(api: &Api, namespace: &str, key: &str, value: &str, more: Value) {
    let mut body = json!({"key": key, "value": value});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    api.post(&format!("/api/secrets?namespace={namespace}"), body).is(201);
}

/// What a report finds, a line each: `kind namespace/key…`.
#[track_caller]
fn found(report: &Value) -> Vec<String> {
    let name = |name: &Value| format!("{}/{}", name["namespace"].as_str().unwrap(), name["key"].as_str().unwrap());
    let line = |finding: &Value| {
        assert!(
            !finding["hint"].as_str().unwrap().is_empty() && finding["see"].as_str().unwrap().starts_with("README.md#")
        );
        let names: Vec<String> = finding["secrets"].as_array().unwrap().iter().map(name).collect();
        format!("{} {}", finding["kind"].as_str().unwrap(), names.join(" "))
    };
    report["findings"].as_array().unwrap().iter().map(line).collect()
}

fn fill(api: &Api) {
    put(api, "shop/dev", "A", SAME, json!({}));
    put(api, "shop/prod", "A", SAME, json!({}));
    put(api, "other", "SECRET", SAME, json!({}));
    for (namespace, key) in [("shop/dev", "PORT"), ("shop/prod", "PORT")] {
        put(api, namespace, key, "3000", json!({}));
    }
    put(api, "shop/dev", "GONE", "gone-1234", json!({"expiresAt": "2020-01-01T00:00:00Z"}));
    put(api, "shop/dev", "URL", "pg://${A}@${HOST}/${PORT}", json!({"isTemplate": true}));
    put(api, "shop", "HOST_ABOVE", "${NOWHERE}", json!({"isTemplate": true}));
}

#[test]
fn it_tells_what_could_be_tidied_up() {
    let api = Api::start(Transport::Unix);
    fill(&api);
    let report = api.get("/api/report").is(200).json();
    let expected = [
        "expired shop/dev/GONE",
        "missingReference shop/HOST_ABOVE",
        "missingReference shop/dev/URL",
        "duplicate other/SECRET shop/dev/A shop/prod/A",
    ];
    assert_eq!(found(&report), expected);
    assert_eq!((&report["secrets"], &report["compared"]), (&json!(8), &json!(7)));
    assert_eq!(report["findings"][1]["missing"], json!(["NOWHERE"]));
    assert_eq!(report["findings"][2]["missing"], json!(["HOST"]), "PORT and A are beside it");
    assert!(!report.to_string().contains(SAME));

    // Inherited from above counts as there.
    put(&api, "shop", "HOST", "db.local.example", json!({}));
    let report = api.get("/api/report?namespace=shop/dev").is(200).json();
    assert_eq!(found(&report), ["expired shop/dev/GONE"]);

    // Expiring, unread and old, by the days that are asked for.
    put(&api, "late", "NEVER", "never-read-1", json!({"expiresAt": "2999-01-01T00:00:00Z"}));
    let report = api.get("/api/report?namespace=late&unreadDays=0&oldDays=0&expiringDays=36500").is(200).json();
    assert_eq!(found(&report), ["unread late/NEVER", "old late/NEVER"]);
    assert_eq!(report["findings"][0].get("at"), None, "never");
    for wrong in ["unreadDays=-1", "oldDays=x", "expiringDays=36501", "namespace=NO"] {
        api.get(&format!("/api/report?{wrong}")).refuses(400, "INVALID_INPUT");
    }
    api.stop();
}

/// "only between secrets the caller may read": what a token does not reach is not in it, also not as a twin.
#[test]
fn it_tells_nobody_more_than_he_may_see() {
    let api = Api::start(Transport::Unix);
    fill(&api);
    let token = |scope: &[&str]| {
        let answer = api.post("/api/tokens", json!({"scope": scope, "ttlSeconds": 600})).is(201).json();
        answer["token"].as_str().unwrap().to_owned()
    };
    let report = |token: &str| api.bare("GET", "/api/report").bearer(token).send().is(200).json();

    let lists = report(&token(&["list shop/**"]));
    assert_eq!(found(&lists), ["expired shop/dev/GONE"]);
    assert_eq!((&lists["secrets"], &lists["compared"]), (&json!(7), &json!(0)));

    let one = report(&token(&["list shop/dev/*", "read shop/dev/*"]));
    assert_eq!(found(&one), ["expired shop/dev/GONE", "missingReference shop/dev/URL"]);
    assert!(!one.to_string().contains("other") && !one.to_string().contains("prod"), "{one}");

    let both = report(&token(&["list shop/**", "read shop/**"]));
    assert!(found(&both).contains(&"duplicate shop/dev/A shop/prod/A".to_owned()), "{both}");
    assert!(!both.to_string().contains("other"), "{both}");

    // Whoever may read one of two and list both learns nothing of the other.
    let half = report(&token(&["list shop/**", "read shop/dev/A"]));
    assert_eq!(found(&half), ["expired shop/dev/GONE"]);
    assert_eq!(half["compared"], 1);

    let anon = api.anon_key();
    api.bare("GET", "/api/report").bearer(&anon).send().refuses(403, "FORBIDDEN");
    api.bare("GET", "/api/report").bearer("hushd_wrong").send().refuses(401, "AUTH_INVALID_CREDENTIALS");

    // What was compared is in the trail, and no reveal is.
    let entries = api.get("/api/audit?action=compare").is(200).json();
    let compared: Vec<&str> =
        entries["entries"].as_array().unwrap().iter().filter_map(|entry| entry["namespace"].as_str()).collect();
    assert!(compared.contains(&"shop/dev") && !compared.contains(&"other"), "{entries}");
    assert_eq!(api.get("/api/audit?action=reveal").is(200).json()["entries"], json!([]));
    api.post("/api/seal", json!({})).is(200);
    api.get("/api/report").refuses(503, "VAULT_SEALED");
    drop(api.kill());
}

#[test]
fn people_get_a_table_a_page_and_a_document() {
    let api = Api::start(Transport::Unix);
    fill(&api);
    let sandbox = &api.vault.sandbox;
    let output = sandbox.run(&["report"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("other/SECRET = shop/dev/A = shop/prod/A"), "{output:?}");
    assert!(output.stdout.contains("shop/dev/URL -> HOST"), "{output:?}");
    assert!(output.stderr.contains("8 secrets looked at, 7 compared"), "{output:?}");

    let page = sandbox.path("home/report.html");
    let output = sandbox.run(&["report", "--html", page.to_str().unwrap(), "--json"]);
    assert_eq!(output.json()["findings"].as_array().unwrap().len(), 4, "{output:?}");
    let text = fs::read_to_string(&page).unwrap();
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(text.starts_with("<!doctype html>") && text.contains("shop/dev/A = shop/prod/A"), "{text}");
    assert!(!text.contains(SAME));

    // A link in its place is replaced, and what it leads to is not written.
    let (other, link) = (sandbox.path("home/other"), sandbox.path("home/link.html"));
    fs::write(&other, "mine").unwrap();
    symlink(&other, &link).unwrap();
    drop(sandbox.run(&["report", "--html", link.to_str().unwrap()]));
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");

    let output = sandbox.run(&["report", "--namespace", "nothing/here"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert!(output.stderr.contains("nothing to tidy up among 0 secrets"), "{output:?}");
    assert_eq!(sandbox.run(&["report", "--old", "x"]).code, 2);
    let vault = api.stop();
    assert_eq!(vault.sandbox.run(&["report"]).code, 69);
}

/// What is damaged is told with what mends it, by a report and by a check; and what is told mends it.
#[test]
fn what_is_damaged_is_told_and_mended_as_it_says() {
    let at_rest = AtRest::new(|api| {
        api.create("BROKEN", "whole-at-first-1");
        api.create("WHOLE", "stays-whole-1");
        let sandbox = &api.vault.sandbox;
        sandbox.run(&["backup", "-o", sandbox.path("home/b.age").to_str().unwrap()]).exits(0);
    });
    let sandbox = &at_rest.vault.sandbox;
    let (key, record) = at_rest.records.iter().find(|(key, _)| key.first() == Some(&VALUE)).unwrap();
    let mut flipped = record.clone();
    *flipped.last_mut().unwrap() ^= 1;
    change(sandbox, key, Some(&flipped));
    let check = sandbox.run(&["check"]);
    assert_eq!(check.code, 65, "{check:?}");
    let broken = if check.stdout.contains("secret default/WHOLE") { "WHOLE" } else { "BROKEN" };
    assert!(check.stdout.contains(&format!("secret default/{broken}: revision 1")), "{check:?}");
    let mend = "take them from a backup: hushd restore FILE --keys KEY,… (README.md#backups)";
    assert!(check.stdout.contains(mend), "{check:?}");

    let api = Api::serve(at_rest.vault, Transport::Unix);
    let report = api.get("/api/report").is(200).json();
    assert_eq!(found(&report), [format!("damaged default/{broken}")]);
    assert!(report["findings"][0]["hint"].as_str().unwrap().starts_with("take it from a backup"));
    let sandbox = &api.vault.sandbox;
    let backup = sandbox.path("home/b.age");
    let restored = sandbox.run(&["restore", backup.to_str().unwrap(), "--keys", broken]);
    assert_eq!((restored.code, restored.stdout.contains("update")), (0, true), "{restored:?}");
    assert_eq!(found(&api.get("/api/report").is(200).json()), [] as [String; 0]);
    api.stop();
}
