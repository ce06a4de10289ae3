//! The verbs over the memory engine, with a clock that moves when it is told to.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{
    AuditRules, Create, ErrorKind, Limits, NewVault, Precondition, Selection, Update, Vault, VaultError, verify_offline,
};
use crate::audit::{self, TrailOptions};
use crate::auth::{ApiKey, Caller, Credential, KeyKind, Principal};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::crypto::Keyring;
use crate::model::{Key, Metadata, Namespace, SecretValue};
use crate::store::{MemoryStore, Store, StoreError};

pub(super) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(super) fn by() -> Caller {
    Caller::new(Principal::ApiKey { in_grace: false })
}

pub(super) struct Fixture {
    pub(super) vault: Arc<Vault>,
    pub(super) store: Arc<dyn Store>,
    pub(super) memory: Arc<MemoryStore>,
    pub(super) keyring: Arc<Keyring>,
    clock: Arc<ManualClock>,
    limits: Limits,
    pub(super) namespace: Namespace,
}

impl Fixture {
    pub(super) fn new(limits: Limits) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let keyring = Arc::new(Keyring::generate(START, None).unwrap());
        let memory = Arc::new(MemoryStore::new(keyring.head_seal()));
        let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(&memory);
        let first = NewVault {
            api_key: ApiKey::generate(KeyKind::Api).unwrap(),
            anon_key: ApiKey::generate(KeyKind::Anon).unwrap(),
        };
        // The creation waits for the disk, as `hushd init` does, and so not on the runtime's thread.
        thread::scope(|scope| {
            let creation = scope.spawn(|| Vault::create_records(&*store, &keyring, &*clock, &first));
            creation.join().unwrap().unwrap();
        });
        let vault = open(&store, &keyring, &clock, limits);
        Self { vault, store, memory, keyring, clock, limits, namespace: Namespace::default() }
    }

    pub(super) fn reopen(&mut self) {
        self.vault = open(&self.store, &self.keyring, &self.clock, self.limits);
    }

    pub(super) async fn create(&self, name: &str, value: &str) -> Result<uuid::Uuid, VaultError> {
        let create = Create { value: text(value), is_reserved: false, is_template: false, expires_at: None };
        self.vault.create(&by(), &self.namespace, &key(name), create).await
    }

    pub(super) async fn update(&self, name: &str, update: Update) -> Result<u64, VaultError> {
        self.vault.update(&by(), &self.namespace, &key(name), Precondition::None, update).await
    }

    fn listed(&self) -> Vec<Metadata> {
        self.vault.list(&by(), &self.namespace).unwrap().collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<String, ErrorKind> {
        let found = self.vault.get(&by(), &self.namespace, &key(name), None).now_or_never().unwrap();
        found.map(|(value, _)| value.expose_secret().to_owned()).map_err(|error| error.kind())
    }
}

fn open(store: &Arc<dyn Store>, keyring: &Arc<Keyring>, clock: &Arc<ManualClock>, limits: Limits) -> Arc<Vault> {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Vault::open(Arc::clone(store), Arc::clone(keyring), clock, limits, 1000).unwrap()
}

pub(super) fn key(name: &str) -> Key {
    name.parse().unwrap()
}

fn text(value: &str) -> SecretValue {
    SecretValue::new(value.to_owned())
}

pub(super) fn value(new: &str) -> Update {
    Update { value: Some(text(new)), ..Update::default() }
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let mut fixture = Fixture::new(Limits::default());
    let id = fixture.create("A", "one").await.unwrap();
    fixture.update("A", value("two")).await.unwrap();
    let before = fixture.listed();
    fixture.reopen();
    assert_eq!(fixture.listed(), before);
    assert_eq!(fixture.get("A").as_deref(), Ok("two"));
    assert_eq!((before[0].id, before[0].revision), (id, 2));
    assert!(fixture.vault.problems().is_empty());
}

#[tokio::test]
async fn a_value_of_many_chunks_comes_back_byte_for_byte() {
    let fixture = Fixture::new(Limits::default());
    for size in [0, 1, 65_535, 65_536, 65_537, 1024 * 1024] {
        let long = "ä\0".repeat(size / 3 + 1)[..].chars().take(size / 2).collect::<String>();
        let name = format!("LONG_{size}");
        fixture.create(&name, "first").await.unwrap();
        fixture.update(&name, value(&long)).await.unwrap();
        assert_eq!(fixture.get(&name).as_deref(), Ok(long.as_str()));
    }
    let over = fixture.create("OVER", &"x".repeat(1024 * 1024 + 1)).await;
    assert_eq!(over.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn an_expired_secret_is_not_found_until_it_is_revived() {
    let fixture = Fixture::new(Limits::default());
    let id = fixture.create("A", "one").await.unwrap();
    let expires_at = Some(Some(START.plus(Duration::from_mins(1))));
    fixture.update("A", Update { expires_at, ..Update::default() }).await.unwrap();
    assert_eq!(fixture.get("A").as_deref(), Ok("one"));
    assert_eq!(fixture.create("A", "two").await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    fixture.clock.advance(Duration::from_mins(1));
    assert_eq!(fixture.get("A"), Err(ErrorKind::NotFound));
    let revived = fixture.create("A", "two").await.unwrap();
    assert_eq!(revived, id);
    let listed = &fixture.listed()[0];
    assert_eq!((listed.expires_at, listed.created_at, listed.revision), (None, START, 2));
    assert_eq!(fixture.get("A").as_deref(), Ok("two"));
}

#[tokio::test]
async fn a_reserved_secret_is_neither_deleted_nor_revived_by_a_create() {
    let fixture = Fixture::new(Limits::default());
    fixture.create("A", "one").await.unwrap();
    fixture.update("A", Update { is_reserved: Some(true), ..Update::default() }).await.unwrap();
    let refused = |error: VaultError| (error.kind(), error.to_string());
    let delete = fixture.vault.delete(&by(), &fixture.namespace, &key("A"), Precondition::None).await;
    let expected = (ErrorKind::Forbidden, "Cannot delete reserved secret: A".to_owned());
    assert_eq!(refused(delete.unwrap_err()), expected);
    let purge = fixture.vault.purge(&by(), &fixture.namespace, &key("A"), Precondition::None).await;
    assert_eq!(refused(purge.unwrap_err()), expected);
    let off = Update { is_active: Some(false), ..Update::default() };
    assert_eq!(refused(fixture.update("A", off.clone()).await.unwrap_err()), expected);
    fixture.update("A", Update { is_reserved: Some(false), ..off }).await.unwrap();
    fixture.update("A", Update { is_reserved: Some(true), ..Update::default() }).await.unwrap();
    assert_eq!(fixture.create("A", "two").await.unwrap_err().kind(), ErrorKind::Forbidden);
    fixture.update("A", Update { is_active: Some(true), ..Update::default() }).await.unwrap();
    assert_eq!(fixture.get("A").as_deref(), Ok("one"));
}

#[tokio::test]
async fn the_last_revisions_are_kept_and_older_ones_leave_the_store() {
    let fixture = Fixture::new(Limits { revisions: 3, ..Limits::default() });
    fixture.create("A", "1").await.unwrap();
    for number in 2..=5 {
        fixture.update("A", value(&number.to_string())).await.unwrap();
    }
    let kept: Vec<u64> = fixture
        .vault
        .revisions(&by(), &fixture.namespace, &key("A"))
        .unwrap()
        .iter()
        .map(|info| info.revision)
        .collect();
    assert_eq!(kept, [5, 4, 3]);
    let mut values = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        values += 1;
        std::ops::ControlFlow::Continue(())
    };
    fixture.store.scan(crate::store::Table::Value, &mut count).unwrap();
    assert_eq!(values, 3);
    let old = fixture.vault.get(&by(), &fixture.namespace, &key("A"), Some(3)).await.unwrap();
    assert_eq!(old.0.expose_secret(), "3");
    assert!(fixture.vault.get(&by(), &fixture.namespace, &key("A"), Some(2)).await.is_err());
    let rolled = fixture.vault.rollback(&by(), &fixture.namespace, &key("A"), Precondition::None, 4).await.unwrap();
    assert_eq!((rolled, fixture.get("A").as_deref()), (6, Ok("4")));
}

#[tokio::test]
async fn a_namespaces_revision_never_moves_back() {
    let mut fixture = Fixture::new(Limits::default());
    let revision = |fixture: &Fixture| {
        fixture
            .vault
            .environment(&by(), &fixture.namespace, &Selection::default())
            .now_or_never()
            .unwrap()
            .unwrap()
            .revision
    };
    let mut last = revision(&fixture);
    for step in 0..6 {
        match step {
            0 => drop(fixture.create("A", "1").await.unwrap()),
            1 => drop(fixture.create("B", "1").await.unwrap()),
            2 => drop(fixture.update("A", value("2")).await.unwrap()),
            3 => fixture.vault.delete(&by(), &fixture.namespace, &key("A"), Precondition::None).await.unwrap(),
            4 => fixture.vault.purge(&by(), &fixture.namespace, &key("A"), Precondition::None).await.unwrap(),
            _ => fixture.vault.purge(&by(), &fixture.namespace, &key("B"), Precondition::None).await.unwrap(),
        }
        let now = revision(&fixture);
        assert!(now > last, "step {step}: {last} to {now}");
        fixture.reopen();
        assert_eq!(revision(&fixture), now, "step {step}, reopened");
        last = now;
    }
    assert!(fixture.vault.namespaces(&by()).unwrap().is_empty());
}

#[tokio::test]
async fn last_uses_are_stored_in_batches_and_move_no_other_time() {
    let mut fixture = Fixture::new(Limits::default());
    fixture.create("A", "1").await.unwrap();
    fixture.create("B", "1").await.unwrap();
    fixture.clock.advance(Duration::from_secs(5));
    fixture.get("A").unwrap();
    fixture.get("A").unwrap();
    assert_eq!(fixture.vault.store_last_uses().await, 1);
    assert_eq!(fixture.vault.store_last_uses().await, 0);
    fixture.reopen();
    let listed = fixture.listed();
    let times = |name: &str| {
        let found = listed.iter().find(|secret| secret.key.as_str() == name).unwrap();
        (found.last_used_at, found.updated_at)
    };
    assert_eq!(times("A"), (Some(START.plus(Duration::from_secs(5))), START));
    assert_eq!(times("B"), (None, START));
}

#[tokio::test]
async fn a_use_that_could_not_be_stored_is_tried_again() {
    let fixture = Fixture::new(Limits::default());
    fixture.create("A", "1").await.unwrap();
    fixture.get("A").unwrap();
    fixture.memory.fail_next_commit(StoreError::Full);
    assert_eq!(fixture.vault.store_last_uses().await, 0);
    assert_eq!(fixture.vault.used.lock().len(), 1);
}

#[tokio::test]
async fn a_use_noted_while_the_secret_changes_is_not_lost() {
    let fixture = Fixture::new(Limits::default());
    fixture.create("A", "1").await.unwrap();
    fixture.clock.advance(Duration::from_secs(5));
    fixture.get("A").unwrap();
    fixture.update("A", value("2")).await.unwrap();
    assert_eq!(fixture.listed()[0].last_used_at, Some(START.plus(Duration::from_secs(5))));
}

#[tokio::test]
async fn rotations_are_in_force_at_once_and_out_of_range_grace_is_refused() {
    let mut fixture = Fixture::new(Limits::default());
    let (old, _) = fixture.vault.rotate_key(&by(), KeyKind::Api, Some(0)).await.unwrap();
    let (new, until) = fixture.vault.rotate_key(&by(), KeyKind::Api, None).await.unwrap();
    assert_eq!(until, START.plus(Duration::from_hours(24)));
    fixture.reopen();
    let who = |text: &SecretValue| {
        fixture.vault.authenticate(Credential::ApiKey(text.expose_secret()), None, &Arc::default()).ok()
    };
    assert_eq!(who(&new), Some(Principal::ApiKey { in_grace: false }));
    assert_eq!(who(&old), Some(Principal::ApiKey { in_grace: true }));
    fixture.clock.advance(Duration::from_hours(24));
    assert_eq!(who(&old), None);
    for (kind, hours) in [(KeyKind::Api, -1), (KeyKind::Api, 169), (KeyKind::Anon, 721)] {
        let refused = fixture.vault.rotate_key(&by(), kind, Some(hours)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn rotations_stop_before_the_keys_in_grace_outgrow_their_record() {
    let fixture = Fixture::new(Limits::default());
    let mut done = 0;
    let refused = loop {
        match fixture.vault.rotate_key(&by(), KeyKind::Anon, None).await {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((done, refused.kind()), (512, ErrorKind::RateLimited));
    fixture.clock.advance(Duration::from_hours(168));
    fixture.vault.rotate_key(&by(), KeyKind::Anon, None).await.unwrap();
}

#[tokio::test]
async fn a_dropped_request_still_writes_to_its_end() {
    let fixture = Fixture::new(Limits::default());
    let create = fixture.create("A", "1");
    let begun = tokio::time::timeout(Duration::ZERO, create).await;
    for _ in 0..1000 {
        if begun.is_ok() || fixture.get("A").is_ok() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the write that was begun never ended");
}

#[tokio::test]
async fn a_value_that_went_missing_is_damage_and_not_absence() {
    let fixture = Fixture::new(Limits::default());
    fixture.create("A", "1").await.unwrap();
    let mut keys = Vec::new();
    let mut collect = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        std::ops::ControlFlow::Continue(())
    };
    fixture.store.scan(crate::store::Table::Value, &mut collect).unwrap();
    let mut batch = crate::store::Batch::default();
    batch.delete(crate::store::Table::Value, keys.remove(0));
    fixture.store.submit(batch).answer().await.unwrap();
    assert_eq!(fixture.get("A"), Err(ErrorKind::Internal));
}

#[tokio::test]
async fn lost_metadata_makes_the_vault_read_only_and_its_names_unsure() {
    let mut fixture = Fixture::new(Limits::default());
    fixture.create("A", "1").await.unwrap();
    fixture.create("B", "1").await.unwrap();
    let tag = fixture.keyring.name_tag(&fixture.namespace, &key("A"));
    let stored = fixture.store.get(crate::store::Table::Metadata, &tag).unwrap().unwrap();
    let mut broken = stored.clone();
    broken[stored.len() / 2] ^= 1;
    let mut batch = crate::store::Batch::default();
    batch.put(crate::store::Table::Metadata, tag.to_vec(), broken);
    fixture.store.submit(batch).answer().await.unwrap();
    fixture.reopen();
    assert!(!fixture.vault.is_writable());
    assert_eq!(fixture.vault.problems().len(), 1);
    assert_eq!(fixture.get("A"), Err(ErrorKind::Internal), "never called not found");
    assert_eq!(fixture.get("B").as_deref(), Ok("1"), "others are served");
    assert_eq!(fixture.get("C"), Err(ErrorKind::NotFound));
    assert_eq!(fixture.create("C", "1").await.unwrap_err().kind(), ErrorKind::Internal);
}

/// "the engine reopens itself … WITHOUT restarting": what was in doubt is what the disk has, and nothing else changes.
#[tokio::test]
async fn after_a_failed_write_the_vault_is_reopened_with_what_the_disk_has() {
    use crate::store::{Latch, SledOptions, SledStore};

    let dir = tempfile::tempdir().unwrap();
    let (clock, keyring) = (Arc::new(ManualClock::new(START)), Arc::new(Keyring::generate(START, None).unwrap()));
    let sled =
        Arc::new(SledStore::create(&dir.path().join("db"), SledOptions::default(), keyring.head_seal()).unwrap());
    let store: Arc<dyn Store> = Arc::<SledStore>::clone(&sled);
    let first = NewVault {
        api_key: ApiKey::generate(KeyKind::Api).unwrap(),
        anon_key: ApiKey::generate(KeyKind::Anon).unwrap(),
    };
    thread::scope(|scope| {
        scope.spawn(|| Vault::create_records(&*store, &keyring, &*clock, &first).unwrap());
    });
    let limits = Limits { revisions: 1, ..Limits::default() };
    let vault = open(&store, &keyring, &clock, limits);
    let memory = Arc::new(MemoryStore::new(keyring.head_seal()));
    let fixture = Fixture { vault, store, memory, keyring, clock, limits, namespace: Namespace::default() };
    fixture.create("A", "one").await.unwrap();
    fixture.create("USED", "used").await.unwrap();
    fixture.clock.advance(Duration::from_hours(1));
    fixture.get("USED").unwrap();
    let used = |fixture: &Fixture| {
        let list = fixture.listed();
        list.iter().find(|secret| secret.key.as_str() == "USED").unwrap().last_used_at
    };
    let used_before = used(&fixture);
    assert!(used_before.is_some());

    // The commit is in the file, and its sync failed: it is in doubt, and the index has the old state.
    crate::store::fail_next_sync(&sled);
    assert_eq!(fixture.update("A", value("two")).await.unwrap_err().kind(), ErrorKind::StorageFull);
    let refused = fixture.create("B", "never").await.unwrap_err();
    let latched = StoreError::ReadOnly { cause: Latch::Full };
    assert!(matches!(&refused, VaultError::Store { source, .. } if source.to_string() == latched.to_string()));
    assert_eq!(refused.kind(), ErrorKind::StorageFull, "507 also for those after the first");
    assert!(!fixture.vault.is_writable() && fixture.vault.problems()[0].contains("the disk was full"));
    assert!(fixture.vault.needs_reopening());

    let vault = Arc::clone(&fixture.vault);
    tokio::task::spawn_blocking(move || vault.reopen()).await.unwrap().unwrap();
    assert!(fixture.vault.is_writable() && !fixture.vault.needs_reopening());
    // With one revision kept, the index of before would point at a value that is gone.
    assert_eq!(fixture.get("A").as_deref(), Ok("two"));
    assert_eq!(fixture.get("B"), Err(ErrorKind::NotFound));
    assert_eq!(used(&fixture), used_before);
    fixture.update("A", value("three")).await.unwrap();
    assert_eq!(fixture.get("A").as_deref(), Ok("three"));
    assert_eq!(fixture.vault.store_last_uses().await, 1, "uses of before the fault are stored after it");
    assert!(
        fixture
            .vault
            .authenticate(Credential::ApiKey(first.api_key.text().expose_secret()), None, &Arc::default())
            .is_ok()
    );
    let vault = Arc::clone(&fixture.vault);
    let report =
        tokio::task::spawn_blocking(move || vault.check(&crate::model::Progress::none())).await.unwrap().unwrap();
    assert_eq!(report.findings, []);
}

/// A full disk keeps the vault from noting that old segments are to go: until it can, they stay, and whoever reads the log is told
/// to free space.
#[test]
fn of_the_trail_nothing_is_dropped_that_the_vault_has_not_noted() {
    let directory = tempfile::tempdir().unwrap();
    let segment_size = 16 << 10;
    let options = TrailOptions { segment_size, max_size: 5 * segment_size, ..TrailOptions::default() };
    let fixture = Fixture::new(Limits::default());
    fixture.vault.open_trail(directory.path(), options, AuditRules::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(fixture.create("A", "1")).unwrap();
    let read = || runtime.block_on(fixture.vault.get(&by(), &fixture.namespace, &key("A"), None)).unwrap();
    let segments = || fs::read_dir(directory.path()).unwrap().count();
    while segments() < 12 {
        read();
    }
    let whole = || {
        let (keys, stored) = fixture.vault.trail_keys().unwrap();
        verify_offline(directory.path(), &keys, stored.as_ref(), &[]).unwrap().faults
    };
    fixture.vault.tend_trail().unwrap();
    fixture.memory.fail_next_commit(StoreError::Full);
    assert_eq!(fixture.vault.trim_trail().unwrap_err().kind(), ErrorKind::StorageFull);
    fixture.vault.trim_trail().unwrap();
    assert_eq!((whole(), segments() >= 12), (vec![], true), "nothing is gone");
    fixture.vault.reopen().unwrap();
    read();
    fixture.vault.tend_trail().unwrap();
    fixture.vault.trim_trail().unwrap();
    assert_eq!((whole(), segments() < 8), (vec![], true), "what is too much is gone");
}

#[test]
fn a_change_is_recorded_once_whenever_the_daemon_is_killed() {
    const WRITERS: usize = 4;
    const READERS: usize = 4;
    const CHANGES: usize = 10;
    let directory = tempfile::tempdir().unwrap();
    let options = TrailOptions { segment_size: 1 << 20, max_size: 1 << 30, ..TrailOptions::default() };
    let mut fixture = Fixture::new(Limits::default());
    fixture.vault.open_trail(directory.path(), options, AuditRules::default()).unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime().block_on(fixture.create("READ", "a value")).unwrap();
    let mut seen = fixture.vault.trail().unwrap().last().unwrap();
    for round in 0..50 {
        let (vault, written) = (&fixture.vault, AtomicUsize::new(0));
        let read = async || {
            while written.load(Ordering::Relaxed) < WRITERS * CHANGES / 2 {
                vault.get(&by(), &Namespace::default(), &key("READ"), None).await.unwrap();
            }
        };
        thread::scope(|scope| {
            // The last time while changes still come in: what it left undone stays as a kill would leave it.
            scope.spawn(|| {
                while written.load(Ordering::Relaxed) < WRITERS * CHANGES / 2 {
                    vault.tend_trail().unwrap();
                }
            });
            // Whoever records reveals holds the trail up between what was written and where it ends.
            for _ in 0..READERS {
                scope.spawn(|| runtime().block_on(read()));
            }
            let write = async |writer| {
                for number in 0..CHANGES {
                    let create = Create { value: text("v"), is_reserved: false, expires_at: None, is_template: false };
                    let name = key(&format!("KEY_{round}_{writer}_{number}"));
                    vault.create(&by(), &Namespace::default(), &name, create).await.unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                }
            };
            for writer in 0..WRITERS {
                scope.spawn(move || runtime().block_on(write(writer)));
            }
        });
        fixture.reopen();
        fixture.vault.open_trail(directory.path(), options, AuditRules::default()).unwrap();
        let page = fixture.vault.trail().unwrap().following(&audit::Filter::default(), seen, usize::MAX).unwrap();
        seen = page.next.unwrap();
        let changes: Vec<_> = page.entries.iter().filter_map(|numbered| numbered.entry.change).collect();
        assert_eq!(changes.iter().collect::<HashSet<_>>().len(), WRITERS * CHANGES);
        assert_eq!(changes.len(), WRITERS * CHANGES, "a change stands there twice");
    }
}
