//! Checks a vault from the outside in: its files, the disk under them, the keyring, and every record.
//!
//! Invariants: it changes nothing but a scratch file of its own; what is wrong becomes a finding, so that one broken part
//! does not hide the others; a served vault is checked beside its daemon's work.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{CheckCounts, CheckFinding, CheckResponse, DiskReport, Severity, Topic};
use crate::config::{Config, VaultConfig};
use crate::crypto::{CryptoError, Identities, Keyring, Passphrase, Recipient};
use crate::daemon::directory::VaultDirectory;
use crate::daemon::keyring_file::stanzas;
use crate::daemon::open::{open_directory, open_store};
use crate::daemon::{DaemonError, create, hardening, trail};
use crate::model::Progress;
use crate::paths::read_private;
use crate::store::MIN_FREE;
use crate::vault::Vault;

/// Writes that are measured.
const SAMPLES: usize = 20;
/// No device that keeps what it is told to keep is faster than this: the fastest with a cache that survives a power cut
/// take some twenty microseconds and the system call.
const FASTEST: Duration = Duration::from_micros(10);
/// File systems that are gone with the power (statfs(2)): tmpfs and ramfs.
const IN_MEMORY: [rustix::fs::FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// Checks a vault that no daemon serves. `ask` gives the passphrase of a master key that needs one.
///
/// # Errors
/// [`DaemonError::NoVault`], [`DaemonError::InUse`], [`DaemonError::Unfinished`], and a master key that is missing or
/// needs its passphrase: then nothing can be said. All else is in the report.
pub fn check(
    config: &Config,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
    progress: &Progress,
) -> Result<CheckResponse, DaemonError> {
    hardening::private_umask();
    hardening::harden();
    let mut report = Report::default();
    let opened = open_directory(&config.vault.data_dir);
    let directory = match opened {
        Ok(directory) => Some(directory),
        Err(error @ (DaemonError::NoVault { .. } | DaemonError::InUse { .. } | DaemonError::Unfinished { .. })) => {
            return Err(error);
        }
        Err(error) => {
            report.problem(Topic::Vault, "vault", full_text(&error));
            None
        }
    };
    if let Some(directory) = &directory {
        let identities = create::unlock(&config.vault, &directory.keyring(), ask).map(|(_, identities)| identities);
        let identities = match identities {
            Ok(identities) => identities,
            Err(DaemonError::Keyring { .. }) => create::read_identities(&config.vault.identity, ask)?,
            Err(error) => return Err(error),
        };
        if let Some(keyring) = report.keyring(directory, &identities) {
            match open_store(config, directory, keyring) {
                Ok(vault) => {
                    report.records(&vault, progress);
                    report.trail(directory, &vault);
                }
                Err(error) => report.problem(Topic::Vault, "store", full_text(&error)),
            }
        }
    }
    report.files(&config.vault);
    report.disk(&config.vault.data_dir);
    Ok(report.finish())
}

/// Checks the vault that this daemon serves.
pub(super) fn check_served(config: &VaultConfig, directory: &VaultDirectory, vault: &Arc<Vault>) -> CheckResponse {
    let mut report = Report::default();
    // The passphrase is not kept: a master key that needs one was tried when the daemon started.
    let unlocked = create::unlock(config, &directory.keyring(), &mut || None).map(|(_, identities)| identities);
    match unlocked.or_else(|_| create::read_identities(&config.identity, &mut || None)) {
        Ok(identities) => {
            if let Some(keyring) = report.keyring(directory, &identities)
                && keyring.vault_id() != vault.id()
            {
                report.problem(Topic::Keyring, "keyring.age", "it is the keyring of another vault".to_owned());
            }
        }
        Err(DaemonError::Identity { source: CryptoError::PassphraseNeeded, .. }) => {}
        Err(error) => report.problem(Topic::Keyring, "master key", full_text(&error)),
    }
    report.records(vault, &Progress::none());
    report.trail(directory, vault);
    report.files(config);
    report.disk(directory.path());
    report.finish()
}

/// What was found so far.
#[derive(Debug, Default)]
struct Report {
    counts: CheckCounts,
    disk: DiskReport,
    findings: Vec<CheckFinding>,
}

impl Report {
    fn problem(&mut self, topic: Topic, subject: impl Into<String>, message: String) {
        self.findings.push(CheckFinding::new(Severity::Problem, topic, subject, message));
    }

    fn warning(&mut self, topic: Topic, subject: impl Into<String>, message: String) {
        self.findings.push(CheckFinding::new(Severity::Warning, topic, subject, message));
    }

    fn finish(mut self) -> CheckResponse {
        self.findings.sort_by_key(|finding| finding.severity != Severity::Problem);
        let Self { counts, disk, findings } = self;
        CheckResponse { ok: findings.is_empty(), counts, disk, findings }
    }

    /// Opens the keyring, and holds it against the list of recipients.
    fn keyring(&mut self, directory: &VaultDirectory, identities: &Identities) -> Option<Arc<Keyring>> {
        let bytes = match read_private(&directory.keyring()) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(Topic::Keyring, "keyring.age", full_text(&error));
                return None;
            }
        };
        match Keyring::decrypt(&bytes, identities) {
            Ok(keyring) => {
                self.recipients(directory, identities, stanzas(&bytes), keyring.recipients().as_deref());
                Some(Arc::new(keyring))
            }
            Err(error) => {
                self.recipients(directory, identities, stanzas(&bytes), None);
                self.problem(Topic::Keyring, "keyring.age", format!("the master key does not open it: {error}"));
                None
            }
        }
    }

    /// Holds the list for people against whom the keyring is encrypted to, and against what it says itself.
    fn recipients(
        &mut self,
        directory: &VaultDirectory,
        identities: &Identities,
        stanzas: usize,
        named: Option<&[Recipient]>,
    ) {
        let subject = "recipients.txt";
        let text = match read_private(&directory.recipients()) {
            Ok(text) => text,
            Err(error) => return self.problem(Topic::Recipients, subject, full_text(&error)),
        };
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let lines: Vec<&str> = lines.collect();
        let listed: Vec<String> = lines
            .iter()
            .filter_map(|line| line.parse::<Recipient>().ok())
            .map(|recipient| recipient.to_string())
            .collect();
        if listed.len() != lines.len() {
            self.problem(
                Topic::Recipients,
                subject,
                format!("{} of its lines are no recipients", lines.len() - listed.len()),
            );
        }
        if listed.len() != stanzas {
            self.problem(
                Topic::Recipients,
                subject,
                format!("it lists {} recipients, and keyring.age is encrypted to {stanzas}", listed.len()),
            );
        }
        if named.is_some_and(|named| named.len() != stanzas) {
            self.problem(
                Topic::Keyring,
                "keyring.age",
                "it is not encrypted to the recipients that it names".to_owned(),
            );
        }
        if named.is_some_and(|named| !named.iter().all(|one| listed.contains(&one.to_string()))) {
            self.warning(
                Topic::Recipients,
                subject,
                "it is not the list of the keyring itself, which the next start puts there".to_owned(),
            );
        }
        let known = identities.recipients();
        let ours = |recipient: &Recipient| listed.contains(&recipient.to_string());
        if !known.is_empty() && !known.iter().any(ours) {
            self.warning(Topic::Recipients, subject, "it does not list the master key".to_owned());
        }
    }

    fn records(&mut self, vault: &Vault, progress: &Progress) {
        match vault.check(progress) {
            Ok(records) => {
                self.counts = CheckCounts { files: self.counts.files, ..records.counts };
                self.findings.extend(records.findings);
            }
            Err(error) => self.problem(Topic::Records, "store", full_text(&error)),
        }
    }

    /// Verifies the audit trail.
    fn trail(&mut self, directory: &VaultDirectory, vault: &Vault) {
        match trail::verify(directory, vault, &[]) {
            Ok(verified) => {
                for fault in verified.faults {
                    let subject = format!("audit segment {}", fault.segment);
                    self.problem(Topic::Tampering, subject, format!("after entry {}: {}", fault.after, fault.what));
                }
            }
            Err(error) => self.problem(Topic::Tampering, "audit trail", full_text(&error)),
        }
    }

    /// Looks at the mode and the owner of everything.
    fn files(&mut self, config: &VaultConfig) {
        let root = &config.data_dir;
        let owner = rustix::process::geteuid().as_raw();
        let mut waiting: Vec<PathBuf> = vec![root.clone()];
        while let Some(path) = waiting.pop() {
            let subject = path.display().to_string();
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                // A file of sled's that came and went.
                Err(error) if error.kind() == io::ErrorKind::NotFound && path != *root => continue,
                Err(error) => {
                    self.problem(Topic::Files, subject, error.to_string());
                    continue;
                }
            };
            self.counts.files += 1;
            let mode = metadata.mode() & 0o7777;
            if metadata.is_symlink() {
                self.warning(Topic::Files, subject, "it is a symbolic link, which hushd does not make".to_owned());
                continue;
            }
            if mode & 0o077 != 0 {
                self.problem(Topic::Files, subject.clone(), format!("others may use it: its mode is {mode:04o}"));
            }
            if metadata.uid() != owner {
                self.problem(
                    Topic::Files,
                    subject.clone(),
                    format!("it belongs to user {}, not to {owner}", metadata.uid()),
                );
            }
            if metadata.is_dir() {
                match fs::read_dir(&path) {
                    Ok(entries) => waiting.extend(entries.flatten().map(|entry| entry.path())),
                    Err(error) => self.problem(Topic::Files, subject, error.to_string()),
                }
            }
        }
        self.counts.files += 1;
    }

    /// Measures the disk: what is free, and whether it takes the time that writing takes.
    fn disk(&mut self, directory: &Path) {
        match rustix::fs::statvfs(directory) {
            Ok(system) => self.disk.free_bytes = system.f_bavail.saturating_mul(system.f_frsize),
            Err(error) => {
                self.warning(Topic::Disk, "disk", format!("its free space cannot be told: {}", io::Error::from(error)));
            }
        }
        if self.disk.free_bytes < MIN_FREE {
            let free = self.disk.free_bytes;
            self.problem(Topic::Space, "disk", format!("{free} bytes are free; below {MIN_FREE} writes are refused"));
        } else if self.disk.free_bytes < 4 * MIN_FREE {
            let free = self.disk.free_bytes;
            self.warning(Topic::Space, "disk", format!("{free} bytes are free; below {MIN_FREE} writes are refused"));
        }
        let memory = rustix::fs::statfs(directory).is_ok_and(|system| IN_MEMORY.contains(&system.f_type));
        match measure(directory) {
            Ok(time) => {
                self.disk.sync_microseconds = u64::try_from(time.as_micros()).ok();
                if memory {
                    self.warning(
                        Topic::Durability,
                        "disk",
                        "it is memory: nothing on it survives a power cut".to_owned(),
                    );
                } else if time < FASTEST {
                    let message = format!(
                        "a write with fdatasync takes {} ns, faster than any device: what is acknowledged may not \
                         survive a power cut",
                        time.as_nanos()
                    );
                    self.warning(Topic::Durability, "disk", message);
                }
            }
            Err(error) => self.problem(Topic::Disk, "disk", format!("it cannot be written to: {error}")),
        }
    }
}

/// How long a small append with its fdatasync takes: the median of some.
#[expect(clippy::disallowed_methods, reason = "it measures the disk, and decides nothing by what time it is")]
fn measure(directory: &Path) -> io::Result<Duration> {
    let mut file = tempfile::Builder::new().prefix(".hushd-").suffix(".tmp").tempfile_in(directory)?;
    let mut times = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = std::time::Instant::now();
        file.write_all(&[0; 512])?;
        file.as_file().sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[SAMPLES / 2])
}

/// An error with all its causes.
pub(super) fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
