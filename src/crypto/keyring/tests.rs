//! The keyring opens with every identity it was made for and no other, and its file is read strictly.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use super::*;
use crate::crypto::{GeneratedIdentity, Identities, Recipient};
use crate::store::Table;

const NOW: Timestamp = Timestamp::from_millis(1_784_116_800_000);

const RECIPIENT: &str = "age1vymkv0f7hp8zc4jt722eerla47lzyhgtkqla44a6dmsufg822d8s3mzplw";

/// A key of one byte repeated, as it stands in the file.
fn key(byte: u8) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode([byte; 32])
}

fn fixed_json(epochs: u32) -> String {
    let mut data_keys = String::new();
    for epoch in 1..=epochs {
        let comma = if epoch == 1 { "" } else { "," };
        let key = key(u8::try_from(epoch).unwrap());
        write!(data_keys, r#"{comma}{{"epoch":{epoch},"createdAt":"2026-07-15T12:00:00.000Z","key":"{key}"}}"#)
            .unwrap();
    }
    format!(
        concat!(
            r#"{{"format":1,"vaultId":"9d1cb3a2-6f5e-4b7a-8a1d-0c2e4f60718a","createdAt":"2026-07-15T12:00:00.000Z","#,
            r#""dataKeys":[{}],"nameKey":"{}","headKey":"{}","auditKey":"{}","#,
            r#""jwt":{{"current":"{}","previous":[{{"secret":"{}","validUntil":"2026-07-15T13:00:00.000Z"}}]}}}}"#,
        ),
        data_keys,
        key(0x0a),
        key(0x0b),
        key(0x0c),
        key(0x0d),
        key(0x0e)
    )
}

pub(in crate::crypto) fn fixed_keyring_with_epochs(epochs: u32) -> Keyring {
    Keyring::of(Contents::from_json(fixed_json(epochs).as_bytes()).unwrap())
}

/// A keyring whose keys are known: data keys of epoch 1 and 2, and a signing secret in its grace period.
pub(in crate::crypto) fn fixed_keyring() -> Keyring {
    fixed_keyring_with_epochs(2)
}

fn identities(file: &str) -> Identities {
    Identities::parse(file.as_bytes(), &mut || None).unwrap()
}

fn json(keyring: &Keyring) -> String {
    String::from_utf8(keyring.now().to_json().unwrap().to_vec()).unwrap()
}

/// Encrypts any plaintext as if it were a keyring.
fn encrypt_plaintext(plain: &str, recipient: &Recipient) -> Vec<u8> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient.as_age())).unwrap();
    let mut writer = encryptor.wrap_output(Vec::new()).unwrap();
    writer.write_all(plain.as_bytes()).unwrap();
    writer.finish().unwrap()
}

#[test]
fn each_recipient_alone_opens_the_keyring() {
    let first = GeneratedIdentity::generate(NOW);
    let second = GeneratedIdentity::generate(NOW);
    let keyring = Keyring::generate(NOW, None).unwrap();
    let file = keyring.encrypt_to(&[first.recipient(), second.recipient()]).unwrap();
    assert!(file.starts_with(b"age-encryption.org/v1\n"));
    for identity in [first, second] {
        let opened = Keyring::decrypt(&file, &identities(&identity.file_text())).unwrap();
        let mut expected = keyring.draft();
        expected.set_recipients(opened.recipients().unwrap());
        keyring.install(expected);
        assert_eq!(json(&opened), json(&keyring));
    }
}

#[test]
fn ssh_identities_open_keyrings_made_for_their_public_keys() {
    for (private, public) in [
        (include_str!("../testdata/ssh_ed25519"), include_str!("../testdata/ssh_ed25519.pub")),
        (include_str!("../testdata/ssh_rsa"), include_str!("../testdata/ssh_rsa.pub")),
    ] {
        let keyring = Keyring::generate(NOW, None).unwrap();
        let file = keyring.encrypt_to(&[public.parse().unwrap()]).unwrap();
        let opened = Keyring::decrypt(&file, &identities(private)).unwrap();
        assert_eq!(opened.vault_id(), keyring.vault_id());
    }
}

#[test]
fn the_newest_data_key_is_the_current_one() {
    let keyring = fixed_keyring();
    assert_eq!((keyring.current_epoch(), keyring.epochs()), (2, vec![1, 2]));
    for (epoch, key) in [(1, Some([1; 32])), (2, Some([2; 32])), (3, None)] {
        assert_eq!(keyring.data_key(epoch).map(|key| *key.expose_secret()), key);
    }
    assert_eq!(*keyring.current_data_key().1.expose_secret(), [2; 32]);
}

#[test]
fn another_identity_does_not_open_the_keyring() {
    let keyring = Keyring::generate(NOW, None).unwrap();
    let file = keyring.encrypt_to(&[GeneratedIdentity::generate(NOW).recipient()]).unwrap();
    for other in [&*GeneratedIdentity::generate(NOW).file_text(), include_str!("../testdata/ssh_ed25519")] {
        assert!(matches!(Keyring::decrypt(&file, &identities(other)), Err(CryptoError::NoMatchingIdentity)));
    }
}

#[test]
fn a_keyring_without_recipients_is_not_written() {
    let keyring = Keyring::generate(NOW, None).unwrap();
    assert!(matches!(keyring.encrypt_to(&[]), Err(CryptoError::NoRecipients)));
}

#[test]
fn a_damaged_keyring_is_told_from_a_foreign_one() {
    let identity = GeneratedIdentity::generate(NOW);
    let keyring = Keyring::generate(NOW, None).unwrap();
    let file = keyring.encrypt_to(&[identity.recipient()]).unwrap();
    let identities = identities(&identity.file_text());
    let damaged = |file: &[u8]| matches!(Keyring::decrypt(file, &identities), Err(CryptoError::KeyringDamaged { .. }));
    for length in 0..file.len() {
        assert!(damaged(&file[..length]), "cut to {length}");
    }
    assert!(damaged(&[&file[..], b"x"].concat()));
    assert!(damaged(b"no keyring"));
    assert!(damaged(b"age-encryption.org/v2\nwhatever"));
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        // A changed stanza looks like one for somebody else.
        assert!(
            matches!(
                Keyring::decrypt(&changed, &identities),
                Err(CryptoError::KeyringDamaged { .. } | CryptoError::NoMatchingIdentity)
            ),
            "byte {at} changed"
        );
    }
}

#[test]
fn a_newer_format_is_refused_as_such_whatever_else_is_in_it() {
    let identity = GeneratedIdentity::generate(NOW);
    let file = encrypt_plaintext(r#"{"format":3,"keys":"elsewhere"}"#, &identity.recipient());
    let answer = Keyring::decrypt(&file, &identities(&identity.file_text()));
    assert!(matches!(answer, Err(CryptoError::UnsupportedFormat { found: 3, supported: 2 })));
}

#[test]
fn what_is_no_keyring_inside_is_damaged_and_never_repeated() {
    let secret = key(0x0d);
    let valid = fixed_json(1);
    assert!(Contents::from_json(valid.as_bytes()).is_ok());
    let newer = valid.replace(r#""format":1"#, &format!(r#""format":2,"recipients":["{RECIPIENT}"]"#));
    assert!(Contents::from_json(newer.as_bytes()).is_ok());
    for invalid in [
        String::new(),
        "[]".to_owned(),
        r#"{"format":0}"#.to_owned(),
        r#"{"format":1}"#.to_owned(),
        format!("{valid} x"),
        valid.replace(r#""epoch":1"#, r#""epoch":0"#),
        valid.replace(r#""epoch":1"#, &format!(r#""epoch":"{secret}""#)),
        valid.replace(r#""nameKey":"#, &format!(r#""{secret}":1,"nameKey":"#)),
        valid.replace(&key(0x0a), &secret[..40]),
        valid.replace(&secret, "c2hvcnQ="),
        valid.replace(&secret, &format!("{secret}!")),
        fixed_json(2).replace(r#""epoch":2"#, r#""epoch":1"#),
        fixed_json(2).replace(r#""epoch":1"#, r#""epoch":3"#),
        // Format 2 names its recipients, and format 1 did not.
        valid.replace(r#""format":1"#, r#""format":2"#),
        valid.replace(r#""format":1"#, r#""format":2,"recipients":[]"#),
        valid.replace(r#""format":1"#, r#""format":2,"recipients":["age1x"]"#),
        valid.replace(r#""format":1"#, &format!(r#""format":1,"recipients":["{RECIPIENT}"]"#)),
    ] {
        let Err(error) = Contents::from_json(invalid.as_bytes()) else { panic!("taken: {invalid}") };
        assert!(matches!(error, CryptoError::KeyringDamaged { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(&secret[..8]), "{error}");
    }
}

#[test]
fn a_name_tag_is_fixed_by_the_name_key() {
    let tag =
        |namespace: &str, name: &str| fixed_keyring().name_tag(&namespace.parse().unwrap(), &name.parse().unwrap());
    let expected = [
        0xa0, 0xb4, 0x7a, 0x70, 0x80, 0xbd, 0xa5, 0xe8, 0x77, 0x81, 0xe1, 0xde, 0x13, 0x93, 0xa0, 0x53, 0x13, 0xf4,
        0x27, 0xdc, 0xd7, 0x5f, 0xbf, 0x4d, 0xcc, 0xb2, 0xc7, 0x90, 0xaa, 0xc9, 0x8b, 0xf4,
    ];
    assert_eq!(tag("shop/dev", "STRIPE_API_KEY"), expected);
    assert_ne!(tag("shop", "STRIPE_API_KEY"), expected);
    assert_ne!(
        Keyring::generate(NOW, None)
            .unwrap()
            .name_tag(&"shop/dev".parse().unwrap(), &"STRIPE_API_KEY".parse().unwrap()),
        expected
    );
}

#[test]
fn a_previous_signing_secret_verifies_until_its_grace_period_is_over() {
    let keyring = fixed_keyring();
    let secrets = |now: &str| -> Vec<u8> {
        let (secrets, now) = (keyring.signing_secrets(), now.parse::<Timestamp>().unwrap());
        secrets.previous().filter(|(_, end)| now < *end).map(|(secret, _)| secret.expose_secret()[0]).collect()
    };
    assert_eq!(keyring.signing_secrets().current().expose_secret(), [0x0d; 32]);
    assert_eq!(secrets("2026-07-15T12:59:59.999Z"), [0x0e]);
    assert!(secrets("2026-07-15T13:00:00.000Z").is_empty());
}

#[test]
fn a_signing_secret_is_taken_over() {
    let identity = GeneratedIdentity::generate(NOW);
    let imported = b"a signing secret from elsewhere, of any bytes \xff\x00";
    let keyring = Keyring::generate(NOW, Some(JwtSecret::import(imported).unwrap())).unwrap();
    let file = keyring.encrypt_to(&[identity.recipient()]).unwrap();
    let opened = Keyring::decrypt(&file, &identities(&identity.file_text())).unwrap();
    assert_eq!(opened.signing_secrets().current().expose_secret(), imported);
    assert_eq!(opened.signing_secrets().in_grace(NOW), 0);
    assert_eq!(opened.current_epoch(), 1);
}

#[test]
fn two_vaults_share_no_key() {
    let keys = |keyring: &Keyring| {
        let contents = keyring.now();
        [&contents.data_keys[0].key, &contents.name_key, &contents.head_key, &contents.audit_key]
            .map(|key| *key.expose_secret())
    };
    let (first, second) = (Keyring::generate(NOW, None).unwrap(), Keyring::generate(NOW, None).unwrap());
    let mut all = [keys(&first), keys(&second)].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 8);
    assert_ne!(first.vault_id(), second.vault_id());
    assert_eq!(first.vault_id().get_version_num(), 4);
}

#[test]
fn nothing_secret_is_in_debug_texts() {
    let keyring = Arc::new(fixed_keyring());
    let texts = format!(
        "{keyring:?} {:?} {:?} {:?} {:?} {:?}",
        keyring.draft(),
        keyring.signing_secrets().current(),
        keyring.head_seal(),
        keyring.name_key,
        keyring.signing_secrets()
    );
    for byte in [0x01, 0x02, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e] {
        assert!(!texts.contains(&key(byte)[..8]), "{texts}");
        assert!(!texts.contains(&format!("{byte}, {byte}")), "{texts}");
    }
    assert!(texts.contains("9d1cb3a2-6f5e-4b7a-8a1d-0c2e4f60718a") && texts.contains("KeyringDraft"));
}

#[test]
fn the_head_seal_digests_by_place_and_seals_an_age_file() {
    let seal = Arc::new(fixed_keyring()).head_seal();
    let digest = seal.digest(Table::Metadata, b"a key", b"a record");
    assert_eq!(digest[..8], [0xe2, 0x86, 0xdd, 0x91, 0xbf, 0x1c, 0x57, 0x97]);
    assert_ne!(seal.digest(Table::Value, b"a key", b"a record"), digest);
    assert_ne!(seal.digest(Table::Metadata, b"a keya", b" record"), digest);
    let sealed = seal.seal(b"the head");
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    assert_eq!(seal.open(&sealed).as_deref(), Some(&b"the head"[..]));
    assert_eq!(seal.open(&sealed[1..]), None);
    assert_eq!(Arc::new(Keyring::generate(NOW, None).unwrap()).head_seal().open(&sealed), None);
    let record = fixed_keyring().encrypt_record(Table::Vault, b"head", b"the head").unwrap();
    assert_eq!(seal.open(&record), None);
}

#[test]
fn a_sealed_draft_is_read_back_without_an_identity_and_in_force_only_when_installed() {
    let identity = GeneratedIdentity::generate(NOW);
    let keyring = Keyring::generate(NOW, None).unwrap();
    let old = keyring.encrypt_record(Table::Vault, b"a", b"old").unwrap();
    let mut draft = keyring.draft();
    assert!(matches!(draft.seal(), Err(CryptoError::NoRecipients)));
    draft.set_recipients(vec![identity.recipient()]);
    assert_eq!(draft.add_data_key(NOW).unwrap(), 2);
    draft.rotate_jwt_secret(NOW, std::time::Duration::from_hours(1)).unwrap();
    let sealed = draft.seal().unwrap();
    sealed.read_back(sealed.bytes()).unwrap();
    let other = draft.seal().unwrap();
    assert!(sealed.read_back(other.bytes()).is_err(), "another file");
    for length in 0..sealed.bytes().len() {
        assert!(sealed.read_back(&sealed.bytes()[..length]).is_err(), "cut to {length}");
    }
    assert_eq!(keyring.current_epoch(), 1);
    keyring.install(draft);
    assert_eq!((keyring.epochs(), keyring.signing_secrets().in_grace(NOW)), (vec![1, 2], 1));
    let opened = Keyring::decrypt(sealed.bytes(), &identities(&identity.file_text())).unwrap();
    assert_eq!(json(&opened), json(&keyring));
    assert_eq!(opened.recipients().unwrap(), [identity.recipient()]);

    let new = keyring.reencrypt_record(Table::Vault, b"a", &old).unwrap();
    assert_eq!((crate::crypto::epoch_of(&old), crate::crypto::epoch_of(&new)), (Some(1), Some(2)));
    let mut last = keyring.draft();
    last.drop_old_data_keys();
    keyring.install(last);
    assert_eq!(&**keyring.decrypt_record(Table::Vault, b"a", &new).unwrap(), b"old");
    let gone = keyring.decrypt_record(Table::Vault, b"a", &old);
    assert!(matches!(gone, Err(CryptoError::UnknownEpoch { epoch: 1 })));
}

#[test]
fn without_a_grace_period_no_older_signing_secret_is_left() {
    let keyring = fixed_keyring();
    let mut draft = keyring.draft();
    draft.rotate_jwt_secret(Timestamp::from_millis(0), std::time::Duration::ZERO).unwrap();
    keyring.install(draft);
    assert_eq!(keyring.signing_secrets().previous().count(), 0);
    assert_ne!(keyring.signing_secrets().current().expose_secret(), [0x0d; 32]);
}

/// "`keyring.age` is an ordinary age file; the stock `age` program opens it."
#[test]
fn the_stock_age_program_opens_the_keyring() {
    if Command::new("age").arg("--version").output().is_err() {
        println!("skipped: there is no `age` program on the PATH");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let identity = GeneratedIdentity::generate(NOW);
    let keyring = Keyring::generate(NOW, None).unwrap();
    let born = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap().write_all(bytes).unwrap();
        path
    };
    let identity_path = born("identity.txt", identity.file_text().as_bytes());
    let mut draft = keyring.draft();
    draft.set_recipients(vec![identity.recipient()]);
    let keyring_path = born("keyring.age", draft.seal().unwrap().bytes());
    keyring.install(draft);
    let opened = Command::new("age").arg("-d").arg("-i").arg(&identity_path).arg(keyring_path).output().unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    assert_eq!(opened.stdout, json(&keyring).as_bytes());

    let recipient = Command::new("age-keygen").arg("-y").arg(identity_path).output().unwrap();
    assert_eq!(String::from_utf8(recipient.stdout).unwrap().trim(), identity.recipient().to_string());

    // And what the program makes of the same plaintext, armored, is a keyring.
    let plain_path = born("keyring.json", json(&keyring).as_bytes());
    let made =
        Command::new("age").args(["-a", "-r", &identity.recipient().to_string()]).arg(plain_path).output().unwrap();
    let reopened = Keyring::decrypt(&made.stdout, &identities(&identity.file_text())).unwrap();
    assert_eq!(reopened.vault_id(), keyring.vault_id());
}
