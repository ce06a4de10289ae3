//! Recipients: the public halves that a keyring is encrypted to.
//!
//! Invariant: a [`Recipient`] can be encrypted to, and its text is one line without control characters.
//! The text that is not understood is told back in the error, except where it is a private key.

use std::fmt;
use std::str::FromStr;

use age::ssh::ParseRecipientKeyError;

use crate::crypto::CryptoError;

/// A public key that a keyring can be encrypted to: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
///
/// Two are equal when they are the same key, whatever the comments of SSH keys say.
#[derive(Clone)]
pub struct Recipient {
    kind: Kind,
    /// The canonical text of the key.
    text: String,
    /// What follows an SSH public key, such as `user@host`.
    comment: Option<String>,
}

#[derive(Clone)]
enum Kind {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Recipient {
    /// The recipient as age takes it.
    pub(super) fn as_age(&self) -> &dyn age::Recipient {
        match &self.kind {
            Kind::X25519(recipient) => recipient,
            Kind::Ssh(recipient) => recipient,
        }
    }
}

impl From<age::x25519::Recipient> for Recipient {
    fn from(recipient: age::x25519::Recipient) -> Self {
        Self { text: recipient.to_string(), kind: Kind::X25519(recipient), comment: None }
    }
}

impl From<age::ssh::Recipient> for Recipient {
    fn from(recipient: age::ssh::Recipient) -> Self {
        Self { text: recipient.to_string(), kind: Kind::Ssh(recipient), comment: None }
    }
}

impl FromStr for Recipient {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        let text = text.trim();
        let shouted = text.to_ascii_uppercase();
        if ["AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY"].iter().any(|marker| shouted.contains(marker)) {
            return Err(CryptoError::PrivateKeyAsRecipient);
        }
        let parsed = if text.contains(char::is_control) {
            Err("it holds control characters")
        } else if text.starts_with("age1") {
            parse_x25519(text)
        } else if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
            parse_ssh(text)
        } else {
            Err("expected age1…, ssh-ed25519 … or ssh-rsa …")
        };
        parsed.map_err(|reason| CryptoError::InvalidRecipient { text: text.to_owned(), reason })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.comment.iter().try_for_each(|comment| write!(f, " {comment}"))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Recipient {}

fn parse_x25519(text: &str) -> Result<Recipient, &'static str> {
    text.parse::<age::x25519::Recipient>().map(Recipient::from).map_err(|_| {
        if text.strip_prefix("age1").is_some_and(|rest| rest.contains('1')) {
            "recipients of plugins and tagged recipients are not supported"
        } else {
            "it is mistyped or cut"
        }
    })
}

fn parse_ssh(text: &str) -> Result<Recipient, &'static str> {
    let mut words = text.split_ascii_whitespace();
    let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let bare = format!("{kind} {key}");
    let recipient: age::ssh::Recipient = bare.parse().map_err(|error| {
        if matches!(error, ParseRecipientKeyError::RsaModulusTooSmall) {
            "RSA keys need at least 2048 bits"
        } else if matches!(error, ParseRecipientKeyError::RsaModulusTooLarge) {
            "the RSA key is too large"
        } else if matches!(error, ParseRecipientKeyError::Unsupported(_)) {
            "of SSH keys only ssh-ed25519 and ssh-rsa can be encrypted to"
        } else {
            "it is mistyped or cut"
        }
    })?;
    let mut recipient = Recipient::from(recipient);
    // age reads as far as the key goes and ignores what follows in the same word.
    if recipient.text.trim_end_matches('=') != bare.trim_end_matches('=') {
        return Err("it is mistyped or cut");
    }
    let comment = words.collect::<Vec<_>>().join(" ");
    recipient.comment = (!comment.is_empty()).then_some(comment);
    Ok(recipient)
}
