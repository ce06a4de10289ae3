//! Seals the vault before the machine sleeps, as logind says on the system bus (org.freedesktop.login1(5)).
//!
//! Invariants: while it listens it holds a delay lock, so that the machine does not sleep before the keys are wiped, or
//! logind's patience is at its end; only logind itself is believed; without a bus or a logind the daemon goes on, which is
//! logged once until there is one. It connects to no bus unless it is asked to seal, and it unseals nothing.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::daemon::bus::{BUS, Bus, Kind, Message, Object};
use crate::paths::system_bus_address;
use crate::vault::Sealing;

const LOGIND: Object = Object {
    name: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};
/// What is to be heard: who logind is, and that the machine goes to sleep or has woken.
const WANTED: [&str; 2] = [
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',\
     arg0='org.freedesktop.login1'",
    "type='signal',sender='org.freedesktop.login1',interface='org.freedesktop.login1.Manager',member='PrepareForSleep'",
];
/// How long after the bus was lost, or was not there, it is looked for again.
const AGAIN: Duration = Duration::from_secs(30);

/// Seals the vault whenever the machine is about to sleep, if that is `wanted`.
pub(super) async fn seal(wanted: bool, sealing: impl Sealing) {
    if !wanted {
        return;
    }
    let mut outlook = Outlook::default();
    loop {
        let Err(error) = listen(&sealing, &mut outlook).await;
        outlook.bad(&format!("the system bus: {error}"));
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether the vault is sealed in time; told whenever that changes.
#[derive(Debug, Default)]
struct Outlook {
    good: Option<bool>,
}

impl Outlook {
    fn bad(&mut self, reason: &str) {
        if self.good.replace(false) != Some(false) {
            tracing::warn!(reason, "the vault may not be sealed when the machine sleeps");
        }
    }

    fn good(&mut self) {
        if self.good.replace(true) != Some(true) {
            tracing::info!("the vault will be sealed before the machine sleeps");
        }
    }
}

/// One connection to the bus, until it is lost.
async fn listen(sealing: &impl Sealing, outlook: &mut Outlook) -> io::Result<Infallible> {
    let mut bus = Bus::connect(&system_bus_address()).await?;
    for rule in WANTED {
        bus.call(&BUS, "AddMatch", &[rule]).await?;
    }
    let owner = bus.call(&BUS, "GetNameOwner", &[LOGIND.name]).await?;
    bus.trusted = if owner.kind == Kind::Return { owner.strings().into_iter().next() } else { None };
    // Keeps the machine from sleeping as long as it is open.
    let mut lock = delay(&mut bus, outlook).await?;
    loop {
        let signal = bus.signal().await?;
        let of_bus = signal.sender.as_deref() == Some(BUS.name);
        match signal.member.as_deref() {
            Some("NameOwnerChanged") if of_bus => {
                bus.trusted = signal.strings().into_iter().nth(2).filter(|owner| !owner.is_empty());
                lock = delay(&mut bus, outlook).await?;
            }
            Some("PrepareForSleep") if !of_bus => match signal.boolean() {
                Some(true) => {
                    sealing.seal("the machine goes to sleep".to_owned()).await;
                    drop(lock.take());
                }
                Some(false) => lock = delay(&mut bus, outlook).await?,
                None => {}
            },
            _ => {}
        }
    }
}

/// Takes a lock. Where it is refused, the vault is sealed all the same, maybe too late.
async fn delay(bus: &mut Bus, outlook: &mut Outlook) -> io::Result<Option<OwnedFd>> {
    if bus.trusted.is_none() {
        outlook.bad("there is no logind on the system bus");
        return Ok(None);
    }
    let Message { error, fds, .. } =
        bus.call(&LOGIND, "Inhibit", &["sleep", "hushd", "seal the vault", "delay"]).await?;
    let lock = fds.into_iter().next();
    if lock.is_some() {
        outlook.good();
    } else {
        outlook.bad(&format!("logind does not wait for it: {}", error.as_deref().unwrap_or("it gave no lock")));
    }
    Ok(lock)
}
