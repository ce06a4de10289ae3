//! Every kind of identity file opens, asks for a passphrase only where it must, and is told apart where it cannot open.

use super::*;
use crate::crypto::Keyring;

const NOW: Timestamp = Timestamp::from_millis(1_784_116_800_000);
const PASSPHRASE: &str = "open sesame";

fn parse(file: &[u8]) -> Result<Identities, CryptoError> {
    Identities::parse(file, &mut || panic!("asked for a passphrase"))
}

fn parse_with(file: &[u8], passphrase: Option<&str>) -> Result<Identities, CryptoError> {
    let mut asked = 0;
    let answer = Identities::parse(file, &mut || {
        asked += 1;
        passphrase.map(|text| Passphrase::new(text.to_owned()))
    });
    assert_eq!(asked, 1);
    answer
}

/// The same as [`encrypt_identity`], with a work factor that costs a test nothing.
fn encrypt_quickly(file_text: &str) -> Vec<u8> {
    encrypt_with_work_factor(file_text, &Passphrase::new(PASSPHRASE.to_owned()), 2).unwrap()
}

fn unarmored(file: &[u8]) -> Vec<u8> {
    let mut binary = Vec::new();
    ArmoredReader::new(file).read_to_end(&mut binary).unwrap();
    binary
}

#[test]
fn a_generated_identity_reads_like_age_keygens() {
    let identity = GeneratedIdentity::generate(NOW);
    let text = identity.file_text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "# created: 2026-07-15T12:00:00.000Z");
    assert_eq!(lines[1], format!("# public key: {}", identity.recipient()));
    assert!(lines[2].starts_with("AGE-SECRET-KEY-1"));
    assert_eq!(lines.len(), 3);
    assert!(text.ends_with('\n'));
    assert_eq!(parse(text.as_bytes()).unwrap().recipients(), [identity.recipient()]);
    assert!(!needs_passphrase(text.as_bytes()));
}

#[test]
fn a_file_may_hold_several_identities_comments_and_empty_lines() {
    let (first, second) = (GeneratedIdentity::generate(NOW), GeneratedIdentity::generate(NOW));
    let text = format!("\n{}\r\n# and\r\n{}  \n\n#", *first.file_text(), second.file_text().trim_end());
    assert_eq!(parse(text.as_bytes()).unwrap().recipients(), [first.recipient(), second.recipient()]);
}

#[test]
fn what_is_no_identity_is_refused() {
    let age = GeneratedIdentity::generate(NOW);
    for file in [
        "",
        "\n",
        "# only a comment\n",
        "hello",
        "\u{0}",
        &age.recipient().to_string(),
        include_str!("../testdata/ssh_ed25519.pub"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(matches!(parse(file.as_bytes()), Err(CryptoError::NotAnIdentity)), "{file:?}");
        assert!(!needs_passphrase(file.as_bytes()));
    }
    assert!(matches!(parse(b"\xff\xfe"), Err(CryptoError::NotAnIdentity)));
}

#[test]
fn an_identity_that_cannot_be_used_is_named() {
    for (file, name) in
        [("AGE-SECRET-KEY-PQ-1QQQQ\n", "post-quantum"), (include_str!("../testdata/ssh_ecdsa"), "ecdsa-sha2-nistp256")]
    {
        let error = parse(file.as_bytes()).unwrap_err();
        assert!(matches!(&error, CryptoError::UnsupportedIdentity { kind } if kind.contains(name)), "{error}");
    }
    let to_a_recipient = age::encrypt(&age::x25519::Identity::generate().to_public(), b"x").unwrap();
    assert!(matches!(parse(&to_a_recipient), Err(CryptoError::UnsupportedIdentity { .. })));
    assert!(!needs_passphrase(&to_a_recipient));
}

#[test]
fn a_cut_identity_is_damaged() {
    assert!(matches!(parse(b"AGE-PLUGIN-YUBIKEY-1QYPSXPQPQQ\n"), Err(CryptoError::IdentityDamaged)));
    let text = GeneratedIdentity::generate(NOW).file_text();
    assert!(matches!(parse(&text.as_bytes()[..text.len() - 3]), Err(CryptoError::IdentityDamaged)));
    let ssh = include_bytes!("../testdata/ssh_ed25519");
    assert!(matches!(parse(&ssh[..ssh.len() / 2]), Err(CryptoError::IdentityDamaged)));
    let encrypted = encrypt_quickly(&text);
    assert!(matches!(parse(&encrypted[..60]), Err(CryptoError::IdentityDamaged)));
    let binary = unarmored(&encrypted);
    let cut = &binary[..binary.len() - 1];
    assert!(matches!(parse_with(cut, Some(PASSPHRASE)), Err(CryptoError::IdentityDamaged)));
}

#[test]
fn an_encrypted_identity_opens_with_its_passphrase_only() {
    let identity = GeneratedIdentity::generate(NOW);
    let armored = encrypt_quickly(&identity.file_text());
    assert!(armored.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\n"));
    for file in [&armored, &unarmored(&armored), &[b"\n", &armored[..]].concat()] {
        assert!(needs_passphrase(file));
        assert_eq!(parse_with(file, Some(PASSPHRASE)).unwrap().recipients(), [identity.recipient()]);
        assert!(matches!(parse_with(file, Some("open barley")), Err(CryptoError::WrongPassphrase)));
        assert!(matches!(parse_with(file, Some("")), Err(CryptoError::WrongPassphrase)));
        assert!(matches!(parse_with(file, None), Err(CryptoError::PassphraseNeeded)));
    }
    let no_identity = encrypt_quickly("hello");
    assert!(matches!(parse_with(&no_identity, Some(PASSPHRASE)), Err(CryptoError::NotAnIdentity)));
}

#[test]
fn an_excessive_work_factor_is_refused_before_the_work() {
    let binary = unarmored(&encrypt_quickly("hello"));
    let header_end = binary.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    let mut changed = binary.clone();
    changed.splice(header_end - 1..header_end, *b"23");
    assert!(matches!(parse_with(&changed, Some(PASSPHRASE)), Err(CryptoError::ExcessiveWork { found: 23, limit: 22 })));
}

/// The work factor is the real one here, so that a passphrase is worth something.
#[test]
fn a_passphrase_is_stretched() {
    let file = encrypt_identity("hello", &Passphrase::new(PASSPHRASE.to_owned())).unwrap();
    let binary = unarmored(&file);
    let stanza = String::from_utf8_lossy(&binary).lines().nth(1).unwrap().to_owned();
    assert!(stanza.starts_with("-> scrypt ") && stanza.ends_with(" 18"), "{stanza}");
}

#[test]
fn ssh_private_keys_open() {
    for (private, public) in [
        (include_str!("../testdata/ssh_ed25519"), include_str!("../testdata/ssh_ed25519.pub")),
        (include_str!("../testdata/ssh_rsa"), include_str!("../testdata/ssh_rsa.pub")),
    ] {
        assert!(!needs_passphrase(private.as_bytes()));
        assert_eq!(parse(private.as_bytes()).unwrap().recipients(), [public.parse().unwrap()]);
        let crlf = private.replace('\n', "\r\n");
        assert_eq!(parse(crlf.as_bytes()).unwrap().recipients(), [public.parse().unwrap()]);
    }
}

#[test]
fn an_encrypted_ssh_key_opens_with_its_passphrase_only() {
    let file = include_bytes!("../testdata/ssh_ed25519_encrypted");
    assert!(needs_passphrase(file));
    let public: Recipient = include_str!("../testdata/ssh_ed25519.pub").parse().unwrap();
    let identities = parse_with(file, Some(PASSPHRASE)).unwrap();
    assert_eq!(identities.recipients(), std::slice::from_ref(&public));
    let keyring = Keyring::generate(NOW, None).unwrap();
    assert!(Keyring::decrypt(&keyring.encrypt_to(&[public]).unwrap(), &identities).is_ok());
    assert!(matches!(parse_with(file, Some("open barley")), Err(CryptoError::WrongPassphrase)));
    assert!(matches!(parse_with(file, Some("")), Err(CryptoError::WrongPassphrase)));
    assert!(matches!(parse_with(file, None), Err(CryptoError::PassphraseNeeded)));
}

#[test]
fn the_comment_of_a_plugins_identity_tells_its_public_half() {
    let recipient = GeneratedIdentity::generate(NOW).recipient();
    for text in [format!("#  Recipient: {recipient}\nX"), format!("# a: b\n # public key: age1\n#key:{recipient} ")] {
        assert_eq!(named(&text), Some(recipient.clone()), "{text}");
    }
    for text in [format!("Recipient: {recipient}"), format!("# {recipient}"), "# public key: age1".to_owned()] {
        assert_eq!(named(&text), None, "{text}");
    }
}

/// The text of the file, and how often its passphrase was asked for.
fn decrypt(file: &[u8], passphrase: Option<&str>) -> (Result<Zeroizing<Vec<u8>>, CryptoError>, u32) {
    let mut asked = 0;
    let text = decrypt_identity(file, &mut || {
        asked += 1;
        passphrase.map(|text| Passphrase::new(text.to_owned()))
    });
    (text, asked)
}

#[test]
fn the_text_of_a_file_is_given_with_and_without_a_passphrase() {
    let text = GeneratedIdentity::generate(NOW).file_text();
    let encrypted = encrypt_quickly(&text);
    for (file, passphrase, asked) in [(text.as_bytes(), None, 0), (&encrypted[..], Some(PASSPHRASE), 1)] {
        let (found, times) = decrypt(file, passphrase);
        assert_eq!((&**found.unwrap(), times), (text.as_bytes(), asked));
    }
    assert!(matches!(decrypt(&encrypted, None), (Err(CryptoError::PassphraseNeeded), 1)));
    assert!(matches!(decrypt(&encrypted, Some("open barley")), (Err(CryptoError::WrongPassphrase), 1)));
    let ssh = include_bytes!("../testdata/ssh_ed25519");
    assert!(matches!(decrypt(ssh, None), (Err(CryptoError::UnsupportedIdentity { .. }), 0)));
}

#[test]
fn nothing_secret_is_in_debug_texts() {
    let identity = GeneratedIdentity::generate(NOW);
    let passphrase = Passphrase::new(PASSPHRASE.to_owned());
    let identities = parse(identity.file_text().as_bytes()).unwrap();
    let texts = format!("{identity:?} {identities:?} {passphrase:?}");
    assert!(!texts.contains("AGE-SECRET-KEY") && !texts.contains("sesame"), "{texts}");
    assert_eq!(texts.matches(&identity.recipient().to_string()).count(), 2, "{texts}");
}
