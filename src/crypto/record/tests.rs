//! A record is a genuine age file, and opens only where it was written for, whole and unchanged.

use std::io::{Read as _, Write as _};

use age_core::primitives::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use proptest::prelude::*;

use super::stanza::RecordStanza;
use super::*;
use crate::clock::Timestamp;
use crate::crypto::keyring::tests::fixed_keyring;

const KEY: &[u8] = b"a key";
const PLAIN: &[u8] = b"a plaintext";

fn keyring() -> Keyring {
    Keyring::generate(Timestamp::from_millis(0), None).unwrap()
}

fn age_decrypt(identity: &RecordStanza<'_>, record: &[u8]) -> Vec<u8> {
    let decryptor = age::Decryptor::new_buffered(record).unwrap();
    let mut reader = decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).unwrap();
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).unwrap();
    plain
}

/// What the age crate writes for `recipient`, without the meaningless second stanza that it adds to keep readers honest.
fn age_encrypt(recipient: &RecordStanza<'_>, plain: &[u8]) -> Vec<u8> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient)).unwrap();
    let mut writer = encryptor.wrap_output(Vec::new()).unwrap();
    writer.write_all(plain).unwrap();
    let file = writer.finish().unwrap();
    let third_newline = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
    let mac_line = file.windows(5).position(|window| window == b"\n--- ").unwrap() + 1;
    let payload = mac_line + b"--- ".len() + 43 + 1;
    let mut record = [&file[..=third_newline], b"---"].concat();
    let file_key = recipient.wrapped.take().unwrap();
    let mac = hmac_sha256(&hkdf(&[], b"header", &file_key)).chain_update(&record).finalize().into_bytes();
    record.extend_from_slice(format!(" {}\n", STANDARD_NO_PAD.encode(mac)).as_bytes());
    record.extend_from_slice(&file[payload..]);
    record
}

/// Made by another implementation of the format, in Python, from the age specification.
fn golden() -> Vec<u8> {
    let header = b"age-encryption.org/v1\n\
        -> hushd/v1 2 IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIi\n\
        xRlhRdLRB4eX9PyePEKs3cwWbSUaRh+Fx1j54Aez58Q\n\
        --- L73BrkH22pyiTir305i+t033LSdaaKyF89bYE8ltk3M\n";
    let payload = b"3333333333333333\
        \xf4\xf0\x79\x80\xad\x60\x99\x69\xb9\x81\x5d\x43\x4f\x32\xc5\x3a\xcd\xe5\xc3\xff\xb7\xca\x75\x26\x84\x06\xbe";
    [&header[..], &payload[..]].concat()
}

#[test]
fn the_format_does_not_change() {
    let keyring = fixed_keyring();
    let seed = Seed { file_key: [0x11; 16], wrap_nonce: [0x22; 24], payload_nonce: [0x33; 16] };
    assert_eq!(keyring.encrypt_with_seed(&seed, Table::Metadata, KEY, PLAIN).unwrap(), golden());
    assert_eq!(*keyring.decrypt_record(Table::Metadata, KEY, &golden()).unwrap(), PLAIN);
}

#[test]
fn the_age_crate_reads_our_records() {
    let keyring = keyring();
    for length in [0, 1, 15, 16, 400, MAX_PLAIN_LENGTH - 1, MAX_PLAIN_LENGTH] {
        let plain = vec![7; length];
        let record = keyring.encrypt_record(Table::Value, KEY, &plain).unwrap();
        assert!(record.starts_with(b"age-encryption.org/v1\n"));
        assert_eq!(age_decrypt(&RecordStanza::new(&keyring, Table::Value, KEY), &record), plain, "{length}");
    }
}

#[test]
fn we_read_the_age_crates_records() {
    let keyring = keyring();
    for length in [0, 1, 15, 16, 400, MAX_PLAIN_LENGTH - 1, MAX_PLAIN_LENGTH] {
        let plain = vec![7; length];
        let record = age_encrypt(&RecordStanza::new(&keyring, Table::Value, KEY), &plain);
        assert_eq!(*keyring.decrypt_record(Table::Value, KEY, &record).unwrap(), plain, "{length}");
    }
}

#[test]
fn a_second_stanza_or_a_second_chunk_is_refused() {
    let keyring = keyring();
    let recipient = RecordStanza::new(&keyring, Table::Value, KEY);
    let two_chunks = age_encrypt(&recipient, &vec![7; MAX_PLAIN_LENGTH + 1]);
    assert!(matches!(keyring.decrypt_record(Table::Value, KEY, &two_chunks), Err(CryptoError::RecordDamaged)));
    // As the age crate writes it, with its second stanza: authentic, but not the one way to write a record.
    let two_stanzas = age::encrypt(&recipient, PLAIN).unwrap();
    assert_eq!(age_decrypt(&recipient, &two_stanzas), PLAIN);
    assert!(matches!(keyring.decrypt_record(Table::Value, KEY, &two_stanzas), Err(CryptoError::RecordDamaged)));
}

#[test]
fn a_moved_record_is_refused() {
    let keyring = fixed_keyring();
    let record = keyring.encrypt_record(Table::Value, KEY, PLAIN).unwrap();
    let refused =
        |table, key: &[u8]| matches!(keyring.decrypt_record(table, key, &record), Err(CryptoError::RecordDamaged));
    assert!(!refused(Table::Value, KEY));
    for table in [Table::Head, Table::Vault, Table::ApiKey, Table::Metadata] {
        assert!(refused(table, KEY), "{table:?}");
    }
    for key in [&b""[..], b"a ke", b"a keys", b"A key"] {
        assert!(refused(Table::Value, key), "{key:?}");
    }
}

#[test]
fn a_record_of_another_vault_is_refused() {
    let record = keyring().encrypt_record(Table::Value, KEY, PLAIN).unwrap();
    assert!(matches!(keyring().decrypt_record(Table::Value, KEY, &record), Err(CryptoError::RecordDamaged)));
}

#[test]
fn a_record_moved_to_another_epoch_is_refused() {
    let keyring = fixed_keyring();
    let record = keyring.encrypt_record(Table::Value, KEY, PLAIN).unwrap();
    let with_epoch = |epoch: &str| {
        let mut moved = record.clone();
        let at = b"age-encryption.org/v1\n-> hushd/v1 ".len();
        moved.splice(at..=at, epoch.bytes());
        keyring.decrypt_record(Table::Value, KEY, &moved)
    };
    assert!(with_epoch("2").is_ok());
    assert!(matches!(with_epoch("1"), Err(CryptoError::RecordDamaged)));
    assert!(matches!(with_epoch("3"), Err(CryptoError::UnknownEpoch { epoch: 3 })));
    assert!(matches!(with_epoch("4294967295"), Err(CryptoError::UnknownEpoch { epoch: u32::MAX })));
    for epoch in ["", "0", "02", "+2", "-2", "2 ", " 2", "4294967296", "10000000000", "99999999999999999999", "x"] {
        assert!(matches!(with_epoch(epoch), Err(CryptoError::RecordDamaged)), "{epoch:?}");
    }
}

#[test]
fn a_record_under_an_older_data_key_still_opens() {
    let keyring = fixed_keyring();
    let older = crate::crypto::keyring::tests::fixed_keyring_with_epochs(1);
    let record = older.encrypt_record(Table::Value, KEY, PLAIN).unwrap();
    assert!(record.starts_with(b"age-encryption.org/v1\n-> hushd/v1 1 "));
    assert_eq!(*keyring.decrypt_record(Table::Value, KEY, &record).unwrap(), PLAIN);
}

#[test]
fn every_single_changed_byte_is_noticed() {
    let keyring = keyring();
    let record = keyring.encrypt_record(Table::Value, KEY, PLAIN).unwrap();
    for at in 0..record.len() {
        for flip in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut changed = record.clone();
            changed[at] ^= flip;
            let answer = keyring.decrypt_record(Table::Value, KEY, &changed);
            assert!(
                matches!(answer, Err(CryptoError::RecordDamaged | CryptoError::UnknownEpoch { .. })),
                "byte {at} flipped by {flip:#x}"
            );
        }
    }
}

#[test]
fn every_cut_and_every_addition_is_noticed() {
    let keyring = keyring();
    let record = keyring.encrypt_record(Table::Value, KEY, PLAIN).unwrap();
    let refused = |record: &[u8]| {
        let answer = keyring.decrypt_record(Table::Value, KEY, record);
        // A doubled digit makes another epoch.
        matches!(answer, Err(CryptoError::RecordDamaged | CryptoError::UnknownEpoch { epoch: 11 }))
    };
    for length in 0..record.len() {
        assert!(refused(&record[..length]), "cut to {length}");
        assert!(refused(&record[record.len() - length..]), "only the last {length}");
        let doubled = [&record[..length], &record[length..=length], &record[length..]].concat();
        assert!(refused(&doubled), "byte {length} doubled");
    }
    for byte in 0..=u8::MAX {
        assert!(refused(&[&record[..], &[byte]].concat()), "{byte} appended");
    }
    assert!(refused(&[&record[..], &record[..]].concat()));
}

#[test]
fn the_same_plaintext_never_gives_the_same_record() {
    let keyring = keyring();
    let record = || keyring.encrypt_record(Table::Value, KEY, PLAIN).unwrap();
    assert_ne!(record(), record());
}

#[test]
fn more_than_one_chunk_is_not_encrypted() {
    assert_eq!(MAX_PLAIN_LENGTH, 65_536, "a chunk of the payload (age specification)");
    let size = MAX_PLAIN_LENGTH + 1;
    let answer = keyring().encrypt_record(Table::Value, KEY, &vec![0; size]);
    assert!(matches!(answer, Err(CryptoError::RecordTooLarge { size: told }) if told == size));
}

/// The store's limit is 72 KiB a record.
#[test]
fn the_largest_record_fits_into_the_store() {
    let record = keyring().encrypt_record(Table::Value, &[b'k'; 128], &vec![0; MAX_PLAIN_LENGTH]).unwrap();
    assert!(record.len() <= 72 * 1024, "{}", record.len());
    assert!(record.len() <= MAX_HEADER_LENGTH + MAX_PLAIN_LENGTH + TAG_LENGTH);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(
        length in 0..=MAX_PLAIN_LENGTH,
        byte: u8,
        key in prop::collection::vec(any::<u8>(), 0..=128),
    ) {
        let keyring = fixed_keyring();
        let plain: Vec<u8> = (0..length).map(|at| byte.wrapping_add(at.to_le_bytes()[0])).collect();
        let record = keyring.encrypt_record(Table::Value, &key, &plain).unwrap();
        prop_assert_eq!(&*keyring.decrypt_record(Table::Value, &key, &record).unwrap(), &plain);
    }

    #[test]
    fn garbage_is_refused_without_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..300), at in 0..200_usize) {
        let keyring = fixed_keyring();
        prop_assert!(keyring.decrypt_record(Table::Value, KEY, &garbage).is_err());
        let spliced = [&golden()[..at], &garbage].concat();
        prop_assert!(keyring.decrypt_record(Table::Metadata, KEY, &spliced).is_err());
    }
}
