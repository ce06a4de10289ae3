//! Units that get what is theirs.

use std::time::Instant;

use crate::machine::Machine;

const SHOP: &str = "
[[credential]]
unit = \"shop.service\"
id = \"db-password\"
secret = \"shop/prod/DB_PASSWORD\"
[[credential]]
unit = \"shop.service\"
id = \"api-token\"
secret = \"shop/prod/API_TOKEN\"
[[credential]]
unit = \"shop@*.service\"
id = \"db-password\"
secret = \"shop/%i/DB_PASSWORD\"
";

/// "a unit with `DynamicUser=yes` and two `LoadCredential=` lines reads both values"
#[test]
fn a_unit_with_a_dynamic_user_reads_both_of_its_credentials() {
    let Some(machine) = Machine::installed() else { return };
    machine.configure(SHOP);
    machine.configure("[[policy]]\nunit = \"mail.service\"\nallow = [\"read shop/prod/API_*\"]");
    machine.add_unit("shop.service", &["db-password", "api-token"], "DynamicUser=yes");
    // The very program that runs as the dynamic user sees them too.
    machine.write(
        "/etc/systemd/system/shop.service.d/own.conf",
        "[Service]\nExecStart=/bin/sh -c 'cat $CREDENTIALS_DIRECTORY/db-password $CREDENTIALS_DIRECTORY/api-token'\n",
    );
    machine.ok("systemctl daemon-reload; systemctl start shop.service");
    assert_eq!(machine.got("shop.service", "db-password"), "first-value");
    assert_eq!(machine.got("shop.service", "api-token"), "second-value");
    machine.wait("journalctl -q -o cat -u shop.service | grep -qx first-valuesecond-value");
    // Of a template each instance has its own.
    machine.ok("printf %s of-europe | hushd --namespace shop/eu set DB_PASSWORD 2>&1");
    machine.add_unit("shop@.service", &["db-password"], "DynamicUser=yes");
    machine.ok("systemctl start shop@eu.service");
    assert_eq!(machine.got("shop@eu.service", "db-password"), "of-europe");
    // And by convention what a policy for the unit allows.
    machine.add_unit("mail.service", &["shop.prod.API_TOKEN"], "");
    machine.ok("systemctl start mail.service");
    assert_eq!(machine.got("mail.service", "shop.prod.API_TOKEN"), "second-value");
    let trail = machine.ok("hushd audit --json");
    for expected in ["LoadCredential=db-password of shop.service", "unit:shop@eu.service", "unit:mail.service"] {
        assert!(trail.contains(expected), "{expected}: {trail}");
    }
}

/// "200 units starting at once all get their credentials"
#[test]
fn two_hundred_units_that_start_at_once_all_get_their_credentials() {
    let Some(machine) = Machine::installed() else { return };
    machine.configure("[[credential]]\nunit = \"many@*.service\"\nid = \"db\"\nsecret = \"shop/prod/DB_PASSWORD\"");
    machine.add_unit("many@.service", &["db"], "");
    // As at boot: not even the daemon is there yet.
    machine.ok("systemctl stop hushd.service");
    let begun = Instant::now();
    machine.ok("systemctl start $(seq -f 'many@%g.service' 200)");
    eprintln!("200 units: {:?}", begun.elapsed());
    let found = machine.ok("cat /run/got/many@*/db | sed 's/first-value/x/g'");
    assert_eq!(found, "x".repeat(200));
}

/// "`on-change = \"restart\"|\"reload\"` through systemd's D-Bus, off by default"
#[test]
fn units_are_restarted_and_reloaded_when_their_credential_changes_if_that_is_wanted() {
    let Some(machine) = Machine::installed() else { return };
    for (unit, more) in [("shop", "on-change = \"restart\""), ("mail", "on-change = \"reload\""), ("quiet", "")] {
        let secret = "id = \"db\"\nsecret = \"shop/prod/DB_PASSWORD\"";
        machine.configure(&format!("[[credential]]\nunit = \"{unit}.service\"\n{secret}\n{more}"));
        let run = format!(
            "[Service]\nLoadCredential=db:/run/hushd/credentials.sock\n\
             ExecStart=/bin/sh -c 'cat $CREDENTIALS_DIRECTORY/db >> /run/{unit}; exec sleep 1000'\n\
             ExecReload=/bin/sh -c 'echo again >> /run/{unit}'\n"
        );
        machine.write(&format!("/etc/systemd/system/{unit}.service"), &run);
    }
    machine.ok("systemctl daemon-reload; systemctl start shop.service mail.service quiet.service");
    // Such a unit has started before it has read anything.
    machine.wait("grep -q first-value /run/shop && grep -q first-value /run/mail && grep -q first-value /run/quiet");
    // Without the administrator's rule systemd refuses, and that is said.
    let cursor = machine.cursor();
    machine.ok("printf %s changed- | hushd --namespace shop/prod set DB_PASSWORD 2>&1");
    machine.wait(&format!(
        "journalctl --after-cursor='{cursor}' -u hushd.service | grep -q 'shop.service is not restarted'"
    ));
    machine.ok(
        "sed 's/\\[\"shop.service\"\\]/[\"shop.service\", \"mail.service\"]/' /usr/share/doc/hushd/50-hushd.rules \
         > /etc/polkit-1/rules.d/50-hushd.rules; systemctl restart polkit.service",
    );
    machine.ok("printf %s last-value | hushd --namespace shop/prod set DB_PASSWORD 2>&1");
    machine.wait("grep -q 'first-valuelast-value' /run/shop");
    machine.wait("grep -q again /run/mail");
    assert_eq!(machine.ok("cat /run/quiet"), "first-value");
}
