//! kill -9 while a daemon that starts brings the keyring of a released vault to the newest format, each followed by a power
//! cut: there is the old keyring or the new one, the old one is kept before the new one is there, and nothing is lost.

use std::fs;

use serde_json::Value;

use super::{CALLS, met, numbers, send};
use crate::harness::api::secret;
use crate::harness::{Daemon, released};
use crate::machine::Machine;
use crate::strace;

/// The secrets of the vault of format 1 that are in force.
fn secrets() -> [(String, String); 5] {
    [
        (secret("PLAIN"), "a value".to_owned()),
        (secret("TWICE"), "the second value".to_owned()),
        (secret("EMPTY"), String::new()),
        (secret("LARGE"), released::large()),
        ("/api/secrets/RESERVED?namespace=shop/dev".to_owned(), "grüße\u{0}\n".to_owned()),
    ]
}

/// How far a migration came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// All is as it was.
    Nothing,
    /// The keyring is kept aside, and still in force.
    Kept,
    /// The keyring is of the newest format, and the old one is kept.
    Migrated,
}

/// What the disk has, which is never a new keyring without the old one being kept.
fn reached(machine: &Machine, released: &[u8], fault: &str) -> Reached {
    let read = |name: &str| fs::read(machine.vault.sandbox.data().join(name)).ok();
    let keyring = read("keyring.age").unwrap_or_else(|| panic!("{fault}: there is no keyring"));
    let kept = read("keyring.age.format-1");
    assert!(kept.as_deref().is_none_or(|kept| kept == released), "{fault}: what is kept is not what was there");
    match (keyring == released, kept.is_some()) {
        (true, false) => Reached::Nothing,
        (true, true) => Reached::Kept,
        (false, true) => Reached::Migrated,
        (false, false) => panic!("{fault}: the keyring was migrated, and the old one is gone"),
    }
}

/// Starts the daemon, which has all secrets and a migrated keyring, and stops it.
fn serves_all(machine: &mut Machine, released: &[u8], fault: &str) {
    machine.must_start();
    for (target, value) in secrets() {
        let (status, body) = send(machine, "GET", &target, &Value::Null);
        assert_eq!(status, 200, "{fault}: {target}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["value"] == value, "{fault}: {target}");
    }
    machine.stop();
    assert_eq!(reached(machine, released, fault), Reached::Migrated, "{fault}");
}

/// Issue 3: a migration "makes a backup first and can be killed at any point".
#[test]
fn a_start_that_is_killed_in_the_migration_of_the_keyring_keeps_the_old_one_and_loses_nothing() {
    if !met() {
        return;
    }
    let mut machine = Machine::empty(256);
    machine.vault.api_key = released::API_KEY.to_owned();
    let keyring = machine.vault.sandbox.data().join("keyring.age");
    let mut kills = Vec::new();
    let mut kept = Vec::new();
    for call in CALLS {
        for nth in numbers() {
            released::unpack_into(&machine.vault.sandbox, 1);
            kept = fs::read(&keyring).unwrap();
            rustix::fs::syncfs(fs::File::open(machine.disk.root()).unwrap()).unwrap();
            let fault = format!("{call}:signal=KILL:when={nth}");
            let serve = Daemon::command(&machine.vault.sandbox);
            let started = Daemon::launch(&machine.vault.sandbox, strace::wrap(&machine.vault.sandbox, &serve, &fault));
            let killed = match started {
                Ok(daemon) => {
                    machine.adopt(daemon);
                    false
                }
                Err(failure) => {
                    assert_eq!(failure.code, -1, "{fault}: {failure:#?}");
                    true
                }
            };
            machine.cut_power();
            let so_far = reached(&machine, &kept, &fault);
            serves_all(&mut machine, &kept, &fault);
            if !killed {
                break;
            }
            kills.push(so_far);
        }
    }
    let count = |wanted| kills.iter().filter(|reached| **reached == wanted).count();
    let counts = [Reached::Nothing, Reached::Kept, Reached::Migrated].map(count);
    assert!(counts.iter().all(|count| *count > 0), "kills before, in and after the migration: {counts:?}");
    // What is kept opens the vault, and is migrated like the first time.
    fs::rename(machine.vault.sandbox.data().join("keyring.age.format-1"), &keyring).unwrap();
    serves_all(&mut machine, &kept, "what is kept");
    eprintln!(
        "{} kills of a start that migrates the keyring, each with a power cut ({} before it was kept, {} before it was \
         replaced, {} after): every start clean, nothing lost",
        kills.len(),
        counts[0],
        counts[1],
        counts[2]
    );
}
