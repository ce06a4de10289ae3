//! "At start: identity file, … systemd credential (`hushd.identity`, `hushd.passphrase`), SSH key, age plugin …, several tried
//! in configured order"

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::identity;
use crate::harness::{Api, Daemon, Failure, Sandbox, Transport, Vault};

fn serve(vault: &Vault, config: &str, change: impl FnOnce(&mut Command)) -> Result<Daemon, Failure> {
    let config = vault.sandbox.key_file("config.toml", config);
    let mut command = Daemon::command(&vault.sandbox);
    command.arg("--config").arg(config);
    change(&mut command);
    Daemon::launch(&vault.sandbox, command)
}

#[test]
fn the_first_master_key_that_opens_the_vault_does() {
    let vault = Vault::init();
    let (other, _) = identity(&vault.sandbox, "other.txt");
    let missing = vault.sandbox.path("keys/missing.txt");
    let own = vault.sandbox.identity();
    serve(&vault, &format!("[vault]\nidentity = [{missing:?}, {other:?}, {own:?}]\n"), |_| {}).unwrap().stop_cleanly();
    let failure = serve(&vault, &format!("[vault]\nidentity = [{missing:?}, {other:?}]\n"), |_| {}).err().unwrap();
    assert_eq!(failure.code, 77, "{failure:?}");
    assert!(failure.stderr.contains("does not match any recipient"), "{failure:?}");
    let failure = serve(&vault, "[vault]\nidentity = []\n", |_| {}).err().unwrap();
    assert!(failure.stderr.contains("name at least one"), "{failure:?}");
}

#[test]
fn a_credential_of_the_service_manager_is_taken_first() {
    let vault = Vault::init();
    let sandbox = &vault.sandbox;
    let passphrase = sandbox.key_file("hushd.passphrase", "correct horse\n");
    sandbox.run(&["identity", "passphrase", "--new-passphrase-file", passphrase.to_str().unwrap()]).exits(0);
    fs::rename(sandbox.identity(), sandbox.path("keys/hushd.identity")).unwrap();
    let credentials = sandbox.path("keys");
    let daemon = serve(&vault, "", |command| {
        command.env("CREDENTIALS_DIRECTORY", &credentials);
    })
    .unwrap();
    let api = Api::adopt(daemon, vault, Transport::Unix);
    api.create("A", "1");
    api.stop();
}

/// A plugin's program of the test's own, in a directory that is on the path.
fn plugin(sandbox: &Sandbox) -> std::path::PathBuf {
    let directory = sandbox.path("keys/bin");
    fs::create_dir(&directory).unwrap();
    let program = directory.join("age-plugin-fake");
    fs::write(&program, include_str!("age-plugin-fake.py")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A key in hardware, as far as this program can tell.
#[test]
fn a_plugin_opens_the_vault_and_is_encrypted_to() {
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "python3 is not installed");
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let vault = Vault::init();
    let sandbox = &vault.sandbox;
    let directory = plugin(sandbox);
    let made = Command::new(directory.join("age-plugin-fake")).output().unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    let file = sandbox.key_file("plugin.txt", &text);
    let recipient = text.lines().next().unwrap().strip_prefix("# Recipient: ").unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", directory.display());
    let run = |arguments: &[&str], path: &str| {
        let mut command = sandbox.hushd(arguments);
        command.env("PATH", path);
        crate::harness::cli::run(&mut command, b"")
    };
    run(&["recipient", "add", recipient], "/usr/bin:/bin").fails(1, "age-plugin-fake is not installed", "");
    run(&["recipient", "add", recipient], &path).exits(0);
    let config = format!("[vault]\nidentity = {file:?}\n");
    let with = |path: &str| {
        serve(&vault, &config, |command| {
            command.env("PATH", path);
        })
    };
    with(&path).unwrap().stop_cleanly();
    let failure = with("/usr/bin:/bin").err().unwrap();
    assert!(failure.stderr.contains("age-plugin-fake is not installed"), "{failure:?}");
    assert!(Path::new(&file).exists());
}
