//! The program: one call.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// What passes through buffers of the web server, of JSON and of sled is wiped when they are freed.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    hushd::cli::main()
}
