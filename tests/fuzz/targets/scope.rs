//! The language of scopes: what is taken is taken again as it was written, and an error has a place in the text.
#![no_main]

use hushd::auth::Scope;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match Scope::parse_text(text) {
        Ok(scope) => {
            let again = Scope::parse(scope.texts()).expect("it was taken before");
            assert_eq!(again.texts(), scope.texts());
        }
        Err(error) => assert!(error.line >= 1 && error.column >= 1, "{error:?}"),
    }
});
