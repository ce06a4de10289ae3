//! The rotation of the data key over the memory engine: interrupted, in vain, and beside writers.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{KeyringFile, KeyringFileError};
use crate::auth::Caller;
use crate::crypto::{GeneratedIdentity, Identities, Keyring, Recipient, SealedKeyring, epoch_of};
use crate::store::{Batch, StoreError, Table};
use crate::vault::tests::{Fixture, START, by, key, value};
use crate::vault::{ErrorKind, Limits, Precondition, VaultError};

/// The keyring's file, in memory.
#[derive(Debug, Default)]
struct File {
    bytes: Mutex<Vec<u8>>,
    is_full: AtomicBool,
}

impl KeyringFile for File {
    fn replace(&self, sealed: &SealedKeyring, _: &[Recipient]) -> Result<(), KeyringFileError> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(KeyringFileError::Full);
        }
        *self.bytes.lock() = sealed.bytes().to_vec();
        Ok(())
    }
}

/// A vault whose keys can be changed.
struct Keys {
    fixture: Fixture,
    file: Arc<File>,
    identities: Identities,
}

impl Keys {
    /// With the secrets A to E.
    async fn new() -> Self {
        let fixture = Fixture::new(Limits::default());
        let identity = GeneratedIdentity::generate(START);
        let identities = Identities::parse(identity.file_text().as_bytes(), &mut || None).unwrap();
        let mut draft = fixture.keyring.draft();
        draft.set_recipients(identities.recipients());
        fixture.keyring.install(draft);
        let keys = Self { fixture, file: Arc::default(), identities };
        keys.attach();
        for name in ["A", "B", "C", "D", "E"] {
            keys.fixture.create(name, &format!("value of {name}")).await.unwrap();
        }
        keys
    }

    fn attach(&self) {
        let file: Arc<dyn KeyringFile> = Arc::<File>::clone(&self.file);
        self.fixture.vault.attach_keyring(file, self.identities.recipients());
    }

    /// Ends the process and starts it: the keyring is what its file says.
    fn restart(&mut self) {
        self.fixture.keyring = Arc::new(self.in_file());
        self.fixture.reopen();
        self.attach();
    }

    fn in_file(&self) -> Keyring {
        Keyring::decrypt(&self.file.bytes.lock(), &self.identities).unwrap()
    }

    async fn rotate(&self) -> Result<u32, VaultError> {
        self.fixture.vault.rotate_data_key(&Caller::vault()).await
    }

    /// The data keys in force, and those of the file.
    fn epochs(&self) -> (Vec<u32>, Vec<u32>) {
        (self.fixture.keyring.epochs(), self.in_file().epochs())
    }

    /// How many records are under a data key.
    fn records_under(&self, epoch: u32) -> usize {
        let mut count = 0;
        for table in Table::ALL {
            let mut visit = |_: &[u8], record: &[u8]| {
                count += usize::from(epoch_of(record) == Some(epoch));
                ControlFlow::Continue(())
            };
            self.fixture.store.scan(table, &mut visit).unwrap();
        }
        count
    }

    fn holds(&self, names: &[&str]) {
        for name in names {
            assert_eq!(self.fixture.get(name), Ok(format!("value of {name}")));
        }
    }
}

#[tokio::test]
async fn all_records_follow_a_new_data_key_and_the_old_one_is_dropped() {
    let keys = Keys::new().await;
    let before = keys.records_under(1);
    assert_eq!(keys.rotate().await.unwrap(), 2);
    assert_eq!(keys.epochs(), (vec![1, 2], vec![1, 2]));
    assert_eq!((keys.records_under(1), keys.records_under(2)), (before, 0));
    keys.fixture.vault.reencrypt().await.unwrap();
    assert_eq!(keys.epochs(), (vec![2], vec![2]));
    assert_eq!((keys.records_under(1), keys.records_under(2)), (0, before));
    assert_eq!(keys.fixture.vault.rekey_progress(), None);
    keys.holds(&["A", "B", "C", "D", "E"]);
}

#[tokio::test]
async fn a_re_encryption_that_a_failed_write_interrupts_keeps_both_keys_and_goes_on_after_a_restart() {
    let mut keys = Keys::new().await;
    keys.rotate().await.unwrap();
    // Under the new key by itself, so that some records are under the one and some under the other.
    keys.fixture.update("A", value("value of A")).await.unwrap();
    keys.fixture.memory.fail_next_commit(StoreError::Full);
    keys.fixture.vault.reencrypt().await.unwrap_err();
    assert_eq!(keys.epochs(), (vec![1, 2], vec![1, 2]));
    assert!(keys.records_under(1) > 0 && keys.records_under(2) > 0);
    keys.holds(&["A", "B", "C", "D", "E"]);

    keys.fixture.store.reopen().unwrap();
    keys.restart();
    assert_eq!(keys.epochs(), (vec![1, 2], vec![1, 2]));
    let progress = keys.fixture.vault.rekey_progress().unwrap();
    assert_eq!((progress.epoch, progress.problem), (2, None));
    keys.fixture.vault.reencrypt().await.unwrap();
    assert_eq!(keys.epochs(), (vec![2], vec![2]));
    assert_eq!(keys.records_under(1), 0);
    keys.restart();
    keys.holds(&["A", "B", "C", "D", "E"]);
    assert!(keys.fixture.vault.problems().is_empty());
}

#[tokio::test]
async fn a_second_rotation_before_the_first_is_through_ends_both() {
    let keys = Keys::new().await;
    keys.rotate().await.unwrap();
    keys.fixture.update("A", value("value of A")).await.unwrap();
    assert_eq!(keys.rotate().await.unwrap(), 3);
    assert!(keys.records_under(1) > 0 && keys.records_under(2) > 0);
    keys.fixture.vault.reencrypt().await.unwrap();
    assert_eq!(keys.epochs(), (vec![3], vec![3]));
    assert_eq!((keys.records_under(1), keys.records_under(2)), (0, 0));
    keys.holds(&["A", "B", "C", "D", "E"]);
}

/// A record that nobody can read is no reason to drop the key that it is under.
#[tokio::test]
async fn the_old_key_stays_as_long_as_a_record_is_under_it() {
    let keys = Keys::new().await;
    let mut intact = None;
    keys.fixture.memory.tamper(|records| {
        let ((table, place), record) = records.iter_mut().find(|((table, _), _)| *table == Table::Value).unwrap();
        intact = Some((*table, place.clone(), record.clone()));
        *record.last_mut().unwrap() ^= 1;
    });
    keys.rotate().await.unwrap();
    for _ in 0..2 {
        keys.fixture.vault.reencrypt().await.unwrap_err();
        assert_eq!(keys.epochs(), (vec![1, 2], vec![1, 2]));
        assert!(keys.records_under(1) >= 1);
    }
    let (table, place, record) = intact.unwrap();
    keys.fixture.memory.tamper(|records| drop(records.insert((table, place), record)));
    keys.fixture.vault.reencrypt().await.unwrap();
    assert_eq!(keys.epochs(), (vec![2], vec![2]));
    keys.holds(&["A", "B", "C", "D", "E"]);
}

#[tokio::test]
async fn what_the_file_does_not_take_does_not_come_into_force() {
    let keys = Keys::new().await;
    keys.rotate().await.unwrap();
    keys.file.is_full.store(true, Ordering::Relaxed);
    // No new key, and the old one is not dropped.
    keys.rotate().await.unwrap_err();
    keys.fixture.vault.reencrypt().await.unwrap_err();
    assert_eq!(keys.epochs(), (vec![1, 2], vec![1, 2]));
    assert_eq!(keys.records_under(1), 0, "the records have followed all the same");
    keys.file.is_full.store(false, Ordering::Relaxed);
    keys.fixture.vault.reencrypt().await.unwrap();
    assert_eq!(keys.epochs(), (vec![2], vec![2]));
}

/// A write that was encrypted before a rotation and reaches the store after its end would be lost with the old key.
#[tokio::test]
async fn nothing_comes_in_under_a_key_that_was_dropped() {
    let keys = Keys::new().await;
    let place = vec![7; 16];
    let late = keys.fixture.keyring.encrypt_record(Table::Value, &place, b"late").unwrap();
    keys.rotate().await.unwrap();
    keys.fixture.vault.reencrypt().await.unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Value, place.clone(), late);
    let refused = keys.fixture.vault.submit("write", batch).await.unwrap_err();
    assert!(matches!(refused, VaultError::Store { source: StoreError::Conflict, .. }), "{refused}");
    assert_eq!(keys.fixture.store.get(Table::Value, &place).unwrap(), None);
}

#[tokio::test]
async fn writers_beside_a_re_encryption_lose_nothing() {
    let keys = Keys::new().await;
    let fixture = &keys.fixture;
    for round in 0..20_u32 {
        let name = format!("NEW_{round}");
        keys.rotate().await.unwrap();
        let write = async {
            fixture.update("A", value(&round.to_string())).await.unwrap();
            fixture.create(&name, "created").await.unwrap();
            fixture.update("B", value(&round.to_string())).await.unwrap();
            fixture.vault.purge(&by(), &fixture.namespace, &key(&name), Precondition::None).await.unwrap();
        };
        let (reencrypted, ()) = tokio::join!(fixture.vault.reencrypt(), write);
        reencrypted.unwrap();
        for name in ["A", "B"] {
            assert_eq!(fixture.get(name), Ok(round.to_string()));
        }
        assert_eq!(fixture.get(&name), Err(ErrorKind::NotFound));
    }
    keys.fixture.vault.reencrypt().await.unwrap();
    assert_eq!(keys.epochs(), (vec![21], vec![21]));
    assert!((1..21).all(|epoch| keys.records_under(epoch) == 0));
    keys.holds(&["C", "D", "E"]);
}
