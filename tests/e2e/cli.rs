//! The command line, as people and scripts use it: the real program against the real daemon.

mod init;
mod verbs;

use std::path::Path;

use crate::harness::Api;

/// "A closed pipe ends quietly."
#[test]
fn a_shell_has_the_value_and_may_close_the_pipe() {
    let api = Api::start(crate::harness::Transport::Unix);
    let binary = Path::new(env!("CARGO_BIN_EXE_hushd")).parent().unwrap();
    let shell = |script: &str| {
        let mut command = api.vault.sandbox.command(Path::new("/bin/sh"));
        command.env("PATH", format!("{}:/usr/bin:/bin", binary.display())).args(["-ec", script]);
        crate::harness::cli::run(&mut command, b"").exits(0)
    };
    shell("printf %s sk_live_1 | hushd set STRIPE_API_KEY");
    assert_eq!(shell("test \"$(hushd get STRIPE_API_KEY)\" = sk_live_1 && echo same").stdout, "same\n");
    let quiet = shell("hushd list | true; hushd get STRIPE_API_KEY | true");
    assert_eq!(quiet.stderr, "");
    api.stop();
}
