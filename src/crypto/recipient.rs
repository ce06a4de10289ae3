//! Recipients: the public halves that a keyring is encrypted to.
//!
//! Invariant: a [`Recipient`] can be encrypted to, and its text is one line without control characters.
//! The text that is not understood is told back in the error, except where it is a private key.

use std::fmt;
use std::str::FromStr;

use age::ssh::ParseRecipientKeyError;

use crate::crypto::CryptoError;
use crate::crypto::plugin::PluginRecipient;

/// A public key that a keyring can be encrypted to: `age1…`, a plugin's `age1NAME1…`, `ssh-ed25519 …` or `ssh-rsa …`.
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
    Plugin(PluginRecipient),
}

impl Recipient {
    /// The recipient as age takes it.
    pub(super) fn as_age(&self) -> &dyn age::Recipient {
        match &self.kind {
            Kind::X25519(recipient) => recipient,
            Kind::Ssh(recipient) => recipient,
            Kind::Plugin(recipient) => recipient,
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
    if let Ok(recipient) = text.parse::<age::x25519::Recipient>() {
        return Ok(recipient.into());
    }
    let plugin = PluginRecipient::parse(text).ok_or("it is mistyped or cut")?;
    Ok(Recipient { text: text.to_owned(), kind: Kind::Plugin(plugin), comment: None })
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

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: &str = "age1vymkv0f7hp8zc4jt722eerla47lzyhgtkqla44a6dmsufg822d8s3mzplw";

    fn reason(text: &str) -> &'static str {
        match text.parse::<Recipient>() {
            Err(CryptoError::InvalidRecipient { reason, .. }) => reason,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_recipients_text_comes_back() {
        for text in [AGE, include_str!("testdata/ssh_ed25519.pub").trim(), include_str!("testdata/ssh_rsa.pub").trim()]
        {
            assert_eq!(text.parse::<Recipient>().unwrap().to_string(), text);
            assert_eq!(format!("  {text}\n").parse::<Recipient>().unwrap().to_string(), text);
        }
        let commented = format!("{} me@laptop the second", include_str!("testdata/ssh_ed25519.pub").trim());
        assert_eq!(commented.parse::<Recipient>().unwrap().to_string(), commented);
    }

    #[test]
    fn the_same_key_is_the_same_recipient_whatever_its_comment() {
        let key: Recipient = include_str!("testdata/ssh_ed25519.pub").parse().unwrap();
        assert_eq!(format!("{key} me@laptop").parse::<Recipient>().unwrap(), key);
        assert_ne!(AGE.parse::<Recipient>().unwrap(), key);
    }

    #[test]
    fn what_cannot_be_encrypted_to_is_refused_with_the_reason() {
        let ed25519 = include_str!("testdata/ssh_ed25519.pub").trim();
        let mistyped = "it is mistyped or cut";
        for text in [
            &AGE.replace("age1v", "age1w"),
            &AGE[..40],
            "age1",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            &ed25519[..60],
            &format!("{ed25519}A"),
            &format!("{ed25519}!x"),
            &ed25519.replace("ssh-ed25519", "ssh-rsa"),
        ] {
            assert_eq!(reason(text), mistyped, "{text}");
        }
        assert!(reason("").starts_with("expected age1"));
        assert!(reason("me@laptop").starts_with("expected age1"));
        assert_eq!(reason("age1../../sh1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"), mistyped);
        assert!(reason(include_str!("testdata/ssh_ecdsa.pub")).contains("only ssh-ed25519 and ssh-rsa"));
        assert!(reason(include_str!("testdata/ssh_rsa_1024.pub")).contains("2048 bits"));
        assert!(reason(&format!("{ed25519} \u{1b}[31m")).contains("control characters"));
        assert!(reason(&format!("{AGE}\n{AGE}")).contains("control characters"));
    }

    #[test]
    fn a_private_key_given_as_a_recipient_is_not_repeated() {
        for text in [
            "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33",
            "age-secret-key-1gq9778",
            include_str!("testdata/ssh_ed25519"),
        ] {
            let error = text.parse::<Recipient>().unwrap_err();
            assert!(matches!(error, CryptoError::PrivateKeyAsRecipient), "{error:?}");
        }
    }
}
