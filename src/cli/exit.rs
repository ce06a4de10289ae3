//! The one mapping from a kind of failure to an exit code (CLI contract, "Exit codes"): published, never renumbered.

use std::process::ExitCode;

use crate::cli::ErrorKind;

/// The exit code of a verb that did what it was asked.
pub const DONE: u8 = 0;

/// The exit code of a failure of this kind; the numbers are those of sysexits(3).
pub const fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::ClosedPipe => DONE,
        ErrorKind::Other => 1,
        ErrorKind::Usage => 2,
        ErrorKind::BadData => 65,
        ErrorKind::NotFound => 66,
        ErrorKind::Unreachable => 69,
        ErrorKind::Internal => 70,
        ErrorKind::Conflict => 73,
        ErrorKind::TryAgain => 75,
        ErrorKind::NotPermitted => 77,
        ErrorKind::Configuration => 78,
        // As shells have it.
        ErrorKind::NotExecutable => 126,
        ErrorKind::NoCommand => 127,
        ErrorKind::Ended(code) => code,
    }
}

/// The same for `main`.
pub fn exit_code(kind: ErrorKind) -> ExitCode {
    ExitCode::from(code(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_numbers_stay() {
        let numbers = [
            ErrorKind::Other,
            ErrorKind::Usage,
            ErrorKind::BadData,
            ErrorKind::NotFound,
            ErrorKind::Unreachable,
            ErrorKind::Internal,
            ErrorKind::Conflict,
            ErrorKind::TryAgain,
            ErrorKind::NotPermitted,
            ErrorKind::Configuration,
            ErrorKind::ClosedPipe,
            ErrorKind::NotExecutable,
            ErrorKind::NoCommand,
            ErrorKind::Ended(42),
        ]
        .map(code);
        assert_eq!(numbers, [1, 2, 65, 66, 69, 70, 73, 75, 77, 78, 0, 126, 127, 42]);
    }
}
