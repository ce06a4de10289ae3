//! The package: installed, upgraded, removed, purged.

use crate::machine::Machine;

/// "The `.deb` is installed with apt", "upgrade of the package keeps the vault", "no vault is ever deleted but by purge with a
/// question"
#[test]
fn an_upgrade_keeps_the_vault_and_only_a_purge_that_was_confirmed_destroys_it() {
    let Some(machine) = Machine::installed() else { return };
    machine.ok("test -s /usr/share/man/man1/hushd.1 && test -s /usr/share/man/man1/hushd-get.1");
    machine.ok("test -s /usr/share/bash-completion/completions/hushd && test -s /etc/hushd/config.toml");
    assert_eq!(machine.ok("stat -c '%a %U' /var/lib/hushd /etc/hushd /run/hushd"), "700 hushd\n700 hushd\n755 hushd");
    machine.ok("systemctl start hushd.service");
    let running = machine.ok("systemctl show -P MainPID hushd.service");
    machine.install("1.1");
    assert_ne!(machine.ok("systemctl show -P MainPID hushd.service"), running, "it was not restarted");
    let keeps = || assert_eq!(machine.ok("hushd --namespace shop/prod get DB_PASSWORD"), "first-value");
    keeps();
    let apt = |verb: &str| machine.ok(&format!("DEBIAN_FRONTEND=noninteractive apt-get {verb} -y -q hushd 2>&1"));
    apt("remove");
    machine.ok("! systemctl is-active hushd.service && ! systemctl is-active hushd.socket && test -e /var/lib/hushd/keyring.age");
    machine.install("1.1");
    machine.ok("systemctl enable --now hushd.socket 2>&1");
    keeps();
    assert!(apt("purge").contains("the vault stays"));
    machine.ok("test -e /var/lib/hushd/keyring.age && test -e /etc/hushd/identity.txt");
    machine.install("1.1");
    machine.ok("systemctl enable --now hushd.socket 2>&1");
    machine.wait("hushd status");
    machine.ok("HUSHD_PURGE_VAULT=yes DEBIAN_FRONTEND=noninteractive apt-get purge -y -q hushd 2>&1");
    machine.ok("test ! -e /var/lib/hushd && test ! -e /etc/hushd");
}

/// "`hushd install --system|--user` that puts them in place and says what it did (`--dry-run`, `uninstall`)"
#[test]
fn without_a_package_the_program_puts_its_units_in_place() {
    let Some(machine) = Machine::bare() else { return };
    std::fs::copy(env!("CARGO_BIN_EXE_hushd"), machine.path("/usr/local/bin/hushd")).unwrap();
    let said = machine.ok("hushd install --system --dry-run");
    assert!(said.contains("would be created: /etc/systemd/system/hushd.socket"), "{said}");
    machine.ok("test ! -e /etc/systemd/system/hushd.socket");
    machine.ok("hushd install --system && systemctl enable --now hushd.socket");
    machine.ok("grep -q 'ExecStart=/usr/local/bin/hushd serve' /etc/systemd/system/hushd.service");
    machine.ok(
        "printf %s mine | runuser -u hushd -- hushd set KEY && test \"$(runuser -u hushd -- hushd get KEY)\" = mine",
    );
    assert!(machine.ok("hushd install --system").contains("unchanged: /etc/systemd/system/hushd.service"));
    let said = machine.ok("hushd uninstall --system");
    assert!(said.contains("removed: /etc/systemd/system/hushd.service"), "{said}");
    machine.ok("! systemctl is-active hushd.socket && test -e /var/lib/hushd/keyring.age && test ! -e /etc/sysusers.d/hushd.conf");
    machine.write("/etc/systemd/system/hushd.socket", "[Socket]\n");
    assert!(!machine.try_run("hushd install --system"));
    machine
        .ok("grep -qx '\\[Socket\\]' /etc/systemd/system/hushd.socket && test ! -e /etc/systemd/system/hushd.service");
}
