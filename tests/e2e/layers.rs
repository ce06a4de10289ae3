//! The layers: imports point downward only, and some crates are named in one place only.
//!
//! It reads the sources as text, without comments and strings; the checker itself is proved on sources made up here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// From the top. A layer may name those below it.
const LAYERS: [&str; 15] = [
    "cli", "daemon", "client", "http", "vault", "auth", "audit", "crypto", "store", "api", "config", "paths", "model",
    "clock", "metrics",
];

/// Crates that only one place may name.
const ONLY_IN: [(&str, &[&str]); 5] = [
    ("age", &["crypto"]),
    ("age_core", &["crypto"]),
    ("sled", &["store/sled_engine"]),
    ("jsonwebtoken", &["auth/tokens"]),
    ("actix_web", &["http", "daemon"]),
];

/// Layers that only one other may name.
const ONLY_FROM: [(&str, &[&str]); 1] = [("client", &["cli"])];

#[test]
fn imports_point_downward_only() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let present = |layer: &str| sources.keys().any(|path| layer_of(path) == Some(layer));
    for layer in LAYERS {
        assert!(present(layer), "no layer {layer} in src: is the test looking at the right place?");
    }
    let problems: Vec<_> = sources.iter().flat_map(|(path, text)| problems(path, text)).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn main_is_one_call() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
    let text = code_only(&fs::read_to_string(path).unwrap());
    // Beside it there is the allocator, which a program chooses and a library does not.
    let (allocator, main) = text.split_at(text.find("fn main()").expect("there is a main"));
    assert!(is_one_call(main), "{text}");
    assert_eq!(allocator.matches("static ").count(), 1, "{text}");
    assert!(is_one_call("fn main() -> std::process::ExitCode {\n    hushd::cli::main()\n}\n"));
    assert!(is_one_call(
        "use std::process::ExitCode;\nfn main() -> ExitCode { hushd::cli::run(std::env::args_os()); }"
    ));
    assert!(!is_one_call("fn main() { let x = hushd::a(); hushd::b(x) }"));
    assert!(!is_one_call("fn main() { if hushd::a() { hushd::b() } }"));
    assert!(!is_one_call("fn main() {}"));
    assert!(!is_one_call("fn main() { a() } fn a() { b() }"));
}

#[test]
fn the_checker_finds_what_is_wrong() {
    for (path, text, expected) in [
        ("store/mod.rs", "use crate::vault::Vault;", "names vault, which is above it"),
        ("store/mod.rs", "use crate::{clock, http::Routes};", "names http, which is above it"),
        ("store/mod.rs", "use crate::{\n    api::{A, B},\n    model,\n    cli,\n};", "names cli, which is above it"),
        ("clock.rs", "fn f() { crate::paths::x() }", "names paths, which is above it"),
        ("http/a/b.rs", "fn f() -> crate :: daemon::D {}", "names daemon, which is above it"),
        ("model/names.rs", "use crate::api::A;", "names api, which is above it"),
        ("model/names.rs", "use super::super::vault::V;", "names vault, which is above it"),
        ("model/mod.rs", "use super::vault::V;", "names vault, which is above it"),
        ("clock.rs", "use super::vault::V;", "names vault, which is above it"),
        ("store/mod.rs", "pub(in crate::vault) struct X;", "names vault, which is above it"),
        ("store/mod.rs", "use crate::*;", "imports everything"),
        ("store/mod.rs", "use crate::novel::X;", "names novel, which is no layer"),
        ("novel/mod.rs", "", "is in no layer"),
        ("novel.rs", "", "is in no layer"),
        ("daemon/mod.rs", "use crate::client::Client;", "names client, which is for cli"),
        ("vault/mod.rs", "use age::Encryptor;", "names the crate age"),
        ("vault/mod.rs", "use {age::Encryptor, std::fmt};", "names the crate age"),
        ("vault/mod.rs", "fn f(x: &::age::X) {}", "names the crate age"),
        ("vault/mod.rs", "use age as other;", "names the crate age"),
        ("store/memory.rs", "fn f() -> Result<(), sled::Error> {}", "names the crate sled"),
        ("store/mod.rs", "pub use sled;", "names the crate sled"),
        ("auth/mod.rs", "use jsonwebtoken::decode;", "names the crate jsonwebtoken"),
        ("vault/mod.rs", "/* \" */ use crate::http::X; // \"", "names http, which is above it"),
        ("vault/mod.rs", "const A: &str = r#\"\"//\"#; use crate::http::X;", "names http, which is above it"),
        ("vault/mod.rs", "const A: char = '\"'; use crate::http::X;", "names http, which is above it"),
    ] {
        let found = problems(path, text);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{path}: {text}: {found:?}");
    }
    for (path, text) in [
        ("cli/mod.rs", "use crate::{daemon, client::Client, clock};"),
        ("http/mod.rs", "use crate::vault::Vault; use actix_web::web;"),
        ("http/mod.rs", "use super::http::own;"),
        ("http/a/b.rs", "use super::super::cli; use super::c;"),
        ("store/sled_engine.rs", "use sled::Db; use crate::store::Store;"),
        ("store/sled_engine/open.rs", "use sled::Db;"),
        ("auth/tokens/verify.rs", "use jsonwebtoken::decode;"),
        ("crypto/record.rs", "use age::Encryptor; use age_core::format::Stanza; use crate::store::HeadSeal;"),
        ("vault/mod.rs", "// use crate::http::X;\n/* crate::http */ const A: &str = \"crate::http\";"),
        ("vault/mod.rs", "/// See [`crate::http`].\nfn f<'a>(x: &'a str) -> char { '\\'' }"),
        ("vault/mod.rs", "let message = crate::crypto::age::open(); let x = storage::age::y; package::z();"),
        ("lib.rs", "pub mod cli;\npub mod clock;"),
        ("main.rs", "fn main() { hushd::cli::main() }"),
    ] {
        assert_eq!(problems(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

/// Sources by their path below `src`.
fn sources(root: &Path) -> BTreeMap<String, String> {
    let files = crate::harness::files::contents(root).into_iter();
    let files = files.filter(|(path, _)| path.extension().is_some_and(|ending| ending == "rs"));
    files
        .map(|(path, text)| {
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            (path, String::from_utf8(text).unwrap())
        })
        .collect()
}

/// The first part of a path below `src`; `None` for the crate's root and the program.
fn layer_of(path: &str) -> Option<&str> {
    let first = path.split('/').next().unwrap();
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(name, "lib" | "main")).then_some(name)
}

fn problems(path: &str, text: &str) -> Vec<String> {
    let Some(layer) = layer_of(path) else { return Vec::new() };
    let Some(height) = LAYERS.iter().position(|name| *name == layer) else {
        return vec![format!("src/{path} is in no layer")];
    };
    let code = code_only(text);
    let mut problems = Vec::new();
    for named in named_from_root(&code, depth_of(path)) {
        match LAYERS.iter().position(|name| *name == named) {
            None if named == "*" => problems.push(format!("src/{path} imports everything of the crate")),
            None => problems.push(format!("src/{path} names {named}, which is no layer")),
            Some(other) if other < height => problems.push(format!("src/{path} names {named}, which is above it")),
            Some(_) => {}
        }
        if let Some((_, from)) = ONLY_FROM.iter().find(|(only, _)| *only == named && *only != layer)
            && !from.contains(&layer)
        {
            problems.push(format!("src/{path} names {named}, which is for {} only", from.join(", ")));
        }
    }
    let module = path.trim_end_matches(".rs");
    let within = |place: &&str| module == *place || module.starts_with(&format!("{place}/"));
    for (name, places) in ONLY_IN {
        if !places.iter().any(within) && names_crate(&code, name) {
            problems.push(format!("src/{path} names the crate {name}, which is for {} only", places.join(", ")));
        }
    }
    problems
}

/// How many `super::` lead from a file to the crate's root.
fn depth_of(path: &str) -> usize {
    let parts = path.split('/').count();
    if path.ends_with("/mod.rs") { parts - 1 } else { parts }
}

/// What the code names right below the crate's root, by `crate::` or by enough of `super::`.
fn named_from_root(code: &str, depth: usize) -> Vec<String> {
    let words = words(code);
    let mut named = Vec::new();
    for start in 0..words.len() {
        let rest = &words[start..];
        let chain = rest.chunks(2).take_while(|pair| *pair == ["super", "::"]).count();
        let in_chain = start >= 2 && words[start - 2..start] == ["super", "::"];
        if rest.starts_with(&["crate", "::"]) {
            heads(&rest[2..], &mut named);
        } else if chain >= depth && !in_chain {
            let mut above = Vec::new();
            heads(&rest[2 * chain..], &mut above);
            // A module inside a file is one deeper than the file, so that one `super::` more may still be inside.
            named.extend(above.into_iter().filter(|name| chain == depth && LAYERS.contains(&name.as_str())));
        }
    }
    named
}

/// The names that a path or a braced group of paths begins with.
fn heads(words: &[&str], named: &mut Vec<String>) {
    if words.first() != Some(&"{") {
        named.extend(words.first().map(|word| (*word).to_owned()));
        return;
    }
    let mut level = 0;
    let mut at_start = false;
    for word in words {
        match *word {
            "{" => {
                level += 1;
                at_start = level == 1;
            }
            "}" if level == 1 => return,
            "}" => level -= 1,
            "," => at_start = level == 1,
            name if at_start => {
                named.push(name.to_owned());
                at_start = false;
            }
            _ => {}
        }
    }
}

fn names_crate(code: &str, name: &str) -> bool {
    let words = words(code);
    (0..words.len()).any(|at| {
        let before = |back: usize| at.checked_sub(back).map_or("", |index| words[index]);
        let inside_a_path = before(1) == "::" && (before(2) == ">" || is_word(before(2)) && !is_keyword(before(2)));
        let after = words.get(at + 1).copied().unwrap_or_default();
        let imported = matches!(before(1), "use" | "crate" | "{" | ",") && matches!(after, ";" | "as");
        words[at] == name && !inside_a_path && (after == "::" || imported)
    })
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "use" | "for" | "in" | "as" | "dyn" | "mut" | "return" | "impl")
}

fn is_word(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

/// Names, `::`, and every other character by itself.
fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(rest) {
            rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    words
}

fn is_one_call(code: &str) -> bool {
    let words = words(code);
    let mut words = words.as_slice();
    while let (Some(&"use"), Some(end)) = (words.first(), words.iter().position(|word| *word == ";")) {
        words = &words[end + 1..];
    }
    let body = words.iter().position(|word| *word == "{").map(|start| &words[start + 1..]);
    let Some([body @ .., "}"]) = body else { return false };
    let body = body.strip_suffix(&[";"]).unwrap_or(body);
    let call = body.starts_with(&["hushd", "::"]) && body.ends_with(&[")"]);
    call && !body.iter().any(|word| matches!(*word, ";" | "{" | "}" | "let")) && words.starts_with(&["fn", "main"])
}

/// The source without its comments and without what is in its strings.
fn code_only(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_word = code.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if let Some(hashes) = raw_string(rest).filter(|_| !in_word) {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn block_comment(text: &str) -> usize {
    let mut level = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            level += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            level -= 1;
            at += 2;
            if level == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The number of `#` of a raw string that starts here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a character; 0 for the name of a lifetime.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |at| at + 4),
        Some((at, letter)) if text[at + letter.len_utf8()..].starts_with('\'') => at + letter.len_utf8() + 1,
        _ => 0,
    }
}
