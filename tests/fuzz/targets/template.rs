//! Values that refer to others: an answer or an error, in bounded memory, and what refers to nothing is given as it is.
//! The input: values between NULs, named A, B, C and so on.
#![no_main]

use std::collections::BTreeMap;

use hushd::model::reference::{self, Stored};
use hushd::model::{Key, SecretValue};

/// No value becomes longer than this, in bytes.
const LARGEST: usize = 2 << 20;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let name = |number: u8| -> Key { char::from(b'A' + number).to_string().parse().expect("it is a name") };
    let values = text.split('\0').take(26).zip(0..);
    let stored: BTreeMap<Key, Stored> = values
        .map(|(value, number)| {
            (name(number), Stored { value: SecretValue::new(value.to_owned()), is_template: number % 3 != 2 })
        })
        .collect();
    for (key, one) in &stored {
        if let Ok(value) = reference::resolve(key, &stored) {
            assert!(value.expose_secret().len() <= LARGEST);
            if !one.is_template || !one.value.expose_secret().contains('$') {
                assert_eq!(value.expose_secret(), one.value.expose_secret());
            }
        }
    }
});
