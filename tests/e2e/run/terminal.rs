//! "Signals, job control (a shell in `run`), exit codes, 10 MB of output with `--redact`, and a restart by `--watch` are
//! tested in a real pseudo-terminal."

use std::fs;

use rustix::process::{Signal, kill_process};

use super::{set, start};
use crate::harness::terminal::Terminal;
use crate::harness::{cli, leaks};

/// How `run` may be asked for; each must be as the command itself on a terminal.
const WAYS: [&[&str]; 3] = [&["run", "--"], &["run", "--watch", "--"], &["run", "--redact", "--"]];

#[track_caller]
fn each_way(words: &[&str], test: fn(&mut Terminal)) {
    let api = start();
    set(&api, "default", "ALPHA", "the-first-value");
    for way in WAYS {
        let words: Vec<&str> = way.iter().chain(words).copied().collect();
        let mut terminal = Terminal::hushd(&api.vault.sandbox, &words);
        test(&mut terminal);
    }
    api.stop();
}

#[test]
fn ctrl_c_reaches_the_command_once_and_its_exit_code_is_told() {
    each_way(&["sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"], |terminal| {
        terminal.shows("ready");
        terminal.types("\x03");
        terminal.shows("caught");
        assert_eq!(terminal.ends(), 9);
        assert_eq!(terminal.screen.matches("caught").count(), 1, "{}", terminal.screen);
    });
}

#[test]
fn a_signal_reaches_the_command_and_its_end_is_told() {
    each_way(&["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"], |terminal| {
        terminal.shows("ready");
        kill_process(terminal.pid(), Signal::TERM).unwrap();
        assert_eq!(terminal.ends(), 7);
    });
    let api = start();
    for way in &WAYS[1..] {
        let words: Vec<&str> = way.iter().chain(&["sh", "-c", "kill -KILL $$"]).copied().collect();
        assert_eq!(Terminal::hushd(&api.vault.sandbox, &words).ends(), 137);
    }
    for way in WAYS {
        let words: Vec<&str> = way.iter().chain(&["no-such-command"]).copied().collect();
        assert_eq!(Terminal::hushd(&api.vault.sandbox, &words).ends(), 127);
    }
    api.stop();
}

#[test]
fn a_shell_has_its_jobs_and_the_size_of_the_terminal() {
    each_way(&["bash", "--norc", "--noprofile", "-i"], |terminal| {
        terminal.shows("$ ");
        terminal.types("stty size\n");
        terminal.shows("24 80");
        // Before each prompt readline asks for the size and sets it again, which undoes one that is set in between.
        terminal.shows("$ ");
        terminal.resize(30, 99);
        terminal.types("until [ \"$(stty size)\" = '30 99' ]; do :; done; echo re''sized\n");
        terminal.shows("resized");
        terminal.types("sh -c 'echo slee\"\"ping; exec sleep 100'\n");
        terminal.shows("sleeping");
        terminal.types("\x1a");
        terminal.shows("Stopped");
        terminal.types("jobs; bg; kill %1; wait; echo still he''re $?\n");
        terminal.shows("still here");
        terminal.types("test -t 0 && test -t 1 && test -t 2 && echo all ter''minals\n");
        terminal.shows("all terminals");
        terminal.types("exit 3\n");
        assert_eq!(terminal.ends(), 3);
    });
}

#[test]
fn values_are_masked_on_a_terminal_in_ten_megabytes() {
    let api = start();
    set(&api, "default", "ALPHA", "the-first-value");
    set(&api, "default", "BETA", "value-and-more");
    let script = "stty -onlcr; yes 'a the-first-value-and-more, the-first-value.' | head -n 240000; echo done; exit 5";
    let words = ["run", "--redact", "--", "sh", "-c", script];
    let mut terminal = Terminal::hushd(&api.vault.sandbox, &words);
    let code = terminal.ends();
    assert_eq!(code, 5);
    assert!(!terminal.screen.contains("the-first") && !terminal.screen.contains("and-more"));
    let line = "a ********, ********.";
    assert_eq!(terminal.screen.matches(line).count(), 240_000);
    assert!(terminal.screen.trim_end().ends_with("done"));
    api.stop();
}

#[test]
fn values_are_masked_in_pipes_and_each_stream_stays_itself() {
    let api = start();
    set(&api, "default", "ALPHA", "the-first-value");
    set(&api, "default", "SHORT", "abc");
    let script = "printf 'out the-first-'; printf 'value abc'; printf 'err the-first-value' >&2; cat; exit 4";
    let output = api.vault.sandbox.run_with(&["run", "--redact", "--", "sh", "-c", script], "<stdin>").exits(4);
    assert_eq!(output.stdout, "out ******** abc<stdin>");
    assert!(output.stderr.ends_with("err ********"), "{}", output.stderr);
    assert!(output.stderr.contains("not masked, because shorter than 4 bytes: SHORT"), "{}", output.stderr);
    api.stop();
}

/// "on a change it restarts or signals the child (`--signal HUP`), with grace, and exits with its code"
#[test]
fn a_change_starts_the_command_again() {
    let api = start();
    set(&api, "default", "ALPHA", "first");
    set(&api, "default", "OTHER", "unused");
    let script = "trap 'echo ending; exit 0' TERM; echo \"started with $ALPHA\"; while :; do sleep 0.1; done";
    let words = ["run", "--watch", "--only", "ALPHA", "--", "sh", "-c", script];
    let mut terminal = Terminal::hushd(&api.vault.sandbox, &words);
    terminal.shows("started with first");
    set(&api, "default", "OTHER", "changed and still unused");
    set(&api, "default", "ALPHA", "second");
    assert!(!terminal.shows("ending").contains("started"));
    terminal.shows("started with second");
    // A daemon that was away is found again, and what changed is noticed.
    let api = api.restart();
    set(&api, "default", "ALPHA", "third");
    terminal.shows("started with third");
    terminal.types("\x03");
    assert_eq!(terminal.ends(), 130);
    api.stop();
}

#[test]
fn a_change_signals_the_command_where_that_is_asked_for() {
    let api = start();
    set(&api, "default", "ALPHA", "first");
    let script = "trap 'echo told' HUP; echo \"started with $ALPHA\"; while :; do sleep 0.1; done";
    let words = ["run", "--watch", "--signal", "HUP", "--", "sh", "-c", script];
    let mut terminal = Terminal::hushd(&api.vault.sandbox, &words);
    terminal.shows("started with first");
    set(&api, "default", "ALPHA", "second");
    assert!(!terminal.shows("told").contains("started"));
    set(&api, "default", "NEW", "another");
    terminal.shows("told");
    terminal.types("\x03");
    assert_eq!(terminal.ends(), 130);
    api.stop();
}

#[test]
fn a_command_that_does_not_end_is_killed_after_its_grace_and_masked_again() {
    let api = start();
    set(&api, "default", "ALPHA", "first-value");
    let script = "trap '' TERM; echo \"started with <$ALPHA> <$EARLIER>\"; while :; do sleep 0.1; done";
    let words = ["run", "--watch", "--redact", "--grace", "1s", "--", "sh", "-c", script];
    let mut terminal = Terminal::hushd(&api.vault.sandbox, &words);
    terminal.shows("started with <********> <>");
    set(&api, "default", "ALPHA", "second-value");
    set(&api, "default", "EARLIER", "first-value");
    terminal.shows("started with <********> <********>");
    kill_process(terminal.pid(), Signal::INT).unwrap();
    assert_eq!(terminal.ends(), 130);
    api.stop();
}

#[test]
fn what_cannot_be_read_anew_leaves_the_command_as_it_is() {
    let api = start();
    set(&api, "default", "ALPHA", "first");
    let words = ["run", "--watch", "--only", "ALPHA", "--", "sh", "-c", "echo started; read line; exit 6"];
    let mut terminal = Terminal::hushd(&api.vault.sandbox, &words);
    terminal.shows("started");
    api.vault.sandbox.run(&["delete", "ALPHA"]).exits(0);
    terminal.shows("the command goes on as it is: secret not found: ALPHA");
    terminal.types("\n");
    assert_eq!(terminal.ends(), 6);
    api.stop();
}

/// "the first use in a directory asks once (like direnv)"
#[test]
fn trust_is_asked_for_once_on_a_terminal() {
    let api = start();
    set(&api, "shop/dev", "ALPHA", "of the shop");
    let project = api.vault.sandbox.path("home/shop");
    fs::create_dir(&project).unwrap();
    fs::write(project.join(".hushd.toml"), "namespace = \"shop/dev\"\n[env]\nRENAMED = \"ALPHA\"\n").unwrap();
    let words = [env!("CARGO_BIN_EXE_hushd"), "run", "--", "sh", "-c", "echo \"got $RENAMED\""];
    let open = || {
        Terminal::start(&api.vault.sandbox, &words, |command| {
            command.current_dir(&project);
        })
    };
    let mut terminal = open();
    terminal.shows("shop/.hushd.toml is not trusted");
    terminal.shows("reads the namespace shop/dev");
    terminal.shows("RENAMED (ALPHA)");
    terminal.shows("trust it? [y/N]");
    terminal.types("n\n");
    terminal.shows("hushd trust");
    assert_eq!(terminal.ends(), 77);
    let mut terminal = open();
    terminal.shows("trust it? [y/N]");
    terminal.types("y\n");
    terminal.shows("got of the shop");
    assert_eq!(terminal.ends(), 0);
    let mut terminal = open();
    assert!(!terminal.shows("got of the shop").contains("trust"));
    assert_eq!(terminal.ends(), 0);
    leaks::value("of the shop");
    drop(cli::run(&mut api.vault.sandbox.hushd(&["status"]), b""));
    api.stop();
}
