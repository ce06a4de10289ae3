//! What the fuzzer asks of the command line: each function states a property, and panics where it does not hold.
//!
//! Only built by the fuzzer (`tests/fuzz`).

use crate::cli::dotenv::Dialect;
use crate::cli::formats::{self, Format, Source, Values};
use crate::cli::run::mask::{Masker, Patterns, SHORTEST};
use crate::model::{Key, SecretValue};

/// A file of values is read or refused; what was read is the same after it was written and read again.
pub fn import(text: &str) {
    for dialect in [Dialect::Node, Dialect::Python, Dialect::Compose] {
        for source in [Source::Dotenv, Source::Json, Source::Yaml, Source::Vault, Source::Docker] {
            if source != Source::Dotenv && dialect != Dialect::Node {
                continue;
            }
            let Ok(found) = formats::read(text, source, dialect) else { continue };
            let usable = found.values.into_iter().filter_map(|(name, value)| Some((name.parse::<Key>().ok()?, value)));
            let values: Values = usable.collect();
            if !values.is_empty() {
                is_read_back(&values, dialect);
            }
        }
    }
}

fn is_read_back(values: &Values, dialect: Dialect) {
    let ways = [
        (Format::Dotenv, Source::Dotenv),
        (Format::Json, Source::Json),
        (Format::Yaml, Source::Yaml),
        (Format::Docker, Source::Docker),
    ];
    for (format, source) in ways {
        // A format that cannot hold a value says so.
        let Ok(written) = formats::write(values, format, dialect) else { continue };
        let read = formats::read(&written, source, dialect);
        let read =
            read.unwrap_or_else(|error| panic!("{format:?} {dialect:?}: {}: {:?}", error.message(), written.as_str()));
        let again: Values = read.values.into_iter().map(|(name, value)| (name.parse().unwrap(), value)).collect();
        assert_eq!(&again, values, "{format:?} {dialect:?}: {:?}", written.as_str());
    }
}

/// No value that is long enough is in what is shown, however the text is cut; and a text without values is left alone.
pub fn redact(values: &[SecretValue], text: &[u8], cuts: &[usize]) {
    let patterns = Patterns::new(values.iter());
    let masked = |pieces: &[&[u8]]| {
        let (mut masker, mut out) = (Masker::new(&patterns), Vec::new());
        pieces.iter().for_each(|piece| masker.take(piece, &mut out));
        masker.finish(&mut out);
        out
    };
    let whole = masked(&[text]);
    let (mut pieces, mut rest) = (Vec::new(), text);
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(masked(&pieces), whole, "it depends on how the text is cut");
    let secrets = values.iter().map(|value| value.expose_secret().trim_end_matches(['\r', '\n']));
    let secrets: Vec<&str> = secrets.filter(|secret| secret.len() >= SHORTEST).collect();
    let contains = |text: &[u8], secret: &str| text.windows(secret.len()).any(|window| window == secret.as_bytes());
    // What stands beside a mask may make a value of it that has the mask's own character.
    for secret in secrets.iter().filter(|secret| !secret.contains('*')) {
        assert!(!contains(&whole, secret), "{secret:?} is shown");
    }
    // Of a value of several lines each line is masked by itself, too.
    if !secrets.iter().any(|secret| secret.contains('\n') || contains(text, secret)) {
        assert_eq!(whole, text, "a text without values was changed");
    }
}
