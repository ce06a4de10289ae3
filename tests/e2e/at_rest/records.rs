//! The records of a vault that no daemon holds, read and changed behind its back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::harness::files;
use crate::harness::{Api, Sandbox, Transport, Vault};

/// All records by their key: the table's tag, and what comes after it.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The tag of records with metadata.
pub const METADATA: u8 = b'm';
/// The tag of records with values.
pub const VALUE: u8 = b'v';

/// Opens a vault's store without the daemon.
fn open(sandbox: &Sandbox) -> sled::Db {
    // What the daemon chose; sled refuses to open a database with another size of segments.
    let config = sled::Config::new().path(sandbox.data().join("db")).segment_size(8 << 20).cache_capacity(1 << 20);
    // A handle that was just dropped lets its lock go a moment later, on a thread of sled's.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

/// All records of a vault.
pub fn read(sandbox: &Sandbox) -> Records {
    let db = open(sandbox);
    let mut records = Records::new();
    for name in db.tree_names() {
        for record in &db.open_tree(name).unwrap() {
            let (key, record) = record.unwrap();
            assert!(records.insert(key.to_vec(), record.to_vec()).is_none(), "two trees have the same key");
        }
    }
    drop(db);
    make_private(sandbox);
    records
}

/// Writes (`Some`) or removes (`None`) one record.
pub fn change(sandbox: &Sandbox, key: &[u8], record: Option<&[u8]>) {
    let db = open(sandbox);
    let holder = db.tree_names().into_iter().map(|name| db.open_tree(name).unwrap());
    let tree = holder.into_iter().find(|tree| tree.contains_key(key).unwrap()).unwrap_or_else(|| (*db).clone());
    match record {
        Some(record) => tree.insert(key, record).unwrap(),
        None => tree.remove(key).unwrap(),
    };
    tree.flush().unwrap();
    db.flush().unwrap();
    drop((tree, db));
    make_private(sandbox);
}

/// What sled makes for a test has the test's umask; what it makes for the daemon is private.
fn make_private(sandbox: &Sandbox) {
    // A thread of sled's may hold the lock for a moment longer, and the daemon would find the store in use.
    let log = fs::File::open(sandbox.data().join("db/db")).unwrap();
    rustix::fs::flock(&log, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for (path, metadata) in files::tree(&sandbox.data().join("db")) {
        if metadata.is_file() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// A vault at rest whose records are known one by one, and which can be put back to how it was.
pub struct AtRest {
    /// The vault.
    pub vault: Vault,
    /// Its records.
    pub records: Records,
}

impl AtRest {
    /// Creates a vault, lets `write` use it, and stops it.
    pub fn new(write: impl FnOnce(&Api)) -> Self {
        let api = Api::start(Transport::Unix);
        write(&api);
        Self::stopped(api)
    }

    fn stopped(api: Api) -> Self {
        let vault = api.stop();
        let records = read(&vault.sandbox);
        Self { vault, records }
    }

    /// Lets `write` use the vault once more; answers it with the keys of the records that came with it.
    pub fn and(self, write: impl FnOnce(&Api)) -> (Self, Vec<Vec<u8>>) {
        let api = Api::serve(self.vault, Transport::Unix);
        write(&api);
        let after = Self::stopped(api);
        let new = after.records.keys().filter(|key| !self.records.contains_key(*key)).cloned().collect();
        (after, new)
    }

    /// The keys of a table's records.
    pub fn keys(&self, table: u8) -> Vec<&Vec<u8>> {
        self.records.keys().filter(|key| key.first() == Some(&table)).collect()
    }

    /// Lets `tamper` change a copy of the vault's files, and answers that copy.
    pub fn tampered(&self, tamper: impl FnOnce(&Sandbox)) -> Vault {
        let sandbox = Sandbox::new();
        for directory in ["config", "data"] {
            let to = sandbox.path(directory);
            files::copy(&self.vault.sandbox.path(directory), &to);
            fs::set_permissions(&to, fs::Permissions::from_mode(0o700)).unwrap();
        }
        tamper(&sandbox);
        Vault { sandbox, jwt_secret: self.vault.jwt_secret.clone(), api_key: self.vault.api_key.clone() }
    }
}
