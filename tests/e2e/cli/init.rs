//! `hushd init`: a whole vault or none, and never over something that is there.

use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, cli, files, jwt};

/// "creates a vault: master key (age identity), keyring, admin JWT signing secret, first API key; prints where they are
/// and, once, the API key."
#[test]
fn init_creates_a_vault_and_says_where_it_is() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["init", "--json"]).exits(0);
    let answer = output.json();
    let text = answer.to_string();
    assert!(text.contains(sandbox.data().to_str().unwrap()), "{text}");
    assert!(text.contains(sandbox.identity().to_str().unwrap()), "{text}");
    let identity = fs::read_to_string(sandbox.identity()).unwrap();
    assert!(identity.contains("AGE-SECRET-KEY-1") && identity.contains("# public key: age1"), "{identity}");
    for file in ["keyring.age", "recipients.txt", "hushd-vault"] {
        assert!(sandbox.data().join(file).is_file(), "{file}");
    }
    assert!(fs::read(sandbox.data().join("keyring.age")).unwrap().starts_with(b"age-encryption.org/v1\n"));
    assert!(fs::read_to_string(sandbox.data().join("recipients.txt")).unwrap().contains("age1"));
}

/// "Never overwrites anything."
#[test]
fn init_refuses_a_second_time_and_touches_nothing() {
    let vault = Vault::init();
    let sandbox = &vault.sandbox;
    let everything = || [sandbox.config(), sandbox.data()].map(|directory| files::contents(&directory));
    let before = everything();
    sandbox.run(&["init"]).fails(73, "exists", "");
    assert_eq!(everything(), before);
    // An identity without a vault is somebody's master key: it is not overwritten either.
    let other = Sandbox::new();
    fs::create_dir(other.config()).unwrap();
    fs::write(other.identity(), "precious\n").unwrap();
    other.run(&["init"]).fails(73, "exists", "");
    assert_eq!(fs::read_to_string(other.identity()).unwrap(), "precious\n");
    assert!(files::contents(&other.data()).is_empty(), "half a vault");
    Api::serve(vault, Transport::Unix).stop();
}

/// "`--jwt-secret-file` and `--api-key-file` (take over existing ones …)"
#[test]
fn init_takes_over_existing_keys() {
    let vault = Vault::init();
    let api = Api::serve(vault, Transport::Tcp);
    api.bare("GET", "/api/secrets").bearer(&api.vault.api_key).send().is(200);
    let token = jwt::hs256(&api.vault.jwt_secret, &jwt::admin_claims());
    api.bare("GET", "/api/secrets").bearer(&token).send().is(200);
    api.stop();
}

#[test]
fn init_refuses_keys_that_are_none() {
    let sandbox = Sandbox::new();
    let weak = sandbox.key_file("weak", "too short");
    let good = "0123456789abcdef0123456789abcdef";
    let open = sandbox.key_file("open", good);
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let no_key = sandbox.key_file("no-key", "ik_tooshort");
    let missing = sandbox.path("keys/missing");
    for (flag, file) in [
        ("--jwt-secret-file", &weak),
        ("--jwt-secret-file", &open),
        ("--jwt-secret-file", &missing),
        ("--api-key-file", &no_key),
        ("--api-key-file", &missing),
        ("--identity", &weak),
        ("--identity", &missing),
        ("--passphrase-file", &missing),
    ] {
        let output = cli::run(sandbox.hushd(&["init", flag]).arg(file), b"");
        assert!(matches!(output.code, 65 | 66 | 77 | 78), "{flag} {}: {output:?}", file.display());
        assert!(output.stderr.contains("hushd: error: "), "{output:?}");
        assert!(!output.stderr.contains("too short\"") && !output.stderr.contains("ik_tooshort"), "{output:?}");
        assert!(files::contents(&sandbox.data()).is_empty() && files::contents(&sandbox.config()).is_empty());
    }
    sandbox.run(&["init"]).exits(0);
}

/// "Interrupted at any point, it leaves either no vault or a whole one."
#[test]
fn an_interrupted_init_leaves_no_vault_or_a_whole_one() {
    let start = Instant::now();
    Sandbox::new().run(&["init"]).exits(0);
    let takes = start.elapsed();
    let mut whole = 0;
    let trials = 20;
    for trial in 0..trials {
        let sandbox = Sandbox::new();
        let mut child = sandbox.hushd(&["init"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        wait(takes * trial / trials);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        let again = sandbox.run(&["init"]);
        assert!(matches!(again.code, 0 | 73), "after {trial}/{trials} of the time: {again:?}");
        whole += u32::from(again.code == 73);
        let daemon = Daemon::launch(&sandbox, Daemon::command(&sandbox));
        let daemon = daemon.unwrap_or_else(|failure| panic!("after {trial}/{trials} of the time: {failure:#?}"));
        sandbox.run_with(&["set", "A"], "1").exits(0);
        assert_eq!(sandbox.run(&["get", "A"]).exits(0).stdout, "1\n");
        daemon.stop_cleanly();
    }
    assert!(whole < trials, "init was never interrupted");
}

/// Lets some time pass: the moment of a kill is the one thing that nothing can announce.
fn wait(time: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    receiver.recv_timeout(time).ok();
}
