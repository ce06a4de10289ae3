//! Age plugins: keys in hardware (a YubiKey, a TPM), reached through a program named `age-plugin-NAME` on the path
//! (C2SP age plugin specification).
//!
//! Invariants: a plugin's name has no path in it, so that it names a program and nothing else; a daemon has nobody to ask,
//! so that what a plugin asks is logged and answered by nobody. What the program does is its own business.

use age::plugin::{IdentityPluginV1, RecipientPluginV1, ResolveError};
use age::secrecy::SecretString;
use age::{Callbacks, EncryptError};

use crate::crypto::CryptoError;

/// The identity of a plugin in an identity file's line.
pub(super) fn identity(line: &str) -> Result<Box<dyn age::Identity + Send + Sync>, CryptoError> {
    let parsed: age::plugin::Identity = line.parse().map_err(|_| CryptoError::IdentityDamaged)?;
    let name = parsed.plugin().to_owned();
    let plugin = IdentityPluginV1::new(&name, &[parsed], Log).map_err(missing)?;
    Ok(Box::new(plugin))
}

/// A recipient whose plugin encrypts to it. The program is looked for when it is needed: one may be listed that only
/// another machine has.
#[derive(Clone)]
pub(super) struct PluginRecipient(age::plugin::Recipient);

impl PluginRecipient {
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl age::Recipient for PluginRecipient {
    fn wrap_file_key(
        &self,
        file_key: &age_core::format::FileKey,
    ) -> Result<(Vec<age_core::format::Stanza>, std::collections::HashSet<String>), EncryptError> {
        let name = self.0.plugin();
        let plugin = RecipientPluginV1::new(name, std::slice::from_ref(&self.0), &[], Log);
        let plugin = plugin.map_err(|error| std::io::Error::other(missing(error)))?;
        plugin.wrap_file_key(file_key)
    }
}

fn missing(error: ResolveError) -> CryptoError {
    let name = match error {
        ResolveError::MissingPlugin { binary_name } => binary_name,
        ResolveError::InvalidPluginName { name } => name,
        _ => "its program".to_owned(),
    };
    CryptoError::PluginMissing { name }
}

/// Tells the log what a plugin says.
#[derive(Clone, Debug)]
struct Log;

impl Callbacks for Log {
    fn display_message(&self, message: &str) {
        tracing::info!(message, "an age plugin says");
    }

    fn confirm(&self, message: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        tracing::warn!(message, "an age plugin asks, and there is nobody to answer");
        None
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        tracing::warn!(description, "an age plugin asks, and there is nobody to answer");
        None
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        tracing::warn!(description, "an age plugin asks for a passphrase, and there is nobody to answer");
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers_what_a_plugin_asks() {
        assert_eq!(Log.confirm("touch it?", "yes", Some("no")), None);
        assert_eq!(Log.request_public_string("which?"), None);
        assert!(Log.request_passphrase("PIN?").is_none());
    }

    /// A recipient or an identity that somebody was talked into would else run a program of his choice (GHSA-4fg7-vxc8-qx5w).
    #[test]
    fn a_plugins_name_is_no_path() {
        assert!(PluginRecipient::parse("age1evil1qyqszqgpqyqszr7823f").is_some());
        assert!("AGE-PLUGIN-EVIL-1QYQSZQGPQYQSZEEG44J".parse::<age::plugin::Identity>().is_ok());
        for path in ["age1../evil1qyqszqgpqyqszxy3a4a", "age1/tmp/evil1qyqszqgpqyqszpxs4r7"] {
            assert!(PluginRecipient::parse(path).is_none(), "{path}");
        }
        let named = |result: Result<(), ResolveError>| {
            let CryptoError::PluginMissing { name } = missing(result.unwrap_err()) else { panic!("another error") };
            name
        };
        let recipient = |name: &str| RecipientPluginV1::new(name, &[], &[], Log).map(drop);
        assert_eq!(named(recipient("of-no-such-name")), "age-plugin-of-no-such-name");
        assert_eq!(named(recipient("../evil")), "../evil");
        for path in ["AGE-PLUGIN-../EVIL-1QYQSZQGPQYQSZ7KX9LP", "AGE-PLUGIN-/TMP/EVIL-1QYQSZQGPQYQSZQWK3RL"] {
            assert!(identity(path).is_err(), "{path}");
        }
    }
}
