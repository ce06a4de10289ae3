//! "change of passphrase": the file is rewritten, the key stays the same.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Daemon, Vault};

#[test]
fn a_passphrase_is_given_changed_and_taken_away() {
    let vault = Vault::init();
    let sandbox = &vault.sandbox;
    let (one, two) = (sandbox.key_file("one", "the first\n"), sandbox.key_file("two", "the second"));
    let identity = sandbox.identity();
    let plain = fs::read_to_string(&identity).unwrap();
    let config = |passphrase: &std::path::Path| {
        sandbox.key_file("config.toml", &format!("[vault]\npassphrase-file = {passphrase:?}\n"))
    };
    let run = |config: &std::path::Path, arguments: &[&str]| {
        let mut all = vec!["--config", config.to_str().unwrap(), "identity"];
        all.extend(arguments);
        sandbox.run(&all)
    };
    let with_one = config(&one);
    let file = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    run(&with_one, &["passphrase", "--new-passphrase-file", &file(&one)]).exits(0);
    let encrypted = fs::read_to_string(&identity).unwrap();
    assert!(encrypted.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{encrypted}");
    assert_eq!(fs::metadata(&identity).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = run(&with_one, &["show", "--json"]).exits(0).json();
    assert_eq!(shown["encrypted"], true);
    assert!(plain.contains(shown["recipients"][0].as_str().unwrap()));

    let changed = run(&with_one, &["passphrase", "--new-passphrase-file", &file(&two)]).exits(0);
    assert!(changed.stderr.contains("put the new passphrase into"), "{changed:?}");
    // The configured file has the old one still.
    run(&with_one, &["show"]).fails(77, "wrong passphrase", "check the file and its passphrase");
    let with_two = config(&two);
    let mut serve = Daemon::command(sandbox);
    serve.arg("--config").arg(&with_two);
    Daemon::launch(sandbox, serve).unwrap().stop_cleanly();
    run(&with_two, &["passphrase", "--remove"]).exits(0);
    assert_eq!(fs::read_to_string(&identity).unwrap(), plain);
    Daemon::start(&vault).stop_cleanly();
    assert!(!fs::read_dir(sandbox.config()).unwrap().flatten().any(|entry| entry.path().ends_with(".tmp")));
}

#[test]
fn a_link_to_the_master_key_stays_one_and_an_ssh_key_is_sent_to_its_own_tool() {
    let vault = Vault::init();
    let sandbox = &vault.sandbox;
    let elsewhere = sandbox.path("keys/elsewhere.txt");
    fs::rename(sandbox.identity(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, sandbox.identity()).unwrap();
    let one = sandbox.key_file("one", "the first");
    sandbox.run(&["identity", "passphrase", "--new-passphrase-file", one.to_str().unwrap()]).exits(0);
    assert!(sandbox.identity().is_symlink());
    assert!(fs::read_to_string(&elsewhere).unwrap().starts_with("-----BEGIN AGE"));
    fs::write(&elsewhere, include_str!("../../../src/crypto/testdata/ssh_ed25519")).unwrap();
    sandbox.run(&["identity", "passphrase", "--new-passphrase-file", one.to_str().unwrap()]).fails(
        65,
        "ssh-keygen -p",
        "",
    );
}
