//! Rules and bound tokens, held against real users and units: "gets what a rule says, cannot use a bound token, cannot
//! forge a unit".

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::cli;
use crate::harness::{Api, Transport, Vault};
use crate::needs;
use crate::units::{self, Group};

const SHOP: u32 = 64_211;
const GUEST: u32 = 64_212;
const TEAM: u32 = 64_213;

/// Asks for paths over the Unix socket, one a line, and prints the status of each; the first argument is the credential.
const ASK: &str = r"
import socket, sys
for path in sys.argv[3:]:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    head = 'GET ' + path + ' HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
    if sys.argv[2]:
        head += 'Authorization: Bearer ' + sys.argv[2] + '\r\n'
    connection.sendall((head + '\r\n').encode())
    answer = b''
    while part := connection.recv(65536):
        answer += part
    print(answer.split(b' ')[1].decode())
";

/// What each of these may read is what the rules below say of him.
const RULES: &str = r#"
[socket]
mode = "0666"

[[policy]]
uid = 64211
allow = ["read shop/*"]
deny = ["read shop/ROOT"]

[[policy]]
unit = "hushd-test-shop.service"
allow = ["read default/*"]
"#;

struct Town {
    api: Api,
}

/// Who asks.
#[derive(Clone, Copy)]
struct Person<'a> {
    user: u32,
    group: Option<&'a Group>,
}

impl Town {
    fn new() -> Self {
        let vault = Vault::init();
        for directory in ["", "runtime"] {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(vault.sandbox.path(directory), open).unwrap();
        }
        fs::write(vault.sandbox.config().join("config.toml"), RULES).unwrap();
        let api = Api::serve(vault, Transport::Unix);
        api.create("A", "of default");
        for (key, value) in [("A", "of shop"), ("ROOT", "of root")] {
            api.post("/api/secrets?namespace=shop", json!({"key": key, "value": value})).is(201);
        }
        Self { api }
    }

    /// The statuses that somebody gets for these paths.
    fn ask(&self, who: Person<'_>, token: &str, paths: &[&str]) -> Vec<u16> {
        let mut command: Command = self.api.vault.sandbox.command(Path::new("sh"));
        command.current_dir("/").args(["-c", "read _ && exec setpriv \"$@\"", "sh"]);
        command.arg(format!("--reuid={}", who.user)).arg(format!("--regid={TEAM}")).arg("--clear-groups");
        command.args(["/usr/bin/python3", "-c", ASK]).arg(&self.api.daemon().socket).arg(token).args(paths);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        if let Some(group) = who.group {
            group.take(child.id());
        }
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }

    /// A token, limited to reading everything and bound as these arguments say.
    fn token(&self, binding: &[&str]) -> String {
        let arguments = [&["--quiet", "token", "create", "--scope", "read **", "--json"], binding].concat();
        let made = self.api.vault.sandbox.run(&arguments).exits(0).json();
        made["token"].as_str().unwrap().to_owned()
    }
}

const PATHS: [&str; 4] = [
    "/api/secrets/A?namespace=shop",
    "/api/secrets/ROOT?namespace=shop",
    "/api/secrets/A",
    // The same whether it is there or not.
    "/api/secrets/NOTHING?namespace=other",
];

fn by_user(user: u32) -> Person<'static> {
    Person { user, group: None }
}

fn in_group(user: u32, group: &Group) -> Person<'_> {
    Person { user, group: Some(group) }
}

#[test]
fn another_user_gets_what_a_rule_says() {
    if !needs::met(&["setpriv", "python3"]) {
        return;
    }
    let town = Town::new();
    assert_eq!(town.ask(by_user(SHOP), "", &PATHS), [200, 403, 403, 403]);
    let of_nobody = town.ask(by_user(GUEST), "", &PATHS);
    assert!(of_nobody.iter().all(|status| matches!(status, 401 | 403)), "{of_nobody:?}");
    town.api.stop();
}

/// "cannot forge a unit"
#[test]
fn a_rule_for_a_unit_is_for_the_systems_unit_alone() {
    let Some(_turn) = units::turn() else { return };
    let town = Town::new();
    let read_of_default = |group: &Group| town.ask(in_group(GUEST, group), "", &PATHS)[2];
    let real = Group::make("system.slice/hushd-test-shop.service").unwrap();
    assert_eq!(read_of_default(&real), 200);
    for forged in [
        "user.slice/user-64212.slice/user@64212.service/app.slice/hushd-test-shop.service",
        "hushd-test-other.slice/hushd-test-other.service/system.slice/hushd-test-shop.service",
        "hushd-test-container/system.slice/hushd-test-shop.service",
    ] {
        let group = Group::make(forged).unwrap();
        assert!(matches!(read_of_default(&group), 401 | 403), "{forged}");
    }
    // Not by writing oneself into the group either.
    let process = PathBuf::from("/sys/fs/cgroup/unified/system.slice/hushd-test-shop.service/cgroup.procs");
    let process =
        if process.exists() { process } else { process.strip_prefix("/sys/fs/cgroup/unified").unwrap().into() };
    let mut join = Command::new("setpriv");
    join.args([format!("--reuid={GUEST}"), format!("--regid={TEAM}"), "--clear-groups".to_owned()]);
    join.args(["sh", "-c", "echo $$ > \"$0\""]).arg(Path::new("/sys/fs/cgroup").join(process)).stderr(Stdio::null());
    assert!(!join.status().unwrap().success(), "the group took him in");
    town.api.stop();
}

/// "bound to uid or unit it is worthless elsewhere"
#[test]
fn a_bound_token_is_worthless_elsewhere() {
    let Some(_turn) = units::turn() else { return };
    let town = Town::new();
    let of_shop = town.token(&["--bind-uid", &SHOP.to_string()]);
    let of_unit = town.token(&["--bind-unit", "hushd-test-shop.service"]);
    let unbound = town.token(&[]);
    let unit = Group::make("system.slice/hushd-test-shop.service").unwrap();
    let user = Group::make("user.slice/user-64211.slice/user@64211.service/hushd-test-shop.service").unwrap();
    let read = |who, token: &str| town.ask(who, token, &PATHS[..1])[0];
    assert_eq!(read(by_user(GUEST), &unbound), 200);
    assert_eq!(read(by_user(SHOP), &of_shop), 200);
    assert_eq!(read(in_group(GUEST, &unit), &of_unit), 200);
    for (who, token) in [
        (by_user(GUEST), &of_shop),
        (in_group(GUEST, &unit), &of_shop),
        (by_user(SHOP), &of_unit),
        (in_group(SHOP, &user), &of_unit),
        // Root is another user too.
        (by_user(0), &of_shop),
    ] {
        let status = read(who, token);
        assert!(matches!(status, 401 | 403), "{}: {status}", who.user);
    }
    // Over TCP nobody knows who it is.
    let mut curl = crate::harness::http::Connection::open(&town.api.daemon().tcp()).unwrap();
    for token in [&of_shop, &of_unit] {
        let status = curl.send(&town.api.bare("GET", PATHS[0]).bearer(token).request()).unwrap().status;
        assert!(matches!(status, 401 | 403), "{status}");
    }
    let list = cli::run(&mut town.api.vault.sandbox.hushd(&["token", "list", "--json"]), b"").exits(0).stdout;
    assert!(!list.contains(&of_shop) && list.contains("hushd-test-shop.service"), "{list}");
    town.api.stop();
}
