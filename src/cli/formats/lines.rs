//! Formats of one assignment after the other: a shell's, docker's and systemd's.

use super::Found;
use crate::model::{Key, SecretValue};

/// Longest line that docker reads: the buffer of Go's scanner.
const DOCKER_LINE: usize = 64 * 1024 - 1;

const NUL: &str = "no environment variable has a NUL in it";
const DIGIT: &str = "its name begins with a digit, which no shell variable does";

/// `export K='…'`: in single quotes everything but the quote is what it is (POSIX, 2.2.2).
pub(super) fn shell(key: &Key, value: &str) -> Result<String, &'static str> {
    name(key)?;
    text(value)?;
    Ok(format!("export {key}='{}'\n", value.replace('\'', r"'\''")))
}

/// `K=…` up to the end of the line, without any quotes (docker's documentation, `--env-file`).
pub(super) fn docker(key: &Key, value: &str) -> Result<String, &'static str> {
    text(value)?;
    if value.contains('\n') {
        return Err("it has more than one line");
    }
    if value.ends_with('\r') {
        return Err("it ends with a carriage return");
    }
    let line = format!("{key}={value}");
    if line.len() > DOCKER_LINE {
        return Err("it is longer than the 64 KiB that docker reads of a line");
    }
    Ok(line + "\n")
}

/// `K="…"`, in which a backslash stands before what it protects (systemd.exec(5), `EnvironmentFile=`).
pub(super) fn systemd(key: &Key, value: &str) -> Result<String, &'static str> {
    name(key)?;
    text(value)?;
    let no_character = |c: char| matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    if value.contains(no_character) {
        return Err("systemd takes no Unicode noncharacters");
    }
    let mut line = format!("{key}=\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '`' | '$') {
            line.push('\\');
        }
        line.push(character);
    }
    Ok(line + "\"\n")
}

fn name(key: &Key) -> Result<(), &'static str> {
    if key.as_str().starts_with(|c: char| c.is_ascii_digit()) { Err(DIGIT) } else { Ok(()) }
}

fn text(value: &str) -> Result<(), &'static str> {
    if value.contains('\0') { Err(NUL) } else { Ok(()) }
}

/// Reads what docker's command line reads: comments, empty lines, `K=V` as it is, and `K` alone, which is left out.
pub(super) fn read_docker(text: &str) -> Result<Found, String> {
    let mut found = Found::default();
    for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        match line.split_once('=') {
            Some(("", _)) => return Err(format!("line {number}: there is no name before the =")),
            Some((name, _)) if name.contains(char::is_whitespace) => {
                return Err(format!("line {number}: the name has white space in it"));
            }
            Some((name, value)) => {
                found.values.retain(|(other, _)| other != name);
                found.values.push((name.to_owned(), SecretValue::new(value.to_owned())));
            }
            None => found.notes.push(format!("line {number} names a variable without a value, and is left out")),
        }
    }
    Ok(found)
}
