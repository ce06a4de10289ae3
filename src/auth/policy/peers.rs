//! Policies: whom the rules of the configuration are for.
//!
//! Invariants: names of users and groups are looked up once, when the policy is made, and one that is not there is an
//! error; all that a `[[policy]]` names of its subject must hold; what was found for a peer is remembered until the
//! policy is replaced, so that a request costs a look-up.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::RwLock;

use crate::auth::policy::{ADMIN_TOKEN, Credentials, Granted, OWNER, Rules};
use crate::auth::{Peer, Principal, Unit};
use crate::config::{CredentialConfig, Placed, PolicyConfig};

/// What the system knows of users, groups and units.
pub trait Accounts {
    /// The number of a user; none where there is no such user.
    ///
    /// # Errors
    /// When the system cannot tell.
    fn user(&self, name: &str) -> std::io::Result<Option<u32>>;

    /// The number of a group; none where there is no such group.
    ///
    /// # Errors
    /// When the system cannot tell.
    fn group(&self, name: &str) -> std::io::Result<Option<u32>>;

    /// Whether there is a unit of this name.
    fn knows_unit(&self, unit: &Unit) -> bool;
}

/// A `[[policy]]` that cannot be used, with its place in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PolicyError {
    /// Line, from 1 on.
    pub line: usize,
    /// Column, in characters from 1 on.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Something that may be as it is meant to be.
pub type PolicyWarning = PolicyError;

/// The policies of one configuration.
#[derive(Debug, Default)]
pub struct Policy {
    peers: Vec<PeerPolicy>,
    tokens: HashMap<Box<str>, Rules>,
    credentials: Credentials,
    count: usize,
    /// Who a peer turned out to be, by user.
    known: RwLock<HashMap<u32, Vec<Known>>>,
}

#[derive(Debug)]
struct PeerPolicy {
    uid: Option<u32>,
    group: Option<u32>,
    unit: Option<Unit>,
    rules: Rules,
}

#[derive(Debug)]
struct Known {
    gid: u32,
    groups: Vec<u32>,
    unit: Option<Unit>,
    principal: Option<Principal>,
}

/// Users whose peers are remembered at most, and kinds of peers of each.
const MAX_KNOWN: usize = 1024;

impl Policy {
    /// Makes the policy of a configuration, with what may be wrong with it.
    ///
    /// # Errors
    /// [`PolicyError`]: a rule that is none, a subject that is none, a user or a group that is not there.
    pub fn new(configs: &[PolicyConfig], accounts: &dyn Accounts) -> Result<(Self, Vec<PolicyWarning>), PolicyError> {
        let (mut policy, mut warnings) = (Self::default(), Vec::new());
        for (index, config) in configs.iter().enumerate() {
            let rules = rules(config, index + 1)?;
            let named = [&config.user, &config.group, &config.unit, &config.token].into_iter().flatten().count();
            let here = |message: &str, hint: &str| PolicyError {
                line: config.line,
                column: 1,
                message: message.to_owned(),
                hint: Some(hint.to_owned()),
            };
            if let Some(token) = &config.token {
                if named > 1 || config.uid.is_some() {
                    return Err(here(
                        "a policy for a token names no user, group or unit",
                        "bind the token itself: hushd token create --bind-uid, --bind-unit",
                    ));
                }
                if token.text.is_empty() {
                    return Err(at(token, "the token is empty", Some("name its id, or the sub of a JWT")));
                }
                policy.tokens.entry(token.text.as_str().into()).or_default().extend(&rules);
            } else if named == 0 && config.uid.is_none() {
                return Err(here("a policy for nobody", "name its subject: user, group, uid, unit or token"));
            } else if config.user.is_some() && config.uid.is_some() {
                return Err(here("a policy names its user twice", "leave out user or uid"));
            } else {
                policy.peers.push(PeerPolicy::new(config, rules, accounts, &mut warnings)?);
            }
            if config.allow.is_empty() && config.deny.is_empty() {
                warnings.push(here("a policy without rules", "add allow = [\"read shop/**\"]"));
            }
            policy.count += 1;
        }
        Ok((policy, warnings))
    }

    /// Adds the `[[credential]]` of the same configuration.
    ///
    /// # Errors
    /// [`PolicyError`] with the place of what is wrong.
    pub fn with_credentials(self, configs: &[CredentialConfig]) -> Result<Self, PolicyError> {
        Ok(Self { credentials: Credentials::new(configs)?, ..self })
    }

    /// What units get.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The rules of each policy that is for this peer, and whether it names the peer's unit.
    pub(super) fn for_peer(&self, peer: &Peer) -> impl Iterator<Item = (bool, &Rules)> {
        let matching = self.peers.iter().filter(|policy| policy.is_for(peer));
        matching.map(|policy| (policy.unit.is_some(), &policy.rules))
    }

    /// How many `[[policy]]` there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Who a peer is without a credential; none where nobody.
    pub fn peer(&self, peer: &Peer, owner: u32) -> Option<Principal> {
        let is_owner = peer.uid == owner;
        if self.peers.is_empty() {
            return is_owner.then_some(Principal::Owner { uid: peer.uid });
        }
        let same = |known: &&Known| known.gid == peer.gid && known.groups == peer.groups && known.unit == peer.unit;
        if let Some(known) = self.known.read().get(&peer.uid).and_then(|known| known.iter().find(same)) {
            return known.principal.clone();
        }
        let principal = self.find(peer, is_owner);
        let mut known = self.known.write();
        if known.len() >= MAX_KNOWN || known.get(&peer.uid).is_some_and(|kinds| kinds.len() >= MAX_KNOWN) {
            known.clear();
        }
        known.entry(peer.uid).or_default().push(Known {
            gid: peer.gid,
            groups: peer.groups.clone(),
            unit: peer.unit.clone(),
            principal: principal.clone(),
        });
        principal
    }

    fn find(&self, peer: &Peer, is_owner: bool) -> Option<Principal> {
        let mut matching = self.peers.iter().filter(|policy| policy.is_for(peer)).peekable();
        if matching.peek().is_none() {
            return is_owner.then_some(Principal::Owner { uid: peer.uid });
        }
        let mut rules = if is_owner { Rules::everything(OWNER) } else { Rules::default() };
        let mut name = format!("uid:{}", peer.uid);
        for policy in matching {
            rules.extend(&policy.rules);
            if let (Some(unit), false) = (&policy.unit, is_owner) {
                name = format!("unit:{unit}");
            }
        }
        Some(Principal::Granted(Arc::new(Granted::new(name, rules))))
    }

    /// The bearer of a token that is no administrator's and has no scope of its own.
    pub fn bearer(&self, name: &str) -> Principal {
        match self.token(name, false) {
            Some(granted) => Principal::Granted(Arc::new(granted)),
            None => Principal::Token { subject: name.into(), is_admin: false },
        }
    }

    /// What a token without a scope of its own may: `None` where no policy is for it.
    pub(in crate::auth) fn token(&self, name: &str, is_admin: bool) -> Option<Granted> {
        let policy = self.tokens.get(name)?;
        let mut rules = if is_admin { Rules::everything(ADMIN_TOKEN) } else { Rules::default() };
        rules.extend(policy);
        Some(Granted::new(format!("token:{name}"), rules))
    }

    /// Whether some policy is for a token.
    pub(in crate::auth) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// The rules that deny something to a token with a scope, which no policy widens.
    pub(in crate::auth) fn limits(&self, name: &str) -> Option<&Rules> {
        self.tokens.get(name)
    }
}

impl PeerPolicy {
    fn new(
        config: &PolicyConfig,
        rules: Rules,
        accounts: &dyn Accounts,
        warnings: &mut Vec<PolicyWarning>,
    ) -> Result<Self, PolicyError> {
        let known = |placed: &Placed, what: &str, found: std::io::Result<Option<u32>>| match found {
            Ok(Some(number)) => Ok(number),
            Ok(None) => {
                let hint = match (what, placed.text.parse::<u32>()) {
                    ("user", Ok(number)) => format!("write uid = {number}"),
                    (_, Ok(_) | Err(_)) => format!("see what there is: getent {}", database(what)),
                };
                Err(at(placed, &format!("there is no {what} {:?}", placed.text), Some(&hint)))
            }
            Err(error) => Err(at(placed, &format!("the {what} {:?} cannot be looked up: {error}", placed.text), None)),
        };
        let user = config.user.as_ref().map(|user| known(user, "user", accounts.user(&user.text))).transpose()?;
        let group =
            config.group.as_ref().map(|group| known(group, "group", accounts.group(&group.text))).transpose()?;
        let unit = config.unit.as_ref().map(|unit| unit_of(unit, accounts, warnings)).transpose()?;
        Ok(Self { uid: user.or(config.uid), group, unit, rules })
    }

    fn is_for(&self, peer: &Peer) -> bool {
        self.uid.is_none_or(|uid| uid == peer.uid)
            && self.group.is_none_or(|group| peer.is_in_group(group))
            && self.unit.as_ref().is_none_or(|unit| peer.unit.as_ref() == Some(unit))
    }
}

fn database(what: &str) -> &'static str {
    if what == "user" { "passwd" } else { "group" }
}

fn unit_of(placed: &Placed, accounts: &dyn Accounts, warnings: &mut Vec<PolicyWarning>) -> Result<Unit, PolicyError> {
    let unit: Unit = placed.text.parse().map_err(|error: crate::auth::InvalidUnit| {
        let fixed = format!("{}.service", placed.text);
        let hint = fixed.parse::<Unit>().is_ok().then(|| format!("did you mean {fixed:?}?"));
        at(placed, &error.to_string(), hint.as_deref())
    })?;
    if !accounts.knows_unit(&unit) {
        let hint = "until there is one of that name, the policy is for nobody";
        warnings.push(at(placed, &format!("there is no unit {:?}", placed.text), Some(hint)));
    }
    Ok(unit)
}

fn rules(config: &PolicyConfig, number: usize) -> Result<Rules, PolicyError> {
    let mut rules = Rules::default();
    for (allow, word, texts) in [(true, "allow", &config.allow), (false, "deny", &config.deny)] {
        for placed in texts {
            let name = format!("{word} {} (policy {number}, line {})", placed.text, placed.line);
            rules.add(allow, &placed.text, name.into()).map_err(|error| PolicyError {
                line: placed.line,
                column: placed.column + error.column - 1,
                message: error.message,
                hint: error.nearest.map(|nearest| format!("did you mean {nearest:?}?")),
            })?;
        }
    }
    Ok(rules)
}

fn at(placed: &Placed, message: &str, hint: Option<&str>) -> PolicyError {
    let (line, column) = (placed.line, placed.column);
    PolicyError { line, column, message: message.to_owned(), hint: hint.map(str::to_owned) }
}

/// The policy that is in force, which can be replaced while requests are served.
#[derive(Debug, Default)]
pub struct Policies {
    current: ArcSwap<Policy>,
    problem: RwLock<Option<String>>,
}

impl Policies {
    /// Puts a first policy in force.
    pub fn new(policy: Policy) -> Self {
        Self { current: ArcSwap::from_pointee(policy), problem: RwLock::default() }
    }

    /// The one in force.
    pub fn current(&self) -> Guard<Arc<Policy>> {
        self.current.load()
    }

    /// Puts another in force.
    pub fn replace(&self, policy: Policy) {
        self.current.store(Arc::new(policy));
        *self.problem.write() = None;
    }

    /// Notes why a newer configuration could not be taken over; the old policy stays in force.
    pub fn keep(&self, problem: String) {
        *self.problem.write() = Some(problem);
    }

    /// Why the newest configuration is not in force.
    pub fn problem(&self) -> Option<String> {
        self.problem.read().clone()
    }
}
