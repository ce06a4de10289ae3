//! "Credential helpers that speak the real protocols".

use std::fs;
use std::path::Path;

use serde_json::json;

use super::start;
use crate::harness::cli::{self, Output};
use crate::harness::{Api, programs};

fn ask(api: &Api, arguments: &[&str], input: &str) -> Output {
    let arguments: Vec<_> = ["credential"].iter().chain(arguments).copied().collect();
    cli::run(&mut api.vault.sandbox.hushd(&arguments), input.as_bytes())
}

#[test]
fn git_is_answered_by_its_protocol() {
    let api = start();
    let about = "protocol=https\nhost=git.example.org\n";
    let git = |operation: &str, more: &str| ask(&api, &["git", operation], &format!("{about}{more}\n")).exits(0).stdout;
    assert_eq!(git("get", ""), "");
    git("store", "username=ada\npassword=p4ssw0rd-of-ada\n");
    git("store", "username=ada\npassword=p4ssw0rd-of-ada\n");
    assert_eq!(git("get", ""), "username=ada\npassword=p4ssw0rd-of-ada\n");
    assert_eq!(git("get", "username=bob\n"), "");
    git("store", "username=bob\npassword=p4ssw0rd-of-bob\npassword_expiry_utc=1\n");
    assert_eq!(git("get", "username=bob\n"), "", "it has expired");
    let other = ask(&api, &["git", "get"], "protocol=http\nhost=git.example.org\n\n").exits(0);
    assert_eq!(other.stdout, "", "another protocol");
    git("erase", "username=ada\npassword=another\n");
    assert_ne!(git("get", ""), "");
    git("erase", "username=ada\npassword=p4ssw0rd-of-ada\n");
    assert_eq!(git("get", ""), "");
    ask(&api, &["git", "store"], &format!("{about}\n")).fails(65, "no username", "");
    api.stop();
}

/// "tested with a real `git clone` over HTTP on loopback"
#[test]
fn git_clones_with_a_password_from_here() {
    let (Some(git), Some(python)) = (programs::find("git"), programs::find("python3")) else { return };
    let api = start();
    let sandbox = &api.vault.sandbox;
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(&git);
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"];
        command.args(identity).args(arguments).env("GIT_TERMINAL_PROMPT", "0");
        cli::run(&mut command, b"")
    };
    run(&["init", "-q", "work"]).exits(0);
    run(&["-C", "work", "commit", "-q", "--allow-empty", "-m", "first"]).exits(0);
    run(&["clone", "-q", "--bare", "work", "repo.git"]).exits(0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/daily/git-server.py");
    let mut server = sandbox.command(&python);
    server.arg(script).arg(sandbox.path("home")).arg(&git).stdout(std::process::Stdio::piped());
    let mut server = server.spawn().unwrap();
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut port).unwrap();
    let host = format!("127.0.0.1:{}", port.trim());
    let url = format!("http://{host}/repo.git");
    let helper = format!("credential.helper=!{} credential git", env!("CARGO_BIN_EXE_hushd"));
    let clone = |into: &str| run(&["-c", "credential.helper=", "-c", &helper, "clone", "-q", &url, into]);
    assert_ne!(clone("without").code, 0);
    let stored = format!("protocol=http\nhost={host}\nusername=ada\npassword=cl0ne-me\n\n");
    ask(&api, &["git", "store"], &stored).exits(0);
    let cloned = clone("with");
    server.kill().unwrap();
    server.wait().unwrap();
    cloned.exits(0);
    assert!(sandbox.path("home/with/.git").is_dir());
    api.stop();
}

#[test]
fn docker_is_answered_by_its_protocol() {
    let api = start();
    let url = "https://index.docker.io/v1/";
    let unknown = ask(&api, &["docker", "get"], url).exits(1);
    assert_eq!(unknown.stdout, "credentials not found in native keychain\n");
    assert_eq!(ask(&api, &["docker", "list"], "").exits(0).json(), json!({}));
    let login = json!({"ServerURL": url, "Username": "ada", "Secret": "d0cker-t0ken"});
    ask(&api, &["docker", "store"], &login.to_string()).exits(0);
    assert_eq!(ask(&api, &["docker", "get"], &format!("{url}\n")).exits(0).json(), login);
    assert_eq!(ask(&api, &["docker", "list"], "").exits(0).json(), json!({url: "ada"}));
    ask(&api, &["docker", "erase"], url).exits(0);
    ask(&api, &["docker", "get"], url).exits(1);
    ask(&api, &["docker", "store"], "{").fails(65, "not the expected JSON", "");
    api.stop();
}

#[test]
fn aws_is_answered_by_its_protocol() {
    let api = start();
    ask(&api, &["aws"], "").fails(66, "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", "");
    api.create("AWS_ACCESS_KEY_ID", "AKIA-of-a-test-1");
    api.create("AWS_SECRET_ACCESS_KEY", "aws-s3cr3t-key");
    let answer = ask(&api, &["aws"], "").exits(0).json();
    assert_eq!(answer, json!({"Version": 1, "AccessKeyId": "AKIA-of-a-test-1", "SecretAccessKey": "aws-s3cr3t-key"}));
    let session = json!({"key": "AWS_SESSION_TOKEN", "value": "s3ssion", "expiresAt": "2036-07-15T12:00:00Z"});
    api.post("/api/secrets", session).is(201);
    let answer = ask(&api, &["aws"], "").exits(0).json();
    assert_eq!(
        (&answer["SessionToken"], &answer["Expiration"]),
        (&json!("s3ssion"), &json!("2036-07-15T12:00:00.000Z"))
    );
    api.stop();
}

#[test]
fn age_decrypts_with_an_identity_from_here() {
    let (Some(age), Some(keygen)) = (programs::find("age"), programs::find("age-keygen")) else { return };
    let api = start();
    let sandbox = &api.vault.sandbox;
    let identity = cli::run(&mut sandbox.command(&keygen), b"").exits(0).stdout;
    let recipient = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    sandbox.run_with(&["set", "AGE_IDENTITY"], &identity).exits(0);
    let file = sandbox.path("home/x.age");
    cli::run(sandbox.command(&age).args(["-r", &recipient, "-o", file.to_str().unwrap()]), b"hello").exits(0);
    let given = ask(&api, &["age"], "").exits(0).stdout;
    let opened = cli::run(sandbox.command(&age).args(["-d", "-i", "-", file.to_str().unwrap()]), given.as_bytes());
    assert_eq!(opened.exits(0).stdout, "hello");
    api.create("OTHER", "no identity at all 1");
    ask(&api, &["age", "OTHER"], "").fails(65, "OTHER is no age identity", "age-keygen");
    fs::remove_file(file).unwrap();
    api.stop();
}
