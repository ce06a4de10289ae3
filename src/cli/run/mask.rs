//! Masks values in a stream of bytes, wherever its pieces end.
//!
//! Invariants: no byte of a value leaves, also where values overlap; what cannot be the beginning of a value is not held
//! back, so that a prompt is seen when it is written. Values shorter than [`SHORTEST`] are not masked: they would be found
//! everywhere.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use zeroize::Zeroizing;

use crate::model::SecretValue;

/// The shortest value that is masked, in bytes.
pub(in crate::cli) const SHORTEST: usize = 4;
/// The shortest line that is masked by itself where a value has several: a shorter one is likely to be no secret.
const SHORTEST_LINE: usize = 8;
/// What stands in the place of a value; it does not tell its length.
const MASK: &[u8] = b"********";

/// What is masked.
#[derive(Debug)]
pub(in crate::cli) struct Patterns {
    /// In order, so that those with a beginning are found by searching.
    sorted: Vec<Zeroizing<Vec<u8>>>,
    searcher: Option<AhoCorasick>,
    longest: usize,
    /// Bytes that a value begins with.
    first: [bool; 256],
}

impl Patterns {
    /// Masks these values; lines of values of several lines too, and each as a terminal shows it.
    pub(in crate::cli) fn new<'a>(values: impl Iterator<Item = &'a SecretValue>) -> Self {
        let mut texts = BTreeSet::new();
        for value in values {
            let text = value.expose_secret();
            // A command seldom repeats the end of a line that a value has.
            let bare = text.trim_end_matches(['\r', '\n']);
            if bare.len() < SHORTEST {
                // Nor as a terminal shows it, where it may be long enough.
                continue;
            }
            texts.insert(bare.to_owned());
            if bare.contains('\n') {
                // A terminal makes two characters of each.
                texts.insert(bare.replace("\r\n", "\n").replace('\n', "\r\n"));
                let lines = bare.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
                texts.extend(lines.map(str::to_owned));
            }
        }
        let sorted: Vec<Zeroizing<Vec<u8>>> = texts.into_iter().map(|text| Zeroizing::new(text.into_bytes())).collect();
        let longest = sorted.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        let mut first = [false; 256];
        for pattern in &sorted {
            first[usize::from(pattern[0])] = true;
        }
        // The kind that takes the least memory: a value may have a mebibyte.
        let build = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .build(sorted.iter().map(|pattern| pattern.as_slice()));
        let searcher = if sorted.is_empty() { None } else { build.ok() };
        Self { sorted, searcher, longest, first }
    }

    /// Where the first byte is that may begin a value which is not whole yet.
    fn unfinished(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |start: &usize| {
            let rest = &text[*start..];
            if !self.first[usize::from(rest[0])] {
                return false;
            }
            let place = self.sorted.partition_point(|pattern| pattern.as_slice() < rest);
            self.sorted[place..].iter().take(1).any(|pattern| pattern.starts_with(rest))
        };
        (from..text.len()).find(begins).unwrap_or(text.len())
    }
}

/// A stream that is masked.
#[derive(Debug)]
pub(in crate::cli) struct Masker<'a> {
    patterns: &'a Patterns,
    /// What was not given out yet.
    held: Zeroizing<Vec<u8>>,
    /// How much of what is held belongs to a value whose mask was given out.
    covered: usize,
}

impl<'a> Masker<'a> {
    pub(in crate::cli) fn new(patterns: &'a Patterns) -> Self {
        Self { patterns, held: Zeroizing::new(Vec::new()), covered: 0 }
    }

    /// Takes a piece, and adds what can be shown to `out`.
    pub(in crate::cli) fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let end = self.patterns.unfinished(&self.held);
        self.give(end, out);
    }

    /// Adds what is left at the end of the stream.
    pub(in crate::cli) fn finish(mut self, out: &mut Vec<u8>) {
        let end = self.held.len();
        self.give(end, out);
    }

    /// Gives out what comes before `end`: every value that begins there is whole.
    fn give(&mut self, end: usize, out: &mut Vec<u8>) {
        let mut ranges: Vec<(usize, usize)> = match &self.patterns.searcher {
            Some(searcher) => {
                let found = searcher.find_overlapping_iter(self.held.as_slice());
                found.map(|found| (found.start(), found.end())).filter(|(start, _)| *start < end).collect()
            }
            None => Vec::new(),
        };
        ranges.sort_unstable();
        let mut at = self.covered.min(end);
        let mut covered = self.covered;
        for (start, stop) in ranges {
            if start >= covered || covered == 0 {
                out.extend_from_slice(&self.held[at..start]);
                out.extend_from_slice(MASK);
            }
            covered = covered.max(stop);
            at = covered.min(end);
        }
        if at < end {
            out.extend_from_slice(&self.held[at..end]);
        }
        self.covered = covered.saturating_sub(end);
        self.held.drain(..end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(values: &[&str]) -> Patterns {
        let values: Vec<SecretValue> = values.iter().map(|value| SecretValue::new((*value).to_owned())).collect();
        Patterns::new(values.iter())
    }

    fn masked(patterns: &Patterns, pieces: &[&[u8]]) -> String {
        let (mut masker, mut out) = (Masker::new(patterns), Vec::new());
        for piece in pieces {
            masker.take(piece, &mut out);
        }
        masker.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_masked_wherever_the_pieces_end() {
        let patterns = patterns(&["secret", "secretive", "tivedome"]);
        let text = b"a secret, secretive, secretivedome; secre";
        let expected = "a ********, ********, ********; secre";
        for size in 1..=text.len() {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(masked(&patterns, &pieces), expected, "{size}");
        }
        assert_eq!(masked(&patterns, &[b"secretsecret"]), "****************");
    }

    #[test]
    fn what_cannot_begin_a_value_is_not_held_back() {
        let patterns = patterns(&["secret"]);
        let (mut masker, mut out) = (Masker::new(&patterns), Vec::new());
        masker.take(b"Password: ", &mut out);
        assert_eq!(out, b"Password: ");
        masker.take(b"sec", &mut out);
        assert_eq!(out, b"Password: ");
        masker.take(b"ond", &mut out);
        assert_eq!(out, b"Password: second");
    }

    #[test]
    fn lines_are_masked_too_and_as_a_terminal_shows_them() {
        let patterns = patterns(&["-----BEGIN-----\nabcdefgh\nxy\n", "abc"]);
        assert_eq!(masked(&patterns, &[b"-----BEGIN-----\r\nabcdefgh\r\nxy."]), "********.");
        assert_eq!(masked(&patterns, &[b"> abcdefgh xy abc"]), "> ******** xy abc");
        assert_eq!(masked(&self::patterns(&["e\nt"]), &[b"te\r\nte\nt"]), "te\r\nte\nt");
        assert_eq!(masked(&self::patterns(&[]), &[b"as it is"]), "as it is");
    }

    proptest! {
        /// Against the plain way: every byte of every occurrence is covered, each covered stretch is one mask.
        #[test]
        fn it_masks_what_the_plain_way_masks(
            values in prop::collection::vec("[ab]{4,7}", 1..5),
            text in "[abc]{0,80}",
            cuts in prop::collection::vec(0_usize..80, 0..6),
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let patterns = patterns(&values);
            let mut ranges: Vec<(usize, usize)> = Vec::new();
            for start in 0..text.len() {
                for value in values.iter().filter(|value| text[start..].starts_with(**value)) {
                    match ranges.last_mut() {
                        Some(last) if start < last.1 => last.1 = last.1.max(start + value.len()),
                        _ => ranges.push((start, start + value.len())),
                    }
                }
            }
            let (mut expected, mut at) = (String::new(), 0);
            for (start, stop) in ranges {
                expected.extend([&text[at..start], "********"]);
                at = stop;
            }
            expected.push_str(&text[at..]);
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(masked(&patterns, &pieces), expected);
        }
    }
}
