//! Many values at once: a namespace's environment, and the secrets of an InsForge server.

use serde::Deserialize;

use crate::api::{EnvironmentResponse, SecretResponse};
use crate::client::{Client, ClientError, target};
use crate::clock::Timestamp;
use crate::model::{Key, Namespace};

/// What a server with the original API tells of a secret; it has more fields, and fewer than a hushd.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignSecret {
    /// Its name.
    pub key: String,
    /// Whether it can be read.
    #[serde(default = "yes")]
    pub is_active: bool,
    /// From when on it can no longer be read.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ForeignSecrets {
    secrets: Vec<ForeignSecret>,
}

fn yes() -> bool {
    true
}

impl Client {
    /// `GET /api/environment`, of these keys, each of which must be there, or of those that begin so.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn environment(
        &mut self,
        namespace: &Namespace,
        keys: Option<&[Key]>,
        prefix: Option<&str>,
    ) -> Result<EnvironmentResponse, ClientError> {
        self.get(&environment(namespace, keys, prefix, &[]))
    }

    /// As [`Client::environment`], of those that there are.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn partial_environment(
        &mut self,
        namespace: &Namespace,
        keys: Option<&[Key]>,
        prefix: Option<&str>,
    ) -> Result<EnvironmentResponse, ClientError> {
        let partial: &[_] = if keys.is_some() { &[("partial", "true")] } else { &[] };
        self.get(&environment(namespace, keys, prefix, partial))
    }

    /// `GET /api/secrets` of a server with the original API, which knows no namespaces.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn foreign_secrets(&mut self) -> Result<Vec<ForeignSecret>, ClientError> {
        self.get::<ForeignSecrets>("/api/secrets").map(|answer| answer.secrets)
    }

    /// `GET /api/secrets/{key}` of such a server.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn foreign_secret(&mut self, key: &Key) -> Result<SecretResponse, ClientError> {
        self.get(&format!("/api/secrets/{key}"))
    }
}

fn environment(
    namespace: &Namespace,
    keys: Option<&[Key]>,
    prefix: Option<&str>,
    more: &[(&'static str, &str)],
) -> String {
    let mut parameters = vec![("namespace", namespace.to_string())];
    if let Some(keys) = keys {
        let keys: Vec<&str> = keys.iter().map(Key::as_str).collect();
        parameters.push(("keys", keys.join(",")));
    }
    if let Some(prefix) = prefix {
        parameters.push(("prefix", prefix.to_owned()));
    }
    parameters.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    target("/api/environment", &parameters)
}
