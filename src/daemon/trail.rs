//! The audit trail's part of the daemon's life: opened before anything is served, tended every second, closed at the end.
//!
//! Invariant: what waits for the disk, for files and for other programs happens here and never on a thread that serves.

use std::sync::Arc;
use std::time::Duration;

use crate::api::VerifyAuditResponse;
use crate::audit::{Action, Anchor, Report, TrailOptions};
use crate::config::{AuditConfig, AuditMode, Config};
use crate::crypto::Passphrase;
use crate::daemon::directory::VaultDirectory;
use crate::daemon::open::{open_directory, open_keyring, open_store};
use crate::daemon::trail_out::Telling;
use crate::daemon::{DaemonError, check, hardening};
use crate::vault::{AuditRules, Vault, VaultError, verify_offline};

/// How often what was written is brought to the disk.
const TEND: Duration = Duration::from_secs(1);
/// After how many of these it is looked what is too old; what is too much, as soon as a segment is full.
const TRIM: u32 = 60;

/// Opens the trail of a vault that is going to be served.
pub(super) fn open(config: &Config, directory: &VaultDirectory, vault: &Vault) -> Result<(), DaemonError> {
    let audit = &config.audit;
    if audit.mode == AuditMode::Off {
        tracing::warn!("the audit trail is off, as the configuration says: nothing that is done is recorded");
        return Ok(());
    }
    let options = TrailOptions {
        segment_size: audit.segment_size.min(audit.max_size / 4),
        max_size: audit.max_size,
        max_age: audit.max_age.duration(),
    };
    let rules = AuditRules { require_reason: audit.require_reason.clone(), best_effort: audit.best_effort.clone() };
    vault.open_trail(&directory.audit(), options, rules).map_err(|source| DaemonError::Vault { source })
}

/// Verifies the trail of a vault that no daemon serves. `ask` gives the passphrase of a master key that needs one.
///
/// # Errors
/// Whatever keeps the vault from being opened, and the trail from being read.
pub fn verify_audit(
    config: &Config,
    anchors: &[Anchor],
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<VerifyAuditResponse, DaemonError> {
    hardening::private_umask();
    hardening::harden();
    let directory = open_directory(&config.vault.data_dir)?;
    let (keyring, _) = open_keyring(config, &directory, ask)?;
    let vault = open_store(config, &directory, keyring)?;
    verify(&directory, &vault, anchors).map(|report| report.to_api()).map_err(|source| DaemonError::Vault { source })
}

/// Verifies the trail of an open vault, against what the vault remembers of it and anchors that were told outside.
pub(super) fn verify(directory: &VaultDirectory, vault: &Vault, anchors: &[Anchor]) -> Result<Report, VaultError> {
    let (keys, stored) = vault.trail_keys()?;
    let mark = vault.trail_mark().or(stored);
    verify_offline(&directory.audit(), &keys, mark.as_ref(), anchors)
}

/// Tends it, for ever.
pub(super) async fn tend(vault: Arc<Vault>) {
    let mut interval = tokio::time::interval(TEND);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut last, mut ticks, mut trimmed) = (String::new(), 0_u32, 0);
    loop {
        interval.tick().await;
        ticks = ticks.wrapping_add(1);
        let tended = Arc::clone(&vault);
        let done = tokio::task::spawn_blocking(move || {
            tended.tend_trail()?;
            let newest = tended.trail_mark().map_or(0, |mark| mark.segment);
            if ticks % TRIM == 1 || newest != trimmed {
                tended.trim_trail()?;
            }
            Ok::<u64, VaultError>(newest)
        });
        let reason = match done.await {
            Ok(Ok(newest)) => {
                trimmed = newest;
                String::new()
            }
            Ok(Err(error)) => check::full_text(&error),
            Err(error) => error.to_string(),
        };
        if !reason.is_empty() && reason != last {
            tracing::error!(reason, "the audit trail cannot be tended");
        }
        last = reason;
    }
}

/// Begins to tell it to others, where there is a trail.
pub(super) fn tell(config: &AuditConfig, vault: &Arc<Vault>) -> Result<Option<Telling>, DaemonError> {
    if vault.trail().is_none() {
        return Ok(None);
    }
    Telling::begin(config, vault).map(Some).map_err(DaemonError::io("start the export of the audit trail"))
}

/// Ends it in order, with this entry, and tells others the end.
pub(super) async fn close(vault: &Arc<Vault>, telling: Option<Telling>, with: Action) {
    let closed = Arc::clone(vault);
    let done = tokio::task::spawn_blocking(move || {
        let done = closed.close_trail(with);
        if let Some(telling) = telling {
            telling.end();
        }
        done.and_then(|()| closed.store_exported())
    });
    let done = done.await;
    if let Ok(Err(error)) = done {
        tracing::error!(reason = check::full_text(&error), "the audit trail was not closed well");
    }
}
