//! What a developer does every day: environments in and out, revisions, copies, an editor, templates, the clipboard.

mod credentials;
mod dotenv;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::api::secret;
use crate::harness::cli::{self, Output};
use crate::harness::{Api, Transport, programs};

fn start() -> Api {
    Api::start(Transport::Unix)
}

fn run(api: &Api, arguments: &[&str]) -> Output {
    api.vault.sandbox.run(arguments)
}

/// Puts a file into the home, where programs run, and says its name.
fn file(api: &Api, name: &str, text: &str) -> String {
    let path = api.vault.sandbox.path("home").join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A program of the test's own, first in the search path.
fn program(api: &Api, name: &str, script: &str) {
    let directory = api.vault.sandbox.path("bin");
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_programs(api: &Api, arguments: &[&str]) -> Command {
    let mut command = api.vault.sandbox.hushd(arguments);
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", api.vault.sandbox.path("bin").display()));
    command
}

/// "moving a project from `.env` files to hushd": in, and out again.
#[test]
fn a_project_moves_in_and_out() {
    let api = start();
    let env =
        file(&api, ".env", "# app\nexport PORT=3000\nDB_URL=\"postgres://u:p4ss-w0rd@h/db\"\nPEM='a\nb'\nEMPTY=\n");
    let dry = run(&api, &["import", &env, "--dry-run"]).exits(0);
    assert_eq!(dry.stdout, "create    DB_URL\ncreate    EMPTY\ncreate    PEM\ncreate    PORT\n");
    assert!(!dry.stdout.contains("p4ss") && api.get("/api/secrets").json() == json!({"secrets": []}));
    let output = run(&api, &["import", &env]).exits(0);
    assert_eq!(output.stderr, "hushd: imported into default: 4 created\n");
    assert_eq!((api.value("PEM"), api.value("EMPTY")), ("a\nb".to_owned(), String::new()));
    assert_eq!(run(&api, &["env"]).exits(0).stdout.lines().last(), Some("PORT=3000"));
    let shell = run(&api, &["env", "--format", "shell", "--only", "PORT,DB_URL"]).exits(0).stdout;
    assert_eq!(shell, "export DB_URL='postgres://u:p4ss-w0rd@h/db'\nexport PORT='3000'\n");
    let document = run(&api, &["env", "--json", "--prefix", "P"]).exits(0).json();
    assert_eq!(document, json!({"namespace": "default", "environment": {"PEM": "a\nb", "PORT": "3000"}}));
    run(&api, &["env", "--format", "docker"]).fails(65, "this format cannot hold PEM", "--only");
    run(&api, &["env", "--only", "PORT,NONE,NOR_THIS"]).fails(66, "NONE, NOR_THIS", "");

    let out = api.vault.sandbox.path("home/out.yaml");
    let out = out.to_str().unwrap();
    run(&api, &["export", "-o", out]).exits(0);
    assert_eq!(fs::metadata(out).unwrap().mode() & 0o777, 0o600);
    run(&api, &["export", "-o", out]).fails(73, "", "--force");
    run(&api, &["export", "-o", out, "--force", "--json"]).exits(0);
    let same = run(&api, &["import", out, "--json"]).exits(0).json();
    assert!(same["changes"].as_array().unwrap().iter().all(|change| change["action"] == "unchanged"), "{same}");
    run(&api, &["import", out, "--namespace", "other"]).exits(0);
    run(&api, &["diff", "default", "other", "--exit-code"]).exits(0);
    api.stop();
}

#[test]
fn what_is_there_already_is_a_conflict_unless_it_is_said_what_to_do() {
    let api = start();
    api.create("A", "old-value-1");
    api.create("SAME", "1");
    let env = file(&api, "x.env", "A=new-value-2\nSAME=1\nNEW=1\n");
    run(&api, &["import", &env]).fails(73, "nothing was imported: A is there with another value", "--on-conflict");
    api.get(&secret("NEW")).is(404);
    let skip = run(&api, &["import", &env, "--on-conflict", "skip", "--json"]).exits(0).json();
    let action =
        |key: &str| skip["changes"].as_array().unwrap().iter().find(|c| c["key"] == key).unwrap()["action"].clone();
    assert_eq!((action("A"), action("SAME"), action("NEW")), (json!("skip"), json!("unchanged"), json!("create")));
    assert_eq!(api.value("A"), "old-value-1");
    run(&api, &["import", &env, "--on-conflict", "overwrite"]).exits(0);
    assert_eq!(api.value("A"), "new-value-2");
    assert_eq!(api.metadata("SAME")["revision"], 1);
    api.stop();
}

#[test]
fn what_cannot_be_imported_says_why() {
    let api = start();
    run(&api, &["import", "/nonexistent/.env"]).fails(66, "cannot read /nonexistent/.env", "");
    run(&api, &["import"]).fails(2, "", "");
    let lower = file(&api, "l.env", "db.password=s3cr3t-of-l\n");
    run(&api, &["import", &lower]).fails(65, "db.password is no key", "--upper");
    run(&api, &["import", &lower, "--upper"]).exits(0);
    assert_eq!(api.value("DB_PASSWORD"), "s3cr3t-of-l");
    let json = file(&api, "x.json", "{\"A\": {\"b\": 1}}");
    run(&api, &["import", &json]).fails(65, "the value of A is a list or an object", "");
    let compose = file(&api, "c.env", "A=s3cr3t$\n");
    run(&api, &["import", &compose, "--dialect", "compose"]).fails(65, "line 1: a $ that begins no variable", "");
    run(&api, &["import", &compose]).exits(0);
    let piped = api.vault.sandbox.run_with(&["import", "-", "--format", "yaml"], "B: from a pipe 1\n").exits(0);
    assert!(piped.stderr.contains("1 created"), "{piped:?}");
    let vault = file(&api, "v.json", r#"{"request_id":"1","lease_id":"","data":{"data":{"V":"1"},"metadata":{}}}"#);
    run(&api, &["import", &vault]).exits(0);
    assert_eq!(api.value("V"), "1");
    api.stop();
}

#[test]
fn a_file_that_git_tracks_is_pointed_out() {
    let api = start();
    let Some(git) = programs::find("git") else { return };
    let env = file(&api, ".env", "A=1\n");
    let home = api.vault.sandbox.path("home");
    let git =
        |arguments: &[&str]| cli::run(api.vault.sandbox.command(&git).args(arguments).current_dir(&home), b"").exits(0);
    git(&["init", "-q"]);
    assert!(!run(&api, &["import", &env]).exits(0).stderr.contains("git"));
    git(&["add", "-f", ".env"]);
    let noted = run(&api, &["import", ".env"]).exits(0).stderr;
    assert!(noted.contains(".env is tracked by git") && noted.contains("git rm --cached .env"), "{noted}");
    api.stop();
}

/// "`--from-insforge URL` (the original API …)": a hushd speaks it, too.
#[test]
fn another_server_is_imported_from() {
    let (from, api) = (start(), start());
    from.create("A", "value-from-there");
    from.create("GONE", "1");
    from.delete(&secret("GONE")).is(200);
    from.create_expired("OLD", "1");
    let url = format!("http://127.0.0.1:{}", from.daemon().port);
    let key = api.vault.sandbox.key_file("foreign", &from.vault.api_key);
    let arguments = ["import", "--from-insforge", &url, "--from-token-file", key.to_str().unwrap()];
    let output = run(&api, &arguments).exits(0);
    assert!(output.stderr.contains("2 deleted or expired secrets are left out"), "{}", output.stderr);
    assert_eq!(api.value("A"), "value-from-there");
    run(&api, &["import", "--from-insforge", &url]).fails(77, "", "");
    run(&api, &["import", "--from-insforge", "https://example.org"]).fails(2, "no address", "ssh -L");
    run(&api, &["import", "--from-insforge", "http://127.0.0.1:9"]).exits(69);
    from.stop();
    api.stop();
}

#[test]
fn revisions_are_listed_and_rolled_back_to() {
    let api = start();
    api.create("A", "one");
    api.put(&secret("A"), json!({"value": "two"})).is(200);
    let listed = run(&api, &["history", "A"]).exits(0).stdout;
    assert!(listed.lines().count() == 3 && listed.contains("REVISION") && !listed.contains("two"), "{listed}");
    let listed = run(&api, &["history", "A", "--json"]).exits(0).json();
    assert_eq!((&listed["revisions"][0]["revision"], &listed["key"]), (&json!(2), &json!("A")));
    run(&api, &["rollback", "A", "1"]).exits(0);
    assert_eq!(api.value("A"), "one");
    let done = run(&api, &["rollback", "A", "2", "--json"]).exits(0).json();
    assert_eq!(done, json!({"namespace": "default", "key": "A", "from": 2, "revision": 4}));
    run(&api, &["rollback", "A", "9"]).fails(66, "", "hushd history A");
    run(&api, &["history", "NONE"]).fails(66, "secret not found: NONE", "");
    api.stop();
}

#[test]
fn secrets_are_copied_renamed_and_compared() {
    let api = start();
    api.post("/api/secrets", json!({"key": "A", "value": "value-of-a-1", "expiresAt": "2036-07-15T12:00:00Z"})).is(201);
    api.create("B", "value-of-b-2");
    run(&api, &["copy", "A", "C"]).exits(0);
    assert_eq!(
        (api.value("C"), &api.metadata("C")["expiresAt"]),
        ("value-of-a-1".to_owned(), &json!("2036-07-15T12:00:00.000Z"))
    );
    run(&api, &["copy", "B", "C"]).fails(73, "already exists: C", "--force");
    run(&api, &["copy", "B", "C", "--force"]).exits(0);
    assert_eq!(api.value("C"), "value-of-b-2");
    run(&api, &["copy", "A"]).fails(2, "", "--to");
    run(&api, &["copy", "NONE", "D"]).fails(66, "", "");
    run(&api, &["copy", "--all", "--to", "shop/dev"]).exits(0);
    run(&api, &["copy", "--all", "--to", "shop/dev"]).fails(73, "", "");
    run(&api, &["rename", "C", "D"]).exits(0);
    api.get(&secret("C")).is(404);
    assert_eq!(api.value("D"), "value-of-b-2");
    run(&api, &["rename", "A", "B"]).fails(73, "already exists: B", "");
    api.put(&secret("B"), json!({"isReserved": true})).is(200);
    run(&api, &["rename", "B", "E"]).fails(77, "reserved", "hushd copy");
    run(&api, &["set", "A", "--namespace", "shop/dev", "--generate"]).exits(0);
    let table = run(&api, &["diff", "default", "shop/dev"]).exits(0).stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.iter().map(|row| row[1]).collect::<Vec<_>>(), ["DIFFERENCE", "changed", "added", "removed"]);
    assert!(!table.contains("value-of"), "{table}");
    // The same value has the same digest.
    assert_eq!(rows[2][3], rows[3][2], "{table}");
    let shown = run(&api, &["diff", "default", "shop/dev", "--reveal", "--json"]).exits(0).json();
    assert_eq!(shown["differences"][2], json!({"key": "D", "difference": "removed", "values": ["value-of-b-2", null]}));
    run(&api, &["diff", "default", "shop/dev", "--exit-code"]).fails(1, "default and shop/dev differ", "");
    api.stop();
}

#[test]
fn random_values_need_no_daemon() {
    let sandbox = crate::harness::Sandbox::new();
    assert_eq!(sandbox.run(&["generate"]).exits(0).stdout.trim_end().len(), 32);
    let hex = sandbox.run(&["generate", "64", "--charset", "hex", "--json"]).exits(0).json();
    assert!(hex["value"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_hexdigit()));
    sandbox.run(&["generate", "0"]).exits(2);
}

/// "the namespace as dotenv text in `$EDITOR`, applied as one change set"
#[test]
fn what_is_edited_is_applied() {
    let api = start();
    for (key, value) in [("A", "it's \"$1\"\n"), ("B", "2"), ("C", "3")] {
        api.create(key, value);
    }
    let edit = |editor: &str| cli::run(api.vault.sandbox.hushd(&["edit"]).env("EDITOR", editor), b"");
    let untouched = edit("stat -c %a >mode; true").exits(0);
    assert_eq!(fs::read_to_string(api.vault.sandbox.path("home/mode")).unwrap_or_default(), "");
    assert!(untouched.stderr.contains("nothing was changed"), "{untouched:?}");
    program(
        &api,
        "ed1",
        "stat -c '%a %n' \"$1\" > seen; sed -i -e 's/^B=2/B=two/' -e '/^C=/d' \"$1\"; echo NEW=1 >> \"$1\"",
    );
    let editor = api.vault.sandbox.path("bin/ed1");
    let done = edit(editor.to_str().unwrap()).exits(0);
    for line in ["delete    C", "update    B", "create    NEW"] {
        assert!(done.stderr.contains(line), "{done:?}");
    }
    assert_eq!(
        (api.value("A"), api.value("B"), api.value("NEW")),
        ("it's \"$1\"\n".to_owned(), "two".to_owned(), "1".to_owned())
    );
    api.get(&secret("C")).is(404);
    assert_eq!(api.metadata("A")["revision"], 1);
    let seen = fs::read_to_string(api.vault.sandbox.path("home/seen")).unwrap();
    let (mode, path) = seen.trim_end().split_once(' ').unwrap();
    assert!(mode == "600" && path.starts_with(api.vault.sandbox.path("runtime").to_str().unwrap()), "{seen}");
    assert!(!Path::new(path).exists(), "the text is gone");
    edit("false").fails(1, "the editor failed", "EDITOR=");
    api.stop();
}

#[test]
fn what_is_edited_is_never_lost() {
    let api = start();
    api.create("A", "1");
    let edit = |script: &str| {
        program(&api, "ed2", script);
        cli::run(api.vault.sandbox.hushd(&["edit"]).env("EDITOR", api.vault.sandbox.path("bin/ed2")), b"")
    };
    let kept = |output: &Output| {
        let line = output.stderr.lines().find_map(|line| line.split_once("your text is kept: ")).unwrap();
        fs::read_to_string(line.1).unwrap()
    };
    let broken = edit("echo \"A='typed-by-hand-1\" > \"$1\"").fails(65, "a quote that is never closed", "hushd import");
    assert_eq!(kept(&broken), "A='typed-by-hand-1\n");
    // Somebody else is faster.
    let other =
        format!("{} set A --file other --addr unix://{}", env!("CARGO_BIN_EXE_hushd"), api.daemon().socket.display());
    file(&api, "other", "from-somebody-else");
    let conflict = edit(&format!("{other}; echo A=typed-by-hand-2 > \"$1\"")).fails(73, "A was changed meanwhile", "");
    assert_eq!(kept(&conflict), "A=typed-by-hand-2\n");
    assert_eq!(api.value("A"), "from-somebody-else");
    api.stop();
}

/// "template file → output atomically, follows no link, keeps owner and mode, `--then CMD` on change only"
#[test]
fn a_template_is_rendered() {
    let api = start();
    api.create("A", "va\"lue-1");
    let template = file(&api, "t.tmpl", "a={{ A }}\nj={{ A | json }}\n");
    assert_eq!(run(&api, &["render", &template]).exits(0).stdout, "a=va\"lue-1\nj=\"va\\\"lue-1\"\n");
    let render = |more: &[&str]| run(&api, &[&["render", &template, "-o", "out.conf"], more].concat());
    render(&["--then", "echo ran >> then"]).exits(0);
    let out = api.vault.sandbox.path("home/out.conf");
    assert_eq!(fs::metadata(&out).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&out, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(render(&["--then", "echo ran >> then", "--json"]).exits(0).json()["changed"], false);
    api.put(&secret("A"), json!({"value": "other-value-2"})).is(200);
    render(&["--then", "echo ran >> then"]).exits(0);
    assert_eq!(fs::read_to_string(api.vault.sandbox.path("home/then")).unwrap(), "ran\nran\n");
    assert_eq!(fs::metadata(&out).unwrap().mode() & 0o777, 0o640);
    render(&["--mode", "0644"]).exits(0);
    assert_eq!(fs::metadata(&out).unwrap().mode() & 0o777, 0o644);
    render(&["--mode", "0666"]).fails(2, "everybody could write", "");
    api.put(&secret("A"), json!({"value": "third-value-3"})).is(200);
    render(&["--then", "exit 3"]).fails(1, "the command failed", "");
    let victim = file(&api, "victim", "untouched");
    std::os::unix::fs::symlink(&victim, api.vault.sandbox.path("home/link")).unwrap();
    run(&api, &["render", &template, "-o", "link"]).fails(1, "symbolic link", "");
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    let missing = file(&api, "m.tmpl", "{{ A }} {{ NONE }}");
    run(&api, &["render", &missing, "-o", "m"]).fails(66, "NONE", "");
    assert!(!api.vault.sandbox.path("home/m").exists());
    let wrong = file(&api, "w.tmpl", "\n{{ lower }}");
    run(&api, &["render", &wrong]).fails(65, "line 2", "");
    api.stop();
}

#[test]
fn a_value_is_on_the_clipboard_for_a_while() {
    let api = start();
    api.create("A", "cl1pboard-value");
    let store = api.vault.sandbox.path("home/clip");
    let script = format!("if [ \"$1\" = --clear ]; then : > {0}.cleared; else cat > {0}; fi", store.display());
    program(&api, "wl-copy", &script);
    program(&api, "wl-paste", &format!("cat {}", store.display()));
    let clip = |more: &[&str]| {
        let mut command = with_programs(&api, &[&["get", "A", "--clip"], more].concat());
        cli::run(command.env("WAYLAND_DISPLAY", "wayland-0"), b"")
    };
    let output = clip(&["--clear-after", "0"]).exits(0);
    assert_eq!((&*output.stdout, &*output.stderr), ("", "hushd: A is on the clipboard for 0 seconds\n"));
    assert_eq!(fs::read_to_string(&store).unwrap(), "cl1pboard-value");
    let cleared = store.with_extension("cleared");
    let waited = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        cleared.exists()
    });
    assert!(waited, "the clipboard is not cleared");
    assert_eq!(clip(&["--json", "--clear-after", "0"]).exits(0).json()["clearedAfter"], 0);
    run(&api, &["get", "A", "--clip"]).fails(66, "there is no clipboard", "hushd get");
    let mut without = api.vault.sandbox.hushd(&["get", "A", "--clip"]);
    without.env("PATH", api.vault.sandbox.path("keys")).env("WAYLAND_DISPLAY", "wayland-0");
    cli::run(&mut without, b"").fails(66, "not installed: wl-copy", "");
    api.stop();
}
