//! Records: decrypted they are what was encrypted, and nothing else is ever accepted: not with a byte changed, cut or added,
//! not under another name, not in another table, and not what the fuzzer makes up. The input: the record's plain text, and
//! a change of it.
#![no_main]

use std::sync::LazyLock;

use hushd::clock::Timestamp;
use hushd::crypto::Keyring;
use hushd::store::Table;

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::generate(Timestamp::from_millis(1), None).expect("it is made"));

libfuzzer_sys::fuzz_target!(|input: (u16, u8, u8, &[u8])| {
    let (place, how, change, plain) = input;
    let key = &b"a name"[..];
    let record = KEYRING.encrypt_record(Table::Value, key, plain).expect("it is encrypted");
    let opened = KEYRING.decrypt_record(Table::Value, key, &record).expect("it is decrypted");
    assert_eq!(&opened[..], plain);
    let at = usize::from(place) % record.len();
    let mut changed = record.clone();
    match how % 4 {
        0 => changed[at] ^= change,
        1 => changed.truncate(at),
        2 => changed.insert(at, change),
        _ => drop(changed.remove(at)),
    }
    if changed != record {
        assert!(KEYRING.decrypt_record(Table::Value, key, &changed).is_err(), "a change at {at} was not noticed");
    }
    assert!(KEYRING.decrypt_record(Table::Value, b"another", &record).is_err());
    assert!(KEYRING.decrypt_record(Table::Metadata, key, &record).is_err());
    assert!(KEYRING.decrypt_record(Table::Value, key, plain).is_err());
    let _epoch = hushd::crypto::epoch_of(plain);
});
