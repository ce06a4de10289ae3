//! "The API against its own description": schemathesis, with all its checks, as each kind of caller.
//!
//! It makes requests from `/api/openapi.json`, valid and invalid ones, and sequences of them, and holds every answer against
//! what is described there; a check of our own says who may be answered at all (`described/hooks.py`). With
//! `HUSHD_TEST_REQUESTS=N` each caller makes at least so many.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::http::{Address, Request};
use crate::harness::{Api, Transport, programs, setting};

/// Requests of each caller, at least.
const REQUESTS: u64 = 500;
/// About so many requests are made for one example of each operation.
const OF_AN_EXAMPLE: u64 = 28;
/// What takes away the credential that the requests are made with, or everybody's.
const FINAL: [&str; 2] = ["/api/rotate/jwt-secret", "/api/seal"];

#[test]
fn an_administrator_finds_what_is_described() {
    let Some(stage) = Stage::new() else { return };
    let token = format!("Authorization: Bearer {}", stage.api.vault.admin_token());
    let api_key = format!("x-api-key: {}", stage.api.vault.api_key);
    stage.ask("admin", Some(&token));
    for path in FINAL {
        stage.round("admin", Some(&api_key), &["--include-path", path], 1);
    }
    stage.api.kill();
}

#[test]
fn a_token_gets_what_its_scope_says() {
    let Some(stage) = Stage::new() else { return };
    let asked = json!({"scope": ["read shop/*"], "ttlSeconds": 3600});
    let token = stage.api.post("/api/tokens", asked).is(201).json()["token"].as_str().unwrap().to_owned();
    stage.ask("token", Some(&format!("Authorization: Bearer {token}")));
    stage.api.stop();
}

#[test]
fn the_anon_key_gets_nothing() {
    let Some(stage) = Stage::new() else { return };
    stage.ask("anon", Some(&format!("Authorization: Bearer {}", stage.api.anon_key())));
    stage.api.stop();
}

#[test]
fn who_shows_no_credential_gets_nothing() {
    let Some(stage) = Stage::new() else { return };
    stage.ask("nobody", None);
    stage.api.stop();
}

struct Stage {
    api: Api,
    python: std::path::PathBuf,
    modules: std::path::PathBuf,
}

impl Stage {
    /// A daemon with secrets in two namespaces; nothing where schemathesis is not installed, which with `CI` set is a failure.
    fn new() -> Option<Self> {
        let python = programs::find("python3")?;
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis");
        if !modules.is_dir() {
            assert!(
                std::env::var_os("CI").is_none(),
                "with CI set nothing is skipped: {} is missing",
                modules.display()
            );
            eprintln!("skipped: schemathesis is not installed in {}", modules.display());
            return None;
        }
        let api = Api::start(Transport::Tcp);
        for key in ["ALPHA", "BETA"] {
            api.post("/api/secrets?namespace=shop", json!({"key": key, "value": "a value"})).is(201);
        }
        api.post("/api/secrets?namespace=other", json!({"key": "GAMMA", "value": "another"})).is(201);
        Some(Self { api, python, modules })
    }

    /// Asks in rounds until there were enough requests.
    fn ask(&self, caller: &str, header: Option<&str>) {
        let excluded: Vec<&str> = FINAL.iter().flat_map(|path| ["--exclude-path", path]).collect();
        let wanted = setting("HUSHD_TEST_REQUESTS", REQUESTS);
        let before = self.requests();
        let mut rounds = 0;
        while self.requests() - before < wanted {
            rounds += 1;
            self.round(caller, header, &excluded, rounds);
            assert!(rounds < 1000, "{caller}: {} requests", self.requests() - before);
        }
        eprintln!("{caller}: {} requests in {rounds} rounds", self.requests() - before);
    }

    fn round(&self, caller: &str, header: Option<&str>, options: &[&str], seed: u64) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/described");
        let sandbox = &self.api.vault.sandbox;
        let Address::Tcp(port) = self.api.daemon().tcp() else { unreachable!("it is a port") };
        let address = format!("http://127.0.0.1:{port}");
        let document = sandbox.path("openapi.json");
        std::fs::write(&document, self.api.bare("GET", "/api/openapi.json").send().is(200).json().to_string()).unwrap();
        let mut command: Command = sandbox.command(&self.python);
        command.args(["-m", "schemathesis.cli", "--config-file"]).arg(here.join("schemathesis.toml"));
        command.arg("run").arg(&document).args([
            "--url",
            &address,
            "--checks",
            "all",
            "--no-color",
            "--warnings",
            "off",
        ]);
        command.args(["--continue-on-failure", "--request-timeout", "5"]);
        let examples = setting("HUSHD_TEST_REQUESTS", REQUESTS) / OF_AN_EXAMPLE;
        command.args(["--max-examples", &examples.to_string(), "--seed", &seed.to_string()]);
        command.args(options);
        if let Some(header) = header {
            command.args(["--header", header]);
        }
        command.env("PYTHONPATH", format!("{}:{}", self.modules.display(), here.display()));
        command.env("SCHEMATHESIS_HOOKS", "hooks").env("HUSHD_TEST_CALLER", caller).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{caller}:\n{told}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What the daemon has counted.
    fn requests(&self) -> u64 {
        let (target, bearer) = ("/metrics".to_owned(), format!("Bearer {}", self.api.vault.admin_token()));
        let headers = vec![("authorization".to_owned(), bearer)];
        let request = Request { method: "GET".to_owned(), target, headers, body: None };
        let answer = self.api.connect().send(&request).unwrap();
        assert_eq!(answer.status, 200);
        let metrics = String::from_utf8(answer.body).unwrap();
        let lines = metrics.lines().filter(|line| line.starts_with("hushd_http_requests_total{"));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}
