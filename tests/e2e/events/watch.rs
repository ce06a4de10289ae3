//! `hushd watch`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::harness::{Api, Transport, Vault, api::secret, cli, until};

/// `hushd watch` under way.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(vault: &Vault, arguments: &[&str]) -> Self {
        let mut command = vault.sandbox.hushd(&["watch"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until so many readers are connected.
fn until_readers(api: &Api, count: u32) {
    until(&format!("{count} readers"), || {
        let request = api.call("GET", "/metrics").request();
        let text = api.connect().send(&request).unwrap().body;
        String::from_utf8(text).unwrap().contains(&format!("hushd_event_readers {count}.0\n"))
    });
}

#[test]
fn changes_are_printed_as_they_happen_and_over_a_restart() {
    let api = Api::start(Transport::Unix);
    let mut machine = Watch::start(&api.vault, &["--json", "--all-namespaces", "--count", "4"]);
    let mut people = Watch::start(&api.vault, &[]);
    until_readers(&api, 2);
    api.post("/api/secrets?namespace=shop", json!({"key": "B", "value": "x"})).is(201);
    api.create("A", "x");
    assert_eq!(machine.json()["namespace"], "shop");
    let event = machine.json();
    assert_eq!((&event["type"], &event["key"], &event["revision"]), (&json!("created"), &json!("A"), &json!(1)));
    let line = people.line();
    assert!(line.ends_with("Z  created   default/A  revision 1"), "{line}");
    let api = api.restart();
    until_readers(&api, 2);
    api.put(&secret("A"), json!({"value": "y"})).is(200);
    assert_eq!(machine.json()["type"], "reset");
    assert_eq!(machine.json()["revision"], 2);
    assert!(cli::wait(std::mem::replace(&mut machine.child, placeholder())).success(), "--count 4");
    assert!(people.line().contains("reset     events may have been missed (restarted)"));
    assert!(people.line().ends_with("updated   default/A  revision 2"));
    drop(people);
    api.stop();
}

/// A child that has ended.
fn placeholder() -> Child {
    std::process::Command::new("/bin/true").spawn().unwrap()
}

#[test]
fn whoever_may_not_watch_is_told() {
    let api = Api::start(Transport::Unix);
    let anon = api.vault.sandbox.key_file("anon", &api.anon_key());
    let refused = api.vault.sandbox.run(&["watch", "--token-file", anon.to_str().unwrap()]);
    refused.fails(77, "admin access required", "");
    let vault = api.stop();
    vault.sandbox.run(&["watch"]).fails(69, "the daemon is not running", "hushd serve");
}
