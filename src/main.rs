//! The program: one call.

use std::process::ExitCode;

fn main() -> ExitCode {
    hushd::cli::main()
}
