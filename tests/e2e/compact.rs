//! `hushd compact`: all is there afterwards, the space is given back, and a kill leaves the old store or the new one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Transport, Vault};

const KEPT: usize = 12;

fn value(index: usize) -> String {
    format!("{index} {}", "v".repeat(100_000))
}

/// A vault most of whose space was deleted.
fn wasted(secrets: usize) -> Vault {
    let api = Api::start(Transport::Unix);
    for index in 0..secrets {
        api.create(&format!("KEY_{index}"), &value(index));
    }
    for index in KEPT..secrets {
        api.delete(&format!("{}?purge=true", secret(&format!("KEY_{index}")))).is(200);
    }
    api.stop()
}

#[track_caller]
fn is_whole(vault: &Vault, what: &str) {
    let report = vault.sandbox.run(&["check", "--json"]).json();
    let problems = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "problem");
    assert_eq!(problems.count(), 0, "{what}: {report}");
    assert_eq!(report["counts"]["secrets"], json!(KEPT), "{what}");
    let bytes: usize = (0..KEPT).map(|index| value(index).len()).sum();
    assert_eq!(report["counts"]["bytes"], json!(bytes), "{what}");
}

#[test]
fn a_compacted_vault_has_everything_and_takes_less() {
    let vault = wasted(160);
    let done = vault.sandbox.run(&["compact", "--json"]).exits(0).json();
    assert!(done["after"].as_u64() < done["before"].as_u64(), "{done}");
    is_whole(&vault, "compacted");
    let api = Api::serve(vault, Transport::Unix);
    for index in 0..KEPT {
        assert_eq!(api.value(&format!("KEY_{index}")), value(index));
    }
    let mut command = api.vault.sandbox.hushd(&["compact"]);
    crate::harness::cli::run(&mut command, b"").fails(75, "has the vault", "stop the other one first");
    api.create("NEW", "written after it");
    let api = api.restart();
    assert_eq!(api.value("NEW"), "written after it");
    drop(api.stop());
}

/// "killed at any point leaves the old or the new, never neither"
#[test]
fn a_kill_leaves_the_old_store_or_the_new_one() {
    let vault = wasted(40);
    let started = Instant::now();
    vault.sandbox.run(&["compact"]).exits(0);
    let whole = started.elapsed();
    let trials = 12;
    for trial in 0..trials {
        let mut command = vault.sandbox.hushd(&["compact"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(trial) / f64::from(trials)).max(Duration::from_millis(1)));
        child.kill().ok();
        child.wait().unwrap();
        is_whole(&vault, &format!("killed in trial {trial} of {trials} over {whole:?}"));
    }
    // A start clears away what the last kill left.
    let daemon = Daemon::start(&vault);
    assert!(!vault.sandbox.data().join("db.new").exists());
    daemon.stop_cleanly();
    is_whole(&vault, "after all");
}

/// "automatically when more than half is waste"
#[test]
fn a_start_compacts_a_large_store_that_is_mostly_waste() {
    let vault = wasted(900);
    let size = |vault: &Vault| std::fs::metadata(vault.sandbox.data().join("db/db")).unwrap().len();
    let before = size(&vault);
    assert!(before > 64 << 20, "{before}: the test needs a larger store");
    let daemon = Daemon::start(&vault);
    assert!(daemon.log().contains("the store was compacted"), "{}", daemon.log());
    daemon.stop_cleanly();
    assert!(size(&vault) * 2 < before, "{} of {before}", size(&vault));
    is_whole(&vault, "compacted by a start");
    let daemon = Daemon::start(&vault);
    assert!(!daemon.log().contains("the store was compacted"), "once is enough");
    daemon.stop_cleanly();
}
