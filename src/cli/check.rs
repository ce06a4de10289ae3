//! `hushd check`: reads everything, and says whether all is well.

use clap::Args;

use crate::api::{CheckResponse, Severity};
use crate::cli::{CliError, ErrorKind, Globals, Session, Style, Unit, passphrase};
use crate::client::CHECK_TIMEOUT;
use crate::daemon::{self, DaemonError};

/// Check that every record, key and file of the vault is whole
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct CheckArgs {}

const AFTER_HELP: &str = "\
Reads every record and decrypts it, compares all with what the vault knows of itself, opens the
keyring, looks at the mode and owner of every file, and measures the disk. Where a daemon serves the
vault it is asked to do this beside its work, which takes an administrator; otherwise it is done here.

The exit code tells: 0 all is well, 1 there are only warnings, 65 there are problems.

With --json: {\"ok\", \"counts\": {\"secrets\", \"revisions\", \"records\", \"bytes\", \"files\"}, \"disk\":
{\"freeBytes\", \"syncMicroseconds\"}, \"findings\": [{\"severity\": \"problem\"|\"warning\",
\"subject\", \"message\", \"hint\", \"see\"}]}.";

/// Checks, and prints what was found.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for problems, [`ErrorKind::Other`] for warnings alone, and whatever keeps it from looking.
pub fn run(_args: CheckArgs, globals: &Globals) -> Result<(), CliError> {
    let report = look(globals)?;
    if globals.output.is_json() {
        globals.output.json(&report)?;
    } else {
        globals.output.data(text(&report, globals).as_bytes())?;
    }
    verdict(&report)
}

/// Checks here where nobody serves the vault, else asks whoever does.
fn look(globals: &Globals) -> Result<CheckResponse, CliError> {
    if globals.flags.addr.is_none() {
        let config = globals.load_daemon(Vec::new(), None)?.config;
        let mut ask = passphrase::asker(&config.vault)?;
        let bar = globals.output.bar("checking", Unit::Things);
        match daemon::check(&config, &mut ask, &bar.progress(Unit::Things)) {
            Err(DaemonError::InUse { .. } | DaemonError::NoVault { .. }) => {}
            Ok(report) => return Ok(report),
            Err(error) => return Err(error.into()),
        }
    }
    let mut session = Session::patient(globals, CHECK_TIMEOUT)?;
    let _bar = globals.output.bar("the daemon checks", Unit::Things).spinning();
    Ok(session.client.check()?)
}

fn verdict(report: &CheckResponse) -> Result<(), CliError> {
    let problems = report.findings.iter().filter(|finding| finding.severity == Severity::Problem).count();
    let warnings = report.findings.len() - problems;
    let plural = |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    match (problems, warnings) {
        (0, 0) => Ok(()),
        (0, _) => Err(CliError::new(ErrorKind::Other, format!("there is {}", plural(warnings, "warning")))),
        (_, _) => Err(CliError::new(ErrorKind::BadData, format!("the vault has {}", plural(problems, "problem")))
            .hint(
                "what is whole can still be read; write the broken secrets anew, or restore the vault from a backup",
            )),
    }
}

fn text(report: &CheckResponse, globals: &Globals) -> String {
    let output = &globals.output;
    let (counts, disk) = (&report.counts, &report.disk);
    let sync = disk.sync_microseconds.map_or("not measured".to_owned(), |micros| format!("{micros} µs"));
    let counted = [
        ("secrets", format!("{} with {} revisions, {} bytes", counts.secrets, counts.revisions, counts.bytes)),
        ("records", format!("{} decrypted", counts.records)),
        ("files", format!("{} looked at", counts.files)),
        ("free", format!("{} MiB", disk.free_bytes >> 20)),
        ("fdatasync", sync),
    ];
    let counted = counted.into_iter().map(|(name, value)| (name, value, Style::Plain));
    let mut told: Vec<&str> = Vec::new();
    let found = report.findings.iter().flat_map(|finding| {
        let name = match finding.severity {
            Severity::Problem => "problem",
            Severity::Warning => "warning",
        };
        let line = (name, format!("{}: {}", finding.subject, finding.message), Style::Warning);
        // What mends it stands below the first that it mends.
        let mends = !finding.hint.is_empty() && !told.contains(&finding.hint.as_str());
        told.push(&finding.hint);
        let mend = mends.then(|| ("to mend it", format!("{} ({})", finding.hint, finding.see), Style::Plain));
        [Some(line), mend].into_iter().flatten()
    });
    let line = |(name, value, style): (&str, String, Style)| {
        format!("{} {}\n", output.styled(Style::Heading, &format!("{name:<12}")), output.styled(style, &value))
    };
    let mut text: String = counted.chain(found).map(line).collect();
    text += if report.ok { "all is well\n" } else { "" };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CheckCounts, CheckFinding, DiskReport};

    fn kind(severities: &[Severity]) -> Option<ErrorKind> {
        let finding = |severity: &Severity| CheckFinding {
            severity: *severity,
            subject: "disk".to_owned(),
            message: "slow".to_owned(),
            hint: String::new(),
            see: String::new(),
        };
        let findings: Vec<_> = severities.iter().map(finding).collect();
        let (counts, disk) = (CheckCounts::default(), DiskReport::default());
        let report = CheckResponse { ok: findings.is_empty(), counts, disk, findings };
        verdict(&report).err().map(|error| error.kind())
    }

    #[test]
    fn the_exit_code_tells() {
        assert_eq!(kind(&[]), None);
        assert_eq!(kind(&[Severity::Warning, Severity::Warning]), Some(ErrorKind::Other));
        assert_eq!(kind(&[Severity::Problem, Severity::Warning]), Some(ErrorKind::BadData));
    }
}
