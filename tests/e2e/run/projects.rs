//! "`.hushd.toml`, found upwards like `.git`, safe to commit"; "an untrusted project file cannot widen what is read".

use std::fs;

use serde_json::json;

use super::{set, start};
use crate::harness::Api;
use crate::harness::cli::{self, Output};

const FILE: &str = r#"
namespace = "shop/dev"
inherit = ["shop"]

[env]
DATABASE_URL = {}
STRIPE = { key = "STRIPE_KEY", description = "payments" }
PORT = { default = "3000" }
SENTRY_DSN = { required = false }

[profile.prod]
namespace = "shop/prod"

[profile.prod.env]
SENTRY_DSN = { required = true }
"#;

/// Writes the project's file, with a directory below it.
fn project(api: &Api, text: &str) {
    let home = api.vault.sandbox.path("home");
    fs::create_dir_all(home.join("shop/src/deep")).unwrap();
    fs::write(home.join("shop/.hushd.toml"), text).unwrap();
}

#[track_caller]
fn within(api: &Api, directory: &str, words: &[&str]) -> Output {
    let mut command = api.vault.sandbox.hushd(words);
    command.current_dir(api.vault.sandbox.path("home").join(directory));
    cli::run(&mut command, b"")
}

fn fill(api: &Api) {
    for (namespace, key, value) in [
        ("shop/dev", "DATABASE_URL", "dev database"),
        ("shop", "DATABASE_URL", "shared database"),
        ("shop", "STRIPE_KEY", "shared stripe"),
        ("shop", "UNNAMED", "nobody asked"),
        ("shop/prod", "DATABASE_URL", "prod database"),
        ("shop/prod", "STRIPE_KEY", "prod stripe"),
        ("default", "DATABASE_URL", "default database"),
    ] {
        set(api, namespace, key, value);
    }
}

const SHOW: [&str; 6] = [
    "run",
    "--",
    "sh",
    "-c",
    "printf '%s|%s|%s|%s' \"$DATABASE_URL\" \"$STRIPE\" \"$PORT\" \"$SENTRY_DSN$UNNAMED\"",
    "x",
];

#[test]
fn a_projects_commands_get_what_its_file_names() {
    let api = start();
    fill(&api);
    project(&api, FILE);
    within(&api, "shop", &["trust"]).exits(0);
    for directory in ["shop", "shop/src/deep"] {
        let shown = within(&api, directory, &SHOW).exits(0);
        assert_eq!(shown.stdout, "dev database|shared stripe|3000|");
    }
    assert_eq!(within(&api, "shop", &["get", "DATABASE_URL"]).exits(0).stdout, "dev database\n");
    assert_eq!(within(&api, ".", &["get", "DATABASE_URL"]).exits(0).stdout, "default database\n");
    // "Flag beats environment beats project file": the project's namespaces are not looked into then.
    let named = within(&api, "shop", &["run", "--namespace", "default", "--", "true"]);
    named.fails(66, "secret not found: STRIPE_KEY (looked in default)", "hushd set STRIPE_KEY");
    let only = ["run", "--namespace", "default", "--only", "DATABASE_URL", "--", "sh", "-c", "echo $DATABASE_URL"];
    assert_eq!(within(&api, "shop", &only).exits(0).stdout, "default database\n");
    let without = ["run", "--no-project", "--", "sh", "-c", "echo $DATABASE_URL$PORT"];
    assert_eq!(within(&api, "shop", &without).exits(0).stdout, "default database\n");
    api.stop();
}

/// "resolved by `run`, `env` and `render` only": what is inherited and what is put together are the same in each.
#[test]
fn every_way_to_the_values_gives_the_same() {
    let api = start();
    fill(&api);
    project(&api, FILE);
    within(&api, "shop", &["trust"]).exits(0);
    let template = ["set", "DATABASE_URL", "--namespace", "shop", "--template"];
    api.vault.sandbox.run_with(&template, "postgres://${STRIPE_KEY}@h").exits(0);
    within(&api, "shop", &["delete", "DATABASE_URL"]).exits(0);
    let expected = "postgres://shared stripe@h";
    let run = within(&api, "shop", &["run", "--", "sh", "-c", "printf %s \"$DATABASE_URL\""]);
    assert_eq!(run.exits(0).stdout, expected);
    assert_eq!(within(&api, "shop", &["env", "--json"]).exits(0).json()["environment"]["DATABASE_URL"], expected);
    within(&api, "shop", &["export", "-o", "out.json"]).exits(0);
    let home = api.vault.sandbox.path("home/shop");
    let exported = fs::read_to_string(home.join("out.json")).unwrap();
    assert!(exported.contains(expected), "{exported}");
    fs::write(home.join("t"), "{{ DATABASE_URL }}").unwrap();
    assert_eq!(within(&api, "shop", &["render", "t"]).exits(0).stdout, expected);
    // To everybody else it is what it is.
    let value = within(&api, "shop", &["get", "DATABASE_URL", "--namespace", "shop"]).exits(0).stdout;
    assert_eq!(value, "postgres://${STRIPE_KEY}@h\n");
    api.stop();
}

#[test]
fn a_profile_has_its_own_namespace_and_more() {
    let api = start();
    fill(&api);
    project(&api, FILE);
    within(&api, "shop", &["trust"]).exits(0);
    let prod: Vec<&str> = ["run", "--profile", "prod"].iter().chain(&SHOW[1..]).copied().collect();
    within(&api, "shop", &prod).fails(
        66,
        "secret not found: SENTRY_DSN (looked in shop/prod)",
        "--namespace shop/prod",
    );
    set(&api, "shop/prod", "SENTRY_DSN", "prod sentry");
    assert_eq!(within(&api, "shop", &prod).exits(0).stdout, "prod database|prod stripe|3000|prod sentry");
    let mut command = api.vault.sandbox.hushd(&["get", "STRIPE_KEY"]);
    command.current_dir(api.vault.sandbox.path("home/shop")).env("HUSHD_PROFILE", "prod");
    assert_eq!(cli::run(&mut command, b"").exits(0).stdout, "prod stripe\n");
    within(&api, "shop", &["run", "--profile", "nope", "--", "true"]).fails(78, "has no profile nope; it has prod", "");
    within(&api, ".", &["run", "--profile", "prod", "--", "true"]).fails(2, "no project here", ".hushd.toml");
    within(&api, "shop", &["run", "--required", "--", "true"]).fails(66, "PORT, SENTRY_DSN", "");
    api.stop();
}

/// "An untrusted project file cannot widen what is read: … non-interactive use needs `hushd trust`."
#[test]
fn a_file_is_followed_only_when_it_is_trusted_as_it_is() {
    let api = start();
    fill(&api);
    project(&api, FILE);
    for words in [&["get", "DATABASE_URL"][..], &["list"], &["run", "--", "echo", "ran"]] {
        let refused = within(&api, "shop", words);
        assert_eq!(refused.stdout, "");
        refused.fails(77, "shop/.hushd.toml is not trusted", "hushd trust");
    }
    // Who names the namespace needs no project for it; but its variables are still the file's to choose.
    let named = within(&api, "shop", &["get", "DATABASE_URL", "--namespace", "shop"]).exits(0);
    assert_eq!(named.stdout, "shared database\n");
    within(&api, "shop", &["run", "--namespace", "shop", "--", "true"]).fails(77, "not trusted", "--no-project");
    within(&api, "shop", &["trust", "--check"]).fails(77, "not trusted", "hushd trust");
    let trusted = within(&api, ".", &["trust", "shop/src", "--json"]).exits(0).json();
    let path = fs::canonicalize(api.vault.sandbox.path("home/shop/.hushd.toml")).unwrap();
    assert_eq!(trusted, json!({"path": path, "trusted": true}));
    within(&api, "shop", &["trust", "--check"]).exits(0);
    within(&api, "shop", &SHOW).exits(0);
    // A change of it is asked for anew.
    project(&api, &format!("{FILE}\n# changed\n"));
    within(&api, "shop", &SHOW).fails(77, "has changed since it was trusted", "hushd trust");
    project(&api, FILE);
    within(&api, "shop", &SHOW).exits(0);
    within(&api, "shop", &["trust", "--revoke"]).exits(0);
    within(&api, "shop", &SHOW).fails(77, "is not trusted", "");
    // The same file elsewhere is another one.
    within(&api, "shop", &["trust"]).exits(0);
    fs::rename(api.vault.sandbox.path("home/shop"), api.vault.sandbox.path("home/shop2")).unwrap();
    within(&api, "shop2", &SHOW).fails(77, "is not trusted", "");
    within(&api, ".", &["trust"]).fails(66, "there is no .hushd.toml here or above", "write one");
    api.stop();
}

#[test]
fn a_file_that_is_wrong_is_told_with_its_place() {
    let api = start();
    project(&api, "namespce = \"shop\"\n");
    within(&api, "shop", &["list"]).fails(78, ".hushd.toml:1:1: unknown field `namespce`", "");
    within(&api, "shop", &["trust"]).fails(78, "unknown field", "");
    api.stop();
}

/// "A namespace can inherit (`shop/dev` from `shop`), shown by `hushd list --explain`."
#[test]
fn list_explains_where_each_variable_comes_from() {
    let api = start();
    fill(&api);
    project(&api, FILE);
    within(&api, "shop", &["trust"]).exits(0);
    let text = within(&api, "shop", &["list", "--explain"]).exits(0).stdout;
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["VARIABLE", "SECRET", "FROM", "HIDES", "NOTE"]);
    assert_eq!(rows[1], ["DATABASE_URL", "DATABASE_URL", "shop/dev", "shop"]);
    assert_eq!(rows[2], ["PORT", "PORT", "default", "value"]);
    assert_eq!(rows[3], ["SENTRY_DSN", "SENTRY_DSN", "nowhere"]);
    assert_eq!(rows[4], ["STRIPE", "STRIPE_KEY", "shop", "payments"]);
    let json = within(&api, "shop", &["list", "--explain", "--json"]).exits(0).json();
    assert_eq!(json["namespaces"], json!(["shop/dev", "shop"]));
    let first = json!({"variable": "DATABASE_URL", "key": "DATABASE_URL", "namespace": "shop/dev", "hides": ["shop"],
        "default": false, "required": true, "description": null, "isTemplate": false, "file": false});
    assert_eq!(json["variables"][0], first);
    project(&api, "namespace = \"shop/dev\"\ninherit = \"shop\"\n");
    within(&api, "shop", &["trust"]).exits(0);
    let all = within(&api, "shop", &["list", "--explain"]).exits(0).stdout;
    let names: Vec<&str> = all.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["DATABASE_URL", "STRIPE_KEY", "UNNAMED"]);
    let run = ["run", "--", "sh", "-c", "printf '%s|%s|%s' \"$DATABASE_URL\" \"$STRIPE_KEY\" \"$UNNAMED\""];
    assert_eq!(within(&api, "shop", &run).exits(0).stdout, "dev database|shared stripe|nobody asked");
    api.stop();
}
