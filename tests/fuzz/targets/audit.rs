//! The trail: whatever is done to its file is found, and whatever stands in its place is no panic. The input: edits (a place
//! and a byte), or a whole file.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use hushd::audit::{Action, Actor, Entry, Mark, Outcome, Trail, TrailOptions, verify};
use hushd::clock::{ManualClock, Timestamp};
use hushd::crypto::Keyring;
use tempfile::TempDir;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

struct Written {
    place: TempDir,
    keyring: Keyring,
    file: PathBuf,
    bytes: Vec<u8>,
    mark: Mark,
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let place = tempfile::Builder::new().prefix("hushd-fuzz-").tempdir_in("/dev/shm").expect("there is room");
    let keyring = Keyring::generate(START, None).expect("it is made");
    let options = TrailOptions { segment_size: 16 << 10, ..TrailOptions::default() };
    let clock = Arc::new(ManualClock::new(START));
    let trail = Trail::new(place.path(), keyring.audit_keys(), clock, options);
    trail.open(None).expect("it opens");
    for number in 0..8 {
        let actor = Actor { principal: format!("uid:{number}").into(), ..Actor::default() };
        trail.record(&[Entry::new(START.as_millis(), actor, Action::Reveal, Outcome::Done)]).expect("it is written");
    }
    let mark = trail.close(Action::Stop).expect("it ends").expect("it has an end");
    let mut files = fs::read_dir(place.path()).expect("it is there").map(|entry| entry.expect("it is there").path());
    let file = files.find(|path| path.extension().is_some_and(|ending| ending == "seg")).expect("there is a segment");
    let bytes = fs::read(&file).expect("it is read");
    Written { keyring, file, bytes, mark, place }
});

libfuzzer_sys::fuzz_target!(|input: (bool, Vec<(u16, u8)>, &[u8])| {
    let (edits_only, edits, other) = input;
    let written = &*WRITTEN;
    let mut bytes = if edits_only { written.bytes.clone() } else { other.to_vec() };
    for (place, byte) in edits.iter().filter(|_| edits_only) {
        let length = bytes.len();
        bytes[usize::from(*place) % length] = *byte;
    }
    fs::write(&written.file, &bytes).expect("it is written");
    let report =
        verify(written.place.path(), &written.keyring.audit_keys(), Some(&written.mark), &[]).expect("it is read");
    assert_eq!(report.faults.is_empty(), bytes == written.bytes, "{report:?}");
});
