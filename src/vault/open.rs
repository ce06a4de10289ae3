//! How a vault comes to be: the first records of a new one, and the load of one that exists.
//!
//! Invariants: the load reads all metadata and no value; a record that cannot be read is reported and never treated as
//! absent; a store that is not what its head says makes the vault read-only.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;

use crate::auth::{ApiKey, Authenticator, KeyKind, KeyRing, SigningSecrets, TokenBook};
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::store::{Batch, Fingerprint, Store, StoreError, Table, TableReport};
use crate::vault::backup::Pins;
use crate::vault::commit::{crypto, store as store_error, undecodable};
use crate::vault::events::{Events, Expiry};
use crate::vault::index::{Entry, Filling, Index};
use crate::vault::record::{self, LOADED, SecretRecord, VaultRecord};
use crate::vault::rekey::Rekey;
use crate::vault::{Damage, Limits, Vault, VaultError, locks::NameLocks};

/// Records that one thread decrypts at a time.
const BATCH: usize = 512;

/// The first keys of a new vault.
#[derive(Debug)]
pub struct NewVault {
    /// The admin API key, to be shown once.
    pub api_key: ApiKey,
    /// The anon key, to be shown once.
    pub anon_key: ApiKey,
}

/// What the load gathers.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) index: Index,
    pub(super) damage: Damage,
    pub(super) changes: u64,
}

/// All that is kept in memory of a store.
pub(super) struct Contents {
    pub(super) loaded: Loaded,
    pub(super) last_purge: u64,
    pub(super) api_keys: KeyRing,
    pub(super) anon_keys: KeyRing,
    pub(super) tokens: TokenBook,
}

impl Contents {
    /// Reads it, and compares it with the head.
    pub(super) fn read(store: &dyn Store, keyring: &Keyring) -> Result<Self, StoreError> {
        let (mut loaded, reports) = load(store, keyring)?;
        for report in reports.iter().filter(|report| !report.intact) {
            loaded.damage.problems.push(describe(report));
            loaded.damage.may_have_lost_names |= report.table == Table::Metadata;
        }
        let damage = &mut loaded.damage;
        let last_purge: VaultRecord = read(store, keyring, Table::Vault, &record::vault_key(), damage);
        let api_keys = read(store, keyring, Table::ApiKey, &record::api_key_key(KeyKind::Api), damage);
        let anon_keys = read(store, keyring, Table::ApiKey, &record::api_key_key(KeyKind::Anon), damage);
        let tokens = read_tokens(store, keyring, damage)?;
        for problem in &damage.problems {
            tracing::error!(problem, "the vault is damaged; it takes no writes until it has been restored");
        }
        Ok(Self { loaded, last_purge: last_purge.purge, api_keys, anon_keys, tokens })
    }
}

impl Vault {
    /// Writes the first records of a new vault into an empty store.
    ///
    /// # Errors
    /// Errors of the store, of encryption and of the system's randomness.
    pub fn create_records(
        store: &dyn Store,
        keyring: &Keyring,
        clock: &dyn Clock,
        first: &NewVault,
    ) -> Result<(), VaultError> {
        let verb = "create the vault";
        let now = clock.now();
        let mut batch = Batch::default();
        for (kind, key) in [(KeyKind::Api, &first.api_key), (KeyKind::Anon, &first.anon_key)] {
            let plain = record::encode(&KeyRing::new(key.to_stored(now))).map_err(|error| undecodable(verb, error))?;
            let at = record::api_key_key(kind);
            let bytes = keyring.encrypt_record(Table::ApiKey, &at, &plain).map_err(|source| crypto(verb, source))?;
            batch.expect_absent(Table::ApiKey, at.clone());
            batch.put(Table::ApiKey, at, bytes);
        }
        let plain = record::encode(&VaultRecord::default()).map_err(|error| undecodable(verb, error))?;
        let at = record::vault_key();
        let bytes = keyring.encrypt_record(Table::Vault, &at, &plain).map_err(|source| crypto(verb, source))?;
        batch.put(Table::Vault, at, bytes);
        store.submit(batch).wait().map_err(|source| store_error(verb, source))
    }

    /// Opens a vault: reads all metadata, compares it with the store's head, and builds the index.
    ///
    /// `owner` is the user that is an administrator on the Unix socket. A damaged vault opens read-only;
    /// [`Vault::problems`] says what is wrong.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn open(
        store: Arc<dyn Store>,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        owner: u32,
    ) -> Result<Arc<Self>, VaultError> {
        let verb = "open the vault";
        let contents = Contents::read(&*store, &keyring).map_err(|source| store_error(verb, source))?;
        let Contents { loaded, last_purge, api_keys, anon_keys, tokens } = contents;
        let signing = signing_secrets(&keyring);
        let authenticator = Authenticator::new(signing, api_keys, anon_keys, owner);
        authenticator.change_tokens(|book| *book = tokens);
        Ok(Arc::new(Self {
            authenticator,
            store,
            keyring,
            clock,
            limits,
            index: RwLock::new(loaded.index),
            locks: NameLocks::new(),
            rotation: tokio::sync::Mutex::new(()),
            purge: tokio::sync::Mutex::new(()),
            tokens: tokio::sync::Mutex::new(()),
            last_purge: AtomicU64::new(last_purge),
            changes: AtomicU64::new(loaded.changes.max(last_purge)),
            used: Mutex::default(),
            damage: RwLock::new(loaded.damage),
            stale: Mutex::default(),
            events: Events::new(limits.events),
            expiry: Expiry::default(),
            pins: Pins::new(),
            audit: OnceLock::new(),
            rekey: Rekey::default(),
        }))
    }
}

/// What tokens are signed and verified with.
pub(super) fn signing_secrets(keyring: &Keyring) -> SigningSecrets {
    let secrets = keyring.signing_secrets();
    let previous = secrets.previous().map(|(secret, valid_until)| (secret.expose_secret(), valid_until));
    SigningSecrets::new(secrets.current().expose_secret(), previous)
}

/// Reads all records but the values. One thread reads and digests, another decrypts.
fn load(store: &dyn Store, keyring: &Keyring) -> Result<(Loaded, Vec<TableReport>), StoreError> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(16);
        let decrypting = scope.spawn(move || decrypt_all(keyring, &receiver));
        let reports = read_all(store, sender)?;
        let loaded = decrypting
            .join()
            .map_err(|_| StoreError::Damaged { message: "a metadata record could not be taken in".to_owned() })?;
        Ok((loaded, reports))
    })
}

type Records = Vec<(Vec<u8>, Vec<u8>)>;

#[expect(clippy::needless_pass_by_value, reason = "dropping the sender is what ends the receiving thread")]
fn read_all(store: &dyn Store, sender: SyncSender<Records>) -> Result<Vec<TableReport>, StoreError> {
    let mut records = Records::with_capacity(BATCH);
    let reports = store.load(&LOADED, &mut |table, key, record| {
        if table == Table::Metadata {
            records.push((key.to_vec(), record.to_vec()));
            if records.len() == BATCH {
                // Fails only when the other thread is gone, which its join reports.
                let _gone = sender.send(std::mem::replace(&mut records, Records::with_capacity(BATCH)));
            }
        }
    })?;
    let _gone = sender.send(records);
    Ok(reports)
}

fn decrypt_all(keyring: &Keyring, receiver: &Receiver<Records>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut filling = Filling::default();
    for (key, bytes) in receiver.iter().flatten() {
        match decrypt::<SecretRecord>(keyring, Table::Metadata, &key, &bytes) {
            Ok(record) => {
                loaded.changes = loaded.changes.max(record.change);
                filling.push(Entry::new(record, Fingerprint::of(&bytes)));
            }
            Err(reason) => {
                let mut tag = [0; 32];
                let length = key.len().min(32);
                tag[..length].copy_from_slice(&key[..length]);
                loaded.damage.unreadable.insert(tag);
                loaded.damage.problems.push(format!("the metadata of a secret cannot be read: {reason}"));
            }
        }
    }
    loaded.index = filling.finish();
    loaded
}

fn decrypt<T: DeserializeOwned>(keyring: &Keyring, table: Table, key: &[u8], bytes: &[u8]) -> Result<T, String> {
    let plain = keyring.decrypt_record(table, key, bytes).map_err(|error| error.to_string())?;
    record::decode(&plain).map_err(|error| error.to_string())
}

/// Reads one of the records that every vault has.
fn read<T: DeserializeOwned + Default>(
    store: &dyn Store,
    keyring: &Keyring,
    table: Table,
    key: &[u8],
    damage: &mut Damage,
) -> T {
    let found = match store.get(table, key) {
        Ok(Some(bytes)) => decrypt(keyring, table, key, &bytes),
        Ok(None) => Err("it is missing".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    found.unwrap_or_else(|reason| {
        damage.problems.push(format!("the record {} cannot be read: {reason}", String::from_utf8_lossy(key)));
        T::default()
    })
}

/// Reads the records of tokens. One that cannot be read is damage, and nobody's token.
fn read_tokens(store: &dyn Store, keyring: &Keyring, damage: &mut Damage) -> Result<TokenBook, StoreError> {
    let (mut book, mut broken) = (TokenBook::default(), 0_usize);
    store.scan(Table::ApiKey, &mut |key, bytes| {
        let read = if key.starts_with(record::TOKEN) {
            decrypt(keyring, Table::ApiKey, key, bytes).map(|token| book.insert(token))
        } else if key.starts_with(record::JWT) {
            decrypt(keyring, Table::ApiKey, key, bytes).map(|jwt| book.insert_jwt(jwt))
        } else {
            Ok(())
        };
        broken += usize::from(read.is_err());
        ControlFlow::Continue(())
    })?;
    if broken > 0 {
        damage.problems.push(format!("the records of {broken} tokens cannot be read"));
    }
    Ok(book)
}

pub(super) fn describe(report: &TableReport) -> String {
    let what = match report.table {
        Table::Metadata => "secrets",
        Table::ApiKey => "API keys",
        Table::Vault | Table::Head => "the vault's own records",
        Table::Value => "values",
    };
    let (expected, found) = (report.expected, report.found);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => format!("{what}: {} of {expected} records are lost", expected - found),
        std::cmp::Ordering::Greater => format!("{what}: {} records too many", found - expected),
        std::cmp::Ordering::Equal => format!("{what}: a record was replaced by another or by an older one"),
    }
}
