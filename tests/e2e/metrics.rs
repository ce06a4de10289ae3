//! What a monitoring system sees, and that what ships for it fits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::harness::http::{Connection, Request, Response};
use crate::harness::{Api, Transport, Vault, api::secret, cli, programs};

over_both!(only_those_who_may_see_numbers, numbers_tell_what_happened);

fn scrape(api: &Api, headers: &[(&str, &str)]) -> Response {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = Request { method: "GET".to_owned(), target: "/metrics".to_owned(), headers, body: None };
    Connection::open(&api.address()).unwrap().send(&request).unwrap()
}

/// The text that an administrator gets.
fn text(api: &Api) -> String {
    let answer = scrape(api, &[("x-api-key", &api.vault.api_key)]);
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

/// Samples by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

fn only_those_who_may_see_numbers(api: &Api) {
    let anon = api.anon_key();
    assert_eq!(scrape(api, &[("authorization", &format!("Bearer {anon}"))]).status, 403);
    assert_eq!(scrape(api, &[("x-api-key", "ik_wrong")]).status, 401);
    if api.transport == Transport::Tcp {
        assert_eq!(scrape(api, &[]).status, 401);
    }
    let answer = scrape(api, &[("x-api-key", &api.vault.api_key)]);
    let media_type = answer.headers.iter().find(|(name, _)| name == "content-type").unwrap().1.clone();
    assert_eq!((answer.status, media_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let accept = ("accept", "application/openmetrics-text;version=1.0.0");
    let answer = scrape(api, &[("x-api-key", &api.vault.api_key), accept]);
    assert!(answer.body.ends_with(b"# EOF\n"));
}

fn numbers_tell_what_happened(api: &Api) {
    api.create("A", "one");
    api.create("B", "two");
    for _ in 0..3 {
        api.value("A");
    }
    api.get(&secret("MISSING")).is(404);
    api.get("/api/nothing/MISSING").is(404);
    api.bare("GET", "/api/secrets").bearer("ik_wrong").send().is(401);
    api.bare("GET", "/api/secrets").bearer(&api.anon_key()).send().is(403);
    api.put(&secret("B"), json!({"isReserved": true, "expiresAt": "2999-01-01T00:00:00Z"})).is(200);
    api.create_expired("OLD", "three");
    api.create("GONE", "four");
    api.delete(&secret("GONE")).is(200);
    let text = text(api);
    let found = samples(&text);
    for (name, value) in [
        (r#"hushd_http_requests_total{route="/api/secrets/{key}",method="GET",status="200"}"#, 3.0),
        (r#"hushd_http_requests_total{route="/api/secrets/{key}",method="GET",status="404"}"#, 1.0),
        (r#"hushd_http_requests_total{route="(none)",method="GET",status="404"}"#, 1.0),
        (r#"hushd_http_request_duration_seconds_count{route="/api/secrets/{key}",method="GET"}"#, 4.0),
        (r#"hushd_http_request_duration_seconds_bucket{le="+Inf",route="/api/secrets/{key}",method="GET"}"#, 4.0),
        ("hushd_reveals_total", 3.0),
        ("hushd_refusals_total", 1.0),
        (r#"hushd_authentication_failures_total{reason="api_key"}"#, 1.0),
        (r#"hushd_secrets{state="active"}"#, 2.0),
        (r#"hushd_secrets{state="inactive"}"#, 1.0),
        (r#"hushd_secrets{state="expired"}"#, 1.0),
        (r#"hushd_secrets{state="reserved"}"#, 1.0),
        ("hushd_namespaces", 1.0),
        ("hushd_sealed", 0.0),
        ("hushd_writable", 1.0),
        ("hushd_problems", 0.0),
        (r#"hushd_secrets_expiring{within="14d"}"#, 0.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}: {text}");
    }
    assert!(found["hushd_next_expiry_seconds"] > 1e9, "{text}");
    assert!(
        found["hushd_commit_group_size_count"] >= 6.0 && found["hushd_commit_duration_seconds_sum"] > 0.0,
        "{text}"
    );
    assert!(found["hushd_store_size_bytes"] > 0.0 && found["process_open_fds"] > 3.0, "{text}");
    for name in ["GONE", "MISSING", "default"] {
        assert!(!text.contains(name), "no name is told unless it is allowed: {text}");
    }
}

/// A vault whose daemon knows of everything that there are numbers of: snapshots, names, expiry, a backup.
fn busy() -> Api {
    let vault = Vault::init();
    let config = "[backup]\nevery = \"1h\"\n[metrics]\npublic = true\nkey-labels = true\n";
    fs::write(vault.sandbox.config().join("config.toml"), config).unwrap();
    let api = Api::serve(vault, Transport::Tcp);
    api.create("NAMED", "value");
    api.put(&secret("NAMED"), json!({"expiresAt": "2999-01-01T00:00:00Z"})).is(200);
    api.value("NAMED");
    api.vault.sandbox.run(&["backup", "-o", api.vault.sandbox.path("b.age").to_str().unwrap()]).exits(0);
    while api.get("/api/status").is(200).json()["backup"]["lastDrillPassed"] != true {
        thread::yield_now();
    }
    api
}

#[test]
fn names_and_openness_are_a_matter_of_configuration() {
    let api = busy();
    let answer = scrape(&api, &[]);
    assert_eq!(answer.status, 200, "[metrics] public = true");
    let text = String::from_utf8(answer.body).unwrap();
    let found = samples(&text);
    for (name, value) in [
        (r#"hushd_secret_revision{namespace="default",key="NAMED"}"#, 1.0),
        (r#"hushd_secret_expires_timestamp_seconds{namespace="default",key="NAMED"}"#, 32_472_144_000.0),
        ("hushd_drill_last_passed", 1.0),
        ("hushd_snapshots", 1.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}: {text}");
    }
    assert!(found["hushd_backup_last_timestamp_seconds"] > 1.7e9, "{text}");
    assert!(!text.contains("value\""), "{text}");
    api.stop();
}

/// "A Grafana dashboard and alert rules under `config/`, checked by loading them."
#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_there_are() {
    let api = busy();
    // A histogram's samples and those of a counter are there as they are written; `problem` is there with a problem only.
    let mut there: BTreeSet<String> = ["hushd_problem".to_owned(), "up".to_owned()].into();
    let text = text(&api);
    there.extend(samples(&text).into_keys().map(|name| name.split('{').next().unwrap().to_owned()));
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let dashboard: Value = serde_json::from_slice(&fs::read(config.join("grafana-dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut expressions: Vec<String> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert!(panels.len() >= 16 && expressions.len() >= panels.len());
    let alerts = fs::read_to_string(config.join("prometheus-alerts.yml")).unwrap();
    expressions.extend(alerts.lines().filter(|line| !line.trim_start().starts_with('#')).map(str::to_owned));
    let mut named = BTreeSet::new();
    for expression in &expressions {
        let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        named
            .extend(words.filter(|word| word.starts_with("hushd_") || word.starts_with("process_")).map(str::to_owned));
    }
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<_> = named.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?} of {text}");
    api.stop();
}

/// "`promtool`-valid exposition (parsed by a real Prometheus client library)".
#[test]
fn promtool_and_prometheus_own_library_read_it() {
    const PARSE: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families as old
from prometheus_client.openmetrics.parser import text_string_to_metric_families as new
families = {f.name: f for f in (new if sys.argv[1] == 'new' else old)(sys.stdin.read())}
assert families['hushd_http_requests'].type == 'counter', families
assert families['hushd_http_request_duration_seconds'].type == 'histogram', families
assert families['hushd_sealed'].type == 'gauge', families
assert all(f.documentation for f in families.values()), families
assert all(f.type != 'unknown' for f in families.values()), families
print(sum(len(f.samples) for f in families.values()))
";
    let api = busy();
    let text = text(&api);
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus-alerts.yml");
    if let Some(promtool) = programs::find("promtool") {
        let mut command = api.vault.sandbox.command(&promtool);
        cli::run(command.args(["check", "metrics"]), text.as_bytes()).exits(0);
        let mut command = api.vault.sandbox.command(&promtool);
        let checked = cli::run(command.args(["check", "rules"]).arg(&config), b"").exits(0);
        assert!(checked.stdout.contains("SUCCESS: 15 rules found"), "{checked:?}");
    }
    let Some(python) = programs::find("python3") else { return };
    let has_library =
        cli::run(api.vault.sandbox.command(&python).args(["-c", "import prometheus_client"]), b"").code == 0;
    if !has_library {
        assert!(std::env::var_os("CI").is_none(), "with CI set nothing is skipped: no python3-prometheus-client");
        eprintln!("skipped: python3-prometheus-client is not installed");
        return;
    }
    let accept = ("accept", "application/openmetrics-text;version=1.0.0");
    let open = scrape(&api, &[accept]).body;
    for (format, text) in [("old", text.into_bytes()), ("new", open)] {
        let read = cli::run(api.vault.sandbox.command(&python).args(["-c", PARSE, format]), &text).exits(0);
        assert!(read.stdout.trim().parse::<u32>().unwrap() > 100, "{read:?}");
    }
    api.stop();
}
