use serde_json::Value;

use super::*;

/// Each line: a file, what node's dotenv and python-dotenv said of it when they were asked, and what compose says.
const CORPUS: &str = include_str!("../../../tests/data/dotenv/corpus.jsonl");

fn said(text: &str, dialect: Dialect) -> Value {
    read(text, dialect).map_or(Value::Null, |read| serde_json::to_value(read.values).unwrap())
}

/// "A dotenv corpus … imports as they do": `null` stands for a file that is refused. `tests/e2e/dotenv.rs` asks the
/// libraries themselves.
#[test]
fn every_dialect_reads_the_corpus_as_its_library_does() {
    let mut wrong = Vec::new();
    for line in CORPUS.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = case["text"].as_str().unwrap();
        for (dialect, name) in Dialect::ALL.into_iter().zip(["node", "python", "compose"]) {
            let found = said(text, dialect);
            if found != case[name] {
                wrong.push(format!("{name}: {}: {text:?}: {found} instead of {}", case["name"], case[name]));
            }
        }
    }
    assert!(CORPUS.lines().count() >= 150);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// docs.docker.com, "Syntax for env files", each example of it.
#[test]
fn compose_reads_its_documentation() {
    for (text, expected) in [
        ("VAR=VAL", "VAL"),
        ("VAR=\"VAL\"", "VAL"),
        ("VAR='VAL'", "VAL"),
        ("VAR: VAL", "VAL"),
        ("VAR = VAL  ", "VAL"),
        ("VAR=VAL # comment", "VAL"),
        ("VAR=VAL# not a comment", "VAL# not a comment"),
        ("VAR=\"VAL # not a comment\"", "VAL # not a comment"),
        ("VAR=\"VAL\" # comment", "VAL"),
        ("VAR='$OTHER'", "$OTHER"),
        ("VAR='${OTHER}'", "${OTHER}"),
        ("VAR='Let\\'s go!'", "Let's go!"),
        ("VAR=\"{\\\"hello\\\": \\\"json\\\"}\"", "{\"hello\": \"json\"}"),
        ("VAR=\"some\\tvalue\"", "some\tvalue"),
        ("VAR='some\\tvalue'", "some\\tvalue"),
        ("VAR=some\\tvalue", "some\\tvalue"),
        ("KEY='SOME\nVALUE'\nVAR=$KEY", "SOME\nVALUE"),
    ] {
        let read = read(text, Dialect::Compose).unwrap();
        assert_eq!(read.values.get("VAR").map(String::as_str), Some(expected), "{text}");
    }
}

#[test]
fn what_is_skipped_is_told_by_its_line_and_never_repeated() {
    for (text, dialect, expected) in [
        ("A=1\ns3cr3t words\nB=2\n", Dialect::Node, "line 2 is no assignment that this dialect knows, and is left out"),
        ("A=1\nB=\"s3cr3t\n", Dialect::Python, "line 2 is no assignment that this dialect knows, and is left out"),
        ("\nA\n", Dialect::Python, "line 2 names a variable without a value, and is left out"),
        ("# c\nA\n", Dialect::Compose, "line 2 names a variable without a value, and is left out"),
        ("A=pa$s3cr3t\n", Dialect::Compose, "A refers to a variable that the file does not set: it is taken as empty"),
        ("A=${s3cr3t}\n", Dialect::Python, "A refers to a variable that the file does not set: it is taken as empty"),
    ] {
        assert_eq!(read(text, dialect).ok().unwrap().notes, [expected], "{text}");
    }
    for (text, line) in [("A=1\nB='s3cr3t\n", 2), ("A=1\n\nB=s3cr3t$\n", 3), ("a/b=s3cr3t", 1), ("A B=1", 1)] {
        let error = read(text, Dialect::Compose).err().unwrap();
        assert_eq!(error.line, line, "{text}");
        assert!(!error.what.contains("s3cr3t"));
    }
}

#[test]
fn plain_values_are_written_plainly_and_alike_for_all() {
    for (value, expected) in [
        ("1", "1"),
        ("", "''"),
        ("two words", "'two words'"),
        ("it's", "\"it's\""),
        ("pa$word", "'pa$word'"),
        ("a # b", "'a # b'"),
        ("one\ntwo", "'one\ntwo'"),
        ("postgres://u:p@h:5432/d", "postgres://u:p@h:5432/d"),
    ] {
        for dialect in Dialect::ALL {
            assert_eq!(quote(value, dialect).as_deref(), Some(expected), "{value}");
        }
    }
    assert_eq!(quote("'\"`\n", Dialect::Node), None);
}
