//! kill -9 in the middle of each change of keys, at every call that syncs, renames, links or unlinks, each followed by a
//! power cut: the vault opens with the old keys or the new ones, and never with neither.

mod migration;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::disk;
use crate::harness::api::secret;
use crate::harness::http::{Connection, Request};
use crate::harness::{Sandbox, Vault, cli};
use crate::machine::Machine;
use crate::needs;
use crate::strace;

/// What makes a change durable. A slash begins a regular expression.
const CALLS: [&str; 5] = ["fsync", "fdatasync", "/^rename", "/^link", "/^unlink"];
/// Secrets that must be there throughout.
const SECRETS: usize = 8;

fn met() -> bool {
    needs::met(&disk::PROGRAMS) && needs::met(&["strace"])
}

/// A machine with secrets, one of them in several pieces.
fn machine() -> Machine {
    let mut machine = Machine::new(256);
    machine.must_start();
    for number in 0..SECRETS {
        let answer = send(&machine, "POST", "/api/secrets", &json!({"key": key(number), "value": value(number)}));
        assert_eq!(answer.0, 201, "{answer:?}");
    }
    machine.stop();
    machine
}

fn key(number: usize) -> String {
    format!("K{number}")
}

fn value(number: usize) -> String {
    format!("value-{number}-").repeat(if number == 0 { 20_000 } else { 1 })
}

fn send(machine: &Machine, method: &str, target: &str, body: &serde_json::Value) -> (u16, String) {
    let mut connection = match Connection::open(&machine.daemon().unix()) {
        Ok(connection) => connection,
        Err(error) => return (0, error.to_string()),
    };
    let headers = vec![
        ("Authorization".to_owned(), format!("Bearer {}", machine.vault.api_key)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let body = (!body.is_null()).then(|| body.to_string().into_bytes());
    let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body };
    match connection.send(&request) {
        Ok(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
        // Killed before it answered.
        Err(error) => (0, error.to_string()),
    }
}

/// Everything is there, and the vault takes writes.
fn is_whole(machine: &Machine, fault: &str) {
    for number in 0..SECRETS {
        let (status, body) = send(machine, "GET", &secret(&key(number)), &serde_json::Value::Null);
        assert_eq!(status, 200, "{fault}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["value"] == value(number), "{fault}: {}", key(number));
    }
    let (status, body) = send(machine, "PUT", &secret("K1"), &json!({"value": value(1)}));
    assert_eq!(status, 200, "{fault}: {body}");
}

/// Which of the calls: some, or with `HUSHD_TEST_EVERY_KEY_KILL=1` all there are.
fn numbers() -> Box<dyn Iterator<Item = u32>> {
    match needs::setting("HUSHD_TEST_EVERY_KEY_KILL", 0) {
        0 => Box::new([1, 2, 3, 5, 8].into_iter()),
        _ => Box::new(1..),
    }
}

/// Kills `hushd ARGUMENTS` at each of the calls that it makes, on a vault that nobody serves.
fn killed_everywhere(machine: &mut Machine, arguments: &[&str], before: &[&str]) -> usize {
    let mut kills = 0;
    for call in CALLS {
        for nth in numbers() {
            if !before.is_empty() {
                machine.vault.sandbox.run(before).exits(0);
            }
            let fault = format!("{call}:signal=KILL:when={nth}");
            let command = machine.vault.sandbox.hushd(arguments);
            let output = cli::run(&mut strace::wrap(&machine.vault.sandbox, &command, &fault), b"");
            let fault = format!("{arguments:?} at {fault}");
            machine.cut_power();
            machine.must_start();
            is_whole(machine, &fault);
            machine.stop();
            if output.code == 0 {
                break;
            }
            assert_eq!(output.code, -1, "{fault}: {output:?}");
            kills += 1;
        }
    }
    let left = |directory: &Path| {
        let names =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".hushd-") || name.contains(".generating")).collect::<Vec<_>>()
    };
    let data = machine.vault.sandbox.data();
    assert_eq!((left(&data), left(&data.join("db"))), (vec![], vec![]), "left by those that were killed");
    let check = machine.vault.sandbox.run(&["check", "--json"]).json();
    assert!(!check["findings"].to_string().contains("problem"), "{check}");
    assert!(kills >= 5, "{kills} kills in {arguments:?}");
    kills
}

/// "Each key operation killed at every fsync leaves a vault that opens with the old or the new keys, and never with neither."
fn offline(arguments: &[&str], before: &[&str]) {
    if !met() {
        return;
    }
    let kills = killed_everywhere(&mut machine(), arguments, before);
    eprintln!("{kills} kills in the middle of {arguments:?}, each with a power cut: every start clean, nothing lost");
}

#[test]
fn a_rotation_of_the_data_key_that_is_killed_at_any_call_leaves_the_old_keys_or_the_new_ones() {
    offline(&["rotate", "data-key"], &[]);
}

#[test]
fn a_rotation_of_the_signing_secret_that_is_killed_at_any_call_leaves_the_old_keys_or_the_new_ones() {
    offline(&["rotate", "jwt-secret", "--grace-hours", "0"], &[]);
}

#[test]
fn the_addition_of_a_recipient_that_is_killed_at_any_call_leaves_the_old_keys_or_the_new_ones() {
    let recipient = recipient();
    offline(&["recipient", "add", &recipient], &[]);
}

#[test]
fn the_removal_of_a_recipient_that_is_killed_at_any_call_leaves_the_old_keys_or_the_new_ones() {
    let recipient = recipient();
    // Added again before each, as the one before may have removed it.
    offline(&["recipient", "remove", &recipient], &["recipient", "add", &recipient]);
}

/// The same of a daemon that serves, at each of the calls that it makes from the moment when it is asked; and of one that
/// is sealed and unsealed.
#[test]
fn a_daemon_that_is_killed_in_a_change_of_keys_starts_again_with_all_that_it_acknowledged() {
    if !met() {
        return;
    }
    let mut machine = machine();
    let recipient = recipient();
    let operations: [&[&[&str]]; 5] = [
        &[&["rotate", "data-key"]],
        &[&["rotate", "jwt-secret", "--grace-hours", "0"]],
        &[&["recipient", "add", &recipient]],
        &[&["recipient", "add", &recipient], &["recipient", "remove", &recipient]],
        &[&["seal"], &["unseal"]],
    ];
    let mut kills = 0;
    machine.must_start();
    for commands in operations {
        let before = kills;
        for call in CALLS {
            for nth in numbers() {
                let fault = format!("{call}:signal=KILL:when={nth}");
                let injected = strace::Fault::inject(machine.daemon().pid(), &fault);
                for command in commands {
                    // Where the daemon is gone, the command fails or works on the vault itself.
                    machine.vault.sandbox.run(command);
                }
                let (alive, _) = send(&machine, "GET", "/api/health", &serde_json::Value::Null);
                injected.end_with_its_process();
                let fault = format!("{commands:?} at {fault}");
                machine.cut_power();
                machine.must_start();
                is_whole(&machine, &fault);
                if alive != 0 {
                    break;
                }
                kills += 1;
            }
        }
        assert!(kills > before, "no kill in {commands:?}");
    }
    machine.stop();
    eprintln!("{kills} kills of a daemon whose keys were changed, each with a power cut: nothing lost");
}

/// A change of the passphrase that is killed leaves a file that opens with the old one or the new one.
#[test]
fn a_change_of_passphrase_that_is_killed_leaves_a_file_that_opens() {
    if !met() {
        return;
    }
    let vault = Vault::init();
    let sandbox = &vault.sandbox;
    let passphrases = ["the first", "the second"];
    let configs: Vec<PathBuf> = passphrases
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let file = sandbox.key_file(&format!("passphrase-{number}"), text);
            sandbox.key_file(&format!("config-{number}.toml"), &format!("[vault]\npassphrase-file = {file:?}\n"))
        })
        .collect();
    let run = |config: &Path, arguments: &[&str]| {
        let mut command = sandbox.hushd(&["--config", config.to_str().unwrap()]);
        command.args(arguments);
        command
    };
    let first = sandbox.path("keys/passphrase-0");
    cli::run(&mut run(&configs[0], &["identity", "passphrase", "--new-passphrase-file", first.to_str().unwrap()]), b"")
        .exits(0);
    let mut kills = 0;
    let mut now = 0;
    for call in ["fsync", "/^rename"] {
        for nth in 1.. {
            let next = sandbox.path(&format!("keys/passphrase-{}", 1 - now));
            let fault = format!("{call}:signal=KILL:when={nth}");
            let change =
                run(&configs[now], &["identity", "passphrase", "--new-passphrase-file", next.to_str().unwrap()]);
            let output = cli::run(&mut strace::wrap(sandbox, &change, &fault), b"");
            let opens = |config: &Path| cli::run(&mut run(config, &["identity", "show"]), b"").code == 0;
            let which: Vec<usize> = (0..2).filter(|number| opens(&configs[*number])).collect();
            assert_eq!(which.len(), 1, "{fault}: {output:?}");
            now = which[0];
            if output.code == 0 {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills >= 2, "{kills}");
    eprintln!("{kills} kills in the middle of a change of passphrase: each file opens");
}

/// Another identity's public half.
fn recipient() -> String {
    let other = Sandbox::new();
    other.run(&["init"]).exits(0);
    let text = std::fs::read_to_string(other.identity()).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}
