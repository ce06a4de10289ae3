//! The shell: completions that know the names, a hook that brings a project's secrets and takes them away again, and a
//! daemon that is started where none runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::cli::{self, Output};
use crate::harness::{Api, Sandbox, Transport, Vault, programs};

/// Runs a script of bash that finds hushd by its name.
#[track_caller]
fn bash(sandbox: &Sandbox, script: &str) -> Output {
    shell(sandbox, "bash", script)
}

fn shell(sandbox: &Sandbox, name: &str, script: &str) -> Output {
    let program = programs::find(name).expect(name);
    let directory = Path::new(env!("CARGO_BIN_EXE_hushd")).parent().unwrap();
    let mut command = sandbox.command(&program);
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", directory.display())).args(["-c", script]);
    cli::run(&mut command, b"")
}

fn set(sandbox: &Sandbox, namespace: &str, key: &str, value: &str) {
    sandbox.run_with(&["set", key, "--namespace", namespace], value).exits(0);
}

#[test]
fn completions_know_the_names() {
    let api = Api::start(Transport::Unix);
    let sandbox = &api.vault.sandbox;
    for key in ["STRIPE_KEY", "STRIPE_SECRET", "DATABASE_URL"] {
        set(sandbox, "default", key, "some value");
    }
    set(sandbox, "shop/dev", "SHOP_KEY", "some value");
    set(sandbox, "default", "STRIPE_GONE", "some value");
    sandbox.run(&["delete", "STRIPE_GONE"]).exits(0);
    let complete = |line: &str| {
        let script = format!(
            "source <(hushd completions bash); line={line:?}; read -ra COMP_WORDS <<< \"$line\"; \
             [[ $line == *' ' ]] && COMP_WORDS+=(''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE=$line; \
             COMP_POINT=${{#line}}; COMP_TYPE=9; \
             function=$(complete -p hushd | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $function hushd \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = bash(sandbox, &script).exits(0);
        output.stdout.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(complete("hushd get STRIPE"), ["STRIPE_KEY", "STRIPE_SECRET"]);
    assert_eq!(complete("hushd undelete STRIPE"), ["STRIPE_GONE"]);
    assert_eq!(complete("hushd get --namespace shop/dev S"), ["SHOP_KEY"]);
    assert_eq!(complete("hushd get --namespace sh"), ["shop/dev"]);
    assert_eq!(complete("hushd run --only STRIPE_KEY,DATA"), ["STRIPE_KEY,DATABASE_URL"]);
    assert!(complete("hushd un").contains(&"unseal".to_owned()));
    for shell in ["zsh", "fish"] {
        let script = sandbox.run(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("HUSHD_COMPLETE"), "{shell}: {script}");
    }
    let vault = api.stop();
    // Nobody answers, and nothing is said.
    let script = "HUSHD_COMPLETE=bash _CLAP_COMPLETE_INDEX=2 _CLAP_IFS=$'\\n' hushd -- hushd get S";
    let output = bash(&vault.sandbox, script).exits(0);
    assert_eq!((output.stdout.trim(), output.stderr.as_str()), ("", ""));
}

/// "`hushd shell-hook` (direnv-like, opt-in, clears on leaving)"
#[test]
fn a_shell_has_a_projects_secrets_only_within_it() {
    let api = Api::start(Transport::Unix);
    let sandbox = &api.vault.sandbox;
    set(sandbox, "shop/dev", "ALPHA", "quoted ' and \"\n$HOME `x` \\ ");
    set(sandbox, "shop/dev", "BETA", "the second");
    let project = sandbox.path("home/shop/src");
    fs::create_dir_all(&project).unwrap();
    fs::write(sandbox.path("home/shop/.hushd.toml"), "namespace = \"shop/dev\"\n").unwrap();
    // What the prompt does between two commands.
    let script = "eval \"$(hushd shell-hook bash)\"; eval \"$(hushd shell-hook bash)\"; prompt() { eval \"$PROMPT_COMMAND\"; }; \
        export BETA=mine; show() { prompt; printf '[%s|%s|%s]' \"$ALPHA\" \"$BETA\" \"${HUSHD_HOOK:+hooked}\"; }; \
        show; cd shop; show; hushd trust; show; cd src; show; cd /; show; cd ~/shop; show; hushd trust --revoke; show; \
        false; prompt; printf '%s' $?";
    let output = bash(sandbox, script).exits(0);
    let inside = "[quoted ' and \"\n$HOME `x` \\ |the second|hooked]";
    let expected = format!("[|mine|][|mine|hooked]{inside}{inside}[|mine|]{inside}[|mine|hooked]1");
    assert_eq!(output.stdout, expected, "{}", output.stderr);
    assert_eq!(output.stderr.matches("is not trusted: read it, then hushd trust").count(), 2, "{}", output.stderr);
    for shell_name in ["zsh", "fish"] {
        if programs::find(shell_name).is_none() {
            continue;
        }
        let script = match shell_name {
            "fish" => {
                "hushd shell-hook fish | source; cd shop; hushd trust; emit fish_prompt; printf '[%s]' $ALPHA; \
                cd /; emit fish_prompt; printf '[%s]' \"$ALPHA\""
            }
            _ => {
                "eval \"$(hushd shell-hook zsh)\"; cd shop; hushd trust; _hushd_hook; printf '[%s]' \"$ALPHA\"; cd /; \
                _hushd_hook; printf '[%s]' \"$ALPHA\""
            }
        };
        let output = shell(sandbox, shell_name, script).exits(0);
        // fish tells a terminal at each prompt that it takes what is pasted in brackets.
        let printed = output.stdout.replace("\u{1b}[?2004h", "").replace("\u{1b}[?2004l", "");
        assert_eq!(printed, "[quoted ' and \"\n$HOME `x` \\ ][]", "{shell_name}");
    }
    // As direnv does it.
    let script = "find_up() { echo \"$HOME/shop/.hushd.toml\"; }; watch_file() { :; }; cd shop; hushd trust --quiet; \
        eval \"$(hushd shell-hook direnv)\"; use_hushd; printf '%s' \"$BETA\"";
    assert_eq!(bash(sandbox, script).exits(0).stdout, "the second");
    api.stop();
}

/// "a client that finds no daemon starts one (`autostart = true`), single flight, log in the state directory"
#[test]
fn clients_start_one_daemon_together() {
    let vault = Vault::init();
    let sandbox = &vault.sandbox;
    sandbox.run(&["list"]).fails(69, "not running", "hushd serve");
    let listen = format!("listen = [\"unix:{}\"]\n[client]\nautostart = true\n", sandbox.socket().display());
    let config = sandbox.config().join("config.toml");
    fs::write(&config, listen).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let spawn = |number: usize| {
        let mut command: Command = sandbox.hushd(&["set", &format!("K{number}"), "--generate", "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let clients: Vec<_> = (0..20).map(spawn).collect();
    let outputs: Vec<_> = clients.into_iter().map(|client| client.wait_with_output().unwrap()).collect();
    let daemons = daemons_of(sandbox);
    for daemon in &daemons {
        kill_process(*daemon, Signal::TERM).unwrap();
    }
    let said: Vec<String> = outputs.iter().map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{said:?}");
    assert_eq!(daemons.len(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|text| text.contains("starting the daemon")).count(), 1, "{said:?}");
    assert!(fs::read_to_string(sandbox.path("state/hushd/daemon.log")).unwrap().contains("ready listeners="));
    // Who names an address gets no other daemon, and where there is no vault there is nothing to start.
    let addr = format!("unix://{}", sandbox.path("runtime/none.sock").display());
    sandbox.run(&["list", "--addr", &addr]).fails(69, "no daemon answers", "");
    let empty = Sandbox::new();
    fs::create_dir_all(empty.config()).unwrap();
    fs::set_permissions(empty.config(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(&config, empty.config().join("config.toml")).unwrap();
    fs::write(empty.config().join("config.toml"), "[client]\nautostart = true\n").unwrap();
    empty.run(&["list"]).fails(69, "there is no vault yet", "hushd serve --init");
}

/// The processes that serve this sandbox's vault.
fn daemons_of(sandbox: &Sandbox) -> Vec<Pid> {
    let config = sandbox.config().join("config.toml");
    let serves = |entry: &fs::DirEntry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        words.get(1).is_some_and(|word| *word == b"serve") && words.contains(&config.as_os_str().as_encoded_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter(serves);
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}
