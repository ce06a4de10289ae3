//! Credentials: which secret a unit of the service manager gets under which id (systemd.exec(5), `LoadCredential=`).
//!
//! Invariants: what neither a `[[credential]]` nor a rule of a policy that names the unit allows is denied, and what a policy
//! denies to the unit is denied also where a `[[credential]]` is for it. The process that asks is the manager's own, at work
//! for the unit: being the daemon's own user, or root, allows it nothing.

use std::fmt;
use std::sync::Arc;

use crate::auth::policy::peers::Policy;
use crate::auth::policy::{PolicyError, Rules};
use crate::auth::{Action, Decision, Granted, Peer, Principal, Target, Unit, decide};
use crate::config::{CredentialConfig, OnChange, Placed};
use crate::model::{Key, Namespace};

/// All `[[credential]]` of a configuration.
#[derive(Debug, Default)]
pub struct Credentials(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    unit: UnitPattern,
    id: Box<str>,
    secret: Box<str>,
    on_change: Option<OnChange>,
    line: usize,
}

/// A unit, or the instances of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum UnitPattern {
    One(Box<str>),
    Instances { before: Box<str>, after: Box<str> },
}

/// A secret that a unit may have.
#[derive(Debug)]
pub struct CredentialGrant {
    /// The unit, with the rules that hold for it.
    pub principal: Principal,
    /// Where the secret is.
    pub namespace: Namespace,
    /// Its name.
    pub key: Key,
}

/// Why a unit gets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRefusal {
    /// For the log and the audit trail.
    pub why: String,
    /// The unit, as the trail names it.
    pub principal: Principal,
}

/// What is to be done because a secret has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Affected {
    /// The unit, or a pattern for the instances of a template, as systemd reads it.
    pub unit: String,
    /// What.
    pub what: OnChange,
}

/// What stands for the instance.
const INSTANCE: &str = "%i";

impl Credentials {
    /// Reads them.
    ///
    /// # Errors
    /// [`PolicyError`] with the place of what is wrong.
    pub(super) fn new(configs: &[CredentialConfig]) -> Result<Self, PolicyError> {
        let mut entries: Vec<Entry> = Vec::new();
        for config in configs {
            let entry = Entry::new(config)?;
            if let Some(first) = entries.iter().find(|other| other.unit == entry.unit && other.id == entry.id) {
                let message = format!("{} has the credential {:?} already (line {})", entry.unit, entry.id, first.line);
                return Err(error(config.line, 1, message, "name each credential of a unit once"));
            }
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The one for this unit and id: one that names the unit itself comes before one for all instances.
    fn find<'a>(&'a self, unit: &'a str, id: &str) -> Option<(&'a Entry, &'a str)> {
        let matching = self.0.iter().filter(|entry| &*entry.id == id);
        let matching = matching.filter_map(|entry| Some((entry, entry.unit.instance(unit)?)));
        matching.min_by_key(|(entry, _)| matches!(entry.unit, UnitPattern::Instances { .. }))
    }

    /// What is to be done because this secret has changed.
    pub fn affected(&self, namespace: &Namespace, key: &Key) -> Vec<Affected> {
        let secret = format!("{namespace}/{key}");
        let found = self.0.iter().filter_map(|entry| {
            let what = entry.on_change?;
            let unit = match (&entry.unit, entry.secret.split_once(INSTANCE)) {
                (unit, None) => (*entry.secret == *secret).then(|| unit.to_string())?,
                (UnitPattern::One(_), Some(_)) => return None,
                (UnitPattern::Instances { before, after }, Some((start, end))) => {
                    let first = secret.strip_prefix(start)?;
                    let length = end.split(INSTANCE).next().map_or(0, str::len);
                    let instance = if end.contains(INSTANCE) {
                        &first[..first.find(&end[..length])?]
                    } else {
                        first.strip_suffix(end)?
                    };
                    let is_one = !instance.is_empty() && !instance.contains('/');
                    // It may stand there more than once.
                    (is_one && entry.secret.replace(INSTANCE, instance) == secret)
                        .then(|| format!("{before}{instance}{after}"))?
                }
            };
            Some(Affected { unit, what })
        });
        let mut found: Vec<_> = found.collect();
        found.sort();
        found.dedup();
        found
    }

    /// Whether any of them asks for something to be done.
    pub fn has_changes(&self) -> bool {
        self.0.iter().any(|entry| entry.on_change.is_some())
    }
}

impl Entry {
    fn new(config: &CredentialConfig) -> Result<Self, PolicyError> {
        let missing = |key: &str| {
            let hint = "it needs unit, id and secret: unit = \"shop.service\", id = \"db-password\", \
                        secret = \"shop/prod/DB_PASSWORD\"";
            error(config.line, 1, format!("a credential without {key}"), hint)
        };
        let unit = config.unit.as_ref().ok_or_else(|| missing("unit"))?;
        let id = config.id.as_ref().ok_or_else(|| missing("id"))?;
        let secret = config.secret.as_ref().ok_or_else(|| missing("secret"))?;
        let pattern = UnitPattern::parse(&unit.text).ok_or_else(|| {
            let message = format!("not a unit: {:?}", unit.text);
            at(unit, message, "write shop.service, or shop@*.service for the instances of a template")
        })?;
        if !is_id(&id.text) {
            let message = format!("not the id of a credential: {:?}", id.text);
            return Err(at(id, message, "it has at most 255 characters, and none of '/' and ':' among them"));
        }
        // Whatever the instance is called, it is a part of a name.
        let example = secret.text.replace(INSTANCE, "x");
        if secret.text.contains(INSTANCE) && matches!(pattern, UnitPattern::One(_)) {
            let message = "%i stands for the instance of a template, and this unit is none".to_owned();
            return Err(at(secret, message, "name the template: unit = \"shop@*.service\""));
        }
        if split(&example).is_none() {
            let message = format!("not a secret: {:?}", secret.text);
            return Err(at(secret, message, "write NAMESPACE/KEY: shop/prod/DB_PASSWORD"));
        }
        let (id, secret) = (id.text.as_str().into(), secret.text.as_str().into());
        Ok(Self { unit: pattern, id, secret, on_change: config.on_change, line: config.line })
    }
}

impl UnitPattern {
    fn parse(text: &str) -> Option<Self> {
        let is_unit = |name: &str| matches!(name.parse::<Unit>(), Ok(Unit::System(_)));
        match text.split_once("@*") {
            None => is_unit(text).then(|| Self::One(text.into())),
            Some((before, after)) => is_unit(&format!("{before}@x{after}"))
                .then(|| Self::Instances { before: format!("{before}@").into(), after: after.into() }),
        }
    }

    /// The instance of this unit, empty where it is none; `None` where it is another unit.
    fn instance<'a>(&self, unit: &'a str) -> Option<&'a str> {
        match self {
            Self::One(name) => (**name == *unit).then_some(""),
            Self::Instances { before, after } => {
                unit.strip_prefix(&**before)?.strip_suffix(&**after).filter(|instance| !instance.is_empty())
            }
        }
    }
}

impl fmt::Display for UnitPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => f.write_str(name),
            Self::Instances { before, after } => write!(f, "{before}*{after}"),
        }
    }
}

impl Policy {
    /// The secret that this unit, for which this peer asks, gets under this id.
    ///
    /// # Errors
    /// [`CredentialRefusal`].
    pub fn credential(&self, peer: &Peer, unit: &Unit, id: &str) -> Result<CredentialGrant, CredentialRefusal> {
        let name = match unit {
            Unit::System(name) | Unit::User { name, .. } => name,
        };
        let mut rules = self.rules_of_unit(peer);
        let found = self.credentials().find(name, id);
        let secret = match found {
            Some((entry, instance)) => entry.secret.replace(INSTANCE, instance),
            None => conventional(id).unwrap_or_default(),
        };
        let named = split(&secret);
        if let (Some((entry, _)), Some((namespace, key))) = (found, &named) {
            let rule = format!("credential {} of {} (line {})", entry.id, entry.unit, entry.line);
            // Names have no wildcards: this is a rule for one secret.
            let added = rules.add(true, &format!("read {namespace}/{key}"), rule.into());
            debug_assert!(added.is_ok(), "{added:?}");
        }
        let principal = Principal::Granted(Arc::new(Granted::new(format!("unit:{unit}"), rules)));
        let Some((namespace, key)) = named else {
            let why = match found {
                Some((entry, instance)) => format!("the instance {instance:?} makes no name of {:?}", entry.secret),
                None => "no [[credential]] of this unit has this id, and it is not NAMESPACE.KEY".to_owned(),
            };
            return Err(CredentialRefusal { why, principal });
        };
        match decide(&principal, Action::Read, Target::Secret(&namespace, &key)) {
            Decision::Allow { .. } => Ok(CredentialGrant { principal, namespace, key }),
            Decision::Deny { rule, .. } => {
                let why = if found.is_some() {
                    format!("{namespace}/{key}: {rule}")
                } else {
                    format!("no [[credential]] of this unit has this id, and for {namespace}/{key} {rule}")
                };
                Err(CredentialRefusal { why, principal })
            }
        }
    }
}

/// What an id stands for by convention: `shop.prod.DB_PASSWORD` for `shop/prod/DB_PASSWORD`.
fn conventional(id: &str) -> Option<String> {
    let (namespace, key) = id.rsplit_once('.')?;
    Some(format!("{}/{key}", namespace.replace('.', "/")))
}

fn split(secret: &str) -> Option<(Namespace, Key)> {
    let (namespace, key) = secret.rsplit_once('/')?;
    Some((namespace.parse().ok()?, key.parse().ok()?))
}

/// Whether a text can be the id of a credential, as systemd has it: a file's name that could name a descriptor too.
fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'/' && byte != b':';
    !text.is_empty() && text.len() <= 255 && text != "." && text != ".." && text.bytes().all(allowed)
}

fn at(placed: &Placed, message: String, hint: &str) -> PolicyError {
    error(placed.line, placed.column, message, hint)
}

fn error(line: usize, column: usize, message: String, hint: &str) -> PolicyError {
    PolicyError { line, column, message, hint: Some(hint.to_owned()) }
}

impl Policy {
    /// The rules of all policies that name the unit of this peer, and whatever is denied to it by others.
    fn rules_of_unit(&self, peer: &Peer) -> Rules {
        let mut rules = Rules::default();
        for (names_unit, policy) in self.for_peer(peer) {
            if names_unit {
                rules.extend(policy);
            } else {
                rules.extend_denials(policy);
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::auth::Accounts;
    use crate::config::PolicyConfig;

    struct Nobody;

    impl Accounts for Nobody {
        fn user(&self, name: &str) -> io::Result<Option<u32>> {
            Ok((name == "root").then_some(0))
        }

        fn group(&self, _: &str) -> io::Result<Option<u32>> {
            Ok(None)
        }

        fn knows_unit(&self, _: &Unit) -> bool {
            true
        }
    }

    fn placed(text: &str) -> Placed {
        Placed { text: text.to_owned(), line: 2, column: 9 }
    }

    fn config(unit: &str, id: &str, secret: &str, on_change: Option<OnChange>) -> CredentialConfig {
        CredentialConfig {
            line: 1,
            unit: Some(placed(unit)),
            id: Some(placed(id)),
            secret: Some(placed(secret)),
            on_change,
        }
    }

    fn policy(credentials: &[CredentialConfig], policies: &[PolicyConfig]) -> Policy {
        Policy::new(policies, &Nobody).unwrap().0.with_credentials(credentials).unwrap()
    }

    fn ask(policy: &Policy, unit: &str, id: &str) -> Result<String, String> {
        let unit: Unit = unit.parse().unwrap();
        let peer = Peer { unit: Some(unit.clone()), ..Peer::new(0, 0) };
        let answer = policy.credential(&peer, &unit, id);
        answer
            .map(|grant| format!("{} {}/{}", grant.principal, grant.namespace, grant.key))
            .map_err(|refusal| refusal.why)
    }

    #[test]
    fn a_unit_gets_what_is_configured_for_it_and_nothing_else() {
        let policy = policy(
            &[
                config("shop.service", "db", "shop/prod/DB", None),
                config("shop@*.service", "db", "shop/%i/DB", None),
                config("shop@us.service", "db", "shop/america/DB", None),
            ],
            &[],
        );
        assert_eq!(ask(&policy, "shop.service", "db").unwrap(), "unit:shop.service shop/prod/DB");
        assert_eq!(ask(&policy, "shop@eu.service", "db").unwrap(), "unit:shop@eu.service shop/eu/DB");
        assert_eq!(ask(&policy, "shop@us.service", "db").unwrap(), "unit:shop@us.service shop/america/DB");
        for (unit, id) in [("shop.service", "other"), ("other.service", "db"), ("shop@.service", "db")] {
            assert!(ask(&policy, unit, id).unwrap_err().contains("no [[credential]]"), "{unit} {id}");
        }
        // An instance is what root calls it, and need not be a part of a namespace.
        assert!(ask(&policy, "shop@Eu.service", "db").unwrap_err().contains("makes no name"));
    }

    #[test]
    fn by_convention_a_policy_for_the_unit_decides_and_denials_beat_what_is_configured() {
        let rules = |allow: &[&str], deny: &[&str]| PolicyConfig {
            allow: allow.iter().map(|rule| placed(rule)).collect(),
            deny: deny.iter().map(|rule| placed(rule)).collect(),
            ..PolicyConfig::default()
        };
        let unit = PolicyConfig {
            unit: Some(placed("shop.service")),
            ..rules(&["read shop/prod/*"], &["read shop/prod/ROOT"])
        };
        let root = PolicyConfig { user: Some(placed("root")), ..rules(&["read **"], &["read shop/prod/HIDDEN"]) };
        let policy = policy(&[config("shop.service", "root", "shop/prod/ROOT", None)], &[unit, root]);
        assert_eq!(ask(&policy, "shop.service", "shop.prod.DB").unwrap(), "unit:shop.service shop/prod/DB");
        for id in
            ["root", "shop.prod.ROOT", "shop.prod.HIDDEN", "shop.dev.DB", "shop/prod/DB", "DB", ".DB", "shop.prod."]
        {
            assert!(ask(&policy, "shop.service", id).is_err(), "{id}");
        }
        // What root may, a unit that root's manager asks for may not.
        assert!(ask(&policy, "other.service", "shop.prod.DB").is_err());
    }

    #[test]
    fn what_a_change_affects() {
        let restart = Some(OnChange::Restart);
        let configs = [
            config("shop.service", "db", "shop/prod/DB", restart),
            config("shop.service", "again", "shop/prod/DB", restart),
            config("shop@*.service", "db", "shop/%i/DB", Some(OnChange::Reload)),
            config("mail@*.service", "db", "shop/prod/DB", restart),
            config("quiet.service", "db", "shop/prod/DB", None),
            config("twin@*.service", "db", "twins/%i/of/%i/DB", restart),
        ];
        let credentials = Credentials::new(&configs).unwrap();
        let affected = |namespace: &str, key: &str| {
            let found = credentials.affected(&namespace.parse().unwrap(), &key.parse().unwrap());
            found.into_iter().map(|found| format!("{:?} {}", found.what, found.unit)).collect::<Vec<_>>()
        };
        let all = ["Restart mail@*.service", "Restart shop.service", "Reload shop@prod.service"];
        assert_eq!(affected("shop/prod", "DB"), all);
        assert_eq!(affected("shop/eu", "DB"), ["Reload shop@eu.service"]);
        assert_eq!(affected("twins/a/of/a", "DB"), ["Restart twin@a.service"]);
        for (namespace, key) in [
            ("shop/eu/x", "DB"),
            ("shop/eu", "DC"),
            ("shop", "DB"),
            ("other/eu", "DB"),
            ("twins/a/of/b", "DB"),
            ("twins/a", "DB"),
        ] {
            assert_eq!(affected(namespace, key), Vec::<String>::new(), "{namespace}/{key}");
        }
        assert_eq!((credentials.count(), credentials.has_changes()), (configs.len(), true));
        let quiet = Credentials::new(&configs[4..5]).unwrap();
        assert_eq!((quiet.count(), quiet.has_changes(), Credentials::default().count()), (1, false, 0));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (config, expected) in [
            (CredentialConfig { id: None, ..config("a.service", "a", "a/A", None) }, "1:1: a credential without id"),
            (config("shop", "a", "a/A", None), "2:9: not a unit: \"shop\""),
            (config("user@1.service/a.service", "a", "a/A", None), "2:9: not a unit"),
            (config("*.service", "a", "a/A", None), "2:9: not a unit"),
            (config("a.service", "a/b", "a/A", None), "2:9: not the id"),
            (config("a.service", "a", "A", None), "2:9: not a secret"),
            (config("a.service", "a", "a/a", None), "2:9: not a secret"),
            (config("a.service", "a", "a/%i/A", None), "2:9: %i stands for the instance"),
        ] {
            let error = Credentials::new(&[config]).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(error.hint.is_some());
        }
        let twice = [config("a.service", "a", "a/A", None), config("a.service", "a", "a/B", None)];
        assert!(Credentials::new(&twice).unwrap_err().message.contains("already"));
    }
}
