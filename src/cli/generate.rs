//! `hushd generate`, and the values made of the operating system's randomness.
//!
//! Invariant: every character of the set is equally likely: bytes that would favour some are thrown away.

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use crate::cli::{CliError, ErrorKind, Globals};
use crate::model::SecretValue;

/// Print a random value, and store it nowhere
#[derive(Debug, Args)]
#[command(
    after_long_help = "It needs no daemon. To store one without seeing it: hushd set KEY --generate\n\nWith --json: {\"value\"}."
)]
pub struct GenerateArgs {
    /// How many characters it has
    #[arg(value_name = "LENGTH", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    length: u16,
    /// What it is made of
    #[arg(long, value_name = "SET", default_value = "alnum")]
    charset: Charset,
}

/// Prints a value.
///
/// # Errors
///
/// As [`generate`].
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: GenerateArgs, globals: &Globals) -> Result<(), CliError> {
    let value = generate(usize::from(args.length), args.charset)?;
    if globals.output.is_json() {
        return globals.output.json(&serde_json::json!({ "value": value.expose_secret() }));
    }
    globals.output.line(value.expose_secret())
}

/// The characters a value is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Charset {
    /// Letters and digits
    #[default]
    Alnum,
    /// Digits
    Digits,
    /// Hexadecimal digits, lower case
    Hex,
    /// Letters, digits, '-' and '_'
    Url,
    /// All printable ASCII characters but the space
    Ascii,
}

impl Charset {
    fn characters(self) -> &'static [u8] {
        match self {
            Self::Alnum => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Digits => b"0123456789",
            Self::Hex => b"0123456789abcdef",
            Self::Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            Self::Ascii => {
                b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
            }
        }
    }
}

/// A value of `length` characters of the set.
///
/// # Errors
///
/// [`ErrorKind::Internal`] where the operating system gives no randomness.
pub fn generate(length: usize, charset: Charset) -> Result<SecretValue, CliError> {
    let characters = charset.characters();
    // The largest multiple of the set's size that a byte reaches: what is above it would favour the first characters.
    let bound = 256 - 256 % characters.len();
    let mut value = String::with_capacity(length);
    let mut random = Zeroizing::new([0; 256]);
    while value.len() < length {
        getrandom::fill(&mut *random).map_err(|error| {
            CliError::new(ErrorKind::Internal, format!("the operating system gives no randomness: {error}"))
        })?;
        let accepted = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < bound);
        let missing = length - value.len();
        value.extend(accepted.take(missing).map(|byte| char::from(characters[byte % characters.len()])));
    }
    Ok(SecretValue::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_its_length_and_only_characters_of_its_set() {
        for charset in Charset::value_variants() {
            let value = generate(1000, *charset).unwrap();
            assert_eq!(value.len(), 1000);
            assert!(value.expose_secret().bytes().all(|byte| charset.characters().contains(&byte)));
            assert_ne!(value, generate(1000, *charset).unwrap());
        }
    }

    #[test]
    fn the_sets_have_no_character_twice() {
        for charset in Charset::value_variants() {
            let mut characters = charset.characters().to_vec();
            characters.sort_unstable();
            characters.dedup();
            assert_eq!(characters.len(), charset.characters().len(), "{charset:?}");
        }
        assert_eq!(Charset::Ascii.characters().len(), 94);
    }

    #[test]
    fn every_character_is_equally_likely() {
        // 62 does not divide 256: without the bound, the first eight would come a quarter more often. With it, their share
        // stays within six standard deviations of 8/62.
        let length = 200_000;
        let value = generate(length, Charset::Alnum).unwrap();
        let first = value.expose_secret().bytes().filter(|byte| (b'A'..=b'H').contains(byte)).count();
        assert!((24_900..26_710).contains(&first), "{first}");
    }
}
