//! A laptop: the user's own manager.

use crate::machine::Machine;

/// "`systemctl --user enable --now hushd.socket`, first `hushd get` starts the daemon"
#[test]
fn with_linger_the_first_client_starts_the_users_daemon() {
    let Some(machine) = Machine::bare() else { return };
    machine.install("1.0");
    machine.ok("useradd -m ann && loginctl enable-linger ann");
    machine.wait("test -S /run/user/$(id -u ann)/bus");
    let ann = |command: &str| {
        let environment =
            "XDG_RUNTIME_DIR=/run/user/$(id -u ann) DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u ann)/bus";
        format!("cd /home/ann && runuser -u ann -- env HOME=/home/ann {environment} sh -c '{command}'")
    };
    machine.ok(&ann("systemctl --user enable --now hushd.socket 2>&1"));
    assert!(!machine.try_run(&ann("systemctl --user is-active hushd.service")));
    assert!(!machine.try_run(&ann("hushd get NONE 2>&1")), "there is no such secret yet");
    assert_eq!(machine.ok(&ann("systemctl --user is-active hushd.service")), "active");
    machine.ok(&ann("printf %s of-ann | hushd set KEY 2>&1"));
    machine.ok(&ann("systemctl --user stop hushd.service"));
    assert_eq!(machine.ok(&ann("hushd get KEY")), "of-ann");
    // Her units get credentials from her daemon, and only hers.
    machine.ok(&ann("mkdir -p .config/hushd && printf \"[[credential]]\\nunit = \\\"a.service\\\"\\nid = \\\"key\\\"\\nsecret = \\\"default/KEY\\\"\\n\" > .config/hushd/config.toml && systemctl --user reload hushd.service"));
    let run = |unit: &str| {
        ann(&format!(
            "systemd-run --user -q --wait --pipe -u {unit} -p LoadCredential=key:$XDG_RUNTIME_DIR/hushd/credentials.sock \
             cat /run/user/$(id -u)/credentials/{unit}/key"
        ))
    };
    assert_eq!(machine.ok(&run("a.service")), "of-ann");
    assert!(!machine.try_run(&run("b.service")));
    // Root's machine-wide daemon is another one, and is not asked.
    assert!(!machine.try_run("systemctl is-active hushd.service"));
}
