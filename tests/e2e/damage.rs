//! Damage at random in every file of a vault: what happens is *unaffected*, *named precisely and refused*, or *repaired*.
//!
//! Never a wrong value, never a lost record served as 404, never a panic, never a hang. `HUSHD_TEST_DAMAGE` says how many
//! trials there are (60 by default, 500 for the full run), `HUSHD_TEST_SEED` repeats a run.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, files};

/// What may be read at a path, and its value.
type Readable = Vec<(String, String)>;

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

/// How trials ended.
#[derive(Debug, Default)]
struct Ended {
    unaffected: u32,
    refused: u32,
    degraded: u32,
    /// Faults of the audit trail, told beside all that is served.
    trail: u32,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn whatever_is_damaged_is_named_or_harmless() {
    let (vault, readable) = written();
    let mut numbers = Numbers(number("HUSHD_TEST_SEED", 7));
    let mut ended = Ended::default();
    for trial in 0..number("HUSHD_TEST_DAMAGE", 60) {
        let copy = copy_of(&vault);
        let (name, done) = damage(&copy.sandbox, &mut numbers);
        judge(copy, &name, &format!("trial {trial}: {name}: {done}"), &readable, &mut ended);
    }
    eprintln!("{ended:?}");
    assert!(ended.unaffected > 0 && ended.refused > 0, "{ended:?}");
}

/// A vault with secrets, small and large, old and new; and all that can be read in it.
fn written() -> (Vault, Readable) {
    let api = Api::start(Transport::Unix);
    let mut readable = Readable::new();
    for index in 0..40 {
        let key = format!("KEY_{index}");
        let length = if index % 8 == 0 { 150_000 } else { 40 };
        let value = |revision: u32| format!("{key} {revision} {}", "x".repeat(length));
        api.create(&key, &value(1));
        api.put(&secret(&key), json!({"value": value(2)})).is(200);
        readable.push((secret(&key), value(2)));
        readable.push((format!("{}?revision=1", secret(&key)), value(1)));
    }
    // Twice, so that there are snapshots and older segments.
    let api = api.restart();
    api.put(&secret("KEY_1"), json!({"value": "the newest"})).is(200);
    "the newest".clone_into(&mut readable[2].1);
    (api.stop(), readable)
}

fn copy_of(vault: &Vault) -> Vault {
    let sandbox = Sandbox::new();
    for directory in ["config/hushd", "data/hushd"] {
        files::copy(&vault.sandbox.path(directory), &sandbox.path(directory));
    }
    Vault { sandbox, jwt_secret: vault.jwt_secret.clone(), api_key: vault.api_key.clone() }
}

/// Damages one file, and says which and how.
fn damage(sandbox: &Sandbox, numbers: &mut Numbers) -> (String, String) {
    let mut paths: Vec<PathBuf> = files::contents(&sandbox.data()).into_iter().map(|(path, _)| path).collect();
    paths.retain(|path| path.file_name().is_some_and(|name| name != "reserve"));
    paths.push(sandbox.identity());
    // The data is in one of them, and more can go wrong there.
    let db = sandbox.data().join("db/db");
    paths.extend(std::iter::repeat_n(db, paths.len() / 2));
    let path = &paths[usize::try_from(numbers.below(paths.len() as u64)).unwrap()];
    let content = fs::read(path).unwrap();
    // What comes after is sled's own zeros.
    let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let name = path.strip_prefix(sandbox.path("")).unwrap().display().to_string();
    let done = match numbers.below(8) {
        0..4 => {
            let at = numbers.below(used);
            let bit = numbers.below(8);
            let before = content.get(usize::try_from(at).unwrap()).copied().unwrap_or(0);
            file.write_all_at(&[before ^ (1 << bit)], at).unwrap();
            format!("bit {bit} of byte {at} flipped")
        }
        4 | 5 => {
            let at = numbers.below(used);
            let length = 1 + numbers.below(8192).min(content.len() as u64 - at.min(content.len() as u64));
            file.write_all_at(&vec![0; usize::try_from(length).unwrap()], at).unwrap();
            format!("{length} bytes zeroed from {at}")
        }
        6 => {
            let at = numbers.below(used);
            file.set_len(at).unwrap();
            format!("cut at {at} of {}", content.len())
        }
        _ => {
            fs::remove_file(path).unwrap();
            "deleted".to_owned()
        }
    };
    (name, done)
}

/// What a refusal must name: the damaged file, or the directory that only the store understands. A master key that was
/// changed into another one shows at the keyring.
fn names(name: &str) -> &'static [&'static str] {
    if name.contains("/db/") {
        &["/db "]
    } else if name.ends_with("identity.txt") {
        &["identity.txt", "keyring.age"]
    } else if name.ends_with("keyring.age") {
        &["keyring.age"]
    } else {
        &["hushd-vault", "has a format"]
    }
}

/// Damage to the audit trail costs no secret: what is found is told, and everything is served and recorded as before.
#[track_caller]
fn judge_trail(api: &Api, what: &str, readable: &Readable, reported: bool, ended: &mut Ended) {
    api.get("/api/ready").is(200);
    for (path, value) in readable {
        assert_eq!(api.get(path).is(200).json()["value"], json!(value), "{what}: {path}");
    }
    api.put(&secret("KEY_0"), json!({"value": "new"})).is(200);
    let faults = api.get("/api/audit/verify").is(200).json()["faults"].as_array().unwrap().len();
    assert!(faults > 0 || !reported, "{what}: a problem is told and no fault is found");
    if faults > 0 {
        ended.trail += 1;
    } else {
        ended.unaffected += 1;
    }
}

/// Starts the daemon on the damaged vault, reads everything, and checks it.
#[track_caller]
fn judge(vault: Vault, name: &str, what: &str, readable: &Readable, ended: &mut Ended) {
    let daemon = match Daemon::launch(&vault.sandbox, Daemon::command(&vault.sandbox)) {
        Ok(daemon) => daemon,
        Err(failure) => {
            assert!(matches!(failure.code, 65 | 77 | 78), "{what}: {failure:#?}");
            assert!(
                failure.stderr.contains("hushd: error: ") && failure.stderr.contains("hushd: hint: "),
                "{what}: {failure:#?}"
            );
            let error = failure.stderr.lines().find(|line| line.starts_with("hushd: error: ")).unwrap();
            assert!(names(name).iter().any(|named| error.contains(named)), "{what}: {failure:#?}");
            assert!(!failure.stderr.contains("panicked at src"), "{what}: {failure:#?}");
            let check = vault.sandbox.run(&["check"]);
            assert!(matches!(check.code, 65 | 77 | 78), "{what}: {check:#?}");
            ended.refused += 1;
            return;
        }
    };
    let api = Api::adopt(daemon, vault, Transport::Unix);
    let status = api.get("/api/status").is(200).json();
    let reported = status["problems"] != json!([]);
    if name.contains("/audit/") {
        return judge_trail(&api, what, readable, reported, ended);
    }
    assert_eq!(api.get("/api/ready").status, if reported { 503 } else { 200 }, "{what}: {status}");
    let mut broken = 0;
    for (path, value) in readable {
        let answer = api.get(path);
        match answer.status {
            200 => assert_eq!(answer.json()["value"], json!(value), "{what}: {path}"),
            500 => broken += 1,
            status => panic!("{what}: {path} is answered {status}"),
        }
    }
    let listed = api.get("/api/secrets").is(200).json()["secrets"].as_array().unwrap().len();
    assert!(reported || listed == readable.len() / 2, "{what}: {listed} are listed and nothing is said");
    let report = api.get("/api/check").is(200).json();
    let findings = report["findings"].as_array().unwrap().iter();
    let problems: Vec<&Value> = findings.filter(|finding| finding["severity"] == "problem").collect();
    if broken > 0 {
        assert!(!problems.is_empty(), "{what}: {broken} cannot be read and the check finds nothing");
    }
    if reported {
        // "says in `status`, `ready`, log … what is lost, and how to get it back"
        let text = status["problems"][0].as_str().unwrap();
        assert!(api.daemon().log().contains(text), "{what}: {text}");
        let refused = api.put(&secret("KEY_0"), json!({"value": "new"})).refuses(500, "INTERNAL_ERROR");
        assert!(refused.json()["nextActions"].as_str().unwrap().contains("restore"), "{what}: {refused:?}");
        ended.degraded += 1;
    } else {
        api.put(&secret("KEY_0"), json!({"value": "new"})).is(200);
        if broken > 0 {
            ended.degraded += 1;
        } else {
            ended.unaffected += 1;
        }
    }
    let log = api.daemon().log();
    assert!(!log.contains("a task panicked"), "{what}: {log}");
    let api = if reported { api } else { api.restart() };
    if !reported {
        assert_eq!(api.value("KEY_0"), "new", "{what}");
    }
    drop(api.stop());
}
