//! What the daemon does to its own process, seen from outside by root.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::process::Pid;
use serde_json::{Value, json};

use crate::harness::cli;
use crate::harness::{Api, Daemon, Transport, Vault};
use crate::needs;

/// All that is to hold, in the order of the status.
const PROTECTIONS: [&str; 7] =
    ["not-dumpable", "no-core", "environment-scrubbed", "keys-locked", "no-new-privileges", "files", "system-calls"];

/// "`status` says which of these hold", and they do.
#[test]
fn the_process_is_protected_as_its_status_says() {
    if !needs::met(&[]) {
        return;
    }
    let api = Api::start(Transport::Unix);
    let hardening = api.get("/api/status").is(200).json()["hardening"].clone();
    let names: Vec<_> = hardening.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, PROTECTIONS);
    assert!(hardening.as_array().unwrap().iter().all(|one| one["holds"] == true), "{hardening}");
    let process = format!("/proc/{}", api.daemon().pid().as_raw_nonzero());
    // Of every thread, since what a thread may do it has from the one that started it.
    for task in fs::read_dir(format!("{process}/task")).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(status.contains(line), "{line} is not in {status}");
        }
    }
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    let text = api.vault.sandbox.run(&["status"]).exits(0).stdout;
    assert!(text.contains(&PROTECTIONS.join(", ")), "{text}");
    api.stop();
}

/// "environment scrubbed"
#[test]
fn what_stood_in_the_environment_is_nowhere_in_the_process() {
    if !needs::met(&[]) {
        return;
    }
    let vault = Vault::init();
    let mut command = Daemon::command(&vault.sandbox);
    command
        .env("HUSHD_TOKEN", "ik_marker_0123456789_of_hushd")
        .env("AWS_SECRET_ACCESS_KEY", "marker_9876543210_of_aws");
    let daemon = Daemon::launch(&vault.sandbox, command).unwrap();
    let environment = fs::read(format!("/proc/{}/environ", daemon.pid().as_raw_nonzero())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("XDG_RUNTIME_DIR=/"), "what it needs is there: {environment}");
    assert!(!environment.contains("marker"), "{environment}");
    for marker in ["marker_0123456789_of_hushd", "marker_9876543210_of_aws"] {
        assert_eq!(found_in(daemon.pid(), marker.as_bytes()), 0, "{marker}");
    }
    daemon.stop_cleanly();
}

/// "key pages locked (in `memfd_secret` where there is one)": root's debugger reads all of the process but the keys.
#[test]
fn no_key_is_in_memory_that_a_debugger_can_read() {
    if !needs::met(&["age"]) {
        return;
    }
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    api.get("/api/secrets/A").is(200);
    let sandbox = &api.vault.sandbox;
    let mut age = sandbox.command(Path::new("age"));
    age.arg("--decrypt").arg("--identity").arg(sandbox.identity()).arg(sandbox.data().join("keyring.age"));
    let keyring = cli::run(&mut age, b"").exits(0).json();
    let keys = keys_of(&keyring);
    assert!(keys.len() >= 4, "{keyring}");
    for (name, key) in keys {
        assert_eq!(found_in(api.daemon().pid(), &key), 0, "{name}");
    }
    // What is looked for is found where it is.
    assert!(found_in(api.daemon().pid(), b"HUSHD_CONFIG") > 0);
    api.stop();
}

/// The keys of 32 bytes in a keyring, with their names.
fn keys_of(keyring: &Value) -> Vec<(String, Vec<u8>)> {
    use base64::Engine as _;
    let decode = |text: &Value| base64::engine::general_purpose::STANDARD.decode(text.as_str()?).ok();
    let mut keys = Vec::new();
    for (name, value) in keyring.as_object().unwrap() {
        if name.ends_with("Key") {
            keys.extend(decode(value).map(|key| (name.clone(), key)));
        }
        for entry in value.as_array().into_iter().flatten() {
            keys.extend(decode(&entry["key"]).map(|key| (name.clone(), key)));
        }
    }
    keys.retain(|(_, key)| key.len() == 32);
    keys
}

/// How often these bytes are in what can be read of a process's memory.
fn found_in(process: Pid, bytes: &[u8]) -> usize {
    let process = format!("/proc/{}", process.as_raw_nonzero());
    let memory = fs::File::open(format!("{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        if !access.starts_with('r') || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") {
            continue;
        }
        let mut contents = vec![0; usize::try_from(end - start).unwrap()];
        if memory.read_exact_at(&mut contents, start).is_ok() {
            found += contents.windows(bytes.len()).filter(|window| *window == bytes).count();
        }
    }
    found
}

/// "Nothing of it may stop the daemon where the kernel lacks it, unless the configuration says `require-hardening`."
#[test]
fn what_the_system_lacks_is_told_and_stops_the_daemon_only_where_it_is_required() {
    if !needs::met(&["setpriv", "prlimit"]) {
        return;
    }
    let vault = Vault::init();
    // No memory can be locked.
    let without = |vault: &Vault| {
        let serve = Daemon::command(&vault.sandbox);
        let mut command = vault.sandbox.command(Path::new("prlimit"));
        command.args(["--memlock=0:0", "setpriv", "--bounding-set=-ipc_lock,-sys_resource", "--inh-caps=-ipc_lock"]);
        command.arg(serve.get_program()).args(serve.get_args());
        command
    };
    let daemon = Daemon::launch(&vault.sandbox, without(&vault)).unwrap();
    assert!(daemon.log().contains("keys-locked"), "{}", daemon.log());
    let api = Api::adopt(daemon, vault, Transport::Unix);
    let status = api.get("/api/status").is(200).json();
    let missing: Vec<_> = status["hardening"].as_array().unwrap().iter().filter(|one| one["holds"] != true).collect();
    assert_eq!((missing.len(), &missing[0]["name"]), (1, &json!("keys-locked")), "{status}");
    assert!(missing[0]["note"].as_str().unwrap().contains("RLIMIT_MEMLOCK"), "{status}");
    api.create("A", "1");
    let text = api.vault.sandbox.run(&["status"]).exits(0).stdout;
    assert!(text.contains("keys-locked: the limit of locked memory is too low"), "{text}");
    let vault = api.stop();

    fs::write(vault.sandbox.config().join("config.toml"), "require-hardening = true\n").unwrap();
    let failure = Daemon::launch(&vault.sandbox, without(&vault)).err().expect("it refuses to serve");
    assert_eq!(failure.code, 78, "{failure:?}");
    assert!(failure.stderr.contains("keys-locked") && failure.stderr.contains("require-hardening"), "{failure:?}");
    assert!(!vault.sandbox.socket().exists());
    Daemon::start(&vault).stop_cleanly();
}

/// "What a hardened unit hides (`PrivateUsers`, `ProtectProc`) is detected and told at start"
#[test]
fn what_a_hardened_unit_hides_of_peers_is_told() {
    if !needs::met(&["unshare", "setpriv", "mount"]) {
        return;
    }
    let vault = Vault::init();
    let serve = Daemon::command(&vault.sandbox);
    let command = |wrapper: &[&str]| {
        let mut command = vault.sandbox.command(Path::new(wrapper[0]));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(&wrapper[1..]);
        command.arg(serve.get_program()).args(serve.get_args());
        command
    };
    let peers = |daemon: Daemon, word: &str| {
        let log = daemon.log();
        assert!(log.contains("peers are hidden") && log.contains(word), "{log}");
        let status = vault.sandbox.run(&["status", "--json"]).exits(0).json();
        daemon.stop_cleanly();
        status["peers"].clone()
    };
    // PrivateUsers=yes
    let daemon = Daemon::launch(&vault.sandbox, command(&["unshare", "--user", "--map-root-user"])).unwrap();
    let told = peers(daemon, "PrivateUsers");
    assert_eq!((&told["users"], &told["units"]), (&json!(false), &json!(true)), "{told}");
    // ProtectProc=invisible
    let hide = "mount -t proc -o hidepid=invisible proc /proc && exec setpriv --bounding-set=-sys_ptrace \
                --inh-caps=-sys_ptrace --reuid=64204 --regid=64204 --clear-groups \"$@\"";
    let mut chown = vault.sandbox.command(Path::new("chown"));
    cli::run(chown.args(["-R", "64204:64204"]).arg(vault.sandbox.path("")), b"").exits(0);
    let daemon = Daemon::launch(&vault.sandbox, command(&["unshare", "--mount", "sh", "-c", hide, "sh"])).unwrap();
    let log = daemon.log();
    assert!(log.contains("ProtectProc"), "{log}");
    daemon.stop_cleanly();
}
