//! Identities: the private halves that open a keyring, and the files they come in.
//!
//! Invariants: an [`Identities`] holds at least one identity, each decrypted and ready; passphrases are asked for only
//! where a file needs one, once. It opens no file itself and trusts nobody's permissions: that is the caller's part.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{BufRead, Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::ExposeSecret as _;
use age::ssh::UnsupportedKey;
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::{CryptoError, Passphrase, Recipient, plugin};

/// A master key that was just made.
pub struct GeneratedIdentity {
    identity: age::x25519::Identity,
    created: Timestamp,
}

impl GeneratedIdentity {
    /// Makes a new X25519 identity.
    pub fn generate(now: Timestamp) -> Self {
        Self { identity: age::x25519::Identity::generate(), created: now }
    }

    /// The identity file, in the form that `age-keygen` writes.
    pub fn file_text(&self) -> Zeroizing<String> {
        let key = self.identity.to_string();
        let comments = format!("# created: {}\n# public key: {}\n", self.created, self.identity.to_public());
        let mut text = Zeroizing::new(String::with_capacity(comments.len() + key.expose_secret().len() + 1));
        text.push_str(&comments);
        text.push_str(key.expose_secret());
        text.push('\n');
        text
    }

    /// Its public half.
    pub fn recipient(&self) -> Recipient {
        self.identity.to_public().into()
    }
}

impl fmt::Debug for GeneratedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GeneratedIdentity({})", self.recipient())
    }
}

/// Encrypts an identity file to a passphrase; `age -d` and every program that takes age identities opens the result.
///
/// The work factor is that of the stock `age`, about a second and 256 MiB.
///
/// # Errors
/// [`CryptoError::EncryptionFailed`].
pub fn encrypt_identity(file_text: &str, passphrase: &Passphrase) -> Result<Vec<u8>, CryptoError> {
    encrypt_with_work_factor(file_text, passphrase, WORK_FACTOR)
}

/// The text of an age identity file, decrypted where it is encrypted to a passphrase, which `ask` gives.
///
/// # Errors
/// As [`Identities::parse`]; [`CryptoError::UnsupportedIdentity`] for an SSH key.
pub fn decrypt_identity(
    file: &[u8],
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    match FileKind::of(file) {
        FileKind::Encrypted => decrypt_file(file, ask),
        FileKind::Plain => Ok(Zeroizing::new(file.to_vec())),
        FileKind::Ssh => Err(CryptoError::UnsupportedIdentity {
            kind: "an SSH key, whose passphrase is changed by `ssh-keygen -p`".to_owned(),
        }),
    }
}

/// Whether the bytes are an identity that [`Identities::parse`] will ask a passphrase for.
pub fn needs_passphrase(file: &[u8]) -> bool {
    match FileKind::of(file) {
        FileKind::Encrypted => read_encrypted(file).is_ok_and(|file| file.is_scrypt()),
        FileKind::Ssh => matches!(read_ssh(file), Ok(age::ssh::Identity::Encrypted(_))),
        FileKind::Plain => false,
    }
}

/// Identities that a keyring can be opened with.
pub struct Identities(Vec<Identity>);

struct Identity {
    /// None where only a plugin knows.
    recipient: Option<Recipient>,
    private: Box<dyn age::Identity + Send + Sync>,
}

impl Identities {
    /// Reads an age identity file, one encrypted to a passphrase (armored or binary), or an SSH private key.
    ///
    /// `ask` is called once for a file that is encrypted, and gives nothing where nobody can be asked.
    ///
    /// # Errors
    /// [`CryptoError::NotAnIdentity`], [`CryptoError::UnsupportedIdentity`], [`CryptoError::IdentityDamaged`],
    /// [`CryptoError::PassphraseNeeded`], [`CryptoError::WrongPassphrase`], [`CryptoError::ExcessiveWork`].
    pub fn parse(file: &[u8], ask: &mut dyn FnMut() -> Option<Passphrase>) -> Result<Self, CryptoError> {
        match FileKind::of(file) {
            FileKind::Encrypted => parse_plain(&decrypt_file(file, ask)?),
            FileKind::Ssh => parse_ssh(file, ask),
            FileKind::Plain => parse_plain(file),
        }
    }

    /// The public halves, in the file's order.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.0.iter().filter_map(|identity| identity.recipient.clone()).collect()
    }

    /// The identities as age takes them.
    pub(super) fn as_age(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| &*identity.private as &dyn age::Identity)
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identities").field(&self.recipients()).finish()
    }
}

/// What a file looks like from its first bytes.
enum FileKind {
    Encrypted,
    Ssh,
    Plain,
}

impl FileKind {
    fn of(file: &[u8]) -> Self {
        let start = file.trim_ascii_start();
        if start.starts_with(b"age-encryption.org/") || start.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
            Self::Encrypted
        } else if start.starts_with(b"-----BEGIN ") {
            Self::Ssh
        } else {
            Self::Plain
        }
    }
}

/// Work factor of what is written, as in the stock `age`. What the age crate would pick follows a measurement: a busy
/// machine makes it too low to be worth something, a fast one so high that a small machine lacks the memory.
const WORK_FACTOR: u8 = 18;
/// Highest accepted work factor, as in the stock `age`: 2^22 takes 4 GiB of memory and some 15 seconds.
const MAX_WORK_FACTOR: u8 = 22;

fn encrypt_with_work_factor(file_text: &str, passphrase: &Passphrase, work_factor: u8) -> Result<Vec<u8>, CryptoError> {
    let mut recipient = age::scrypt::Recipient::new(passphrase.to_secret());
    recipient.set_work_factor(work_factor);
    let recipient: &dyn age::Recipient = &recipient;
    let failed = |source| CryptoError::EncryptionFailed { source };
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient)).map_err(failed)?;
    let write = || {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(file_text.as_bytes())?;
        writer.finish()?.finish()
    };
    write().map_err(|error| failed(error.into()))
}

fn read_encrypted(file: &[u8]) -> Result<Decryptor<impl BufRead>, CryptoError> {
    // age takes space after the armor, but none before it.
    Decryptor::new_buffered(ArmoredReader::new(file.trim_ascii_start())).map_err(|_| CryptoError::IdentityDamaged)
}

fn decrypt_file(file: &[u8], ask: &mut dyn FnMut() -> Option<Passphrase>) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let decryptor = read_encrypted(file)?;
    if !decryptor.is_scrypt() {
        return Err(CryptoError::UnsupportedIdentity {
            kind: "an age file that is not encrypted to a passphrase".to_owned(),
        });
    }
    let passphrase = ask().ok_or(CryptoError::PassphraseNeeded)?;
    let mut identity = age::scrypt::Identity::new(passphrase.to_secret());
    // The default follows a measurement, which a busy machine makes far too low.
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let opened = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity));
    let mut reader = opened.map_err(|error| {
        if let DecryptError::ExcessiveWork { required, .. } = error {
            CryptoError::ExcessiveWork { found: required, limit: MAX_WORK_FACTOR }
        } else if matches!(error, DecryptError::DecryptionFailed) {
            CryptoError::WrongPassphrase
        } else {
            CryptoError::IdentityDamaged
        }
    })?;
    // Room for all of it from the start: a growing vector would leave copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(file.len()));
    reader.read_to_end(&mut plain).map_err(|_| CryptoError::IdentityDamaged)?;
    Ok(plain)
}

fn parse_plain(file: &[u8]) -> Result<Identities, CryptoError> {
    let text = std::str::from_utf8(file).map_err(|_| CryptoError::NotAnIdentity)?;
    let mut identities = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with("AGE-PLUGIN-") {
            identities.push(Identity { recipient: named(text), private: plugin::identity(line)? });
            continue;
        }
        if line.starts_with("AGE-SECRET-KEY-PQ-") {
            return Err(CryptoError::UnsupportedIdentity { kind: "a post-quantum age identity".to_owned() });
        }
        match line.parse::<age::x25519::Identity>() {
            Ok(private) => {
                identities.push(Identity { recipient: Some(private.to_public().into()), private: Box::new(private) });
            }
            Err(_) if line.starts_with("AGE-SECRET-KEY-") => return Err(CryptoError::IdentityDamaged),
            Err(_) => return Err(CryptoError::NotAnIdentity),
        }
    }
    if identities.is_empty() { Err(CryptoError::NotAnIdentity) } else { Ok(Identities(identities)) }
}

/// The public half that a plugin's identity file tells in a comment (`# Recipient: age1…`, `# public key: age1…`). It is
/// believed for whom not to lock out, and for nothing else.
fn named(text: &str) -> Option<Recipient> {
    let comments = text.lines().filter_map(|line| line.trim().strip_prefix('#'));
    let words = comments.filter_map(|comment| comment.rsplit_once(':')).map(|(_, word)| word.trim());
    words.filter(|word| word.starts_with("age1")).find_map(|word| word.parse().ok())
}

fn read_ssh(file: &[u8]) -> Result<age::ssh::Identity, CryptoError> {
    age::ssh::Identity::from_buffer(file.trim_ascii_start(), None).map_err(|_| {
        let known: [&[u8]; 2] = [b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----BEGIN RSA PRIVATE KEY-----"];
        if known.iter().any(|marker| file.trim_ascii_start().starts_with(marker)) {
            CryptoError::IdentityDamaged
        } else {
            CryptoError::NotAnIdentity
        }
    })
}

fn parse_ssh(file: &[u8], ask: &mut dyn FnMut() -> Option<Passphrase>) -> Result<Identities, CryptoError> {
    let private: age::ssh::Identity = match read_ssh(file)? {
        age::ssh::Identity::Unencrypted(key) => key.into(),
        age::ssh::Identity::Encrypted(key) => {
            let passphrase = ask().ok_or(CryptoError::PassphraseNeeded)?;
            key.decrypt(passphrase.to_secret()).map_err(|_| CryptoError::WrongPassphrase)?.into()
        }
        age::ssh::Identity::Unsupported(key) => {
            return Err(CryptoError::UnsupportedIdentity { kind: describe_unsupported(&key) });
        }
    };
    let recipient = age::ssh::Recipient::try_from(private.clone()).map_err(|_| CryptoError::IdentityDamaged)?;
    Ok(Identities(vec![Identity { recipient: Some(recipient.into()), private: Box::new(private) }]))
}

fn describe_unsupported(key: &UnsupportedKey) -> String {
    match key {
        UnsupportedKey::EncryptedPem => "an encrypted PEM key; `ssh-keygen -p` converts it".to_owned(),
        UnsupportedKey::EncryptedSsh(cipher) => format!("an SSH key encrypted with {cipher}"),
        UnsupportedKey::Hardware(kind) | UnsupportedKey::Type(kind) => format!("an SSH key of type {kind}"),
    }
}
