//! `hushd status`: how the daemon is.

use clap::Args;

use crate::api::{BackupStatus, HealthResponse, PolicyStatus, StatusResponse};
use crate::cli::{CliError, ErrorKind, Globals, Session, Style, parse};
use crate::client::ClientError;
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// Show how the daemon and its vault are
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct StatusArgs {}

const AFTER_HELP: &str = "\
The exit code tells: 0 all is well, 1 the vault has a problem, 69 the daemon is unreachable, 75 the
vault is sealed.

With --json: {\"status\": \"ok\"|\"sealed\"|\"unreachable\", \"version\", \"address\", \"vaultId\",
\"dataDirectory\", \"listeners\", \"active\", \"total\", \"nextExpiry\", \"writable\", \"problems\",
\"findings\": [{\"severity\", \"subject\", \"message\", \"hint\", \"see\"}], \"audit\": \"on\"|\"off\", \"backup\": null|{\"every\", \"lastAt\", \"lastDrillPassed\", \"kept\", \"problem\"},
\"renders\": [{\"output\", \"namespace\", \"renderedAt\", \"changedAt\", \"problem\"}], \"rekey\": null|{\"epoch\", \"done\", \"total\", \"problem\"}, \"hardening\": [{\"name\", \"holds\",
\"note\"}], \"peers\": {\"users\", \"units\", \"notes\"}, \"policy\": {\"policies\", \"problem\"}}. Who is no
administrator, or asks while it is sealed, gets the first three.";

/// Asks the daemon, and prints what it says.
///
/// # Errors
///
/// [`ErrorKind::Unreachable`], [`ErrorKind::TryAgain`] where the vault is sealed, [`ErrorKind::Other`] where it has a
/// problem.
pub fn run(_args: StatusArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let (health, details, address) = match ask(globals) {
        Ok(answers) => answers,
        Err(error) => {
            if output.is_json() && error.kind() == ErrorKind::Unreachable {
                output.json(&serde_json::json!({ "status": "unreachable" }))?;
            }
            return Err(error);
        }
    };
    if output.is_json() {
        output.json(&document(&health, details.as_ref(), &address))?;
    } else {
        let rows = rows(&health, details.as_ref(), &address, SystemClock.now());
        let line = |(name, text, style): (&str, String, Style)| {
            format!("{} {}\n", output.styled(Style::Heading, &format!("{name:<12}")), output.styled(style, &text))
        };
        output.data(rows.into_iter().map(line).collect::<String>().as_bytes())?;
    }
    verdict(&health, details.as_ref())
}

/// Asks first what everybody is told, then what an administrator is told.
fn ask(globals: &Globals) -> Result<(HealthResponse, Option<StatusResponse>, String), CliError> {
    let mut session = Session::open(globals)?;
    let health = session.client.health()?;
    let details = match session.client.status() {
        Ok(details) => Some(details),
        Err(ClientError::Sealed { .. }) => None,
        Err(ClientError::Api { status: 401 | 403, .. }) => {
            globals.output.note("only an administrator is told more");
            None
        }
        Err(error) => return Err(error.into()),
    };
    Ok((health, details, session.client.address().to_string()))
}

fn verdict(health: &HealthResponse, details: Option<&StatusResponse>) -> Result<(), CliError> {
    if health.status == "sealed" {
        return Err(ClientError::Sealed { next_actions: None }.into());
    }
    match details {
        Some(details) if !details.writable || !details.problems.is_empty() => {
            Err(CliError::new(ErrorKind::Other, "the vault has a problem").hint("the daemon's log tells more"))
        }
        Some(StatusResponse { backup: Some(BackupStatus { problem: Some(_), .. }), .. }) => {
            let error = CliError::new(ErrorKind::Other, "no snapshot of the vault could be taken");
            Err(error.hint("the daemon's log tells more; take a backup: hushd backup -o FILE"))
        }
        Some(details) if details.renders.iter().any(|render| render.problem.is_some()) => {
            let error = CliError::new(ErrorKind::Other, "a file that the daemon renders is not as it should be");
            Err(error
                .hint("correct what the line says; it is tried again with the next change, SIGHUP, or in a minute"))
        }
        Some(StatusResponse { policy: PolicyStatus { problem: Some(_), .. }, .. }) => {
            let error = CliError::new(ErrorKind::Other, "the newest configuration is not in force");
            Err(error.hint("correct it, see hushd config check, and send the daemon SIGHUP again"))
        }
        _ => Ok(()),
    }
}

fn document(health: &HealthResponse, details: Option<&StatusResponse>, address: &str) -> serde_json::Value {
    let mut document = serde_json::json!({ "status": health.status, "version": health.version, "address": address });
    let details = details.and_then(|details| serde_json::to_value(details).ok());
    if let (Some(document), Some(serde_json::Value::Object(details))) = (document.as_object_mut(), details) {
        document.extend(details);
    }
    document
}

fn rows(
    health: &HealthResponse,
    details: Option<&StatusResponse>,
    address: &str,
    now: Timestamp,
) -> Vec<(&'static str, String, Style)> {
    let style = if health.status == "ok" { Style::Plain } else { Style::Warning };
    let mut rows = vec![
        ("status", health.status.clone(), style),
        ("version", health.version.clone(), Style::Plain),
        ("address", address.to_owned(), Style::Plain),
    ];
    let Some(details) = details else { return rows };
    rows.push(("vault", details.vault_id.to_string(), Style::Plain));
    rows.push(("directory", details.data_directory.clone(), Style::Plain));
    rows.extend(details.listeners.iter().map(|listener| ("listener", listener.clone(), Style::Plain)));
    if details.audit == "off" {
        rows.push(("audit", "off: nothing that is done is recorded".to_owned(), Style::Warning));
    }
    rows.push(("secrets", format!("{} active, {} in all", details.active, details.total), Style::Plain));
    let expiry = details.next_expiry.map_or("none".to_owned(), |at| format!("{} ({at})", parse::distance(now, at)));
    rows.push(("next expiry", expiry, Style::Plain));
    if !details.writable {
        rows.push(("writes", "refused".to_owned(), Style::Warning));
    }
    if let Some(backup) = &details.backup {
        let last = backup.last_at.map_or("none yet".to_owned(), |at| format!("{} ({at})", parse::distance(now, at)));
        rows.push(("snapshot", format!("{last}, every {}, {} kept", backup.every, backup.kept), Style::Plain));
        let drill = match backup.last_drill_passed {
            Some(true) => ("passed", Style::Plain),
            Some(false) => ("failed", Style::Warning),
            None => ("none yet", Style::Plain),
        };
        rows.push(("last drill", drill.0.to_owned(), drill.1));
        rows.extend(backup.problem.iter().map(|problem| ("problem", problem.clone(), Style::Warning)));
    }
    if let Some(rekey) = &details.rekey {
        let text = format!("{} of {} records are under data key {}", rekey.done, rekey.total, rekey.epoch);
        rows.push(("rotation", text, Style::Plain));
        rows.extend(rekey.problem.iter().map(|problem| ("problem", problem.clone(), Style::Warning)));
    }
    if details.policy.policies > 0 {
        rows.push(("policies", details.policy.policies.to_string(), Style::Plain));
    }
    rows.extend(details.policy.problem.iter().map(|problem| ("problem", problem.clone(), Style::Warning)));
    for render in &details.renders {
        let at =
            render.changed_at.map(|at| format!(", written {} ({at})", parse::distance(now, at))).unwrap_or_default();
        rows.push(("rendered", format!("{} from {}{at}", render.output, render.namespace), Style::Plain));
        rows.extend(render.problem.iter().map(|problem| ("problem", problem.clone(), Style::Warning)));
    }
    rows.extend(protection(details));
    rows.extend(details.problems.iter().map(|problem| ("problem", problem.clone(), Style::Warning)));
    // What mends them, each once.
    let mut mends: Vec<(&str, String, Style)> = Vec::new();
    for finding in details.findings.iter().filter(|finding| !finding.hint.is_empty()) {
        let text = format!("{} ({})", finding.hint, finding.see);
        if mends.iter().all(|(_, known, _)| *known != text) {
            mends.push(("to mend it", text, Style::Plain));
        }
    }
    rows.extend(mends);
    rows
}

/// What protects the process in one line, and a line for each thing that does not.
fn protection(details: &StatusResponse) -> Vec<(&'static str, String, Style)> {
    let holding: Vec<_> = details.hardening.iter().filter(|one| one.holds).map(|one| one.name.as_str()).collect();
    let mut rows = Vec::new();
    if !holding.is_empty() {
        rows.push(("hardening", holding.join(", "), Style::Plain));
    }
    rows.extend(
        details.hardening.iter().filter(|one| !one.holds).map(|one| {
            ("missing", format!("{}: {}", one.name, one.note.as_deref().unwrap_or("unknown")), Style::Warning)
        }),
    );
    rows.extend(details.peers.notes.iter().map(|note| ("peers", note.clone(), Style::Warning)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PeerVisibility, Protection};
    use crate::cli::ErrorKind;

    fn health(status: &str) -> HealthResponse {
        let (service, version) = ("hushd".to_owned(), "0.1.0".to_owned());
        HealthResponse { status: status.to_owned(), service, version, timestamp: Timestamp::from_millis(0) }
    }

    fn details() -> StatusResponse {
        StatusResponse {
            audit: "on".to_owned(),
            status: "ok".to_owned(),
            version: "0.1.0".to_owned(),
            vault_id: uuid::Uuid::nil(),
            data_directory: "/var/lib/hushd".to_owned(),
            listeners: vec!["http://127.0.0.1:4874".to_owned()],
            active: 2,
            total: 3,
            next_expiry: Some(Timestamp::from_millis(3 * 86_400_000)),
            writable: true,
            problems: Vec::new(),
            findings: Vec::new(),
            renders: Vec::new(),
            backup: None,
            rekey: None,
            policy: PolicyStatus::default(),
            hardening: vec![
                Protection { name: "no-core".to_owned(), holds: true, note: None },
                Protection { name: "files".to_owned(), holds: false, note: Some("no Landlock".to_owned()) },
            ],
            peers: PeerVisibility { users: true, units: false, notes: vec!["hidden".to_owned()] },
        }
    }

    #[test]
    fn the_exit_code_tells() {
        verdict(&health("ok"), Some(&details())).unwrap();
        verdict(&health("ok"), None).unwrap();
        let kind = |health, details: Option<&StatusResponse>| verdict(&health, details).unwrap_err().kind();
        assert_eq!(kind(health("sealed"), None), ErrorKind::TryAgain);
        assert_eq!(kind(health("ok"), Some(&StatusResponse { writable: false, ..details() })), ErrorKind::Other);
        let problems = vec!["a record is lost".to_owned()];
        assert_eq!(kind(health("ok"), Some(&StatusResponse { problems, ..details() })), ErrorKind::Other);
    }

    #[test]
    fn the_document_has_the_daemons_fields_and_the_address() {
        let document = document(&health("ok"), Some(&details()), "unix:///x");
        let fields: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            [
                "active",
                "address",
                "audit",
                "backup",
                "dataDirectory",
                "findings",
                "hardening",
                "listeners",
                "nextExpiry",
                "peers",
                "policy",
                "problems",
                "rekey",
                "renders",
                "status",
                "total",
                "vaultId",
                "version",
                "writable"
            ]
        );
    }

    #[test]
    fn people_see_counts_and_the_next_expiry() {
        let rows = rows(&health("ok"), Some(&details()), "unix:///x", Timestamp::from_millis(0));
        let text = |name| rows.iter().find(|row| row.0 == name).map(|row| row.1.as_str());
        assert_eq!(text("secrets"), Some("2 active, 3 in all"));
        assert_eq!(text("next expiry"), Some("in 3d (1970-01-04T00:00:00.000Z)"));
        assert_eq!(text("problem"), None);
        assert_eq!(text("hardening"), Some("no-core"));
        assert_eq!(text("missing"), Some("files: no Landlock"));
        assert_eq!(text("peers"), Some("hidden"));
    }
}
