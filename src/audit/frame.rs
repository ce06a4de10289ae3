//! The bytes of a segment: its header, and frames of entries.
//!
//! ```text
//! header  "hushd-audit 1\n" SEGMENT:u64 CREATED:i64 FIRST:u64 PREVIOUS[32] SALT[32] MAC[32]
//! frame   MAGIC[4] LENGTH:u32 NUMBER:u32 FIRST:u64 PREVIOUS[32] CIPHERTEXT[LENGTH - 16] TAG[16]
//! ```
//!
//! Numbers are little-endian. PREVIOUS of a frame is the digest of the frame before it, of a segment's first frame the
//! header's MAC, of a header the digest of the last frame of the segment before. The frame's head is the associated data
//! of its encryption, and its plaintext is a list of entries, the first of which has the sequence number FIRST.
//!
//! Invariant: a frame that opens stands, with every byte, as it was written, and says what it must stand behind.

use subtle::ConstantTimeEq as _;

use crate::audit::Entry;
use crate::crypto::{AUDIT_TAG_LENGTH, AuditKeys, CryptoError, SegmentCipher};

/// A link of the chain: the keyed digest of a frame or header, and through it of all before.
pub type Link = [u8; 32];

const HEADER_MAGIC: &[u8; 14] = b"hushd-audit 1\n";
const FRAME_MAGIC: &[u8; 4] = b"\xa7hsd";
/// Bytes of a segment's header.
pub(super) const HEADER_LENGTH: usize = 14 + 8 + 8 + 8 + 32 + 32 + 32;
/// Bytes of a frame before its ciphertext.
pub(super) const FRAME_HEAD: usize = 4 + 4 + 4 + 8 + 32;
/// Most bytes of a frame's ciphertext with its tag.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: u64,
    pub(super) created: i64,
    pub(super) first: u64,
    pub(super) previous: Link,
    pub(super) salt: [u8; 32],
}

/// A frame that opened.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) first: u64,
    pub(super) previous: Link,
    pub(super) link: Link,
    pub(super) length: usize,
    pub(super) entries: Vec<Entry>,
}

impl Header {
    /// The header's bytes, and the link that the first frame stands behind.
    pub(super) fn encode(&self, keys: &AuditKeys) -> (Vec<u8>, Link) {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        bytes.extend_from_slice(HEADER_MAGIC);
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.created.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&self.salt);
        let link = keys.digest(&[&bytes]);
        bytes.extend_from_slice(&link);
        (bytes, link)
    }

    /// Reads a header; nothing when it is not authentic.
    pub(super) fn decode(bytes: &[u8], keys: &AuditKeys) -> Option<(Self, Link)> {
        let bytes = bytes.get(..HEADER_LENGTH)?;
        let (segment, rest) = bytes.strip_prefix(HEADER_MAGIC)?.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (previous, rest) = rest.split_first_chunk()?;
        let (salt, mac) = rest.split_first_chunk()?;
        let header = Self {
            segment: u64::from_le_bytes(*segment),
            created: i64::from_le_bytes(*created),
            first: u64::from_le_bytes(*first),
            previous: *previous,
            salt: *salt,
        };
        let link = keys.digest(&[&bytes[..HEADER_LENGTH - 32]]);
        bool::from(mac.ct_eq(&link)).then_some((header, link))
    }
}

/// Encrypts entries that are encoded one after the other in `plain`. Gives the frame and its link.
pub(super) fn seal(
    keys: &AuditKeys,
    cipher: &SegmentCipher,
    number: u32,
    first: u64,
    previous: &Link,
    plain: &[u8],
) -> Result<(Vec<u8>, Link), CryptoError> {
    let too_large = || CryptoError::RecordTooLarge { size: plain.len() };
    let length = plain.len() + AUDIT_TAG_LENGTH;
    let stated = u32::try_from(length).ok().filter(|_| length <= MAX_BODY).ok_or_else(too_large)?;
    let mut frame = Vec::with_capacity(FRAME_HEAD + length);
    frame.extend_from_slice(FRAME_MAGIC);
    frame.extend_from_slice(&stated.to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&first.to_le_bytes());
    frame.extend_from_slice(previous);
    frame.extend_from_slice(plain);
    let (head, body) = frame.split_at_mut(FRAME_HEAD);
    let tag = cipher.seal(number, head, body)?;
    frame.extend_from_slice(&tag);
    let link = keys.digest(&[&frame]);
    Ok((frame, link))
}

/// Opens the frame that `bytes` begin with; nothing when there is no whole, authentic one.
pub(super) fn open(keys: &AuditKeys, cipher: &SegmentCipher, bytes: &[u8]) -> Option<Frame> {
    let (length, number, first, previous) = head(bytes)?;
    let whole = bytes.get(..FRAME_HEAD + length)?;
    let (head, body) = whole.split_at(FRAME_HEAD);
    let (body, tag) = body.split_last_chunk::<AUDIT_TAG_LENGTH>()?;
    let mut plain = body.to_vec();
    cipher.open(number, head, &mut plain, tag)?;
    let mut entries = Vec::new();
    let mut rest = &plain[..];
    while !rest.is_empty() {
        let (entry, after) = postcard::take_from_bytes::<Entry>(rest).ok()?;
        entries.push(entry);
        rest = after;
    }
    Some(Frame { first, previous, link: keys.digest(&[whole]), length: whole.len(), entries })
}

/// Bytes of the frame that begins here, as its head says; nothing when there is no head.
pub(super) fn stated_length(bytes: &[u8]) -> Option<usize> {
    head(bytes).map(|(length, ..)| FRAME_HEAD + length)
}

/// How many of the first bytes are those that every frame begins with.
pub(super) fn magic_written(bytes: &[u8]) -> usize {
    bytes.iter().zip(FRAME_MAGIC).take_while(|(found, expected)| found == expected).count()
}

/// Where the next frame may begin, from the second byte on.
pub(super) fn next_magic(bytes: &[u8]) -> Option<usize> {
    bytes.get(1..)?.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC).map(|at| at + 1)
}

fn head(bytes: &[u8]) -> Option<(usize, u32, u64, Link)> {
    let (length, rest) = bytes.strip_prefix(FRAME_MAGIC)?.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (previous, _) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let sane = (AUDIT_TAG_LENGTH..=MAX_BODY).contains(&length);
    sane.then(|| (length, u32::from_le_bytes(*number), u64::from_le_bytes(*first), *previous))
}
