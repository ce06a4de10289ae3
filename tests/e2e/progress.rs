//! "Progress bars on a terminal", and nowhere else.

use std::fmt::Write as _;

use crate::harness::cli::Output;
use crate::harness::{Api, Sandbox, Transport, cli, programs};

/// Runs the program on a terminal of its own.
fn on_a_terminal(sandbox: &Sandbox, arguments: &[&str]) -> Option<Output> {
    let script = programs::find("script")?;
    let mut command = sandbox.command(&script);
    let mut line = env!("CARGO_BIN_EXE_hushd").to_owned();
    for argument in arguments {
        write!(line, " '{argument}'").unwrap();
    }
    command.env("TERM", "xterm").env("COLUMNS", "100");
    Some(cli::run(command.args(["-qec", &line, "/dev/null"]), b""))
}

#[test]
fn long_work_shows_a_bar_on_a_terminal_only() {
    let api = Api::start(Transport::Unix);
    let sandbox = &api.vault.sandbox;
    for number in 0..8 {
        api.create(&format!("K{number}"), &"v".repeat(1_000_000));
    }
    let file = sandbox.path("a.age");
    let file = file.to_str().unwrap();
    let Some(shown) = on_a_terminal(sandbox, &["backup", "-o", file]) else { return };
    let shown = shown.exits(0).stdout;
    assert!(shown.contains("backing up [") && shown.contains('%') && shown.contains("MiB"), "{shown:?}");
    assert!(shown.contains("wrote "), "{shown:?}");
    // It is wiped away: the last line is the result alone.
    assert!(shown.trim_end().rsplit('\r').next().unwrap().contains("hushd: wrote"), "{shown:?}");
    let shown = on_a_terminal(sandbox, &["backup", "verify", file]).unwrap().exits(0).stdout;
    assert!(shown.contains("verifying [") && shown.contains("verified:"), "{shown:?}");
    for option in ["--quiet", "--json"] {
        let shown = on_a_terminal(sandbox, &["backup", "verify", file, option]).unwrap().exits(0).stdout;
        assert!(!shown.contains("verifying"), "{option}: {shown:?}");
    }
    let piped = sandbox.run(&["backup", "verify", file]).exits(0);
    assert_eq!(piped.stderr, "", "no bar where there is no terminal");
    let shown = on_a_terminal(sandbox, &["check"]).unwrap().stdout;
    assert!(shown.contains("the daemon checks") && shown.contains("records"), "{shown:?}");
    let vault = api.stop();
    let shown = on_a_terminal(&vault.sandbox, &["check"]).unwrap().stdout;
    assert!(shown.contains("checking [") && shown.contains("records"), "{shown:?}");
    std::fs::remove_dir_all(vault.sandbox.data()).unwrap();
    let shown = on_a_terminal(&vault.sandbox, &["restore", file, "--same-identity"]).unwrap().exits(0).stdout;
    assert!(shown.contains("restoring [") && shown.contains("secrets:"), "{shown:?}");
}
