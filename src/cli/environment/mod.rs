//! The environment of a namespace: what a command gets, with what is inherited, and templates resolved.
//!
//! Invariants: each namespace is asked once, and a second time only for what templates refer to beside what was asked for;
//! the nearest namespace wins; a variable that is required and has no secret is an error that names all such. Nothing of it
//! is printed here.

mod template;

use std::collections::{BTreeMap, BTreeSet};

use template::Stored;

use crate::api::SecretMetadata;
use crate::cli::{CliError, ErrorKind, Session};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Project;
use crate::model::{Key, Namespace, SecretValue, VariableName};

/// A variable that is another secret: `ENV=KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The variable.
    pub name: VariableName,
    /// The secret.
    pub key: Key,
}

/// What of the namespace is wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these; each must be there. Empty: all that the project names, else all of the namespace.
    pub only: Vec<VariableName>,
    /// Only variables that begin so.
    pub prefix: Option<String>,
    /// Secrets that are given under another name.
    pub maps: Vec<Mapping>,
    /// Secrets that are given as files.
    pub files: Vec<Mapping>,
    /// What must be there beside what the project says.
    pub required: Required,
}

/// What must be there.
#[derive(Clone, Debug, Default)]
pub enum Required {
    /// What the project says.
    #[default]
    AsDeclared,
    /// All that the project names, too.
    Declared,
    /// These, too.
    Named(Vec<VariableName>),
}

/// A variable with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: SecretValue,
    /// The secret that it is, and where that was found; `None` for a default of the project's file.
    pub secret: Option<(Namespace, Key)>,
    /// Whether it is to be given as a file.
    pub file: bool,
}

/// What a command gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Its variables, in the order of their names.
    pub variables: Vec<Variable>,
    /// The secrets that were looked at, those that were not there among them; `None`: all of the namespaces.
    pub looked_at: Option<BTreeSet<Key>>,
    /// The namespaces that were looked at, the nearest first.
    pub namespaces: Vec<Namespace>,
    /// What was read for it and is part of values: what templates refer to.
    parts: Vec<SecretValue>,
}

impl Environment {
    /// Every value that is secret: those of the variables, and those that templates put into them.
    pub fn hidden(&self) -> impl Iterator<Item = &SecretValue> {
        let own = self.variables.iter().filter(|variable| variable.secret.is_some()).map(|variable| &variable.value);
        own.chain(&self.parts)
    }
}

/// A variable that is wanted.
#[derive(Clone, Debug)]
struct Wish {
    key: Key,
    required: bool,
    default: Option<String>,
    file: bool,
}

/// What is wanted: these variables, and perhaps all secrets under their own names.
#[derive(Debug, Default)]
struct Wishes {
    named: BTreeMap<VariableName, Wish>,
    rest: bool,
}

/// Reads the environment of the session's namespace and of those that it inherits from.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] for what is required and not there; [`ErrorKind::BadData`] and [`ErrorKind::NotFound`] for
/// templates that cannot be resolved; those of every call to the daemon.
pub fn read(session: &mut Session, selection: &Selection) -> Result<Environment, CliError> {
    let wishes = wishes(selection, session.project.as_ref())?;
    let namespaces = session.namespaces();
    let mut found = Found::default();
    let named: BTreeSet<Key> = wishes.named.values().map(|wish| wish.key.clone()).collect();
    if wishes.rest {
        found.all(session, &namespaces, selection.prefix.as_deref())?;
    }
    found.named(session, &namespaces, &named)?;
    let mut looked_at = named;
    found.referred(session, &namespaces, &wishes, &mut looked_at)?;

    let mut variables = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, wish) in &wishes.named {
        if let Some(namespace) = found.places.get(&wish.key) {
            let secret = Some((namespace.clone(), wish.key.clone()));
            let value = template::resolve(&wish.key, &found.stored)?;
            variables.insert(name.to_string(), Variable { name: name.to_string(), value, secret, file: wish.file });
        } else if let (Some(default), false) = (&wish.default, wish.required) {
            let value = SecretValue::new(default.clone());
            variables
                .insert(name.to_string(), Variable { name: name.to_string(), value, secret: None, file: wish.file });
        } else if wish.required {
            missing.push(&wish.key);
        }
    }
    if !missing.is_empty() {
        return Err(not_found(&missing, &namespaces));
    }
    if wishes.rest {
        let elsewhere: BTreeSet<&Key> = wishes.named.values().map(|wish| &wish.key).collect();
        for key in found.all.iter().filter(|key| !elsewhere.contains(key)) {
            let (Some(namespace), Some(name)) = (found.places.get(key), VariableName::of_key(key)) else { continue };
            let name = name.to_string();
            if !variables.contains_key(&name) {
                let value = template::resolve(key, &found.stored)?;
                let secret = Some((namespace.clone(), key.clone()));
                variables.insert(name.clone(), Variable { name, value, secret, file: false });
            }
        }
    }
    let looked_at = if wishes.rest { None } else { Some(looked_at) };
    let parts = found.stored.into_values().filter(|stored| !stored.is_template).map(|stored| stored.value).collect();
    Ok(Environment { variables: variables.into_values().collect(), looked_at, namespaces, parts })
}

/// The values of secrets under their own names, for who writes them down: those of the session's namespace and of those
/// that it inherits from, templates resolved. `only` names those that must be there.
///
/// # Errors
///
/// As [`read`].
pub fn values(
    session: &mut Session,
    only: Option<&[Key]>,
    prefix: Option<&str>,
) -> Result<BTreeMap<Key, SecretValue>, CliError> {
    let namespaces = session.namespaces();
    let mut found = Found::default();
    if let Some(only) = only {
        found.named(session, &namespaces, &only.iter().cloned().collect())?;
        let missing: Vec<&Key> = only.iter().filter(|key| !found.stored.contains_key(*key)).collect();
        if !missing.is_empty() {
            return Err(not_found(&missing, &namespaces));
        }
        let begins = |key: &&Key| prefix.is_none_or(|prefix| key.as_str().starts_with(prefix));
        found.all = only.iter().filter(begins).cloned().collect();
    } else {
        found.all(session, &namespaces, prefix)?;
    }
    let wanted = found.all.clone();
    found.referred(session, &namespaces, &Wishes::default(), &mut wanted.iter().cloned().collect())?;
    wanted.into_iter().map(|key| Ok((key.clone(), template::resolve(&key, &found.stored)?))).collect()
}

/// Where a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and a column of the table")]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The secret that it is.
    pub key: Key,
    /// The namespaces that have it, the one that wins first.
    pub namespaces: Vec<Namespace>,
    /// Whether its value refers to other secrets.
    pub is_template: bool,
    /// Whether the project's file has a value for where there is no secret.
    pub has_default: bool,
    /// Whether no command is run without it.
    pub required: bool,
    /// What the project's file says that it is for.
    pub description: Option<String>,
    /// Whether it is given as a file.
    pub file: bool,
}

/// Where what [`read`] gives would come from, without reading any value.
///
/// # Errors
///
/// Those of every call to the daemon.
pub fn explain(session: &mut Session) -> Result<Vec<Source>, CliError> {
    let wishes = wishes(&Selection::default(), session.project.as_ref())?;
    let now = SystemClock.now();
    let mut places: BTreeMap<Key, (Vec<Namespace>, bool)> = BTreeMap::new();
    for namespace in session.namespaces() {
        let answer = session.client.list_secrets(&namespace).map_err(|error| session.explain(error))?;
        let readable = |secret: &SecretMetadata| secret.is_active && secret.expires_at.is_none_or(|at| at > now);
        for secret in answer.secrets.into_iter().filter(readable) {
            let Ok(key) = secret.key.parse() else { continue };
            places.entry(key).or_insert_with(|| (Vec::new(), secret.is_template)).0.push(namespace.clone());
        }
    }
    let declared = session.project.as_ref().and_then(|project| project.variables.as_ref());
    let named = wishes.named.into_iter().map(|(name, wish)| {
        let (namespaces, is_template) = places.get(&wish.key).cloned().unwrap_or_default();
        Source {
            description: declared.and_then(|declared| declared.get(&name)?.description.clone()),
            name: name.to_string(),
            key: wish.key,
            namespaces,
            is_template,
            has_default: wish.default.is_some(),
            required: wish.required,
            file: wish.file,
        }
    });
    let mut sources: Vec<Source> = named.collect();
    if wishes.rest {
        let own = places.into_iter().filter_map(|(key, (namespaces, is_template))| {
            let name = VariableName::of_key(&key)?.to_string();
            let (has_default, required, file) = (false, false, false);
            Some(Source { name, key, namespaces, is_template, has_default, required, description: None, file })
        });
        sources.extend(own);
    }
    Ok(sources)
}

/// What is wanted, by the options and the project.
fn wishes(selection: &Selection, project: Option<&Project>) -> Result<Wishes, CliError> {
    let declared = project.and_then(|project| project.variables.as_ref());
    let mut wishes = Wishes::default();
    for (name, variable) in declared.into_iter().flatten() {
        let all = matches!(selection.required, Required::Declared);
        wishes.named.insert(
            name.clone(),
            Wish {
                key: variable.key.clone(),
                required: variable.required || all,
                default: variable.default.clone(),
                file: variable.file,
            },
        );
    }
    wishes.rest = declared.is_none() && selection.only.is_empty();
    if let Some(prefix) = &selection.prefix {
        wishes.named.retain(|name, _| name.as_str().starts_with(prefix.as_str()));
    }
    if !selection.only.is_empty() {
        wishes.named.retain(|name, _| selection.only.contains(name));
    }
    for name in &selection.only {
        let wanted = wishes.named.contains_key(name)
            || selection.prefix.as_deref().is_some_and(|prefix| !name.as_str().starts_with(prefix));
        if !wanted {
            wishes.named.insert(name.clone(), Wish::of(own_key(name)?, false));
        }
        if let Some(wish) = wishes.named.get_mut(name) {
            // What has a default is there in any case.
            wish.required |= wish.default.is_none();
        }
    }
    for (mapping, file) in
        selection.maps.iter().map(|map| (map, false)).chain(selection.files.iter().map(|map| (map, true)))
    {
        // It is given under this name instead of under its own.
        wishes.named.retain(|name, wish| wish.key != mapping.key || name.as_str() != mapping.key.as_str());
        wishes.named.insert(mapping.name.clone(), Wish::of(mapping.key.clone(), file));
    }
    if let Required::Named(names) = &selection.required {
        for name in names {
            match wishes.named.get_mut(name) {
                Some(wish) => wish.required = true,
                None => drop(wishes.named.insert(name.clone(), Wish::of(own_key(name)?, false))),
            }
        }
    }
    Ok(wishes)
}

impl Wish {
    fn of(key: Key, file: bool) -> Self {
        Self { key, required: true, default: None, file }
    }
}

/// The secret of a variable's own name.
fn own_key(name: &VariableName) -> Result<Key, CliError> {
    crate::cli::parse::key(name.as_str()).map_err(|message| {
        CliError::new(ErrorKind::Usage, message).hint(format!("name the secret that it is: --map {name}=KEY"))
    })
}

/// What the daemon has told.
#[derive(Debug, Default)]
struct Found {
    stored: BTreeMap<Key, Stored>,
    places: BTreeMap<Key, Namespace>,
    /// What was found by asking for all.
    all: BTreeSet<Key>,
    /// What all was asked for of, where it was: what is not among it is not there.
    prefix: Option<String>,
    asked: BTreeSet<Key>,
}

impl Found {
    fn all(&mut self, session: &mut Session, namespaces: &[Namespace], prefix: Option<&str>) -> Result<(), CliError> {
        for namespace in namespaces {
            self.take(session, namespace, None, prefix)?;
        }
        self.all = self.stored.keys().cloned().collect();
        self.prefix = Some(prefix.unwrap_or_default().to_owned());
        Ok(())
    }

    fn named(&mut self, session: &mut Session, namespaces: &[Namespace], keys: &BTreeSet<Key>) -> Result<(), CliError> {
        let unknown = |key: &&Key| {
            let told = self.prefix.as_deref().is_some_and(|prefix| key.as_str().starts_with(prefix));
            !told && !self.stored.contains_key(*key) && !self.asked.contains(*key)
        };
        let mut wanted: Vec<Key> = keys.iter().filter(unknown).cloned().collect();
        self.asked.extend(wanted.iter().cloned());
        for namespace in namespaces {
            if wanted.is_empty() {
                break;
            }
            self.take(session, namespace, Some(&wanted), None)?;
            wanted.retain(|key| !self.stored.contains_key(key));
        }
        Ok(())
    }

    /// What the templates refer to, and the templates among that, until nothing is new.
    fn referred(
        &mut self,
        session: &mut Session,
        namespaces: &[Namespace],
        wishes: &Wishes,
        looked_at: &mut BTreeSet<Key>,
    ) -> Result<(), CliError> {
        let mut newest: BTreeSet<Key> = wishes.named.values().map(|wish| wish.key.clone()).collect();
        newest.extend(self.all.iter().cloned());
        while !newest.is_empty() {
            let mut referred = BTreeSet::new();
            for key in &newest {
                if let Some(Stored { value, is_template: true }) = self.stored.get(key) {
                    referred.extend(template::references(key, value)?);
                }
            }
            newest = referred.into_iter().filter(|key| looked_at.insert(key.clone())).collect();
            self.named(session, namespaces, &newest)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        session: &mut Session,
        namespace: &Namespace,
        keys: Option<&[Key]>,
        prefix: Option<&str>,
    ) -> Result<(), CliError> {
        let answer = session.client.partial_environment(namespace, keys, prefix);
        let answer = answer.map_err(|error| session.explain(error))?;
        for (name, value) in answer.environment {
            let Ok(key) = name.parse::<Key>() else { continue };
            if !self.stored.contains_key(&key) {
                let is_template = answer.templates.contains(&name);
                self.stored.insert(key.clone(), Stored { value, is_template });
                self.places.insert(key, namespace.clone());
            }
        }
        Ok(())
    }
}

fn not_found(missing: &[&Key], namespaces: &[Namespace]) -> CliError {
    let names: Vec<&str> = missing.iter().map(|key| key.as_str()).collect();
    let places: Vec<&str> = namespaces.iter().map(Namespace::as_str).collect();
    let what = if names.len() == 1 { "secret" } else { "secrets" };
    let message = format!("{what} not found: {} (looked in {})", names.join(", "), places.join(", then "));
    let option = match namespaces.first() {
        Some(namespace) if *namespace != Namespace::default() => format!(" --namespace {namespace}"),
        Some(_) | None => String::new(),
    };
    CliError::new(ErrorKind::NotFound, message)
        .hint(format!("set it: hushd set {}{option}", names.first().unwrap_or(&"KEY")))
        .hint(format!("see what there is: hushd list --all{option}"))
}

#[cfg(test)]
mod tests;
