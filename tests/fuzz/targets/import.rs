//! Files of values: read or refused, and what was read is written and read back as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| hushd::cli::fuzzing::import(text));
