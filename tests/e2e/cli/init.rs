//! `hushd init`: a whole vault or none, and never over something that is there.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, cli, files, jwt, setting};

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
    // A file where the master key would go: what is none is refused, what is one becomes the vault's; neither is changed.
    let key = fs::read_to_string(sandbox.identity()).unwrap();
    for (text, code) in [("precious\n", 65), (&*key, 0)] {
        let other = Sandbox::new();
        fs::create_dir(other.config()).unwrap();
        fs::rename(other.key_file("identity", text), other.identity()).unwrap();
        other.run(&["init"]).exits(code);
        assert_eq!(fs::read_to_string(other.identity()).unwrap(), text);
        assert_eq!(other.data().join("keyring.age").exists(), code == 0, "half a vault");
    }
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
        // Nothing is left but the file that keeps two of us from creating a vault at the same time.
        let left = files::contents(&sandbox.path("")).into_iter().map(|(path, _)| path);
        let left: Vec<_> = left.filter(|path| !path.starts_with(sandbox.path("keys"))).collect();
        assert!(left.iter().all(|path| *path == sandbox.data().join("lock")), "{left:?}");
    }
    sandbox.run(&["init"]).exits(0);
}

/// "Interrupted at any point, it leaves either no vault or a whole one." `HUSHD_TEST_KILLS` says how often.
#[test]
fn an_interrupted_init_leaves_no_vault_or_a_whole_one() {
    let start = Instant::now();
    Sandbox::new().run(&["init"]).exits(0);
    let takes = start.elapsed();
    let mut whole = 0;
    let trials = 4 * u32::try_from(setting("HUSHD_TEST_KILLS", 5)).unwrap();
    for trial in 0..trials {
        let sandbox = Sandbox::new();
        let mut child = sandbox.hushd(&["init"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        wait(takes * trial / trials);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        whole += u32::from(is_begun_again(&sandbox, &format!("killed after {trial}/{trials} of the time")));
    }
    assert!(whole < trials, "init was never interrupted");
}

/// Killed by the kernel when a file grows over a limit: at the first byte that is written, and then later and later.
#[test]
fn an_init_killed_while_it_writes_leaves_no_vault_or_a_whole_one() {
    let mut killed = 0;
    for limit in [0, 1, 2, 3, 4, 8, 16, 64, 1024, 16_384] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(Path::new("/bin/sh"));
        command.arg("-c").arg(format!("ulimit -c 0; ulimit -f {limit}; exec \"$@\"")).arg("sh");
        let output = cli::run(command.arg(env!("CARGO_BIN_EXE_hushd")).arg("init"), b"");
        killed += u32::from(output.code == -1);
        is_begun_again(&sandbox, &format!("killed by a limit of {limit} blocks"));
    }
    assert!(killed >= 2, "the limit killed nobody");
}

/// Runs `init` once more and uses the vault; answers whether there was a whole one already.
#[track_caller]
fn is_begun_again(sandbox: &Sandbox, what: &str) -> bool {
    let again = sandbox.run(&["init"]);
    assert!(matches!(again.code, 0 | 73), "{what}: {again:?}");
    let daemon = Daemon::launch(sandbox, Daemon::command(sandbox));
    let daemon = daemon.unwrap_or_else(|failure| panic!("{what}: {failure:#?}"));
    sandbox.run_with(&["set", "A"], "1").exits(0);
    assert_eq!(sandbox.run(&["get", "A"]).exits(0).stdout, "1\n");
    daemon.stop_cleanly();
    again.code == 73
}

/// Lets some time pass: the moment of a kill is the one thing that nothing can announce.
fn wait(time: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    receiver.recv_timeout(time).ok();
}
