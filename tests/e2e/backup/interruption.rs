//! "Interrupted, a backup leaves no file under the final name"; a restore leaves no vault or a whole one.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use super::{back_up, private_directory, restore_in, verify, with_everything};
use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, cli, files};

/// A vault whose backup takes a while.
fn large() -> Api {
    let api = Api::start(Transport::Unix);
    for number in 0..24 {
        api.create(&format!("KEY_{number}"), &"x".repeat(1024 * 1024));
    }
    api
}

/// Begins a backup and waits until some of it is there.
fn begin(api: &Api, directory: &Path) -> std::process::Child {
    private_directory(directory);
    let mut command = api.vault.sandbox.hushd(&["backup", "-o"]);
    let command = command.arg(directory.join("backup.age")).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while !files::tree(directory).iter().any(|(_, metadata)| metadata.is_file() && metadata.len() > 0) {
        thread::yield_now();
    }
    child
}

#[test]
fn a_backup_whose_daemon_dies_leaves_nothing() {
    let api = large();
    let directory = api.vault.sandbox.path("backups");
    let child = begin(&api, &directory);
    let _vault = api.kill();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("hushd: error: the connection to "), "{said}");
    assert_eq!(files::tree(&directory).len(), 1, "not even a part of it is left");
}

#[test]
fn a_backup_that_is_killed_has_no_final_name_and_keeps_the_old_file() {
    let api = large();
    let directory = api.vault.sandbox.path("backups");
    private_directory(&directory);
    fs::write(directory.join("old"), "").unwrap();
    fs::remove_file(directory.join("old")).unwrap();
    let mut child = begin(&api, &directory);
    child.kill().unwrap();
    child.wait().unwrap();
    let path = directory.join("backup.age");
    if path.exists() {
        // It was faster than the signal.
        verify(&api.vault, &path).exits(0);
    }
    // The daemon noticed that its client has gone, and serves the next one.
    fs::remove_file(&path).ok();
    verify(&api.vault, &back_up(&api)).exits(0);
    api.stop();
}

#[test]
fn a_restore_that_is_killed_leaves_no_vault_or_a_whole_one() {
    let strace = Path::new("/usr/bin/strace");
    if !strace.exists() {
        assert!(std::env::var_os("CI").is_none(), "the gate needs strace: apt-get install strace");
        eprintln!("skipped: strace is not installed");
        return;
    }
    let api = with_everything();
    let path = back_up(&api);
    let vault = api.stop();
    for call in ["fsync", "fdatasync", "rename", "unlink", "mkdir"] {
        for number in (1..40).step_by(3) {
            let sandbox = Sandbox::new();
            let mut command = sandbox.command(strace);
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            command.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
            command.arg(env!("CARGO_BIN_EXE_hushd")).args(["restore", "--same-identity", "--identity"]);
            let output = cli::run(command.arg(vault.sandbox.identity()).arg(&path), b"");
            let served = Daemon::launch(&sandbox, Daemon::command(&sandbox));
            if let Ok(daemon) = served {
                daemon.stop_cleanly();
                whole(sandbox, &vault);
            } else {
                assert_ne!(output.code, 0, "{call} {number}: {output:?}");
                restore_in(&sandbox, &vault, &path).exits(0);
                whole(sandbox, &vault);
            }
            if output.code == 0 {
                break;
            }
        }
    }
}

/// Fails unless the vault has everything.
fn whole(sandbox: Sandbox, old: &Vault) {
    let vault = Vault { sandbox, jwt_secret: old.jwt_secret.clone(), api_key: old.api_key.clone() };
    let api = Api::serve(vault, Transport::Unix);
    let status = api.get("/api/status").is(200).json();
    assert_eq!((&status["total"], &status["problems"]), (&13.into(), &serde_json::json!([])));
    assert_eq!(api.value("LARGE").len(), 1024 * 1024);
    api.stop();
}
