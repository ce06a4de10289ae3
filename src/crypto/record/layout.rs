//! The text of a record's header: an age v1 header (C2SP age specification) with the one stanza that is ours.
//!
//! ```text
//! age-encryption.org/v1
//! -> hushd/v1 EPOCH WRAP_NONCE
//! WRAPPED_FILE_KEY
//! --- HEADER_MAC
//! PAYLOAD_NONCE (16 bytes) CIPHERTEXT TAG (16 bytes)
//! ```
//!
//! Invariant: there is one way to write a record, and only that is read: canonical base64 and numbers, one stanza.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Length of the AEAD's tag in bytes.
pub(super) const TAG_LENGTH: usize = 16;
/// Length of the nonce before the payload, in bytes.
pub(super) const PAYLOAD_NONCE_LENGTH: usize = 16;
/// Length of an XChaCha20-Poly1305 nonce in bytes.
pub(super) const WRAP_NONCE_LENGTH: usize = 24;
/// Length of the file key and the tag of its wrapping, in bytes.
pub(super) const WRAPPED_LENGTH: usize = 32;
/// Length of the header's MAC in bytes.
pub(super) const MAC_LENGTH: usize = 32;
/// Most bytes before the ciphertext: all lines, with the longest epoch, and the payload's nonce.
pub(super) const MAX_HEADER_LENGTH: usize = START.len()
    + 10
    + 1
    + text_length(WRAP_NONCE_LENGTH)
    + 1
    + text_length(WRAPPED_LENGTH)
    + MAC_START.len()
    + 1
    + text_length(MAC_LENGTH)
    + 1
    + PAYLOAD_NONCE_LENGTH;

const START: &[u8] = b"age-encryption.org/v1\n-> hushd/v1 ";
const MAC_START: &[u8] = b"\n---";

/// The parts of a record, none of them verified yet.
pub(super) struct Layout<'a> {
    /// The data key that wraps the file key.
    pub(super) epoch: u32,
    /// The nonce of the wrapping.
    pub(super) wrap_nonce: [u8; WRAP_NONCE_LENGTH],
    /// The wrapped file key.
    pub(super) wrapped: [u8; WRAPPED_LENGTH],
    /// What the MAC covers: the header up to and with the three dashes.
    pub(super) covered: &'a [u8],
    /// The header's MAC.
    pub(super) mac: [u8; MAC_LENGTH],
    /// The nonce that the payload key is derived with.
    pub(super) payload_nonce: &'a [u8; PAYLOAD_NONCE_LENGTH],
    /// The payload's one chunk.
    pub(super) ciphertext: &'a [u8],
    /// The chunk's tag.
    pub(super) tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Layout<'a> {
    /// Takes a record apart; nothing when it is not written in the one way that is known.
    pub(super) fn parse(record: &'a [u8]) -> Option<Self> {
        let rest = record.strip_prefix(START)?;
        let (epoch, rest) = take_epoch(rest)?;
        let (wrap_nonce, rest) = take_text(rest)?;
        let (wrapped, rest) = take_text(rest.strip_prefix(b"\n")?)?;
        let rest = rest.strip_prefix(MAC_START)?;
        let covered = &record[..record.len() - rest.len()];
        let (mac, rest) = take_text(rest.strip_prefix(b" ")?)?;
        let (payload_nonce, rest) = rest.strip_prefix(b"\n")?.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        Some(Self { epoch, wrap_nonce, wrapped, covered, mac, payload_nonce, ciphertext, tag })
    }
}

/// Writes the header up to and with the three dashes: what the MAC covers.
pub(super) fn write_covered(record: &mut Vec<u8>, epoch: u32, wrap_nonce: &[u8], wrapped: &[u8]) {
    record.extend_from_slice(START);
    record.extend_from_slice(epoch.to_string().as_bytes());
    record.push(b' ');
    write_text(record, wrap_nonce);
    record.push(b'\n');
    write_text(record, wrapped);
    record.extend_from_slice(MAC_START);
}

/// Writes the rest of the header: its MAC.
pub(super) fn write_mac(record: &mut Vec<u8>, mac: &[u8]) {
    record.push(b' ');
    write_text(record, mac);
    record.push(b'\n');
}

/// Reads an epoch as [`write_covered`] writes it: decimal, from 1, without leading zeros.
pub(super) fn parse_epoch(digits: &[u8]) -> Option<u32> {
    if !digits.first().is_some_and(|digit| (b'1'..=b'9').contains(digit)) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn take_epoch(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().take(11).position(|byte| *byte == b' ')?;
    Some((parse_epoch(&text[..end])?, &text[end + 1..]))
}

/// Takes as much base64 text as `N` bytes have; the engine refuses what is not canonical.
fn take_text<const N: usize>(text: &[u8]) -> Option<([u8; N], &[u8])> {
    let (encoded, rest) = text.split_at_checked(text_length(N))?;
    let mut bytes = [0; N];
    let length = STANDARD_NO_PAD.decode_slice_unchecked(encoded, &mut bytes).ok()?;
    (length == N).then_some((bytes, rest))
}

fn write_text(record: &mut Vec<u8>, bytes: &[u8]) {
    let start = record.len();
    record.resize(start + text_length(bytes.len()), 0);
    // Cannot fail: there is just the room that the text takes.
    let written = STANDARD_NO_PAD.encode_slice(bytes, &mut record[start..]);
    debug_assert_eq!(written, Ok(record.len() - start));
}

/// Length of the base64 text of `length` bytes, without padding.
const fn text_length(length: usize) -> usize {
    (length * 4).div_ceil(3)
}
