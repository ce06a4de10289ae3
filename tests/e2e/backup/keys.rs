//! Single secrets of a backup, back into the running vault.

use serde_json::json;

use super::{back_up, with_everything};
use crate::harness::cli;

#[test]
fn named_secrets_come_back_and_others_stay() {
    let api = with_everything();
    let path = back_up(&api);
    let run = |arguments: &[&str]| {
        let mut command = api.vault.sandbox.hushd(&["restore"]);
        cli::run(command.arg(&path).args(arguments), b"")
    };
    api.put("/api/secrets/PLAIN", json!({"value": "changed"})).is(200);
    api.put("/api/secrets/TEXT", json!({"value": "changed"})).is(200);
    for key in ["EMPTY", "INACTIVE", "LARGE"] {
        api.delete(&format!("/api/secrets/{key}?purge=true")).is(200);
    }
    let keys = ["--keys", "PLAIN,EMPTY,INACTIVE,LARGE,MANY", "--json"];
    let dry = run(&[&keys[..], &["--dry-run"]].concat()).exits(0);
    let actions = |document: &serde_json::Value| {
        let secrets = document["secrets"].as_array().unwrap().iter();
        secrets
            .map(|secret| format!("{} {}", secret["key"].as_str().unwrap(), secret["action"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let expected = ["EMPTY create", "INACTIVE create", "LARGE create", "MANY unchanged", "PLAIN update"];
    assert_eq!(actions(&dry.json()), expected);
    assert_eq!(dry.json()["secrets"][4]["changes"], json!(["value"]));
    assert_eq!(api.value("PLAIN"), "changed", "--dry-run changes nothing");
    api.get("/api/secrets/LARGE").is(404);

    assert_eq!(actions(&run(&keys).exits(0).json()), expected);
    assert_eq!(api.value("PLAIN"), "value");
    assert_eq!(api.value("EMPTY"), "");
    assert_eq!(api.value("LARGE").len(), 1024 * 1024);
    assert_eq!(api.metadata("INACTIVE")["isActive"], false);
    assert_eq!(api.metadata("MANY")["revision"], 13);
    assert_eq!(api.value("TEXT"), "changed", "what is not named is left alone");
    let again = run(&keys).exits(0).json();
    assert_eq!(actions(&again)[4], "PLAIN unchanged");

    run(&["--keys", "NOWHERE"]).fails(66, "not in the backup, in namespace default: NOWHERE", "--namespace");
    run(&["--keys", "LARGE", "--namespace", "shop/dev"]).fails(66, "in namespace shop/dev: LARGE", "");
    let output = run(&["--keys", "RESERVED_INACTIVE,RESERVED"]).exits(0);
    assert_eq!(output.stdout, "unchanged RESERVED\nupdate    RESERVED_INACTIVE (value)\n");
    let restored = api.metadata("RESERVED_INACTIVE");
    assert_eq!((&restored["isActive"], &restored["isReserved"]), (&json!(false), &json!(true)));
    api.stop();
}
