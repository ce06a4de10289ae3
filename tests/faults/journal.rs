//! The log in the journal: its fields, as journald would get them (systemd.journal-fields(7), "Native Journal Protocol").

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::harness::{Api, Daemon, Transport, Vault};
use crate::needs;

const SOCKET: &str = "/run/systemd/journal/socket";

/// "journald fields under systemd", "request id on every line"
#[test]
fn lines_are_in_the_journal_with_their_fields() {
    if !needs::met(&[]) || Path::new(SOCKET).exists() {
        eprintln!("skipped: it needs root, and a machine without a journal of its own");
        return;
    }
    fs::create_dir_all("/run/systemd/journal").unwrap();
    let journal = UnixDatagram::bind(SOCKET).unwrap();
    journal.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
    let vault = Vault::init();
    let mut command = Daemon::command(&vault.sandbox);
    command.args(["--log-format", "journald"]);
    let daemon = Daemon::launch(&vault.sandbox, command).unwrap_or_else(|failure| panic!("{failure:?}"));
    let api = Api::adopt(daemon, vault, Transport::Unix);
    let anon = api.anon_key();
    api.bare("GET", "/api/secrets").bearer(&anon).header("X-Request-Id", "of-the-journal").send().is(403);
    let mut buffer = vec![0; 64 * 1024];
    let refused = loop {
        let length = journal.recv(&mut buffer).unwrap();
        let entry = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if entry.contains("request refused") {
            break entry;
        }
    };
    fs::remove_file(SOCKET).unwrap();
    for field in ["SYSLOG_IDENTIFIER", "hushd", "PRIORITY", "HUSHD_REQUEST_ID", "of-the-journal", "HUSHD_RULE"] {
        assert!(refused.contains(field), "{field}: {refused}");
    }
    assert!(!refused.contains(&anon), "{refused}");
    assert_eq!(api.daemon().log(), "", "standard error is for those who have no journal");
    api.kill();
}
