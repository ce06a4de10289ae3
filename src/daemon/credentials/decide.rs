//! What a unit is answered that asks for a credential.
//!
//! Invariants: whoever asks must be the service manager itself, at work in the control group of the unit that it asks for; what
//! is refused is in the log with its reason, and in the audit trail where the vault is open; a value is in the trail before
//! it leaves. An empty value is refused, because to the unit it would look like one that failed.

use std::os::fd::AsFd;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::net::sockopt::socket_peercred;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::auth::{Caller, Peer, Policies, Principal, Unit};
use crate::daemon::check::full_text;
use crate::daemon::credentials::claim::Claim;
use crate::daemon::credentials::frame::{Answer, LONGEST};
use crate::daemon::credentials::totals::{Totals, loader};
use crate::model::RequestId;
use crate::vault::{ErrorKind, Gate};

/// What is needed to decide.
#[derive(Debug)]
pub(super) struct Judge {
    gate: Arc<Gate>,
    policies: Arc<Policies>,
    manager: Manager,
    totals: Mutex<Totals>,
}

/// Whose units are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    /// The system's, which runs as root.
    System,
    /// This user's own.
    User(u32),
}

/// Why nothing is given.
struct Refusal {
    why: String,
    /// Whom the trail names.
    principal: Option<Principal>,
    /// Whether the vault has recorded it.
    recorded: bool,
}

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), principal: None, recorded: false }
    }
}

impl Judge {
    /// Serves the units of the manager that this process itself belongs to.
    pub(super) fn new(gate: Arc<Gate>, policies: Arc<Policies>) -> Self {
        let manager = match Unit::of_this_process() {
            Some(Unit::User { uid, .. }) => Manager::User(uid),
            Some(Unit::System(_)) | None => Manager::System,
        };
        Self { gate, policies, manager, totals: Mutex::default() }
    }

    /// Decides. Blocks: for a thread of the runtime's that may.
    pub(super) fn answer(&self, connection: impl AsFd) -> Answer {
        let Ok(credentials) = socket_peercred(connection.as_fd()) else {
            tracing::warn!("a credential is refused: the kernel does not say who asks");
            return Answer::Refused;
        };
        let (uid, gid, pid) =
            (credentials.uid.as_raw(), credentials.gid.as_raw(), credentials.pid.as_raw_nonzero().get());
        let peer = Arc::new(Peer::of(connection.as_fd(), uid, gid, Some(pid)));
        let Some(claim) = Claim::of(connection) else {
            self.refuse(&peer, None, Refusal::new("it is not asked for as systemd does (LoadCredential=)"));
            return Answer::Refused;
        };
        match self.value(&peer, &claim) {
            Ok(value) => Answer::Value(value),
            Err(refusal) => {
                self.refuse(&peer, Some(&claim), refusal);
                Answer::Refused
            }
        }
    }

    fn value(&self, peer: &Arc<Peer>, claim: &Claim) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let unit = self.unit(peer, claim).map_err(Refusal::new)?;
        let vault = self.gate.vault().map_err(|error| Refusal::new(full_text(&error)))?;
        let grant = self.policies.current().credential(peer, &unit, &claim.id);
        let grant = grant.map_err(|refusal| Refusal {
            why: refusal.why,
            principal: Some(refusal.principal),
            recorded: false,
        })?;
        let refuse = |why: String, recorded| Refusal { why, principal: Some(grant.principal.clone()), recorded };
        let caller = caller(peer, Some(claim), grant.principal.clone());
        let found = Handle::current().block_on(vault.get(&caller, &grant.namespace, &grant.key, None));
        let (value, revision) = found.map_err(|error| {
            let recorded = matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::Unrecorded);
            refuse(full_text(&error), recorded)
        })?;
        let value = Zeroizing::new(value.expose_secret().as_bytes().to_vec());
        let secret = format!("{}/{}", grant.namespace, grant.key);
        if value.is_empty() {
            return Err(refuse(format!("{secret} is empty, and the unit could not tell that from a failure"), false));
        }
        let now = self.gate.clock().now();
        let counted =
            peer.pid.and_then(loader).map(|loader| self.totals.lock().allow(loader, &claim.id, value.len(), now));
        if value.len() > LONGEST || counted == Some(false) {
            let why = format!("{secret} is too large: the credentials of a unit have at most {LONGEST} bytes together");
            return Err(refuse(why, false));
        }
        self.gate.touch();
        tracing::info!(unit = %unit, credential = claim.id, revision, "{unit} got the credential {}: {secret}", claim.id);
        Ok(value)
    }

    /// The unit that is asked for, if it is its manager that asks.
    fn unit(&self, peer: &Peer, claim: &Claim) -> Result<Unit, String> {
        let (manager, unit) = match self.manager {
            Manager::System => (0, Unit::System(claim.unit.clone())),
            Manager::User(uid) => (uid, Unit::User { uid, name: claim.unit.clone() }),
        };
        if peer.uid != manager {
            return Err(format!("it is asked for by the user {}, who is not the service manager's", peer.uid));
        }
        match &peer.unit {
            Some(found) if *found == unit => Ok(unit),
            Some(found) => Err(format!("it is asked for by a process of {found}")),
            None => Err("it is asked for by a process of no unit, or one that has ended".to_owned()),
        }
    }

    fn refuse(&self, peer: &Arc<Peer>, claim: Option<&Claim>, refusal: Refusal) {
        let Refusal { why, principal, recorded } = refusal;
        let (unit, id) = claim.map_or(("somebody", "?"), |claim| (&claim.unit, &claim.id));
        tracing::warn!(
            unit,
            credential = id,
            uid = peer.uid,
            pid = peer.pid,
            "{unit} does not get the credential {id}: {why}"
        );
        if recorded {
            return;
        }
        let principal = principal.unwrap_or_else(|| Principal::nobody(peer));
        if let Ok(vault) = self.gate.vault() {
            vault.note_refused(&caller(peer, claim, principal), &format!("credential {id} of {unit}: {why}"));
        }
    }
}

/// Who asks, and why: the trail names the credential.
fn caller(peer: &Arc<Peer>, claim: Option<&Claim>, principal: Principal) -> Caller {
    let reason = claim.map(|claim| format!("LoadCredential={} of {}", claim.id, claim.unit).into());
    Caller { principal, peer: Some(Arc::clone(peer)), request_id: RequestId::None, reason }
}
