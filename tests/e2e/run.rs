//! "`run` by `execve` with one request": what a command gets, how it ends, and what it must not see.

mod projects;
mod templates;
mod terminal;

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::cli::{self, Output};
use crate::harness::{Api, Transport, leaks};

pub fn start() -> Api {
    Api::start(Transport::Unix)
}

/// Sets a secret of a namespace.
#[track_caller]
pub fn set(api: &Api, namespace: &str, key: &str, value: &str) {
    api.vault.sandbox.run_with(&["set", key, "--namespace", namespace], value).exits(0);
}

/// Runs a script of the shell with these options of `hushd run`.
#[track_caller]
fn shell(api: &Api, options: &[&str], script: &str) -> Output {
    let words = ["run"].iter().chain(options).chain(&["--", "sh", "-c", script]).copied().collect::<Vec<_>>();
    api.vault.sandbox.run(&words)
}

#[test]
fn a_command_gets_the_secrets_and_its_exit_code_is_its_own() {
    let api = start();
    set(&api, "default", "ALPHA", "the first value");
    set(&api, "default", "BETA", "two\nlines $x \"quoted\" ü ");
    set(&api, "other", "GAMMA", "of another namespace");
    let all = shell(&api, &[], "printf '%s|%s|%s' \"$ALPHA\" \"$BETA\" \"$GAMMA\"; exit 7").exits(7);
    assert_eq!(all.stdout, "the first value|two\nlines $x \"quoted\" ü |");
    assert_eq!(all.stderr, "");
    let other = shell(&api, &["--namespace", "other"], "printf '%s|%s' \"$ALPHA\" \"$GAMMA\"").exits(0);
    assert_eq!(other.stdout, "|of another namespace");
    // Without the dashes too, and options after the command are the command's.
    let bare = api.vault.sandbox.run(&["run", "printf", "%s", "--json"]).exits(0);
    assert_eq!(bare.stdout, "--json");
    let input = api.vault.sandbox.run_with(&["run", "--", "cat"], "through standard input");
    assert_eq!(input.exits(0).stdout, "through standard input");
    api.stop();
}

#[test]
fn options_choose_what_it_gets() {
    let api = start();
    for (key, value) in [("DB_HOST", "host"), ("DB_PASSWORD", "password"), ("STRIPE_KEY", "stripe")] {
        set(&api, "default", key, value);
    }
    let script = "printf '%s,%s,%s,%s' \"$DB_HOST\" \"$DB_PASSWORD\" \"$STRIPE_KEY\" \"$PGPASSWORD\"";
    for (options, expected) in [
        (&["--only", "DB_HOST,STRIPE_KEY"][..], "host,,stripe,"),
        (&["--prefix", "DB_"], "host,password,,"),
        (&["--map", "PGPASSWORD=DB_PASSWORD"], "host,,stripe,password"),
        (&["--only", "DB_HOST", "--map", "PGPASSWORD=DB_PASSWORD"], "host,,,password"),
        (&["--prefix", "STRIPE", "--map", "PGPASSWORD=DB_PASSWORD"], ",,stripe,password"),
        (&["--required=DB_HOST"], "host,password,stripe,"),
    ] {
        assert_eq!(shell(&api, options, script).exits(0).stdout, expected, "{options:?}");
    }
    let missing = shell(&api, &["--only", "DB_HOST,NOPE,NEVER"], "echo ran");
    assert_eq!(missing.stdout, "");
    missing.fails(66, "secrets not found: NEVER, NOPE (looked in default)", "hushd set NEVER");
    shell(&api, &["--required=NOPE"], "echo ran").fails(66, "secret not found: NOPE", "");
    shell(&api, &["--only", "nope"], "").fails(2, "uppercase", "--map nope=KEY");
    shell(&api, &["--map", "NOPE"], "").fails(2, "expected ENV=KEY", "");
    shell(&api, &["--map", "HUSHD_TOKEN=DB_HOST"], "").fails(2, "hushd's own", "");
    api.stop();
}

/// "126/127": what keeps a command from being run is told as shells do; what goes wrong before has hushd's own codes.
#[test]
fn what_cannot_be_run_is_told_as_shells_do() {
    let api = start();
    let sandbox = &api.vault.sandbox;
    sandbox.run(&["run", "--", "no-such-command"]).fails(127, "command not found: no-such-command", "");
    let script = sandbox.key_file("script", "#!/bin/sh\n");
    sandbox.run(&["run", "--", script.to_str().unwrap()]).fails(126, "permission denied", "");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    sandbox.run(&["run", "--", script.to_str().unwrap()]).exits(0);
    sandbox.run(&["run"]).fails(2, "<CMD>", "");
    set(&api, "default", "NUL", "a\0b");
    sandbox.run(&["run", "--", "true"]).fails(65, "the value of NUL has a NUL character", "--file NUL=NUL");
    set(&api, "default", "NUL", &"x".repeat(200_000));
    sandbox.run(&["run", "--", "true"]).fails(126, "cannot run true", "--file");
    let vault = api.stop();
    vault.sandbox.run(&["run", "--", "true"]).fails(69, "not running", "hushd serve");
}

/// "values as files (`--file ENV=KEY`: sealed memfd …), never in arguments; the child sees no hushd token"
#[test]
fn a_file_is_sealed_and_has_any_value() {
    let api = start();
    let large = "0123456789abcdef\n".repeat(20_000);
    set(&api, "default", "NUL", "a\0b");
    set(&api, "default", "LARGE", &large);
    let options = ["--file", "FIRST=NUL,SECOND=LARGE"];
    let script = "od -An -c \"$FIRST\"; wc -c < \"$SECOND\"; cat \"$SECOND\" \"$SECOND\" | wc -c; \
        (echo x > \"$FIRST\") 2>&1 | wc -l; echo \"$NUL$LARGE\"; sh -c 'wc -c < $FIRST'";
    let seen = shell(&api, &options, script).exits(0).stdout;
    let seen: Vec<&str> = seen.lines().map(str::trim).collect();
    assert_eq!(seen[0].split_whitespace().collect::<Vec<_>>(), ["a", "\\0", "b"]);
    assert_eq!(seen[1..], ["340000", "680000", "1", "", "3"]);
    api.stop();
}

#[test]
fn a_command_sees_no_credential_of_hushd_and_nothing_it_should_not() {
    let api = start();
    set(&api, "default", "ALPHA", "the first value");
    let token = api.vault.admin_token();
    leaks::credential(&token);
    let print = |options: &[&str]| {
        let words: Vec<&str> = ["run"].iter().chain(options).chain(&["--", "/usr/bin/env"]).copied().collect();
        let mut command = api.vault.sandbox.hushd(&words);
        command.env("HUSHD_TOKEN", &token).env("FOREIGN", "yes").env("LC_ALL", "C.UTF-8");
        cli::run(&mut command, b"").exits(0).stdout
    };
    let all = print(&[]);
    assert!(all.contains("FOREIGN=yes") && all.contains("ALPHA=the first value"), "{all}");
    assert!(!all.contains("HUSHD_TOKEN"), "{all}");
    let pristine = print(&["--pristine"]);
    let names: Vec<&str> = pristine.lines().map(|line| line.split_once('=').unwrap().0).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["ALPHA", "HOME", "LC_ALL", "PATH", "XDG_RUNTIME_DIR"]);
    // The arguments of the process are those that were typed, and it is the same process.
    let arguments = shell(&api, &[], "tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/$$/comm").exits(0).stdout;
    assert!(!arguments.contains("the first value") && arguments.ends_with("sh\n"), "{arguments}");
    let token_file = api.vault.sandbox.key_file("token", &token);
    let mut command = api.vault.sandbox.hushd(&["run", "--", "/usr/bin/env"]);
    command.env("HUSHD_TOKEN_FILE", token_file);
    assert!(!cli::run(&mut command, b"").exits(0).stdout.contains("HUSHD_TOKEN"));
    api.stop();
}

/// One request: the trail has one reveal of each secret and nothing else.
#[test]
fn one_request_is_enough() {
    let api = start();
    set(&api, "default", "ALPHA", "the first value");
    let requests = |api: &Api| {
        let mut connection = api.connect();
        let answer = connection.send(&api.call("GET", "/metrics").request()).unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        let counts =
            text.lines().filter(|line| line.starts_with("hushd_http_requests_total") && !line.contains("/metrics"));
        counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>()
    };
    let before = requests(&api);
    shell(&api, &[], "true").exits(0);
    assert!((requests(&api) - before - 1.0).abs() < 0.5);
    api.stop();
}
