//! A project's file, `.hushd.toml`: which namespace it uses and which variables its commands get.
//!
//! Invariants: every key of it is known, and an error names the line; it holds nothing secret, so that it can be committed.
//! It decides nothing about whether the file is trusted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};
use sha2::{Digest as _, Sha256};

use crate::config::ConfigError;
use crate::config::file::position;
use crate::config::types::{text, text_or_texts};
use crate::model::{Key, Namespace, VariableName};

/// The name of a project's file.
pub const PROJECT_FILE: &str = ".hushd.toml";

/// Largest file, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// The text of a project's file, not looked into yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectText {
    /// Where it is; absolute, without links.
    pub path: PathBuf,
    text: String,
}

/// What a project's file says, for one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Where its file is.
    pub path: PathBuf,
    /// The profile that was asked for.
    pub profile: Option<String>,
    /// Its namespace.
    pub namespace: Option<Namespace>,
    /// The namespaces that have what that one has not, the nearest first.
    pub inherit: Vec<Namespace>,
    /// The variables that its commands get; `None` where it names none: then all of the namespace.
    pub variables: Option<BTreeMap<VariableName, ProjectVariable>>,
}

/// A variable of a project's commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectVariable {
    /// The secret that it is.
    pub key: Key,
    /// Whether no command is run without it.
    pub required: bool,
    /// What it is for.
    pub description: Option<String>,
    /// Its value where there is no such secret.
    pub default: Option<String>,
    /// Whether the value is in a file, whose path the variable has.
    pub file: bool,
}

impl ProjectText {
    /// Finds the nearest project's file, from the directory upwards as git does.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`] and [`ConfigError::Invalid`] for one that is there and cannot be read.
    pub fn find(from: &Path) -> Result<Option<Self>, ConfigError> {
        for directory in from.ancestors() {
            let path = directory.join(PROJECT_FILE);
            let unreadable = |source| ConfigError::Unreadable { path: path.clone(), source };
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    let path = path.canonicalize().map_err(unreadable)?;
                    return Self::read(path).map(Some);
                }
                // What is above may not be ours to look at.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && directory != from => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(None)
    }

    fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let mut bytes = Vec::new();
        let read = fs::File::open(&path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
        match read {
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
            Ok(_) if bytes.len() as u64 > LIMIT => return Err(invalid(&path, (1, 1), "longer than 1 MiB")),
            Ok(_) => {}
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) => {
                let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
                Err(invalid(&path, position(&before, before.len()), "not UTF-8"))
            }
        }
    }

    /// A digest of what it says, in hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("{:x}", Sha256::digest(self.text.as_bytes()))
    }

    /// The profiles that it has; none where it is malformed.
    pub fn profiles(&self) -> Vec<String> {
        let file = toml::from_str::<ProjectSections>(&self.text).unwrap_or_default();
        file.profile.into_keys().collect()
    }

    /// Takes it apart for a profile, or for none.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with the place that is wrong; [`ConfigError::Setting`] for a profile that it does not have.
    pub fn parse(&self, profile: Option<&str>) -> Result<Project, ConfigError> {
        let file: ProjectSections = toml::from_str(&self.text).map_err(|error| {
            let place = error.span().map_or((1, 1), |span| position(&self.text, span.start));
            invalid(&self.path, place, error.message().lines().next().unwrap_or("malformed"))
        })?;
        let malformed = |message: String| invalid(&self.path, (1, 1), &message);
        let mut project = Project {
            path: self.path.clone(),
            profile: profile.map(str::to_owned),
            namespace: file.namespace,
            inherit: file.inherit.unwrap_or_default(),
            variables: file.env.map(variables).transpose().map_err(malformed)?,
        };
        if let Some(name) = profile {
            let Some(section) = file.profile.get(name).cloned() else {
                let known: Vec<&str> = file.profile.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("{} has no profile {name}; it has {known}", self.path.display());
                return Err(ConfigError::Setting { name: "profile", message });
            };
            // What a namespace inherits is its own: a profile with another one begins anew.
            if section.namespace.is_some() || section.inherit.is_some() {
                project.inherit = section.inherit.unwrap_or_default();
            }
            project.namespace = section.namespace.or(project.namespace);
            if let Some(env) = section.env {
                project.variables.get_or_insert_default().extend(variables(env).map_err(malformed)?);
            }
        }
        Ok(project)
    }
}

fn invalid(path: &Path, (line, column): (usize, usize), message: &str) -> ConfigError {
    ConfigError::Invalid { path: path.to_owned(), line, column, message: message.to_owned(), hint: None }
}

/// What the file says outside of its profiles, and those.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProjectSections {
    #[serde(deserialize_with = "text")]
    namespace: Option<Namespace>,
    #[serde(deserialize_with = "text_or_texts")]
    inherit: Option<Vec<Namespace>>,
    env: Option<Variables>,
    profile: BTreeMap<String, Section>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    #[serde(deserialize_with = "text")]
    namespace: Option<Namespace>,
    #[serde(deserialize_with = "text_or_texts")]
    inherit: Option<Vec<Namespace>>,
    env: Option<Variables>,
}

type Variables = BTreeMap<Name, Entry>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name(VariableName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| de::Error::custom(format!("{text}: {error}")))
    }
}

/// What is said of a variable: the name of its secret, or a table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "text")]
    key: Option<Key>,
    required: Option<bool>,
    description: Option<String>,
    default: Option<String>,
    file: bool,
}

#[derive(Clone, Debug)]
struct Entry(Table);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a secret, or a table with key, required, description, default and file")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Entry, E> {
                let key = text.parse().map_err(|error| E::custom(format!("{error}")))?;
                Ok(Entry(Table { key: Some(key), ..Table::default() }))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                Table::deserialize(de::value::MapAccessDeserializer::new(map)).map(Entry)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The variables, each with its secret: the one of its own name where none is named.
fn variables(env: Variables) -> Result<BTreeMap<VariableName, ProjectVariable>, String> {
    let one = |(Name(name), Entry(table)): (Name, Entry)| {
        let Table { key, required, description, default, file } = table;
        let key = match key {
            Some(key) => key,
            None => name.as_str().parse().map_err(|_| format!("env.{name}: name its secret: key = \"NAME\""))?,
        };
        // Without a value there would be no variable, which nothing tells apart from a slip.
        let required = required.unwrap_or(default.is_none());
        Ok((name, ProjectVariable { key, required, description, default, file }))
    };
    env.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, profile: Option<&str>) -> Result<Project, String> {
        let text = ProjectText { path: "/p/.hushd.toml".into(), text: text.to_owned() };
        text.parse(profile).map_err(|error| error.to_string())
    }

    const FILE: &str = r#"
namespace = "shop/dev"
inherit = "shop"

[env]
DATABASE_URL = {}
STRIPE = "STRIPE_KEY"
port = { key = "PORT", default = "3000", description = "where it listens" }
TLS_KEY = { file = true, required = false }

[profile.prod]
namespace = "shop/prod"

[profile.prod.env]
port = { key = "PORT" }

[profile.debug.env]
TRACE = { default = "1" }
"#;

    #[test]
    fn a_file_names_a_namespace_and_variables() {
        let project = parse(FILE, None).unwrap();
        assert_eq!(project.namespace.unwrap().as_str(), "shop/dev");
        assert_eq!(project.inherit, ["shop".parse().unwrap()]);
        let variables = project.variables.unwrap();
        let of = |name: &str| &variables[&name.parse::<VariableName>().unwrap()];
        assert_eq!((of("STRIPE").key.as_str(), of("STRIPE").required), ("STRIPE_KEY", true));
        assert_eq!((of("port").default.as_deref(), of("port").required), (Some("3000"), false));
        assert!(of("TLS_KEY").file && !of("TLS_KEY").required && of("DATABASE_URL").required);
    }

    #[test]
    fn a_profile_is_laid_over_the_rest_and_inherits_only_what_it_names() {
        let prod = parse(FILE, Some("prod")).unwrap();
        assert_eq!((prod.namespace.unwrap().as_str(), prod.inherit.len()), ("shop/prod", 0));
        let variables = prod.variables.unwrap();
        assert!(variables[&"port".parse::<VariableName>().unwrap()].required);
        assert_eq!(variables.len(), 4);
        let debug = parse(FILE, Some("debug")).unwrap();
        assert_eq!((debug.namespace.unwrap().as_str(), debug.inherit.len()), ("shop/dev", 1));
        assert!(parse(FILE, Some("x")).unwrap_err().ends_with("has no profile x; it has debug, prod"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            (
                "name = 1",
                "/p/.hushd.toml:1:1: unknown field `name`, expected one of `namespace`, `inherit`, `env`, `profile`",
            ),
            ("namespace = \"Shop\"", "/p/.hushd.toml:1:13: Invalid namespace."),
            ("[env]\nA-B = \"X\"", "/p/.hushd.toml:2:1: A-B: a variable has letters"),
            ("[env]\nHUSHD_TOKEN = \"X\"", "HUSHD_TOKEN and HUSHD_TOKEN_FILE are hushd's own"),
            (
                "[env]\nA = 1",
                "/p/.hushd.toml:2:5: invalid type: integer `1`, expected the name of a secret, or a table",
            ),
            ("[env]\nA = \"sk_live\"", "/p/.hushd.toml:2:5: Invalid key format."),
            ("[env]\na = {}", "env.a: name its secret: key = \"NAME\""),
            ("[env]\nA = { requird = true }", "unknown field `requird`"),
        ] {
            let error = parse(text, None).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
