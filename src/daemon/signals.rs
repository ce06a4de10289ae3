//! Signals: SIGTERM and SIGINT stop the daemon in order; SIGUSR1 seals the vault; SIGHUP has the configuration read anew.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::vault::Sealing;

/// The signals that are listened to, from the moment this exists.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits until the daemon is told to stop; `reload` is called whenever its configuration has changed.
    pub(super) async fn stop(mut self, sealing: &dyn Sealing, reload: &mut dyn FnMut()) {
        let by = loop {
            tokio::select! {
                _ = self.terminate.recv() => break "SIGTERM",
                _ = self.interrupt.recv() => break "SIGINT",
                _ = self.user.recv() => {
                    sealing.seal("SIGUSR1".to_owned()).await;
                }
                _ = self.hang_up.recv() => {
                    tracing::info!(signal = "SIGHUP", "reading the configuration anew");
                    reload();
                }
            }
        };
        tracing::info!(signal = by, "stopping");
    }
}
