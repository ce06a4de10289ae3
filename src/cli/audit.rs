//! `hushd audit`: what was done, by whom; and whether anyone has touched the record since.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::api::{AuditEntry, ListAuditResponse, VerifyAuditResponse};
use crate::audit::Anchor;
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, ErrorKind, Globals, Session, Style, parse, passphrase};
use crate::client::CHECK_TIMEOUT;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::daemon::{self, DaemonError};
use crate::model::Key;

/// Show the audit trail, the newest entries last
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only of this principal, systemd unit or executable: token:ci, uid:1000, shop.service
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// Only this: reveal, create, update, delete, purge, list, authenticate, …
    #[arg(long, value_name = "WHAT")]
    action: Option<String>,
    /// Only to the secret of this name
    #[arg(long, value_name = "KEY", value_parser = parse::key)]
    key: Option<Key>,
    /// Not before: a time, or how long ago (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Before: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// How many, at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// Go on with what is being done, until interrupted
    #[arg(long)]
    follow: bool,
}

/// Verify that no entry was removed, changed, moved, doubled or cut off
#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_HELP)]
struct VerifyArgs {
    /// File with anchors that the daemon told outside of the vault; - for standard input
    #[arg(long, value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// An anchor itself: NUMBER:DIGEST
    #[arg(long, value_name = "ANCHOR")]
    anchor: Vec<Anchor>,
}

const AFTER_HELP: &str = "\
All namespaces are shown, unless --namespace is given. It takes an administrator.

With --json: {\"entries\": [{\"sequence\", \"time\", \"principal\", \"uid\", \"pid\", \"unit\", \"executable\",
\"action\", \"namespace\", \"key\", \"revision\", \"outcome\", \"rule\", \"requestId\", \"reason\", \"count\"}],
\"cursor\"}, the newest first; with --follow one entry on each line, the oldest first.";

const VERIFY_HELP: &str = "\
Reads the whole trail, and holds it against what the vault remembers of it, against the configured
anchor-file, and against the anchors that are given: journalctl -t hushd-audit -o cat | hushd audit
verify --anchors -. Where a daemon serves the vault it is asked to do this; otherwise it is done
here. The exit code is 65 where something is not as it was written.

With --json: {\"ok\", \"segments\", \"entries\", \"first\", \"last\", \"tornBytes\", \"anchors\", \"faults\":
[{\"segment\", \"offset\", \"after\", \"message\"}]}.";

/// Entries that are asked for at once.
const PAGE: u64 = 1000;
/// How often it is looked for more.
const GLANCE: Duration = Duration::from_secs(1);

const COLUMNS: [Column; 8] = [
    Column { title: "TIME", spare: 0 },
    Column { title: "WHO", spare: 0 },
    Column { title: "ACTION", spare: 0 },
    Column { title: "SECRET", spare: 0 },
    Column { title: "REV", spare: 3 },
    Column { title: "OUTCOME", spare: 1 },
    Column { title: "THROUGH", spare: 4 },
    Column { title: "REASON", spare: 5 },
];

/// Prints entries, or verifies them.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a broken trail; those of every call to the daemon.
pub fn run(args: AuditArgs, globals: &Globals) -> Result<(), CliError> {
    match args.verb {
        Some(AuditVerb::Verify(args)) => verify(&args, globals),
        None => list(&args.list, globals),
    }
}

fn list(args: &ListArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let filters = filters(args, globals);
    let mut found: Vec<AuditEntry> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let missing = args.limit - found.len() as u64;
        let mut parameters = filters.clone();
        parameters.push(("limit", missing.min(PAGE).to_string()));
        parameters.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page = session.client.list_audit(&parameters).map_err(|error| session.explain(error))?;
        found.extend(page.entries);
        cursor = page.cursor;
        if cursor.is_none() || found.len() as u64 >= args.limit {
            break;
        }
    }
    if output.is_json() && !args.follow {
        return output.json(&ListAuditResponse { entries: found, cursor });
    }
    let last = found.first().map_or(0, |entry| entry.sequence);
    found.reverse();
    print(&found, globals, args.follow)?;
    if args.follow { follow(args, globals, &mut session, last) } else { Ok(()) }
}

fn follow(args: &ListArgs, globals: &Globals, session: &mut Session, mut last: u64) -> Result<(), CliError> {
    if last == 0 {
        let newest = session.client.list_audit(&[("limit", "1".to_owned())])?;
        last = newest.entries.first().map_or(0, |entry| entry.sequence);
    }
    let filters = filters(args, globals);
    loop {
        let mut parameters = filters.clone();
        parameters.extend([("after", last.to_string()), ("limit", PAGE.to_string())]);
        let page = session.client.list_audit(&parameters).map_err(|error| session.explain(error))?;
        print(&page.entries, globals, true)?;
        let next = page.cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(last);
        if next <= last {
            std::thread::park_timeout(GLANCE);
        }
        last = next.max(last);
    }
}

fn filters(args: &ListArgs, globals: &Globals) -> Vec<(&'static str, String)> {
    let namespace = globals.flags.namespace.as_ref().map(ToString::to_string);
    let given = [
        ("actor", args.actor.clone()),
        ("action", args.action.clone()),
        ("key", args.key.as_ref().map(ToString::to_string)),
        ("namespace", namespace),
        ("since", args.since.map(|time| time.to_string())),
        ("until", args.until.map(|time| time.to_string())),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn print(entries: &[AuditEntry], globals: &Globals, follow: bool) -> Result<(), CliError> {
    let output = &globals.output;
    if output.is_json() {
        return entries.iter().try_for_each(|entry| output.json_line(entry));
    }
    if follow {
        return entries.iter().try_for_each(|entry| {
            let cells: Vec<String> =
                row(entry).into_iter().map(|cell| cell.text).filter(|text| !text.is_empty()).collect();
            output.line(cells.join("  "))
        });
    }
    if entries.is_empty() {
        output.note("no entries");
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = entries.iter().map(row).collect();
    output.data(table::render(output, &COLUMNS, &rows).as_bytes())
}

fn row(entry: &AuditEntry) -> Vec<Cell> {
    let style = if entry.outcome == "done" { Style::Plain } else { Style::Warning };
    let secret = match (&entry.namespace, &entry.key) {
        (Some(namespace), Some(key)) => format!("{namespace}/{key}"),
        (Some(namespace), None) => namespace.clone(),
        (None, _) => String::new(),
    };
    let who = if entry.principal.is_empty() { "(unknown)" } else { &entry.principal };
    let who =
        entry.uid.filter(|uid| who != format!("uid:{uid}")).map_or(who.to_owned(), |uid| format!("{who} (uid {uid})"));
    let program = entry.unit.as_deref().or(entry.executable.as_deref()).unwrap_or_default();
    let pid = entry.pid.map(|pid| format!("pid {pid}")).unwrap_or_default();
    let through = [program, &pid].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    let times = if entry.count > 1 { format!(" ×{}", entry.count) } else { String::new() };
    let why =
        entry.reason.clone().or_else(|| entry.rule.clone().filter(|_| entry.outcome != "done" || entry.key.is_none()));
    vec![
        entry.time.to_string().into(),
        who.into(),
        format!("{}{times}", entry.action).into(),
        secret.into(),
        entry.revision.map(|revision| revision.to_string()).unwrap_or_default().into(),
        Cell { text: entry.outcome.clone(), style },
        through.into(),
        why.unwrap_or_default().into(),
    ]
}

fn verify(args: &VerifyArgs, globals: &Globals) -> Result<(), CliError> {
    let mut anchors = args.anchor.clone();
    for file in &args.anchors {
        anchors.extend(read_anchors(file)?);
    }
    let report = look(anchors, globals)?;
    if globals.output.is_json() {
        globals.output.json(&report)?;
    } else {
        globals.output.data(text(&report, globals).as_bytes())?;
    }
    if report.ok {
        return Ok(());
    }
    let faults = parse::counted(report.faults.len() as u64, "fault");
    let error = CliError::new(ErrorKind::BadData, format!("the audit trail is not as it was written: {faults}"));
    Err(error.hint("keep the files of the trail as evidence; look for who could write them"))
}

/// Verifies here where nobody serves the vault, else asks whoever does.
fn look(mut anchors: Vec<Anchor>, globals: &Globals) -> Result<VerifyAuditResponse, CliError> {
    if globals.flags.addr.is_none() {
        let config = globals.load_daemon(Vec::new(), None)?.config;
        if let Some(file) = config.audit.anchor_file.as_ref().filter(|file| file.exists()) {
            anchors.extend(read_anchors(file)?);
        }
        match daemon::verify_audit(&config, &anchors, &mut passphrase::asker(&config.vault)?) {
            Err(DaemonError::InUse { .. } | DaemonError::NoVault { .. }) => {}
            Ok(report) => return Ok(report),
            Err(error) => return Err(error.into()),
        }
    }
    let mut session = Session::patient(globals, CHECK_TIMEOUT)?;
    // The newest say the most, and a request has its limits.
    anchors.sort_by_key(|anchor| std::cmp::Reverse(anchor.sequence));
    let anchors: Vec<String> = anchors.iter().take(64).map(ToString::to_string).collect();
    session.client.verify_audit(&anchors).map_err(|error| session.explain(error))
}

fn read_anchors(file: &PathBuf) -> Result<Vec<Anchor>, CliError> {
    let failed =
        |error: std::io::Error| CliError::new(ErrorKind::BadData, format!("cannot read {}: {error}", file.display()));
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).map_err(failed)?
    } else {
        std::fs::read_to_string(file).map_err(failed)?
    };
    // A line that was cut by a power cut, or that somebody else wrote, names nothing.
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn text(report: &VerifyAuditResponse, globals: &Globals) -> String {
    let line = |name: &str, text: String, style| {
        let output = &globals.output;
        format!("{} {}\n", output.styled(Style::Heading, &format!("{name:<12}")), output.styled(style, &text))
    };
    let range = match (report.first, report.last) {
        (Some(first), Some(last)) => {
            format!("{} ({first} to {last}) in {}", report.entries, parse::counted(report.segments, "segment"))
        }
        (_, _) => "none".to_owned(),
    };
    let mut text = line("entries", range, Style::Plain);
    text += &line("anchors", format!("{} met", report.anchors), Style::Plain);
    if report.torn_bytes > 0 {
        let torn = format!("{} bytes at the end were torn by a kill or a power cut; no tampering", report.torn_bytes);
        text += &line("torn", torn, Style::Plain);
    }
    for fault in &report.faults {
        let place =
            format!("segment {} byte {}, after entry {}: {}", fault.segment, fault.offset, fault.after, fault.message);
        text += &line("fault", place, Style::Warning);
    }
    text
}

/// Reads a time, or how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = parse::duration(text)
        .map_err(|_| "expected a time such as 2026-07-15T12:00:00Z, or how long ago: 2h, 7d".to_owned())?;
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_millis(SystemClock.now().as_millis().saturating_sub(ago)))
}
