//! Restarts and reloads units whose credential has changed (`on-change`), through systemd (org.freedesktop.systemd1(5)).
//!
//! Invariants: nothing is done but what the configuration asks for, and to units that run; changes that come close together are
//! one. Where systemd refuses, that is logged, and nothing else happens.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::api::EventKind;
use crate::auth::{Affected, Policies};
use crate::config::OnChange;
use crate::daemon::bus::{Argument, Bus, Kind, Object};
use crate::paths::manager_bus_address;
use crate::vault::{Begin, Event, Events, Found, Gate, Position};

const SYSTEMD: Object = Object {
    name: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
/// How long after a change others are waited for.
const QUIET: Duration = Duration::from_millis(500);
/// How long after the vault was sealed, or was not open, it is looked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// Events that are read at once.
const MOST: usize = 256;

/// Does what is configured whenever a secret changes, as long as the daemon runs.
pub(in crate::daemon) async fn follow(gate: Arc<Gate>, policies: Arc<Policies>) {
    loop {
        // Not the vault itself, nor its events, which name secrets and would outlive a seal as long as they are held.
        let events = gate.vault().map(|vault| Arc::downgrade(vault.events()));
        if let Ok(events) = events {
            watch(&events, &policies).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Follows the events of an open vault to their end.
async fn watch(events: &Weak<Events>, policies: &Policies) {
    let Some((mut newest, mut position)) = events.upgrade().map(|events| (events.watch(), end(&events))) else {
        return;
    };
    loop {
        let Some(affected) = events.upgrade().and_then(|events| affected(&events, &mut position, policies)) else {
            return;
        };
        if !affected.is_empty() {
            tell(affected).await;
        }
        if newest.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(QUIET).await;
    }
}

fn end(events: &Events) -> Position {
    let (Begin::At(end) | Begin::Restarted(end) | Begin::TooOld(end)) = events.begin(None);
    end
}

/// What the events after `position` affect; `None` when there will be no more of them.
fn affected(events: &Events, position: &mut Position, policies: &Policies) -> Option<BTreeSet<Affected>> {
    let mut affected = BTreeSet::new();
    loop {
        match events.read(*position, MOST) {
            Found::Events(found) if found.is_empty() => return Some(affected),
            Found::Events(found) => {
                for (after, event) in found {
                    *position = after;
                    // One that is gone is no reason to end a unit that still has it.
                    if let Event::Secret { kind: EventKind::Created | EventKind::Updated, namespace, key, .. } = &*event
                    {
                        affected.extend(policies.current().credentials().affected(namespace, key));
                    }
                }
            }
            Found::Renewed(end) => *position = end,
            Found::Gone => {
                tracing::warn!("there were too many changes: some units may have old credentials");
                *position = end(events);
            }
            Found::Ended(_) => return None,
        }
    }
}

async fn tell(affected: BTreeSet<Affected>) {
    let failed = |error: &io::Error| tracing::warn!(%error, "systemd cannot be asked to renew what units know");
    let mut bus = match Bus::connect(&manager_bus_address()).await {
        Ok(bus) => bus,
        Err(error) => return failed(&error),
    };
    for Affected { unit, what } in affected {
        if let Err(error) = renew(&mut bus, &unit, what).await {
            return failed(&error);
        }
    }
}

async fn renew(bus: &mut Bus, unit: &str, what: OnChange) -> io::Result<()> {
    let units = if unit.contains('*') { instances(bus, unit).await? } else { vec![unit.to_owned()] };
    let (method, verb) = match what {
        OnChange::Restart => ("TryRestartUnit", "restarted"),
        OnChange::Reload => ("ReloadUnit", "reloaded"),
    };
    for unit in units {
        let answer = bus.call(&SYSTEMD, method, &[&unit, "replace"]).await?;
        match (answer.kind, answer.error.as_deref()) {
            (Kind::Error, Some(error)) if is_not_running(error) => {
                tracing::debug!(unit, error, "a unit is not running, and gets its new credential when it starts");
            }
            (Kind::Error, error) => {
                let error = error.unwrap_or("an unknown error");
                let text = answer.strings().into_iter().next().unwrap_or_default();
                tracing::warn!(unit, error, "{unit} is not {verb} though its credential has changed: {text} ({error})");
            }
            (_, _) => tracing::info!(unit, "{unit} is {verb}: its credential has changed"),
        }
    }
    Ok(())
}

/// The instances that run.
async fn instances(bus: &mut Bus, pattern: &str) -> io::Result<Vec<String>> {
    let arguments = [Argument::Texts(&["active", "reloading", "activating"]), Argument::Texts(&[pattern])];
    Ok(bus.call_with(&SYSTEMD, "ListUnitsByPatterns", &arguments).await?.units())
}

fn is_not_running(error: &str) -> bool {
    matches!(error, "org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.systemd1.UnitNotActive")
        || error == "org.freedesktop.systemd1.JobTypeNotApplicable"
}
