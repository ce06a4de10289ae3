//! Encryption of a record alone, beside the raw cipher.

use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hushd::clock::{Clock as _, SystemClock};
use hushd::crypto::Keyring;
use hushd::store::Table;

use crate::Result;
use crate::arguments::Arguments;
use crate::measure::{Sample, Spread, Turn, by_turns, repeating};
use crate::report::Section;
use crate::sections::{apart, shown};

const SIZES: [usize; 3] = [64, 1024, 64 * 1024];
/// Operations between two looks at the clock.
const AT_A_TIME: u32 = 16;

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "Encryption alone",
        "A record as a genuine age file beside raw XChaCha20-Poly1305 with a random nonce; one thread, µs for each.",
        &["bytes", "encrypt", "±", "raw", "of raw", "decrypt", "±", "raw", "of raw"],
    );
    let keyring = Keyring::generate(SystemClock.now(), None)?;
    let cipher = XChaCha20Poly1305::new(&[7; 32].into());
    let key = [9; 28];
    for size in SIZES {
        let plain = vec![b'v'; size];
        let record = keyring.encrypt_record(Table::Value, &key, &plain)?;
        let sealed = seal(&cipher, &plain)?;
        let window = arguments.window() / 4;
        let mut turns: [Turn<'_>; 4] = [
            repeating(window, || many(|| Ok(keyring.encrypt_record(Table::Value, &key, &plain)?.len()))),
            repeating(window, || many(|| Ok(seal(&cipher, &plain)?.len()))),
            repeating(window, || many(|| Ok(keyring.decrypt_record(Table::Value, &key, &record)?.len()))),
            repeating(window, || many(|| Ok(open(&cipher, &sealed)?.len()))),
        ];
        let samples = by_turns(arguments.rounds(), &mut turns)?;
        drop(turns);
        let mut row = vec![size.to_string()];
        for (what, pair) in ["encrypt", "decrypt"].into_iter().zip(samples.chunks_exact(2)) {
            let each = |sample: &Sample| sample.p50 / f64::from(AT_A_TIME);
            let (ours, raw) = (Spread::over(&pair[0], each), Spread::over(&pair[1], each));
            let ratio = Spread::ratio(&pair[0], &pair[1], each);
            row.extend([shown(ours), apart(ours), shown(raw), shown(ratio)]);
            section.figure(format!("encryption/{what}/{size}"), "µs", ours);
            section.figure(format!("encryption/{what}/{size}/raw"), "µs", raw);
            section.figure(format!("encryption/{what}/{size}/of-raw"), "", ratio);
        }
        section.row(row);
    }
    Ok(section)
}

fn many(mut operation: impl FnMut() -> Result<usize>) -> Result<()> {
    for _ in 0..AT_A_TIME {
        std::hint::black_box(operation()?);
    }
    Ok(())
}

fn seal(cipher: &XChaCha20Poly1305, plain: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = XNonce::default();
    getrandom::fill(&mut nonce)?;
    let mut sealed = Vec::with_capacity(nonce.len() + plain.len() + 16);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = cipher
        .encrypt_in_place_detached(&nonce, &[], &mut sealed[nonce.len()..])
        .map_err(|_| "the cipher refused to encrypt")?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

fn open(cipher: &XChaCha20Poly1305, sealed: &[u8]) -> Result<Vec<u8>> {
    let (nonce, rest) = sealed.split_at(24);
    let (ciphertext, tag) = rest.split_at(rest.len() - 16);
    let mut plain = ciphertext.to_vec();
    cipher
        .decrypt_in_place_detached(nonce.into(), &[], &mut plain, tag.into())
        .map_err(|_| "the cipher refused to decrypt")?;
    Ok(plain)
}
