//! What a core of the daemon holds that root takes by force.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::http::{Connection, Request};
use crate::harness::{Api, Daemon, Transport, Vault, cli};
use crate::needs;

/// Secrets with values that are found wherever they are.
const SECRETS: usize = 40;

fn value(number: usize) -> String {
    // In two pieces, so that this program's own arguments and logs never hold it whole.
    format!("marker-{}-{number:04}-{}", "of-a-value", "x7Qp".repeat(8))
}

fn name(number: usize) -> String {
    format!("NAME_OF_A_SECRET_{number:04}")
}

/// Takes a core of the daemon's process, as root can of any, and says which of the needles are in it, by their names.
fn found_in_core(api: &Api, needles: &[(String, Vec<u8>)]) -> Vec<String> {
    let prefix = api.vault.sandbox.path("core");
    let pid = api.daemon().pid().as_raw_nonzero().to_string();
    let output = Command::new("gcore").arg("-a").arg("-o").arg(&prefix).arg(&pid).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = prefix.with_file_name(format!("core.{pid}"));
    let length = fs::metadata(&file).unwrap().len();
    assert!(length > 1_000_000, "a core of {length} bytes");
    // A test that is not optimised takes minutes for what this takes a second for.
    let search = "import sys\ncore = open(sys.argv[1], 'rb').read()\nfor line in sys.stdin: print(core.count(bytes.fromhex(line)))";
    let hex = |bytes: &Vec<u8>| {
        bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .chain(['\n'])
            .collect::<String>()
    };
    let input: String = needles.iter().map(|(_, needle)| hex(needle)).collect();
    let mut python = api.vault.sandbox.command("python3".as_ref());
    python.args(["-c", search]).arg(&file);
    let output = cli::run(&mut python, input.as_bytes()).exits(0);
    fs::remove_file(file).unwrap();
    let counts: Vec<u64> = output.stdout.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(counts.len(), needles.len());
    let found = needles.iter().zip(counts).filter(|(_, count)| *count > 0);
    found.map(|((name, _), count)| format!("{name}, {count} times")).collect()
}

/// All keys of the vault, as bytes and as they stand in the keyring's text.
fn keys(vault: &Vault, identity: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(identity).unwrap();
    let line = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let opener: age::x25519::Identity = line.parse().unwrap();
    let plain = age::decrypt(&opener, &fs::read(vault.sandbox.data().join("keyring.age")).unwrap()).unwrap();
    let keyring: Value = serde_json::from_slice(&plain).unwrap();
    let mut keys = Vec::new();
    let mut add = |name: &str, text: &Value| {
        use base64::Engine as _;
        let text = text.as_str().unwrap();
        keys.push((format!("{name} as text"), text.as_bytes().to_vec()));
        keys.push((name.to_owned(), base64::engine::general_purpose::STANDARD.decode(text).unwrap()));
    };
    for (number, key) in keyring["dataKeys"].as_array().unwrap().iter().enumerate() {
        add(&format!("data key {number}"), &key["key"]);
    }
    add("name key", &keyring["nameKey"]);
    add("head key", &keyring["headKey"]);
    add("audit key", &keyring["auditKey"]);
    add("signing secret", &keyring["jwt"]["current"]);
    keys.push(("master key".to_owned(), line.as_bytes().to_vec()));
    keys
}

/// Reads every value, each over a connection that is closed then.
fn read_all(api: &Api) {
    for number in 0..SECRETS {
        let mut connection = Connection::open(&api.address()).unwrap();
        let headers = vec![("Authorization".to_owned(), format!("Bearer {}", api.vault.api_key))];
        let request = Request { method: "GET".to_owned(), target: secret(&name(number)), headers, body: None };
        let answer = connection.send(&request).unwrap();
        assert_eq!(answer.status, 200);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["value"], value(number));
    }
}

/// "`strings` over a core taken by root by force (`gcore`) after `seal` finds no key, no value (markers); before `seal` no
/// value of a secret that was not just being read."
#[test]
fn a_core_holds_no_value_that_is_not_being_read_and_after_a_seal_no_key() {
    if !needs::met(&["gcore", "python3"]) {
        return;
    }
    let vault = Vault::unborn(crate::harness::Sandbox::new());
    let passphrase = "correct horse battery staple";
    let file = vault.sandbox.key_file("passphrase", passphrase);
    vault.try_init(&[]).exits(0);
    let plain = vault.sandbox.key_file("identity.txt", &fs::read_to_string(vault.sandbox.identity()).unwrap());
    vault.sandbox.run(&["identity", "passphrase", "--new-passphrase-file", file.to_str().unwrap()]).exits(0);
    let keys = keys(&vault, &plain);
    let daemon = Daemon::start(&vault);
    let api = Api::adopt(daemon, vault, Transport::Unix);
    let unseal = || {
        let unsealed = api.bare("POST", "/api/unseal").json(json!({ "passphrase": passphrase })).send();
        unsealed.is(200);
    };
    unseal();
    for number in 0..SECRETS {
        api.create(&name(number), &value(number));
    }
    read_all(&api);
    let values = (0..SECRETS).map(|number| (format!("value {number}"), value(number).into_bytes()));
    let mut needles: Vec<_> = values.chain([("the passphrase".to_owned(), passphrase.as_bytes().to_vec())]).collect();
    // What the search finds where there is something to find: names are in the index of an open vault.
    needles.push(("a name".to_owned(), name(0).into_bytes()));
    let mut found = found_in_core(&api, &needles);
    let name_found = found.pop();
    assert!(name_found.is_some_and(|text| text.starts_with("a name")), "the search finds nothing at all");
    assert!(found.is_empty(), "before the seal: {found:#?}");

    api.post("/api/seal", json!({})).is(200);
    needles.extend(keys);
    // The web server keeps the paths of its last few requests until others take their place.
    needles.extend((0..SECRETS / 2).map(|number| (format!("name {number}"), name(number).into_bytes())));
    let found = found_in_core(&api, &needles);
    assert!(found.is_empty(), "after the seal: {found:#?}");
    unseal();
    read_all(&api);
}
