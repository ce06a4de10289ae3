use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

#[path = "../../../tests/values.rs"]
mod values;

fn values() -> Values {
    values::random().map(|(name, value)| (name.parse().unwrap(), SecretValue::new(value))).collect()
}

/// What the format takes of the values, and how many it refused.
fn taken(values: &Values, format: Format, dialect: Dialect) -> (Values, usize) {
    let one = |(key, value): &(&Key, &SecretValue)| {
        write(&Values::from([((*key).clone(), (*value).clone())]), format, dialect).is_ok()
    };
    let taken: Values = values.iter().filter(one).map(|(key, value)| (key.clone(), value.clone())).collect();
    let refused = values.len() - taken.len();
    (taken, refused)
}

#[track_caller]
fn same(found: impl IntoIterator<Item = (String, String)>, expected: &Values, what: &str) {
    let found: BTreeMap<String, String> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (key, value) in expected {
        assert_eq!(found.get(key.as_str()).map(String::as_str), Some(value.expose_secret()), "{what}: {key}");
    }
}

fn exposed(found: Found) -> Vec<(String, String)> {
    found.values.into_iter().map(|(name, value)| (name, value.expose_secret().to_owned())).collect()
}

/// "10,000 random values round-trip through every export format and back": by our own import.
#[test]
fn every_value_comes_back_by_our_own_import() {
    let values = values();
    for (format, source) in [(Format::Json, Source::Json), (Format::Yaml, Source::Yaml)] {
        let text = write(&values, format, Dialect::Node).unwrap();
        same(exposed(read(&text, source, Dialect::Node).unwrap()), &values, "data");
    }
    for dialect in Dialect::ALL {
        let (taken, refused) = taken(&values, Format::Dotenv, dialect);
        // python and compose can say anything, node has no escapes.
        assert!(refused == 0 || (dialect == Dialect::Node && refused < 1000), "{dialect:?} refuses {refused}");
        let text = write(&taken, Format::Dotenv, dialect).unwrap();
        same(exposed(read(&text, Source::Dotenv, dialect).unwrap()), &taken, "dotenv");
    }
    let (taken, refused) = taken(&values, Format::Docker, Dialect::Node);
    assert!((1000..5000).contains(&refused), "{refused}");
    let text = write(&taken, Format::Docker, Dialect::Node).unwrap();
    same(exposed(read(&text, Source::Docker, Dialect::Node).unwrap()), &taken, "docker");
}

#[test]
fn a_real_shell_reads_every_value() {
    let values = values();
    let mut script = write(&values, Format::Shell, Dialect::Node).unwrap().to_string();
    for key in values.keys() {
        script.extend(["printf '%s=%s\\0' ", key.as_str(), " \"${", key.as_str(), "}\"\n"]);
    }
    for shell in ["sh", "bash"] {
        let mut child = Command::new(shell).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = script.clone();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let found = text.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
        same(found.map(|(name, value)| (name.to_owned(), value.to_owned())), &values, shell);
    }
}

/// What docker's own command line makes of the file: it tells a daemon, which is played here, what a container gets.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test sets the scene")]
fn dockers_command_line_reads_every_value() {
    let mut docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/dotenv/docker/usr/bin/docker");
    if !docker.is_file() {
        docker = "docker".into();
        if Command::new(&docker).arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "with CI set nothing is skipped: docker is not there");
            return;
        }
    }
    let (taken, _) = taken(&values(), Format::Docker, Dialect::Node);
    let directory = tempfile::tempdir().unwrap();
    let (file, socket) = (directory.path().join("env"), directory.path().join("docker.sock"));
    std::fs::write(&file, write(&taken, Format::Docker, Dialect::Node).unwrap().as_bytes()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let daemon = std::thread::spawn(move || {
        loop {
            if let Some(told) = told_to_create(listener.accept().unwrap().0) {
                return told;
            }
        }
    });
    let host = format!("unix://{}", socket.display());
    let mut command = Command::new(docker);
    command
        .env_clear()
        .env("HOME", directory.path())
        .args(["-H", &host, "create", "--env-file"])
        .arg(file)
        .arg("image");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&daemon.join().unwrap()).unwrap();
    let pairs = told["Env"].as_array().unwrap().iter().map(|pair| pair.as_str().unwrap().split_once('=').unwrap());
    same(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())), &taken, "docker's command line");
}

/// Answers what docker asks on one connection; what it sends to create a container, where it does.
fn told_to_create(stream: UnixStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let (mut length, mut create) = (0, false);
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            create |= line.starts_with("POST ");
            if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = if create { r#"{"Id":"container","Warnings":[]}"# } else { "" };
        let status = if create { "201 Created" } else { "200 OK" };
        let head = "Api-Version: 1.41\r\nContent-Type: application/json";
        write!(reader.get_mut(), "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())
            .unwrap();
        if create {
            return Some(body);
        }
    }
}

/// docker's documented rules: one `VAR=value` a line, `#` begins a comment line, the value is taken as it is, quotes and all;
/// lines are those of Go's `bufio.Scanner`, which drops a carriage return at their end.
fn docker(text: &str) -> Vec<(String, String)> {
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let lines = lines.map(|line| line.trim_start_matches([' ', '\t'])).filter(|line| !line.is_empty());
    let pairs = lines.filter(|line| !line.starts_with('#')).map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// systemd.exec(5), `EnvironmentFile=`: for each value white space around it is dropped; within `'` everything is verbatim;
/// within `"` a backslash protects `"`, `\`, `` ` `` and `$`, joins a line that it ends, and is itself elsewhere; without
/// quotes it protects whatever follows.
fn systemd(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut characters = text.chars().peekable();
    while characters.peek().is_some() {
        let mut name = String::new();
        while let Some(c) = characters.next().filter(|c| *c != '=' && *c != '\n') {
            name.push(c);
        }
        while characters.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        let mut value = String::new();
        match characters.next() {
            Some('"') => loop {
                match characters.next().unwrap() {
                    '"' => break,
                    '\\' => match characters.next().unwrap() {
                        '\n' => {}
                        c if matches!(c, '"' | '\\' | '`' | '$') => value.push(c),
                        c => value.extend(['\\', c]),
                    },
                    c => value.push(c),
                }
            },
            Some('\'') => value.extend(characters.by_ref().take_while(|c| *c != '\'')),
            Some('\n') | None => {}
            Some(first) => {
                value.push(first);
                while let Some(c) = characters.next_if(|c| *c != '\n') {
                    value.push(c);
                }
            }
        }
        while characters.next_if(|c| matches!(c, ' ' | '\t' | '\r' | '\n')).is_some() {}
        found.push((name, value));
    }
    found
}

#[test]
fn docker_and_systemd_read_what_they_are_given() {
    let values = values();
    let (taken_by_docker, _) = taken(&values, Format::Docker, Dialect::Node);
    same(docker(&write(&taken_by_docker, Format::Docker, Dialect::Node).unwrap()), &taken_by_docker, "docker");
    let text = write(&values, Format::Systemd, Dialect::Node).unwrap();
    same(systemd(&text), &values, "systemd");
}

#[test]
fn what_a_format_cannot_hold_is_refused_by_its_key() {
    let long = "x".repeat(65_534);
    for (format, key, value) in [
        (Format::Docker, "K", "two\nlines"),
        (Format::Docker, "K", "end\r"),
        (Format::Docker, "K", long.as_str()),
        (Format::Docker, "K", "nul\0"),
        (Format::Shell, "K", "nul\0"),
        (Format::Shell, "1K", "v"),
        (Format::Systemd, "K", "nul\0"),
        (Format::Systemd, "1K", "v"),
        (Format::Systemd, "K", "\u{fdd0}"),
        (Format::Dotenv, "K", "' \" ` \n"),
    ] {
        let values = Values::from([(key.parse().unwrap(), SecretValue::new(value.to_owned()))]);
        let error = write(&values, format, Dialect::Node).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{format:?} {key}");
        assert!(error.message().starts_with(&format!("this format cannot hold {key}: ")), "{}", error.message());
    }
}

#[test]
fn data_is_taken_as_it_is_written() {
    let read = |text, source| exposed(read(text, source, Dialect::Node).unwrap());
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let found = read(r#"{"A": "x\n", "B": 1.50, "C": true, "D": ""}"#, Source::Json);
    assert_eq!(found, pairs(&[("A", "x\n"), ("B", "1.50"), ("C", "true"), ("D", "")]));
    let found = read("A: x\nB: 1.50\nC: yes\nD: ''\nE: |\n  one\n  two\nF: \"\\u00fc\"\n", Source::Yaml);
    assert_eq!(found, pairs(&[("A", "x"), ("B", "1.50"), ("C", "yes"), ("D", ""), ("E", "one\ntwo\n"), ("F", "ü")]));
    assert_eq!(read("", Source::Yaml), pairs(&[]));
    let second = r#"{"request_id":"r","lease_id":"","data":{"data":{"A":"1"},"metadata":{"version":3}}}"#;
    let first = r#"{"request_id":"r","lease_id":"","data":{"A":"1"}}"#;
    for text in [first, second] {
        assert_eq!(read(text, Source::Vault), pairs(&[("A", "1")]));
        assert_eq!(read(text, Source::Json), pairs(&[("A", "1")]));
    }
}

#[test]
fn what_is_no_value_is_refused_by_its_name_and_never_repeated() {
    for (text, source, expected) in [
        ("{\"AA\": null}", Source::Json, "the value of AA is null, which is none"),
        ("{\"AA\": [\"s3cr3t\"]}", Source::Json, "the value of AA is a list or an object, and not one"),
        ("{\"AA\": \"s3cr3t\", \"AA\": \"2\"}", Source::Json, "AA is there twice"),
        ("[1]", Source::Json, "line 1, column 0: this is not one JSON object with values by name"),
        ("{\"AA\": s3cr3t}", Source::Json, "line 1, column 8: this is not JSON"),
        ("{}", Source::Vault, "there is no \"data\", as vault kv get -format=json prints it"),
        ("AA:\n", Source::Yaml, "line 1: AA is null, which is no value; the empty one is \"\""),
        ("AA: [s3cr3t]\n", Source::Yaml, "line 1: AA is a list, a mapping or an alias, and not one value"),
        ("AA: s3cr3t\nAA: 2\n", Source::Yaml, "line 2: AA is there twice"),
        ("- s3cr3t\n", Source::Yaml, "line 1: this is not one mapping with values by name"),
        ("AA: 1\n---\nB: 2\n", Source::Yaml, "line 2: there is more than one document"),
        ("=s3cr3t\n", Source::Docker, "line 1: there is no name before the ="),
    ] {
        let error = read(text, source, Dialect::Node).err().unwrap();
        assert!(!error.message().contains("s3cr3t"));
        assert_eq!(error.message(), expected);
    }
}
