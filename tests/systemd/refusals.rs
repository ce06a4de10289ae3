//! Units that get nothing, and fail: "never an empty or partial credential".

use crate::machine::Machine;

const SHOP: &str = "[[credential]]\nunit = \"shop.service\"\nid = \"db\"\nsecret = \"shop/prod/DB_PASSWORD\"";

/// Asks as systemd does, for what is not its own, and prints what comes.
const FORGE: &str = "import socket, sys\n\
    s = socket.socket(socket.AF_UNIX)\n\
    s.bind('\\0' + sys.argv[1])\n\
    s.connect('/run/hushd/credentials.sock')\n\
    data = b''\n\
    while chunk := s.recv(65536): data += chunk\n\
    print(len(data), b'value' in data)\n";

/// "an unknown id, a forbidden unit, a sealed vault … each make the unit **fail** with a journal line that says why"
#[test]
fn what_is_refused_makes_the_unit_fail_and_the_journal_says_why() {
    let Some(machine) = Machine::installed() else { return };
    machine.configure(SHOP);
    for (id, secret) in [("empty", "EMPTY"), ("large", "LARGE"), ("half", "HALF"), ("missing", "MISSING")] {
        machine.configure(&format!(
            "[[credential]]\nunit = \"shop.service\"\nid = \"{id}\"\nsecret = \"shop/prod/{secret}\""
        ));
    }
    machine.configure("[[credential]]\nunit = \"shop.service\"\nid = \"half-again\"\nsecret = \"shop/prod/HALF\"");
    // The command line sets no empty value; the API does.
    machine.ok("printf %s x | hushd --namespace shop/prod set EMPTY 2>&1");
    machine.ok(
        "curl -sf --unix-socket /run/hushd/hushd.sock -X PUT -H 'Content-Type: application/json' -d '{\"value\":\"\"}' \
         'http://x/api/secrets/EMPTY?namespace=shop/prod'",
    );
    machine.ok("head -c 1048576 /dev/zero | tr '\\0' x | hushd --namespace shop/prod set LARGE 2>&1");
    machine.ok("head -c 600000 /dev/zero | tr '\\0' x | hushd --namespace shop/prod set HALF 2>&1");
    for (unit, ids, why) in [
        ("shop.service", &["unknown"][..], "no [[credential]] of this unit has this id"),
        ("shop.service", &["shop.prod.DB_PASSWORD"], "no rule allows it"),
        ("other.service", &["db"], "no [[credential]] of this unit has this id"),
        ("shop.service", &["missing"], "not found"),
        ("shop.service", &["empty"], "is empty"),
        ("shop.service", &["large"], "too large"),
        ("shop.service", &["half", "half-again"], "too large"),
    ] {
        machine.add_unit(unit, ids, "");
        let journal = machine.fails(unit);
        // systemd asks for a unit's credentials in no order: of two that are too large together, either is refused.
        let refused = |id: &&&str| {
            let start = format!("{unit} does not get the credential {id}: ");
            journal.lines().any(|line| line.contains(&start) && line.contains(why))
        };
        let id = ids.iter().find(refused).unwrap_or_else(|| panic!("{unit} {ids:?}: {journal}"));
        let trail = machine.ok("hushd audit --json");
        assert!(trail.contains(&format!("credential {id} of {unit}")), "{unit} {id}: {trail}");
    }
    // A mebibyte in all is what systemd takes.
    machine.add_unit("shop.service", &["half", "db"], "");
    machine.ok("systemctl start shop.service");
    assert_eq!(machine.got("shop.service", "half").len(), 600_000);
    machine.ok("rm -r /run/got; hushd seal 2>&1");
    let journal = machine.fails("shop.service");
    assert!(journal.contains("shop.service does not get the credential") && journal.contains("sealed"), "{journal}");
}

/// "a full audit disk"
#[test]
fn with_a_full_disk_for_the_trail_units_fail() {
    let Some(machine) = Machine::installed() else { return };
    machine.configure(SHOP);
    machine.ok("systemctl stop hushd.service; mount -t tmpfs -o size=4m,mode=0700,uid=hushd,gid=hushd tmpfs /var/lib/hushd/audit");
    machine.ok("dd if=/dev/zero of=/var/lib/hushd/audit/filler bs=4k 2>/dev/null; true");
    machine.add_unit("shop.service", &["db"], "");
    let journal = machine.fails("shop.service");
    assert!(journal.contains("shop.service does not get the credential db"), "{journal}");
    machine.ok("rm /var/lib/hushd/audit/filler");
    machine.wait("systemctl start shop.service");
    assert_eq!(machine.got("shop.service", "db"), "first-value");
}

/// "A forged name from an unprivileged user and from another unit gets nothing, and is audited."
#[test]
fn forged_names_get_nothing_and_are_in_the_trail() {
    let Some(machine) = Machine::installed() else { return };
    machine.configure(SHOP);
    machine.write("/forge.py", FORGE);
    let forge = "python3 /forge.py 7f/unit/shop.service/db";
    // The socket is the service manager's alone.
    machine.ok("useradd mallory");
    assert!(!machine.try_run(&format!("runuser -u mallory -- {forge}")));
    assert_eq!(machine.ok(&format!("systemd-run -q --pipe --wait -u other.service {forge}")), "1048577 False");
    let trail = machine.ok("hushd audit --json");
    assert!(trail.contains("credential db of shop.service: it is asked for by a process of other.service"), "{trail}");
    // Even where an administrator has opened it.
    machine.ok("chmod 666 /run/hushd/credentials.sock");
    assert_eq!(machine.ok(&format!("runuser -u mallory -- {forge}")), "1048577 False");
    assert_eq!(
        machine.ok(&format!("systemd-run -q --pipe --wait -u shop.service -p User=mallory {forge}")),
        "1048577 False"
    );
    let trail = machine.ok("hushd audit --json");
    assert!(trail.contains("who is not the service manager's"), "{trail}");
    for name in ["", "x/unit/shop.service/db", "7f/unit/shop.service/db/x"] {
        let found = machine.ok(&format!("systemd-run -q --pipe --wait -u shop.service python3 /forge.py '{name}'"));
        assert_eq!(found, "1048577 False", "{name}");
    }
    // The unit itself, by its manager, gets it.
    machine.add_unit("shop.service", &["db"], "");
    machine.ok("systemctl start shop.service");
    assert_eq!(machine.got("shop.service", "db"), "first-value");
}
