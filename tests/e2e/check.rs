//! `hushd check`: all is well where all is well, and what is wrong is named, offline and beside the daemon's work.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::at_rest::records::{AtRest, METADATA, VALUE, change};
use crate::harness::api::secret;
use crate::harness::{Api, Transport, Vault};

const SUBJECTS: [&str; 2] = ["secret default/BIG", "secret default/SMALL"];

/// Two secrets, one of them in several chunks, with two revisions each.
fn two_secrets() -> AtRest {
    AtRest::new(|api| {
        api.create("BIG", &"b".repeat(200_000));
        api.put(&secret("BIG"), json!({"value": "B".repeat(200_001)})).is(200);
        api.create("SMALL", "s");
        api.put(&secret("SMALL"), json!({"value": ""})).is(200);
    })
}

/// The problems of a report: a test's disk may be memory, which is a warning.
fn problems(report: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["severity"] == "problem");
    findings.map(|finding| (text(finding, "subject"), text(finding, "message"))).collect()
}

/// Checks a vault that nobody serves, and holds the exit code against the report.
#[track_caller]
fn check(vault: &Vault) -> Vec<(String, String)> {
    let output = vault.sandbox.run(&["check", "--json"]);
    let report = output.json();
    let found = problems(&report);
    let expected = match (found.is_empty(), report["ok"] == json!(true)) {
        (false, _) => 65,
        (true, false) => 1,
        (true, true) => 0,
    };
    assert_eq!(output.code, expected, "{output:?}");
    found
}

/// "exit code 0 only when all is well"
#[test]
fn a_whole_vault_is_well_at_rest_and_while_it_is_served() {
    let at_rest = two_secrets();
    let output = at_rest.vault.sandbox.run(&["check", "--json"]);
    let report = output.json();
    assert_eq!(problems(&report), [], "{report}");
    assert_eq!(output.code, i32::from(report["ok"] == json!(false)));
    assert_eq!(report["counts"]["secrets"], 2);
    assert_eq!(report["counts"]["revisions"], 4);
    assert_eq!(report["counts"]["bytes"], 400_002);
    // Two of metadata, four chunks of each large value, two small values, two of keys; the vault's own and the trail's.
    assert_eq!(report["counts"]["records"], 2 + 8 + 2 + 2 + 2);
    assert!(report["disk"]["freeBytes"].as_u64().unwrap() > 0);
    assert!(report["disk"]["syncMicroseconds"].is_u64());

    let AtRest { vault, .. } = at_rest;
    let api = Api::serve(vault, Transport::Unix);
    let served = api.get("/api/check").is(200).json();
    assert_eq!(problems(&served), [], "{served}");
    assert_eq!(served["counts"]["records"], report["counts"]["records"]);
    let output = api.vault.sandbox.run(&["check"]);
    assert!(output.stdout.contains("2 with 4 revisions"), "{output:?}");
    assert!(output.code <= 1, "{output:?}");
    // Names of broken secrets are an administrator's to know.
    let anon = api.anon_key();
    api.bare("GET", "/api/check").bearer(&anon).send().refuses(403, "FORBIDDEN");
    drop(api.stop());
}

/// Every single record, flipped or lost, makes a problem that names it; the check sees values that no start reads.
#[test]
fn a_changed_or_lost_record_is_named() {
    let at_rest = two_secrets();
    for (key, record) in at_rest.records.iter().filter(|(key, _)| key[0] != b'h') {
        let mut flipped = record.clone();
        flipped[record.len() / 2] ^= 1;
        for changed in [Some(flipped.as_slice()), None] {
            let vault = at_rest.tampered(|sandbox| change(sandbox, key, changed));
            let found = check(&vault);
            let what = format!("{:?} {key:?}: {found:?}", changed.is_some());
            assert!(!found.is_empty(), "{what}");
            let named = found.iter().filter(|(subject, _)| SUBJECTS.contains(&subject.as_str())).count();
            match key[0] {
                VALUE => assert_eq!(named, 1, "{what}"),
                METADATA => assert!(
                    found.iter().any(|(_, message)| message.contains("2 values") && message.contains("belong to no")),
                    "{what}"
                ),
                // The first record of a trail that has not begun is made anew; that it is lost is told all the same.
                _ => assert!(
                    found.iter().any(|(_, message)| message.contains("cannot be read") || message.contains("are lost")),
                    "{what}"
                ),
            }
        }
    }
}

#[test]
fn files_that_others_can_read_and_keys_that_do_not_fit_are_named() {
    let at_rest = two_secrets();
    let vault = at_rest.tampered(|sandbox| {
        let file = sandbox.data().join("db/conf");
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
    });
    let found = check(&vault);
    assert!(found.len() == 1 && found[0].0.ends_with("db/conf") && found[0].1.contains("0640"), "{found:?}");

    let vault = at_rest.tampered(|sandbox| fs::remove_file(sandbox.data().join("recipients.txt")).unwrap());
    let found = check(&vault);
    assert!(found.len() == 1 && found[0].0 == "recipients.txt", "{found:?}");

    let other = Vault::init();
    let vault = at_rest.tampered(|sandbox| {
        fs::copy(other.sandbox.data().join("recipients.txt"), sandbox.data().join("recipients.txt")).unwrap();
        let keyring = fs::read(sandbox.data().join("keyring.age")).unwrap();
        fs::write(sandbox.data().join("keyring.age"), &keyring[..keyring.len() - 1]).unwrap();
    });
    let found = check(&vault);
    assert!(found.iter().any(|(subject, _)| subject == "keyring.age"), "{found:?}");

    // What cannot be opened at all is still a report and not just an error.
    let vault = at_rest.tampered(|sandbox| fs::remove_file(sandbox.data().join("db/db")).unwrap());
    let found = check(&vault);
    assert!(
        found.iter().any(|(subject, message)| subject == "store" && message.contains("db is missing")),
        "{found:?}"
    );
}

#[test]
fn without_a_vault_or_a_master_key_there_is_nothing_to_check() {
    let sandbox = crate::harness::Sandbox::new();
    sandbox.run(&["check"]).fails(69, "there is no vault yet", "hushd serve --init");
    let vault = Vault::init();
    fs::remove_file(vault.sandbox.identity()).unwrap();
    vault.sandbox.run(&["check"]).fails(78, "no master key", "identity");
}

/// A check beside writers is no check of a moment, but what they change is never taken for damage.
#[test]
fn what_writers_change_meanwhile_is_no_damage() {
    let api = Api::start(Transport::Unix);
    let (done, checks) = (AtomicBool::new(false), 5);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (api, done) = (&api, &done);
            scope.spawn(move || {
                let mut round = 0;
                while !done.load(Ordering::Relaxed) {
                    let key = format!("KEY_{writer}_{}", round % 40);
                    match round / 40 % 4 {
                        0 => drop(api.create(&key, &"x".repeat(round % 3 * 70_000 + 1))),
                        3 => drop(api.delete(&format!("{}?purge=true", secret(&key))).is(200)),
                        _ => drop(api.put(&secret(&key), json!({"value": "y".repeat(round % 5 * 30_000)})).is(200)),
                    }
                    round += 1;
                }
            });
        }
        let reports: Vec<Value> = (0..checks).map(|_| api.get("/api/check").is(200).json()).collect();
        done.store(true, Ordering::Relaxed);
        for report in reports {
            assert_eq!(problems(&report), [], "{report}");
        }
    });
    drop(api.stop());
}
