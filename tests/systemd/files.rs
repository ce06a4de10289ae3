//! Files of variables, as systemd itself reads them.

use std::collections::BTreeMap;

use crate::machine::Machine;
use crate::values;

/// "10,000 random values round-trip through every export format and back, through … systemd's"
#[test]
fn a_unit_has_every_value_of_an_environment_file() {
    let Some(machine) = Machine::installed() else { return };
    let values: BTreeMap<String, String> = values::random().collect();
    machine.write("/run/values.json", &serde_json::to_string(&values).unwrap());
    machine.ok("hushd --namespace random import /run/values.json 2>&1");
    machine.ok("hushd --namespace random export --format systemd -o /run/values.env 2>&1");
    let found = machine.run("systemd-run -q --pipe --wait -p EnvironmentFile=/run/values.env env -0");
    let found = String::from_utf8(found.stdout).unwrap();
    let found: BTreeMap<&str, &str> = found.split_terminator('\0').filter_map(|pair| pair.split_once('=')).collect();
    for (name, value) in &values {
        assert_eq!(found.get(name.as_str()), Some(&value.as_str()), "{name}");
    }
}
