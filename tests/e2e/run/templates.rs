//! "A secret set with `--template` may refer to others …, resolved by `run`, `env` and `render` only (`GET` and ordinary
//! values stay byte for byte); cycles and missing names are errors that show the path."

use serde_json::json;

use super::{set, shell, start};
use crate::harness::Api;
use crate::harness::api::secret;

#[track_caller]
fn set_template(api: &Api, key: &str, value: &str) {
    api.vault.sandbox.run_with(&["set", key, "--template"], value).exits(0);
}

#[test]
fn a_template_is_resolved_for_commands_and_only_for_them() {
    let api = start();
    set_template(&api, "URL", "postgres://u:${PASSWORD}@${HOST}/db?cost=$$5");
    set_template(&api, "HOST", "${NAME}.example");
    set(&api, "default", "NAME", "database");
    set(&api, "default", "PASSWORD", "p${NAME}$$");
    let expected = "postgres://u:p${NAME}$$@database.example/db?cost=$5";
    for options in [&[][..], &["--only", "URL"], &["--only", "URL", "--map", "X=URL"], &["--prefix", "U"]] {
        let variable = if options.contains(&"X=URL") { "X" } else { "URL" };
        let shown = shell(&api, options, &format!("printf %s \"${variable}\"")).exits(0);
        assert_eq!(shown.stdout, expected, "{options:?}");
    }
    // What it refers to is read for it, and not given.
    assert_eq!(shell(&api, &["--only", "URL"], "printf %s \"$PASSWORD\"").exits(0).stdout, "");
    assert_eq!(api.value("URL"), "postgres://u:${PASSWORD}@${HOST}/db?cost=$$5");
    assert_eq!(api.vault.sandbox.run(&["get", "HOST"]).exits(0).stdout, "${NAME}.example\n");
    let environment = api.get("/api/environment?keys=HOST,NAME").is(200).json();
    assert_eq!(environment["environment"], json!({"HOST": "${NAME}.example", "NAME": "database"}));
    assert_eq!(environment["templates"], json!(["HOST"]));
    api.stop();
}

#[test]
fn a_template_stays_one_until_it_is_said_otherwise() {
    let api = start();
    set_template(&api, "A", "${B}");
    set(&api, "default", "B", "value of b");
    assert_eq!(api.metadata("A")["isTemplate"], true);
    assert_eq!(api.metadata("B").get("isTemplate"), None);
    set(&api, "default", "A", "again ${B}");
    assert_eq!(shell(&api, &[], "printf %s \"$A\"").stdout, "again value of b");
    assert!(api.vault.sandbox.run(&["list"]).stdout.contains("template"));
    let api = api.restart();
    assert_eq!(shell(&api, &[], "printf %s \"$A\"").stdout, "again value of b");
    api.put(&secret("A"), json!({"isTemplate": false})).is(200);
    assert_eq!(shell(&api, &[], "printf %s \"$A\"").stdout, "again ${B}");
    api.put(&secret("A"), json!({"isTemplate": true})).is(200);
    api.vault.sandbox.run_with(&["set", "A", "--template=false"], "plain ${B}").exits(0);
    assert_eq!(shell(&api, &[], "printf %s \"$A\"").stdout, "plain ${B}");
    api.put(&secret("A"), json!({"isTemplate": null})).is(400);
    api.put(&secret("A"), json!({"isTemplate": 1})).is(400);
    api.stop();
}

#[test]
fn what_cannot_be_resolved_is_told_with_the_way_to_it() {
    let api = start();
    set_template(&api, "A", "${B}");
    set_template(&api, "B", "x${C}");
    let missing = shell(&api, &["--only", "A"], "echo ran");
    assert_eq!(missing.stdout, "");
    missing.fails(66, "a template refers to what is not there: A -> B -> C", "hushd set C");
    // What was made until then is in nothing that is said (GHSA-444v).
    set(&api, "default", "PASSWORD", "pw-71c0ffee-of-templates");
    set_template(&api, "URL", "pg://${PASSWORD}@${GONE}");
    let half = shell(&api, &["--only", "URL"], "echo ran");
    assert!(!half.stderr.contains("71c0ffee"), "{half:?}");
    half.fails(66, "a template refers to what is not there: URL -> GONE", "hushd set GONE");
    set_template(&api, "C", "${A}");
    shell(&api, &["--only", "A"], "echo ran").fails(65, "a template refers to itself: A -> B -> C -> A", "--template");
    set_template(&api, "C", "${open");
    shell(&api, &["--only", "C"], "echo ran").fails(65, "the template C has a ${ without its }", "$$");
    api.stop();
}

/// A template outlives a backup and its restoration.
#[test]
fn a_backup_keeps_templates() {
    let api = start();
    set_template(&api, "A", "${B}");
    set(&api, "default", "B", "value of b");
    let file = api.vault.sandbox.path("backup");
    api.vault.sandbox.run(&["backup", "-o", file.to_str().unwrap()]).exits(0);
    api.put(&secret("A"), json!({"isTemplate": false})).is(200);
    let restored = api.vault.sandbox.run(&["restore", file.to_str().unwrap(), "--keys", "A"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert_eq!(api.metadata("A")["isTemplate"], true);
    assert_eq!(shell(&api, &[], "printf %s \"$A\"").stdout, "value of b");
    api.stop();
}
