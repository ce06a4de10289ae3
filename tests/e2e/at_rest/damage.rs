//! "Damage is found, not served": what was tampered with is reported as such, never as a wrong value or as absent.

use std::fs;

use serde_json::json;

use super::records::{AtRest, METADATA, VALUE, change};
use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, files};

const KEYS: [&str; 3] = ["FIRST", "SECOND", "THIRD"];

/// What may be read at a path. The first is right; the others only where the daemon says that something is wrong.
type Readable = Vec<(String, Vec<String>)>;

/// What became of a vault whose files were changed.
#[derive(Debug, Default)]
struct Outcome {
    /// It does not start, and says why.
    refused: bool,
    /// It starts and says what is wrong.
    reported: bool,
    /// What is answered 500.
    broken: Vec<String>,
}

impl Outcome {
    #[track_caller]
    fn noticed(self, what: &str) -> Self {
        assert!(self.refused || self.reported || !self.broken.is_empty(), "{what}: nobody noticed");
        self
    }
}

fn older_value(key: &str) -> String {
    format!("an older value of {key}")
}

fn newest_value(key: &str) -> String {
    format!("the newest value of {key}")
}

/// Three secrets with two revisions each.
fn three_secrets() -> AtRest {
    AtRest::new(|api| {
        for key in KEYS {
            api.create(key, &older_value(key));
            api.put(&secret(key), json!({"value": newest_value(key)})).is(200);
        }
    })
}

/// All that can be read of them.
fn both_revisions() -> Readable {
    let newest = KEYS.map(|key| (secret(key), vec![newest_value(key)]));
    let older = KEYS.map(|key| (format!("{}?revision=1", secret(key)), vec![older_value(key)]));
    newest.into_iter().chain(older).collect()
}

/// Starts the daemon on changed files and reads. A wrong value, a 404 or a panic fails the test at once.
#[track_caller]
fn outcome(vault: Vault, what: &str, readable: &Readable) -> Outcome {
    let mut outcome = Outcome::default();
    let daemon = match Daemon::launch(&vault.sandbox, Daemon::command(&vault.sandbox)) {
        Ok(daemon) => daemon,
        Err(failure) => {
            assert!(failure.code > 0 && failure.stderr.contains("hushd: error: "), "{what}: {failure:#?}");
            assert!(!failure.stderr.contains("panicked"), "{what}: {failure:#?}");
            outcome.refused = true;
            return outcome;
        }
    };
    let api = Api::adopt(daemon, vault, Transport::Unix);
    let problems = api.get("/api/status").json()["problems"].clone();
    outcome.reported = problems != json!([]) || api.get("/api/ready").status == 503;
    for (path, values) in readable {
        let answer = api.get(path);
        match answer.status {
            200 => {
                let value = answer.json()["value"].as_str().unwrap().to_owned();
                let allowed = if outcome.reported { values.as_slice() } else { &values[..1] };
                assert!(allowed.contains(&value), "{what}: {path} is {value:?}, reported: {problems}");
            }
            500 => {
                // "A 500 names the request id; its cause is in the log."
                let id = answer.header("x-request-id").unwrap();
                assert!(String::from_utf8_lossy(&answer.body).contains(id), "{what}: {answer:?}");
                assert!(api.daemon().log().contains(id), "{what}: {id} is not in the log");
                assert_eq!(answer.json()["error"], "INTERNAL_ERROR");
                outcome.broken.push(path.clone());
            }
            status => panic!("{what}: {path} is answered {status}"),
        }
    }
    drop(api.stop());
    outcome
}

/// "Every record dumped from sled starts with `age-encryption.org/v1`"
#[test]
fn every_record_is_an_age_file() {
    let (at_rest, _) = three_secrets().and(|api| {
        api.create("LARGE", &"x".repeat(1 << 20));
        api.delete(&secret("FIRST")).is(200);
        api.post("/api/secrets/api-key/rotate", json!({})).is(200);
        api.post("/api/secrets/anon-key/rotate", json!({})).is(200);
    });
    for (key, record) in &at_rest.records {
        let start: Vec<u8> = record.iter().take(40).copied().collect();
        assert!(record.starts_with(b"age-encryption.org/v1\n"), "{key:?} starts with {start:?}");
        assert!(record.len() <= 72 * 1024, "{key:?} is large");
    }
    assert_eq!(at_rest.keys(METADATA).len(), 4);
    assert!(at_rest.keys(VALUE).len() > 6 + 15, "a large value is kept in small chunks");
}

/// "one flipped or cut is detected as such", and neither takes down the daemon nor the other secrets.
#[test]
fn a_value_that_was_changed_or_lost_is_500_and_the_others_are_readable() {
    let at_rest = three_secrets();
    let readable = both_revisions();
    let mut broken = Vec::new();
    let mut changes = 0;
    for key in at_rest.keys(VALUE) {
        let record = &at_rest.records[key];
        let flip = |at: usize| {
            let mut record = record.clone();
            record[at] ^= 1;
            Some(record)
        };
        let all = [
            ("flipped at the start", flip(0)),
            ("flipped in the header", flip(30)),
            ("flipped in the middle", flip(record.len() / 2)),
            ("flipped at the end", flip(record.len() - 1)),
            ("cut", Some(record[..record.len() - 1].to_vec())),
            ("cut in half", Some(record[..record.len() / 2].to_vec())),
            ("emptied", Some(Vec::new())),
            ("lengthened", Some([record.as_slice(), b"x"].concat())),
            ("lost", None),
        ];
        changes = all.len();
        for (what, changed) in all {
            let vault = at_rest.tampered(|sandbox| change(sandbox, key, changed.as_deref()));
            let outcome = outcome(vault, what, &readable);
            assert_eq!(outcome.broken.len(), 1, "{what}: {outcome:?}");
            broken.extend(outcome.broken);
        }
    }
    for (path, _) in &readable {
        assert_eq!(broken.iter().filter(|broken| *broken == path).count(), changes, "{path}");
    }
}

#[test]
fn a_broken_secret_can_be_written_anew_or_purged() {
    let at_rest = three_secrets();
    for key in at_rest.keys(VALUE) {
        let vault = at_rest.tampered(|sandbox| change(sandbox, key, None));
        let api = Api::serve(vault, Transport::Unix);
        for key in KEYS.into_iter().filter(|key| api.get(&secret(key)).status == 500) {
            api.put(&secret(key), json!({"value": "written anew"})).is(200);
            assert_eq!(api.value(key), "written anew");
            api.delete(&format!("{}?purge=true", secret(key))).is(200);
            api.create(key, "created anew");
        }
        drop(api.stop());
    }
}

/// "one moved to another key"
#[test]
fn a_record_that_was_moved_to_another_key_is_found() {
    let at_rest = three_secrets();
    let readable = both_revisions();
    for table in [METADATA, VALUE] {
        let keys = at_rest.keys(table);
        for from in &keys {
            for to in keys.iter().filter(|to| *to != from) {
                let record = &at_rest.records[*from];
                let vault = at_rest.tampered(|sandbox| change(sandbox, to, Some(record)));
                outcome(vault, "copied over another", &readable).noticed("copied over another");
            }
        }
    }
}

/// "one replaced by its older revision"
#[test]
fn a_record_that_was_put_back_to_an_older_state_is_found() {
    let before = three_secrets();
    let old = before.records.clone();
    let third_value = |key: &str| format!("a third value of {key}");
    let (after, new) = before.and(|api| {
        for key in KEYS {
            api.put(&secret(key), json!({"value": third_value(key)})).is(200);
        }
    });
    // Metadata of before, which speaks of revision 2: that value is genuine, so it is only served with a warning.
    let readable = KEYS.map(|key| (secret(key), vec![third_value(key), newest_value(key)])).to_vec();
    for key in after.keys(METADATA) {
        let vault = after.tampered(|sandbox| change(sandbox, key, Some(&old[key])));
        outcome(vault, "metadata put back", &readable).noticed("metadata put back");
    }
    // A value of before in the place of a new one.
    let readable = KEYS.map(|key| (secret(key), vec![third_value(key)])).to_vec();
    let values: Vec<_> = new.iter().filter(|key| key[0] == VALUE).collect();
    assert_eq!(values.len(), 3, "{new:?}");
    for key in values {
        for (_, record) in old.iter().filter(|(key, _)| key[0] == VALUE) {
            let vault = after.tampered(|sandbox| change(sandbox, key, Some(record)));
            let outcome = outcome(vault, "value put back", &readable);
            assert_eq!(outcome.broken.len(), 1, "{outcome:?}");
        }
    }
    // Everything, the head among it: genuine as a whole, but older than what was acknowledged.
    let readable = KEYS.map(|key| (secret(key), vec![third_value(key), newest_value(key)])).to_vec();
    let vault = after.tampered(|sandbox| {
        for (key, record) in &old {
            change(sandbox, key, Some(record));
        }
        for key in &new {
            change(sandbox, key, None);
        }
    });
    outcome(vault, "everything put back", &readable).noticed("everything put back");
}

/// All other tables are read at the start: what is wrong with them is known before anybody asks for a secret.
#[test]
fn a_changed_or_lost_record_of_another_table_is_reported() {
    let at_rest = three_secrets();
    let readable = both_revisions();
    for (key, record) in at_rest.records.iter().filter(|(key, _)| key[0] != VALUE) {
        let mut flipped = record.clone();
        flipped[record.len() / 2] ^= 1;
        let cut = record[..record.len() / 2].to_vec();
        for (what, changed) in [("flipped", Some(flipped)), ("cut", Some(cut)), ("lost", None)] {
            let what = format!("{} {what}", char::from(key[0]));
            let vault = at_rest.tampered(|sandbox| change(sandbox, key, changed.as_deref()));
            let outcome = outcome(vault, &what, &readable);
            assert!(outcome.refused || outcome.reported, "{what}: {outcome:?}");
            if key[0] == METADATA {
                assert!(!outcome.refused, "{what}: one secret's record never takes down the others");
                assert_eq!(outcome.broken.len(), 2, "both revisions of one secret, {what}: {outcome:?}");
            }
        }
    }
}

/// sled answers damaged files "mostly by silently losing records …; a deleted file opens as an empty database".
#[test]
fn damaged_files_of_the_store_are_never_an_empty_vault() {
    let at_rest = three_secrets();
    let readable = both_revisions();
    let db = |sandbox: &Sandbox| sandbox.data().join("db");
    let cut = |sandbox: &Sandbox, name: &str, quarters: u64| {
        let file = fs::OpenOptions::new().write(true).open(db(sandbox).join(name)).unwrap();
        file.set_len(file.metadata().unwrap().len() * quarters / 4).unwrap();
    };
    let directory = db(&at_rest.vault.sandbox);
    let in_directory = files::contents(&directory).into_iter().filter(|(path, _)| path.parent() == Some(&directory));
    let names: Vec<_> = in_directory.map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in &names {
        let mut damaged =
            vec![(at_rest.tampered(|sandbox| fs::remove_file(db(sandbox).join(name)).unwrap()), "removed")];
        for (quarters, what) in [(0, "emptied"), (1, "cut to a quarter"), (2, "cut in half"), (3, "cut by a quarter")] {
            damaged.push((at_rest.tampered(|sandbox| cut(sandbox, name, quarters)), what));
        }
        for (vault, what) in damaged {
            let what = format!("{name} {what}");
            let outcome = outcome(vault, &what, &readable);
            // Such a file may be one that is made anew; then nothing is missing.
            assert!(outcome.broken.is_empty() || outcome.reported, "{what}: {outcome:?}");
        }
    }
    let without = |name: &str| {
        let vault = at_rest.tampered(|sandbox| {
            let path = sandbox.data().join(name);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        });
        assert!(outcome(vault, name, &readable).refused, "it started without {name}");
    };
    without("db");
    without("keyring.age");
}
