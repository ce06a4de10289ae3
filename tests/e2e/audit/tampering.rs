//! "audit verify finds every removed, changed, reordered, duplicated or cut entry and says where."

use std::fs;
use std::path::PathBuf;

use crate::harness::{Api, Transport, Vault, setting};

fn segments(vault: &Vault) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(vault.sandbox.data().join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
    files.sort();
    files
}

fn used() -> Vault {
    let mut api = Api::start(Transport::Unix);
    for round in 0..3 {
        api.create(&format!("SECRET_{round}"), "value");
        for _ in 0..20 {
            api.value("SECRET_0");
        }
        api = api.restart();
    }
    api.stop()
}

#[test]
fn random_edits_of_the_files_are_found_with_exit_code_65_and_nothing_else_is() {
    let vault = used();
    vault.sandbox.run(&["audit", "verify"]).exits(0);
    let mut seed = setting("HUSHD_TEST_SEED", 42);
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((seed >> 33) % below as u64).unwrap()
    };
    for edit in 0..setting("HUSHD_TEST_EDITS", 10) {
        let files = segments(&vault);
        let path = &files[random(files.len())];
        let before = fs::read(path).unwrap();
        let mut bytes = before.clone();
        let at = random(bytes.len());
        match edit % 3 {
            0 => bytes[at] ^= 1 << random(8),
            1 => bytes.truncate(at),
            _ => drop(bytes.drain(at..(at + 1 + random(300)).min(before.len()))),
        }
        fs::write(path, &bytes).unwrap();
        let report = vault.sandbox.run(&["audit", "verify", "--json"]).exits(65).json();
        assert!(!report["faults"].as_array().unwrap().is_empty(), "edit {edit} of {}", path.display());
        fs::write(path, &before).unwrap();
    }
    vault.sandbox.run(&["audit", "verify"]).exits(0);
}

#[test]
fn a_trail_that_was_cut_off_or_taken_away_is_told_by_verify_check_and_the_status() {
    let vault = used();
    let last = segments(&vault).pop().unwrap();
    fs::remove_file(last).unwrap();
    vault.sandbox.run(&["audit", "verify"]).fails(65, "not as it was written", "evidence");
    let report = vault.sandbox.run(&["check", "--json"]).exits(65).json();
    assert!(report.to_string().contains("audit segment"), "{report}");
    let api = Api::serve(vault, Transport::Unix);
    let problems = api.get("/api/status").is(200).json()["problems"].to_string();
    assert!(problems.contains("tampered"), "{problems}");
    assert_eq!(api.value("SECRET_0"), "value", "what is recorded can be revealed");
    let vault = api.stop();
    vault.sandbox.run(&["audit", "verify"]).fails(65, "not as it was written", "");
}
