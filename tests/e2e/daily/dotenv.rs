//! "node's dotenv and python-dotenv run beside it in CI": the libraries themselves say what they make of the corpus.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::cli;

/// Where `.ci/run` puts the libraries; elsewhere it may be anywhere.
fn libraries() -> Option<PathBuf> {
    let place = std::env::var_os("HUSHD_TEST_DOTENV").map(PathBuf::from);
    let place = place.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/dotenv"));
    if place.join("node_modules/dotenv").is_dir() && place.join("python/dotenv").is_dir() {
        return Some(place);
    }
    assert!(std::env::var_os("CI").is_none(), "with CI set nothing is skipped: no libraries in {}", place.display());
    eprintln!("skipped: npm's dotenv and python-dotenv are not in {}", place.display());
    None
}

#[test]
fn the_libraries_say_what_the_corpus_says() {
    let Some(place) = libraries() else { return };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dotenv");
    let corpus = std::fs::read_to_string(data.join("corpus.jsonl")).unwrap();
    let cases: Vec<Value> = corpus.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&Value> = cases.iter().map(|case| &case["text"]).collect();
    let texts = serde_json::to_vec(&texts).unwrap();
    for (name, program, script) in [("node", "node", "node.cjs"), ("python", "/usr/bin/python3", "python.py")] {
        let mut command = Command::new(program);
        command.arg(data.join(script)).env("NODE_PATH", place.join("node_modules")).env("PYTHONUTF8", "1");
        let said = cli::run(command.env("PYTHONPATH", place.join("python")), &texts).exits(0).json();
        for (case, said) in cases.iter().zip(said.as_array().unwrap()) {
            assert_eq!(&case[name], said, "{name}: {}", case["name"]);
        }
    }
}
