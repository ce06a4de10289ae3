//! `run --redact`: no value is shown, wherever the output is cut. The input: values, an empty line, the output.
#![no_main]

use hushd::model::SecretValue;

libfuzzer_sys::fuzz_target!(|input: (u8, u8, &str)| {
    let (first, second, text) = input;
    let (values, output) = text.split_once("\n\n").unwrap_or(("", text));
    let values: Vec<SecretValue> = values.split('\0').take(8).map(|value| SecretValue::new(value.to_owned())).collect();
    hushd::cli::fuzzing::redact(&values, output.as_bytes(), &[usize::from(first), usize::from(second)]);
});
