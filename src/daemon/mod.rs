//! The life of the daemon: what happens from the start to the end, in order.
//!
//! Invariants: readiness is told only when requests are answered; on SIGTERM requests in flight finish and everything
//! is on disk before the process ends; a second daemon on the same vault is refused before it touches anything.

mod accounts;
mod bus;
mod check;
mod create;
mod credentials;
mod directory;
mod error;
mod expiry;
mod hardening;
mod identity_file;
mod inherited;
mod keeper;
mod keyring_file;
mod listeners;
mod logging;
mod memory;
mod offline;
mod open;
mod policies;
mod rendering;
mod restore;
mod sealing;
mod signals;
mod snapshots;
mod suspend;
mod trail;
mod trail_out;
mod watchdog;
mod work;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

pub use accounts::System;
pub use check::check;
pub use create::{Created, Request, create, has_vault};
pub use credentials::answer;
#[cfg(fuzzing)]
pub use credentials::claimed;
pub use error::DaemonError;
pub use identity_file::{IdentityFile, OpenedIdentity, open_identity, show_identity};
pub use logging::start as start_log;
pub use offline::OfflineVault;
pub use open::compact;
pub use policies::policy;
pub use rendering::check as check_rendered;
pub use restore::{Drill, RestoreRequest, Restored, pick, restore, verify};
pub use trail::verify_audit;

use crate::api::{PeerVisibility, Protection};
use crate::auth::{PeerView, Policies, view_of_peers};
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::crypto::{CryptoError, Passphrase};
use crate::daemon::credentials::Server;
use crate::daemon::directory::VaultDirectory;
use crate::daemon::inherited::Inherited;
use crate::daemon::keeper::Keeper;
use crate::daemon::listeners::Bound;
use crate::daemon::open::{Opened, open_directory, open_vault};
use crate::daemon::rendering::Rendering;
use crate::http::{Checker, Options, Setting, SnapshotReport, State};
use crate::vault::Gate;

/// How long those who were accepted last have to be heard before the server stops.
const DRAIN: Duration = Duration::from_millis(50);

/// How the configuration is read anew.
pub struct Reread<'a> {
    /// Reads it.
    pub read: &'a (dyn Fn() -> Result<Config, ConfigError> + Sync),
    /// The file that it is read from.
    pub file: Option<&'a Path>,
}

impl std::fmt::Debug for Reread<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reread").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Serves a vault until it is told to stop. `ask` gives the passphrase of a master key that needs one, `reread` the
/// configuration when SIGHUP says that it has changed.
///
/// # Errors
/// Whatever keeps it from serving; see [`DaemonError`].
pub fn serve(
    config: &Config,
    reread: &Reread<'_>,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<(), DaemonError> {
    config.check_listeners()?;
    let policies = Arc::new(policies::first(config, reread)?);
    let rendering = Rendering::new(rendering::jobs(config, reread)?);
    hardening::private_umask();
    let mut inherited = Inherited::take()?;
    // Sockets of the service manager take the place of all that would be made here.
    let listen = if inherited.has_api() { &[] } else { config.listen.as_slice() };
    let group = listeners::group(&config.socket)?;
    listeners::prepare(listen, &config.socket, group)?;
    let hardening = hardening::confine(config, listen, reread.file)?;
    let peers = peers();
    let directory = Arc::new(open_directory(&config.vault.data_dir)?);
    let opened = match open_vault(config, &directory, ask) {
        Ok(opened) => Some(opened),
        Err(DaemonError::Identity { source: CryptoError::PassphraseNeeded, .. }) => {
            tracing::warn!("the master key needs its passphrase: the vault is sealed until `hushd unseal`");
            None
        }
        Err(error) => return Err(error),
    };
    let report = snapshots::prepare(&config.backup)?;
    let mut bound = Bound::bind(listen, config.socket.mode, group)?;
    let answers = inherited.answers.take();
    bound.add(inherited);
    let about = About { hardening, peers, answers, rendering };
    let running = run(config, directory, opened, report, (&policies, reread), about, &mut bound);
    actix_web::rt::System::new().block_on(running)?;
    drop(bound);
    tracing::info!("stopped");
    Ok(())
}

/// What the daemon found out about itself.
struct About {
    hardening: Vec<Protection>,
    peers: PeerVisibility,
    /// Where credentials are asked for.
    answers: Option<UnixListener>,
    /// The files that it keeps rendered.
    rendering: Arc<Rendering>,
}

/// What can be seen of peers. What cannot is told now, before somebody wonders why a rule does not apply.
fn peers() -> PeerVisibility {
    let PeerView { users, units, notes } = view_of_peers();
    for note in &notes {
        tracing::warn!(note, "peers are hidden");
    }
    PeerVisibility { users, units, notes }
}

async fn run(
    config: &Config,
    directory: Arc<VaultDirectory>,
    opened: Option<Opened>,
    report: SnapshotReport,
    (policies, reread): (&Arc<Policies>, &Reread<'_>),
    about: About,
    bound: &mut Bound,
) -> Result<(), DaemonError> {
    let gate = Arc::new(Gate::sealed(Arc::new(SystemClock)));
    let setting = Setting {
        limits: open::limits(config),
        allowed_hosts: config.http.allowed_hosts.iter().map(|host| host.as_str().to_owned()).collect(),
        listeners: bound.addresses.clone(),
        metrics: config.metrics,
        expiry_warnings: config.expiry.warn.iter().map(|ahead| (ahead.to_string(), ahead.duration())).collect(),
        data_directory: config.vault.data_dir.display().to_string(),
        policies: Arc::clone(policies),
        renders: about.rendering.report(),
        hardening: about.hardening,
        peers: about.peers,
    };
    let checker = {
        let (config, directory, gate) = (config.vault.clone(), Arc::clone(&directory), Arc::clone(&gate));
        Checker::new(move || Ok(check::check_served(&config, &directory, &gate.vault()?)))
    };
    let runtime = tokio::runtime::Handle::current();
    let keeper = Keeper::new(config.clone(), directory, Arc::clone(&gate), Arc::clone(&report), runtime);
    if let Some(opened) = opened {
        keeper.put(opened);
    }
    let state = State::new(Arc::clone(&gate), Arc::new(keeper.clone()), setting, report, checker);
    let options = Options {
        workers: config.http.worker_threads(),
        request_timeout: config.http.request_timeout,
        shutdown_timeout: config.http.shutdown_timeout,
    };
    let listeners = bound.take();
    let answers = about.answers.map(|socket| Server::start(socket, Arc::clone(&gate), Arc::clone(policies)));
    let answers = answers.transpose().map_err(DaemonError::io("answer for credentials"))?;
    let signals = signals::Signals::new().map_err(DaemonError::io("handle signals"))?;
    let server = crate::http::server(state, listeners, options).map_err(DaemonError::io("start the server"))?;
    let handle = server.handle();
    let addresses = bound.addresses.join(" ");
    tracing::info!(listeners = %addresses, "ready");
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {addresses}"))]);
    memory::give_back_what_is_large();
    let stop = async {
        signals.stop(&keeper, &mut || reload(config, policies, &about.rendering, reread)).await;
        notify(&[NotifyState::Stopping]);
        // Streams that never end by themselves would be waited for.
        keeper.end_events("stopping");
        if let Some(answers) = answers {
            answers.stop().await;
        }
        // Who was accepted and not yet heard would be dropped: so nobody new is accepted first.
        handle.pause().await;
        tokio::time::sleep(DRAIN).await;
        handle.stop(true).await;
        std::future::pending::<()>().await;
    };
    let idle = actix_web::rt::spawn(sealing::when_idle(config.seal.idle.clone(), Arc::clone(&gate), keeper.clone()));
    let suspend = actix_web::rt::spawn(suspend::seal(config.seal.suspend, keeper.clone()));
    let changes = actix_web::rt::spawn(credentials::follow(Arc::clone(&gate), Arc::clone(policies)));
    let rendered = actix_web::rt::spawn(Arc::clone(&about.rendering).follow(Arc::clone(&gate)));
    let watchdog = actix_web::rt::spawn(watchdog::feed());
    let ended = tokio::select! {
        ended = server => ended.map_err(DaemonError::io("serve")),
        () = stop => Ok(()),
    };
    idle.abort();
    suspend.abort();
    changes.abort();
    rendered.abort();
    keeper.stop().await;
    watchdog.abort();
    ended
}

/// What SIGHUP asks for (sd_notify(3), `RELOADING=1`).
fn reload(config: &Config, policies: &Policies, rendering: &Rendering, reread: &Reread<'_>) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager could not be told"),
    }
    policies::again(config, policies, rendering, reread);
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager, where there is one (sd_notify(3)).
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
