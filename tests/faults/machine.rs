//! A vault on a disk of its own, with its daemon: the machine whose power is cut.

use crate::disk::Disk;
use crate::harness::{Daemon, Failure, Sandbox, Vault};

/// The machine.
pub struct Machine {
    // Stopped before the disk goes, and the disk before its directories.
    daemon: Option<Daemon>,
    /// Its disk.
    pub disk: Disk,
    /// Its vault.
    pub vault: Vault,
}

impl Machine {
    /// A machine with a vault that was created by `hushd init`, and no daemon yet.
    pub fn new(megabytes: u64) -> Self {
        let machine = Self::empty(megabytes);
        machine.vault.try_init(&[]).exits(0);
        machine
    }

    /// A machine without a vault.
    pub fn empty(megabytes: u64) -> Self {
        let sandbox = Sandbox::new();
        let disk = Disk::under(&sandbox, megabytes);
        Self { daemon: None, disk, vault: Vault::unborn(sandbox) }
    }

    /// Starts the daemon.
    pub fn start(&mut self) -> Result<(), Failure> {
        self.daemon = Some(Daemon::launch(&self.vault.sandbox, Daemon::command(&self.vault.sandbox))?);
        Ok(())
    }

    /// Starts the daemon, which must succeed.
    #[track_caller]
    pub fn must_start(&mut self) {
        self.start().unwrap_or_else(|failure| panic!("it did not start: {failure:#?}"));
    }

    /// Takes a daemon of its vault that was started otherwise.
    pub fn adopt(&mut self, daemon: Daemon) {
        self.daemon = Some(daemon);
    }

    /// The daemon that was started.
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it was started")
    }

    /// Cuts the power and restores it; the daemon is gone.
    pub fn cut_power(&mut self) {
        self.disk.cut_power();
        self.kill();
        self.disk.restore_power();
    }

    /// Ends the daemon by SIGKILL.
    pub fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// Stops the daemon as it should stop.
    pub fn stop(&mut self) {
        self.daemon.take().expect("it was started").stop_cleanly();
    }
}
