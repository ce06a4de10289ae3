//! Signals: SIGTERM and SIGINT stop the daemon in order; SIGHUP does not end it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are listened to, from the moment this exists.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the daemon is told to stop.
    pub(super) async fn stop(mut self) {
        let by = loop {
            tokio::select! {
                _ = self.terminate.recv() => break "SIGTERM",
                _ = self.interrupt.recv() => break "SIGINT",
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: the configuration is read at the start only; restart to change it");
                }
            }
        };
        tracing::info!(signal = by, "stopping");
    }
}
