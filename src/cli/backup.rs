//! `hushd backup`: writes a backup of the running vault, and proves that one restores.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::{CliError, ErrorKind, Globals, Session, Unit, passphrase};
use crate::client::ClientError;
use crate::crypto::Recipient;
use crate::daemon;
use crate::paths::{PrivateFile, Role};

/// Back up the vault, of one instant, while it is served
///
/// The backup is an age file to the vault's recipients. `age -d -i IDENTITY FILE` shows what is in it: JSON lines.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BackupArgs {
    #[command(subcommand)]
    verb: Option<BackupVerb>,
    /// The file; - is standard output. It has its name only when it is whole
    #[arg(short, long, value_name = "FILE", required = true)]
    output: Option<PathBuf>,
    /// Encrypt it to this recipient (age1… or an SSH public key) instead of the vault's; repeatable
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Vec<Recipient>,
}

#[derive(Debug, Subcommand)]
enum BackupVerb {
    Verify(VerifyArgs),
}

/// Prove that a backup restores: restore it into a scratch vault and compare everything
#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_AFTER_HELP)]
struct VerifyArgs {
    /// The backup
    file: PathBuf,
    /// The age identity or SSH key that opens it, instead of the vault's master key
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Keep it on another disk, with a copy of the master key on a third one: without it nobody opens the
backup. It holds all values, the digests of the API keys and the secrets that tokens are signed
with.

With --json: {\"file\", \"bytes\"}.";

const VERIFY_AFTER_HELP: &str = "\
It needs no daemon and touches no vault.

With --json: {\"file\", \"vaultId\", \"createdAt\", \"secrets\", \"revisions\", \"bytes\", \"verified\": true}.";

/// Writes or verifies a backup.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a backup that is damaged, [`ErrorKind::NotPermitted`] where the identity does not open it.
pub fn run(args: BackupArgs, globals: &Globals) -> Result<(), CliError> {
    match (args.verb, args.output) {
        (Some(BackupVerb::Verify(args)), _) => verify(&args, globals),
        (None, Some(file)) if file == Path::new("-") => to_stdout(&args.recipient, globals),
        (None, Some(file)) => to_file(&file, &args.recipient, globals),
        (None, None) => Err(CliError::new(ErrorKind::Usage, "name the file with -o FILE")),
    }
}

fn to_file(path: &Path, recipients: &[Recipient], globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let mut file = PrivateFile::create(path)?;
    let bytes = receive(&mut session, recipients, globals, &mut |piece| file.write_all(piece))?;
    file.keep()?;
    if output.is_json() {
        return output.json(&json!({ "file": path, "bytes": bytes }));
    }
    output.note(format_args!("wrote {} ({bytes} bytes)", path.display()));
    Ok(())
}

fn to_stdout(recipients: &[Recipient], globals: &Globals) -> Result<(), CliError> {
    if io::stdout().is_terminal() {
        return Err(CliError::new(ErrorKind::Usage, "a backup is not for a terminal").hint("name a file with -o FILE"));
    }
    let mut session = Session::open(globals)?;
    let mut stdout = io::stdout().lock();
    receive(&mut session, recipients, globals, &mut |piece| stdout.write_all(piece))?;
    stdout.flush().map_err(|source| ClientError::Unwritten { source }.into())
}

/// Receives the backup and says how long it was.
fn receive(
    session: &mut Session,
    recipients: &[Recipient],
    globals: &Globals,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64, CliError> {
    let recipients: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    let bar = globals.output.bar("backing up", Unit::Bytes);
    let progress = bar.progress(Unit::Bytes);
    let mut bytes: u64 = 0;
    session.client.backup(&recipients, &mut |piece, expected| {
        sink(piece)?;
        bytes += piece.len() as u64;
        progress.tell(bytes, expected.unwrap_or(0));
        Ok(())
    })?;
    Ok(bytes)
}

fn verify(args: &VerifyArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let config = globals.load(Role::Daemon)?.config.vault;
    let mut ask = passphrase::asker(&config)?;
    let bar = output.bar("verifying", Unit::Bytes);
    let progress = bar.progress(Unit::Bytes);
    let drill = daemon::verify(&config, &args.file, args.identity.as_deref(), &mut ask, &progress);
    drop(bar);
    let daemon::Drill { header, contents } = drill?;
    if output.is_json() {
        return output.json(&json!({
            "file": args.file,
            "vaultId": header.vault_id,
            "createdAt": header.created_at,
            "secrets": contents.secrets,
            "revisions": contents.revisions,
            "bytes": contents.bytes,
            "verified": true,
        }));
    }
    output.line(format_args!("vault:      {}", header.vault_id))?;
    output.line(format_args!("created:    {}", header.created_at))?;
    output.line(format_args!("secrets:    {} with {} revisions", contents.secrets, contents.revisions))?;
    output.line("verified:   restored into a scratch vault, and all of it is the same")
}
