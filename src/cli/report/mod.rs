//! `hushd report`: what could be tidied up, at a glance.

mod html;

use std::path::PathBuf;

use clap::Args;

use crate::api::{ReportFinding, ReportKind, ReportResponse};
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, Globals, Session, Style, parse};
use crate::client::CHECK_TIMEOUT;
use crate::clock::Timestamp;
use crate::paths::replace_private;

/// Tell what expires, what nobody reads, and what is there twice
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct ReportArgs {
    /// Also write it as a page of HTML, for yourself alone (mode 0600)
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What expires within so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = days())]
    expiring: u32,
    /// What nobody has read for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = days())]
    unread: u32,
    /// What nobody has written for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = days())]
    old: u32,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=36500)
}

const AFTER_HELP: &str = "\
All namespaces are looked at, unless --namespace is given, and in them what you may list. Values are
compared where you may read them, which is in the audit trail as \"compare\"; of a value nothing is
told but that others are the same. Values of less than 8 bytes are not compared.

With --json: {\"generatedAt\", \"secrets\", \"compared\", \"findings\": [{\"kind\": \"damaged\"|
\"expired\"|\"expiring\"|\"missingReference\"|\"duplicate\"|\"unread\"|\"old\", \"secrets\":
[{\"namespace\", \"key\"}], \"at\", \"missing\", \"hint\", \"see\"}]}.";

const COLUMNS: [Column; 4] = [
    Column { title: "WHAT", spare: 0 },
    Column { title: "SECRET", spare: 0 },
    Column { title: "WHEN", spare: 1 },
    Column { title: "WHAT TO DO", spare: 2 },
];

/// Prints the table.
///
/// # Errors
///
/// Those of every call to the daemon, and of the file that is written.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: ReportArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut parameters = vec![
        ("expiringDays", args.expiring.to_string()),
        ("unreadDays", args.unread.to_string()),
        ("oldDays", args.old.to_string()),
    ];
    parameters.extend(globals.flags.namespace.as_ref().map(|namespace| ("namespace", namespace.to_string())));
    let mut session = Session::patient(globals, CHECK_TIMEOUT)?;
    let report = session.client.report(&parameters).map_err(|error| session.explain(error))?;
    if let Some(path) = &args.html {
        replace_private(path, html::page(&report).as_bytes())?;
        output.note(format_args!("wrote {}", path.display()));
    }
    if output.is_json() {
        return output.json(&report);
    }
    if report.findings.is_empty() {
        output.note(format_args!("nothing to tidy up among {}", counted(report.secrets)));
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = report.findings.iter().map(|finding| row(finding, report.generated_at)).collect();
    output.data(table::render(output, &COLUMNS, &rows).as_bytes())?;
    output.note(summary(&report));
    Ok(())
}

fn row(finding: &ReportFinding, now: Timestamp) -> Vec<Cell> {
    let style = match finding.kind {
        ReportKind::Damaged | ReportKind::Expired | ReportKind::MissingReference => Style::Warning,
        ReportKind::Expiring | ReportKind::Duplicate | ReportKind::Unread | ReportKind::Old => Style::Plain,
    };
    vec![
        Cell { text: finding.kind.title().to_owned(), style },
        names(finding).into(),
        when(finding, now).into(),
        finding.hint.clone().into(),
    ]
}

/// The secrets of a finding, and what they lack.
fn names(finding: &ReportFinding) -> String {
    let names: Vec<String> = finding.secrets.iter().map(|name| format!("{}/{}", name.namespace, name.key)).collect();
    let missing =
        if finding.missing.is_empty() { String::new() } else { format!(" -> {}", finding.missing.join(", ")) };
    names.join(" = ") + &missing
}

fn when(finding: &ReportFinding, now: Timestamp) -> String {
    match (finding.kind, finding.at) {
        (_, Some(at)) => parse::distance(now, at),
        (ReportKind::Unread, None) => "never".to_owned(),
        (_, None) => String::new(),
    }
}

fn summary(report: &ReportResponse) -> String {
    format!(
        "{} looked at, {} compared; what each means: README.md#tidying-up",
        counted(report.secrets),
        report.compared
    )
}

fn counted(secrets: u64) -> String {
    if secrets == 1 { "1 secret".to_owned() } else { format!("{secrets} secrets") }
}
