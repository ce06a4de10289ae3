//! What the program is made of is what the README says that it is made of.
//!
//! Invariants: each dependency that `Cargo.toml` names has its place in the README's table and the table names no other;
//! each advisory that is known to be open concerns a crate that is still there.

use std::collections::BTreeSet;

use regex::Regex;

const MANIFEST: &str = include_str!("../../Cargo.toml");
const LOCK: &str = include_str!("../../Cargo.lock");
const README: &str = include_str!("../../README.md");
const SECURITY: &str = include_str!("../../SECURITY.md");

#[test]
fn each_direct_dependency_is_in_the_readme_and_no_other() {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    let named: BTreeSet<_> = manifest["dependencies"].as_table().unwrap().keys().cloned().collect();
    assert!(named.len() > 40, "{named:?}");
    let rows: String = section(README, "## What it is made of").lines().filter(|line| line.starts_with('|')).collect();
    let listed = crates(&rows);
    assert_eq!(listed, named, "left: the README's table, right: [dependencies] of Cargo.toml");
}

#[test]
fn what_handles_keys_and_what_has_advisories_is_really_there() {
    let lock: toml::Table = LOCK.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let locked: BTreeSet<_> = packages.iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect();
    let first_columns: String = section(SECURITY, "## What handles keys")
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(1))
        .collect();
    let advisories: String = section(SECURITY, "## Known advisories of dependencies")
        .lines()
        .filter(|line| line.starts_with("- "))
        .filter_map(|line| line.split('(').next())
        .collect();
    for text in [first_columns, advisories] {
        let named = crates(&text);
        assert!(named.len() >= 3, "{text}");
        assert!(named.is_subset(&locked), "not in Cargo.lock: {:?}", named.difference(&locked).collect::<Vec<_>>());
    }
}

/// From a heading to the next.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let text = &page[start + 1 + heading.len()..];
    &text[..text.find("\n## ").unwrap_or(text.len())]
}

/// What stands between backquotes and is written as names of crates are.
fn crates(text: &str) -> BTreeSet<String> {
    let name = Regex::new("`([a-z][a-z0-9_-]*)`").unwrap();
    name.captures_iter(text).map(|found| found[1].to_owned()).collect()
}
