//! The name that systemd connects from: what is read of it is just what it says.
#![no_main]

libfuzzer_sys::fuzz_target!(|name: &[u8]| {
    if let Some((unit, id)) = hushd::daemon::claimed(name) {
        let text = std::str::from_utf8(name).expect("a claim is text");
        let (random, rest) = text.split_once('/').expect("it has parts");
        assert!(u64::from_str_radix(random, 16).is_ok(), "{text:?}");
        assert_eq!(rest, format!("unit/{unit}/{id}"));
        assert!(!unit.contains('/') && !id.contains('/') && !text.chars().any(char::is_control), "{text:?}");
    }
});
