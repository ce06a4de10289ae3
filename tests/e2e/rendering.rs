//! "`render` … as a daemon-side job with `[[render]]` too": files that the daemon keeps rendered.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, until};

/// Where the files of a test are: a directory that only its owner can write to.
fn place(sandbox: &Sandbox) -> PathBuf {
    let place = sandbox.path("files");
    if !place.exists() {
        fs::create_dir(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    }
    place
}

/// Configures one file, `app.conf` of the template `app.tmpl`, with more lines.
fn configure(vault: &Vault, template: &str, more: &str) -> PathBuf {
    let place = place(&vault.sandbox);
    fs::write(place.join("app.tmpl"), template).unwrap();
    write_config(vault, &section(vault, "app", more));
    place.join("app.conf")
}

fn section(vault: &Vault, name: &str, more: &str) -> String {
    let place = place(&vault.sandbox);
    format!(
        "[[render]]\ntemplate = \"{0}/{name}.tmpl\"\noutput = \"{0}/{name}.conf\"\nnamespace = \"shop/prod\"\n{more}\n",
        place.display()
    )
}

fn write_config(vault: &Vault, text: &str) {
    fs::write(vault.sandbox.config().join("config.toml"), text).unwrap();
}

fn set(api: &Api, key: &str, value: &str) {
    let target = format!("{}?namespace=shop/prod", secret(key));
    if api.put(&target, json!({"value": value})).status == 404 {
        api.post("/api/secrets?namespace=shop/prod", json!({"key": key, "value": value})).is(201);
    }
}

#[track_caller]
fn becomes(file: &PathBuf, text: &str) {
    until(&format!("{} does not become {text:?}", file.display()), || {
        fs::read_to_string(file).is_ok_and(|found| found == text)
    });
}

fn status(api: &Api) -> Value {
    api.get("/api/status").is(200).json()["renders"].clone()
}

#[test]
fn a_file_follows_its_secrets_and_its_command_runs_once_for_each_change() {
    let vault = Vault::init();
    let runs = place(&vault.sandbox).join("runs");
    let then = format!("mode = \"0640\"\nthen = [\"sh\", \"-c\", \"echo ran >> {}\"]", runs.display());
    let file = configure(&vault, "password={{ DB_PASSWORD | json }}\nurl={{ URL }}\n", &then);
    let api = Api::serve(vault, Transport::Unix);
    // What is missing is told, and there is no file.
    until("a problem", || status(&api)[0]["problem"].is_string());
    assert!(status(&api)[0]["problem"].as_str().unwrap().contains("secret not found in shop/prod: DB_PASSWORD, URL"));
    assert!(!file.exists());
    let told = api.vault.sandbox.run(&["status"]);
    assert!(told.code == 1 && told.stdout.contains("secret not found in shop/prod"), "{told:?}");

    set(&api, "DB_PASSWORD", "first-of-render");
    api.post(
        "/api/secrets?namespace=shop/prod",
        json!({"key": "URL", "value": "pg://${DB_PASSWORD}@h", "isTemplate": true}),
    )
    .is(201);
    becomes(&file, "password=\"first-of-render\"\nurl=pg://first-of-render@h\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
    until("the command", || fs::read_to_string(&runs).is_ok_and(|text| text == "ran\n"));
    until("no problem", || status(&api)[0]["problem"].is_null());

    // A change of the secret is one of the file; that of another namespace, or one that leaves the text, is none.
    let inode = fs::metadata(&file).unwrap().ino();
    api.create("DB_PASSWORD", "of-another-namespace");
    set(&api, "OTHER", "not-in-the-template");
    set(&api, "DB_PASSWORD", "first-of-render");
    let before = status(&api)[0]["renderedAt"].clone();
    until("it was looked at", || status(&api)[0]["renderedAt"] != before);
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode, "what is the same is not written");
    set(&api, "DB_PASSWORD", "second-of-render");
    becomes(&file, "password=\"second-of-render\"\nurl=pg://second-of-render@h\n");
    until("the command", || fs::read_to_string(&runs).is_ok_and(|text| text == "ran\nran\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);

    // Who read it stands in the trail, with the rule.
    let trail = api.get("/api/audit?action=reveal&key=DB_PASSWORD").is(200).json();
    let newest = &trail["entries"][0];
    assert_eq!(newest["principal"], format!("render:{}", file.display()), "{trail}");
    assert_eq!(newest["rule"], "scope: read shop/prod/*", "{trail}");
    // A secret that goes leaves the file as it is.
    api.delete(&format!("{}?namespace=shop/prod", secret("DB_PASSWORD"))).is(200);
    until("a problem", || status(&api)[0]["problem"].is_string());
    assert!(fs::read_to_string(&file).unwrap().contains("second-of-render"));
    let metrics = String::from_utf8(api.connect().send(&api.call("GET", "/metrics").request()).unwrap().body).unwrap();
    assert!(
        metrics.contains("hushd_renders_total 2") && !metrics.contains("hushd_render_failures_total 0"),
        "{metrics}"
    );
    api.stop();
}

#[test]
fn what_cannot_be_written_is_told_and_the_old_file_stays() {
    let vault = Vault::init();
    let file = configure(&vault, "{{ KEY }}", "");
    let target = place(&vault.sandbox).join("target");
    fs::write(&target, "not ours").unwrap();
    symlink(&target, &file).unwrap();
    let api = Api::serve(vault, Transport::Unix);
    set(&api, "KEY", "value-of-render");
    until("a problem", || status(&api)[0]["problem"].as_str().is_some_and(|text| text.contains("symbolic link")));
    assert_eq!(fs::read_to_string(&target).unwrap(), "not ours");
    fs::remove_file(&file).unwrap();
    api.daemon().signal(Signal::HUP);
    becomes(&file, "value-of-render");

    // A template that is none, and a command that fails.
    let template = place(&api.vault.sandbox).join("app.tmpl");
    fs::write(&template, "{{ KEY").unwrap();
    api.daemon().signal(Signal::HUP);
    until("a problem", || {
        status(&api)[0]["problem"].as_str().is_some_and(|text| text.contains("line 1: {{ is never closed"))
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "value-of-render");
    fs::write(&template, "new {{ KEY }}").unwrap();
    write_config(&api.vault, &section(&api.vault, "app", "then = [\"false\"]"));
    api.daemon().signal(Signal::HUP);
    until("a problem", || {
        status(&api)[0]["problem"].as_str().is_some_and(|text| text.contains("its command failed: false"))
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "new value-of-render");
    // It is owed: what was told to nobody is told when it is tried again, though the file is the same.
    let told = place(&api.vault.sandbox).join("told");
    write_config(&api.vault, &section(&api.vault, "app", &format!("then = [\"touch\", \"{}\"]", told.display())));
    api.daemon().signal(Signal::HUP);
    until("no problem", || status(&api)[0]["problem"].is_null());
    assert!(told.exists());
    assert!(!api.daemon().log().contains("value-of-render"));
    api.stop();
}

#[test]
fn sighup_takes_files_over_and_keeps_what_it_had_where_the_new_cannot_be_used() {
    let vault = Vault::init();
    let first = configure(&vault, "1 {{ KEY }}", "");
    let second = place(&vault.sandbox).join("second.conf");
    fs::write(place(&vault.sandbox).join("second.tmpl"), "2 {{ KEY }}").unwrap();
    let api = Api::serve(vault, Transport::Unix);
    set(&api, "KEY", "a-rendered-value");
    becomes(&first, "1 a-rendered-value");
    let both = section(&api.vault, "app", "") + &section(&api.vault, "second", "");
    write_config(&api.vault, &both);
    api.daemon().signal(Signal::HUP);
    becomes(&second, "2 a-rendered-value");
    assert_eq!(status(&api).as_array().unwrap().len(), 2);

    write_config(&api.vault, &section(&api.vault, "second", "owner = \"nobody-of-that-name\""));
    api.daemon().signal(Signal::HUP);
    until("it is told", || api.daemon().log().contains("there is no user nobody-of-that-name"));
    set(&api, "KEY", "another-rendered-value");
    becomes(&first, "1 another-rendered-value");
    becomes(&second, "2 another-rendered-value");

    write_config(&api.vault, "");
    api.daemon().signal(Signal::HUP);
    until("none is left", || status(&api) == json!([]));
    set(&api, "KEY", "the-last-value");
    thread::sleep(Duration::from_millis(600));
    assert_eq!(fs::read_to_string(&first).unwrap(), "1 another-rendered-value");
    api.stop();
}

/// "the entry of a reveal is written to the file before the value leaves": also to a file.
#[test]
fn what_cannot_be_recorded_is_not_rendered() {
    let vault = Vault::init();
    let file = configure(&vault, "{{ KEY }}", "");
    let vault = {
        let api = Api::serve(vault, Transport::Unix);
        set(&api, "KEY", "recorded-first-1");
        becomes(&file, "recorded-first-1");
        api.stop()
    };
    fs::remove_file(&file).unwrap();
    // A directory where the trail's file should be: nothing can be recorded.
    let audit = vault.sandbox.data().join("audit");
    fs::remove_dir_all(&audit).unwrap();
    fs::write(&audit, "no directory").unwrap();
    let api = Api::serve(vault, Transport::Unix);
    until("it is told", || api.daemon().log().contains("a file is not as it should be"));
    assert!(!file.exists());
    drop(api.kill());
}

#[test]
fn a_sealed_vault_renders_when_it_is_unsealed() {
    let vault = Vault::init();
    let file = configure(&vault, "{{ KEY }}", "");
    let api = Api::serve(vault, Transport::Unix);
    set(&api, "KEY", "sealed-and-back");
    becomes(&file, "sealed-and-back");
    api.post("/api/seal", json!({})).is(200);
    fs::remove_file(&file).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(!file.exists());
    api.post("/api/unseal", json!({})).is(200);
    becomes(&file, "sealed-and-back");
    api.stop();
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_with_its_line() {
    let vault = Vault::init();
    let place = place(&vault.sandbox);
    fs::write(place.join("a.tmpl"), "").unwrap();
    let open = vault.sandbox.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let (place, open) = (place.display(), open.display());
    let template = format!("template = \"{place}/a.tmpl\"");
    for (text, line, said) in [
        (format!("\n[[render]]\n{template}\n"), 2, "[[render]] has no output".to_owned()),
        (format!("[[render]]\n{template}\noutput = \"a\"\n"), 3, "not an absolute path".to_owned()),
        (format!("[[render]]\n{template}\noutput = \"{open}/a\"\n"), 1, "others can write to its directory".to_owned()),
        (format!("[[render]]\n{template}\noutput = \"/no/such/a\"\n"), 1, "its directory cannot be used".to_owned()),
        (
            format!("[[render]]\n{template}\noutput = \"{place}/a\"\nmode = \"0666\"\n"),
            4,
            "everybody could write".to_owned(),
        ),
        (
            format!("[[render]]\n{template}\noutput = \"{place}/a\"\nowner = \"nobody-there\"\n"),
            1,
            "there is no user nobody-there".to_owned(),
        ),
        (format!("[[render]]\n{template}\noutput = \"{place}/a.tmpl\"\n"), 1, "over its own template".to_owned()),
        (
            format!("[[render]]\n{template}\noutput = \"{place}/a\"\n[[render]]\n{template}\noutput = \"{place}/a\"\n"),
            4,
            "another [[render]] writes it too".to_owned(),
        ),
        (format!("[[render]]\n{template}\noutput = \"{place}/a\"\nmod = \"0600\"\n"), 4, "unknown key".to_owned()),
    ] {
        write_config(&vault, &text);
        let output = vault.sandbox.run(&["config", "check"]);
        assert!(output.code == 78 && output.stderr.contains(&said), "{text}: {output:?}");
        assert!(output.stderr.contains(&format!("config.toml:{line}:")), "{text}: {output:?}");
        let failure = Daemon::launch(&vault.sandbox, Daemon::command(&vault.sandbox)).err().expect("it does not start");
        assert_eq!(failure.code, 78, "{text}");
    }
    write_config(&vault, &format!("[[render]]\n{template}\noutput = \"{place}/a\"\nowner = \"0\"\n"));
    vault.sandbox.run(&["config", "check"]).exits(0);
    let shown = vault.sandbox.run(&["config", "show", "--json"]).exits(0);
    assert!(
        shown.stdout.contains("\"namespace\":\"default\"") || shown.stdout.contains("\"namespace\": \"default\""),
        "{shown:?}"
    );
}
