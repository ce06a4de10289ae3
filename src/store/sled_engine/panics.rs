//! Keeps sled's panics from becoming ours.
//!
//! Invariants: a contained panic becomes [`StoreError::Damaged`] with the place in the source and nothing of the
//! message, for sled's messages print whole trees; it writes nothing to standard error. Panics outside of
//! [`contained`] go to the hook that was there before.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::Path;
use std::sync::Once;

use crate::store::StoreError;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`, and turns a panic into an error that says what sled was doing.
///
/// # Errors
/// [`StoreError::Damaged`] after a panic.
pub(super) fn contained<T>(doing: &str, work: impl FnOnce() -> T) -> Result<T, StoreError> {
    install_hook();
    let outer = CONTAINED.replace(true);
    // Nothing of sled's is trusted after a panic: the caller gives up on it or tells its own caller to.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    result.map_err(|_payload| {
        let place = PLACE.take().unwrap_or_else(|| "an unknown place".to_owned());
        StoreError::damaged(format!("sled panicked at {place} while {doing}"))
    })
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CONTAINED.get() {
                PLACE.set(Some(place(info)));
            } else {
                previous(info);
            }
        }));
    });
}

/// The file's name and the line: its full path would be one of the machine that built the program.
fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(String::new, |location| {
        let name = Path::new(location.file()).file_name().unwrap_or_default();
        format!("{}:{}", name.to_string_lossy(), location.line())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_where_and_not_what() {
        let error = contained("reading", || panic!("the tree holds {}", "everything")).unwrap_err().to_string();
        assert!(error.contains("sled panicked at panics.rs:") && error.ends_with("while reading"), "{error}");
        assert!(!error.contains("everything"));
        assert_eq!(contained("reading", || 7).unwrap(), 7);
    }
}
