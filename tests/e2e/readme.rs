//! "README only, five minutes, no dead end": the page's commands are typed as they stand there, and print what it says.
//!
//! Invariants: each command of the page is run, in the order of the page and by a shell, or is named here with the reason;
//! what differs from one run to the next (times, ids, random values, counts from ten on) is the only thing not compared.

mod page;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use regex::Regex;

use crate::harness::cli::{self, Output};
use crate::harness::{Daemon, Sandbox, programs};

const README: &str = include_str!("../../README.md");

/// What is not typed here, by how it begins, and why.
const ELSEWHERE: [(&str, &str); 27] = [
    ("cargo ", "what the gate itself runs"),
    ("HUSHD_TEST_", "what the gate itself runs"),
    ("pip install", "what the gate itself runs"),
    ("tests/fuzz/run", "it takes hours, and its figures stand in the commits"),
    ("RUSTFLAGS=", "shown once, in the commit that made the suite"),
    ("for s in bash", "tests/systemd builds the package"),
    ("apt install", "tests/systemd, in a machine of its own"),
    ("systemctl", "tests/systemd, in a machine of its own"),
    ("printf %s \"$PASSWORD\"", "tests/systemd, in a machine of its own"),
    ("hushd run -- npm start", "tests/e2e/run.rs"),
    ("hushd import --from-insforge", "tests/e2e/daily.rs, with a server to ask"),
    ("hushd edit", "tests/e2e/daily.rs, with an editor"),
    ("hushd get STRIPE_API_KEY --clip", "tests/e2e/daily.rs, with a clipboard"),
    ("hushd render nginx", "tests/e2e/daily.rs, without an nginx"),
    ("git config", "tests/e2e/daily/credentials.rs, with a git server"),
    ("printf '#!/bin/sh", "tests/e2e/daily/credentials.rs"),
    ("aws configure", "tests/e2e/daily/credentials.rs"),
    ("hushd credential age", "tests/e2e/daily/credentials.rs"),
    ("hushd restore /media/usb/hushd.age --identity", "tests/e2e/backup: a new vault, without this one beside it"),
    ("hushd audit --key", "tests/e2e/audit: what it shows is another service's doing"),
    ("hushd watch", "tests/e2e/events.rs: it does not end"),
    ("curl -N", "tests/e2e/events.rs: it does not end"),
    ("promtool", "tests/e2e/metrics.rs"),
    ("hushd identity passphrase", "tests/e2e/keys: it asks on a terminal"),
    ("hushd seal", "tests/e2e/seal.rs: what it needs asks on a terminal"),
    ("hushd unseal", "tests/e2e/seal.rs: it asks on a terminal"),
    ("hushd check", "tests/e2e/check.rs: what it shows is a vault that was broken"),
];

/// What the page takes for granted before a command, by how that begins.
const BEFORE: [(&str, &str); 6] = [
    ("hushd import .env", "printf 'PORT=3000\\n' > .env"),
    ("hushd export -o prod.env", "printf %s v | hushd set KEY --namespace shop/prod"),
    (
        "hushd diff shop/dev shop/prod",
        "hushd copy KEY --to shop/dev --namespace shop/prod; for k in DB_PASSWORD DATABASE_URL; do hushd copy $k --to shop/prod --namespace shop/dev; done; true",
    ),
    ("hushd copy STRIPE_API_KEY", "printf %s v | hushd set OLD"),
    ("hushd restore /media/usb/hushd.age --keys", "printf %s sk_live_3 | hushd set STRIPE_API_KEY"),
    ("age -d", "cp /media/usb/hushd.age ."),
];

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    for program in ["age", "jq", "curl", "bash"] {
        if programs::find(program).is_none() {
            return;
        }
    }
    let tour = Tour::begin();
    let mut wrong = String::new();
    let mut typed = 0;
    for step in page::steps(README) {
        if ELSEWHERE.iter().any(|(start, _)| step.command.starts_with(start)) {
            continue;
        }
        for (_, script) in BEFORE.iter().filter(|(start, _)| step.command.starts_with(start)) {
            tour.types(script).exits(0);
        }
        typed += 1;
        let output = tour.types(&step.command);
        let printed = tour.plain(&format!("{}{}", output.stdout, output.stderr));
        let shown = tour.plain(&step.shown);
        let fails = shown.contains("hushd: error: ");
        if (output.code != 0) != fails || (!shown.is_empty() && printed != shown) {
            let _ = writeln!(
                wrong,
                "README.md:{}: $ {}\n--- the page says\n{shown}\n--- it says ({})\n{printed}\n",
                step.line, step.command, output.code
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(typed > 25, "{typed}");
    tour.daemon.stop_cleanly();
}

#[test]
fn what_is_said_to_be_elsewhere_is_on_the_page() {
    let steps = page::steps(README);
    for (start, _) in ELSEWHERE.iter().chain(&BEFORE) {
        assert!(steps.iter().any(|step| step.command.starts_with(start)), "no command of the page begins with {start}");
    }
}

/// A user who has read no more than the page.
struct Tour {
    sandbox: Sandbox,
    daemon: Daemon,
    /// The id of the token that was made last.
    token: RefCell<String>,
}

/// The id of a token on the page.
const TOKEN: &str = "6f0c3a3e-94c8-4c92-b4ff-0d6a47c0f1ce";

impl Tour {
    /// An empty home, and `serve --init` in the first terminal.
    fn begin() -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("usb")).unwrap();
        fs::create_dir(sandbox.config()).unwrap();
        // As it is on a terminal: no meter.
        fs::write(sandbox.path("home/.curlrc"), "silent\n").unwrap();
        let policy =
            page::fenced(README, "toml").into_iter().find(|(_, text)| text.starts_with("[[policy]]")).unwrap().1;
        fs::write(sandbox.config().join("config.toml"), policy.replace("\"deploy\"", "\"root\"")).unwrap();
        let mut command = sandbox.hushd(&["serve", "--init", "--listen", "127.0.0.1:0"]);
        command.arg("--listen").arg(format!("unix:{}", sandbox.socket().display()));
        let daemon = Daemon::launch(&sandbox, command).unwrap();
        let tour = Self { sandbox, daemon, token: RefCell::default() };
        let shown = page::fenced(README, "text").into_iter().find(|(_, text)| text.starts_with("vault:")).unwrap().1;
        // Keys are shown on a terminal only: tests/e2e/cli/init.rs.
        let first = |text: &str| tour.plain(&text.lines().take(3).collect::<Vec<_>>().join("\n"));
        assert_eq!(first(&tour.daemon.log()), first(shown));
        tour
    }

    /// Types a command into a second terminal, in the same home.
    fn types(&self, command: &str) -> Output {
        let mut bash = self.sandbox.command(Path::new("/bin/bash"));
        let programs = Path::new(env!("CARGO_BIN_EXE_hushd")).parent().unwrap();
        bash.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display())).env("COLUMNS", "120");
        let mut command = command.to_owned();
        for (there, here) in self.places() {
            command = command.replace(&there, &here);
        }
        bash.arg("-c").arg(command.replace(TOKEN, &self.token.borrow()));
        let output = cli::run(&mut bash, b"");
        if let Some((_, rest)) = output.stderr.split_once("hushd: the token ") {
            rest.split(' ').next().unwrap().clone_into(&mut self.token.borrow_mut());
        }
        output
    }

    /// What the page calls things, and what they are called here.
    fn places(&self) -> Vec<(String, String)> {
        let path = |path: &str| self.sandbox.path(path).display().to_string();
        vec![
            ("127.0.0.1:4874".to_owned(), format!("127.0.0.1:{}", self.daemon.port)),
            ("/media/usb".to_owned(), path("usb")),
            ("/etc/hushd/config.toml".to_owned(), path("config/hushd/config.toml")),
            ("/home/ada/.local/share/hushd".to_owned(), path("data/hushd")),
            ("/home/ada/.config/hushd".to_owned(), path("config/hushd")),
            (" identity.txt".to_owned(), format!(" {}", path("config/hushd/identity.txt"))),
        ]
    }

    /// A text without what differs from one run to the next.
    fn plain(&self, text: &str) -> String {
        let mut text = text.trim().to_owned();
        for (there, here) in self.places() {
            text = text.replace(&here, &there);
        }
        for (pattern, name) in [
            // Here there is none.
            (r"hushd: warning: .* there is no unit .*\n", ""),
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
            (r"\bage1[a-z0-9]+", "RECIPIENT"),
            (r"\b(ik|anon)_[0-9a-zA-Z…]+", "${1}_KEY"),
            (r"\b[0-9A-Za-z]{32}\b", "RANDOM"),
            (r"\b\d+[smhd] ago", "AGO"),
            (r"\bin \d+[smhd]\b", "SOON"),
            (r"\buid:\d+", "uid:N"),
            (r"\d{2,}", "N"),
            (r" {2,}", "  "),
            (r" +\n", "\n"),
        ] {
            text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
        }
        text
    }
}
