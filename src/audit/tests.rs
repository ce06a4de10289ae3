#![expect(clippy::disallowed_methods, reason = "tests edit and tear files, and one measures")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::audit::{Action, Actor, Anchor, Entry, Filter, Mark, Outcome, Report, Trail, TrailOptions, verify};
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::crypto::Keyring;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Where the trail ends on the disk, after it was brought there.
fn position(trail: &Trail) -> Mark {
    trail.sync(trail.unsynced().unwrap().unwrap()).unwrap()
}

struct Place {
    directory: TempDir,
    keyring: Keyring,
    clock: Arc<ManualClock>,
    options: TrailOptions,
}

impl Place {
    fn new() -> Self {
        let options = TrailOptions { segment_size: 16 << 10, max_size: 1 << 20, max_age: Duration::from_hours(24) };
        let clock = Arc::new(ManualClock::new(START));
        Self {
            directory: tempfile::tempdir().unwrap(),
            keyring: Keyring::generate(START, None).unwrap(),
            clock,
            options,
        }
    }

    fn dir(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    fn trail(&self) -> Trail {
        Trail::new(&self.dir(), self.keyring.audit_keys(), Arc::clone(&self.clock) as _, self.options)
    }

    fn verify(&self, mark: Option<&Mark>, anchors: &[Anchor]) -> Report {
        verify(&self.dir(), &self.keyring.audit_keys(), mark, anchors).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
        files.sort();
        files
    }
}

fn reveal(number: u64) -> Entry {
    let actor = Actor { principal: "uid:1000".into(), uid: Some(1000), pid: Some(42), ..Actor::default() };
    Entry {
        namespace: Some("shop/prod".into()),
        key: Some(format!("KEY_{number}").into()),
        revision: Some(number),
        rule: Some("the daemon's own user".into()),
        request_id: Some("d0f6a1c2-0000-4000-8000-000000000000".into()),
        ..Entry::new(START.as_millis(), actor, Action::Reveal, Outcome::Done)
    }
}

/// A trail over several segments and starts, closed in order.
fn filled(place: &Place) -> Mark {
    let mut mark = None;
    for round in 0..3 {
        let trail = place.trail();
        assert_eq!(trail.open(mark.as_ref()).unwrap().broken, Vec::<String>::new());
        for number in 0..300 {
            trail.record(&[reveal(1000 * round + number)]).unwrap();
        }
        trail.record(&(0..100).map(reveal).collect::<Vec<_>>()).unwrap();
        mark = trail.close(Action::Stop).unwrap().map(|mark| Mark { first_segment: 1, ..mark });
    }
    mark.unwrap()
}

#[test]
fn what_was_recorded_is_read_back_in_order_and_verifies() {
    let place = Place::new();
    let mark = filled(&place);
    assert!(place.segments().len() > 5, "it was not rotated");
    let report = place.verify(Some(&mark), &[]);
    assert_eq!((report.faults.len(), report.entries, report.torn), (0, 3 * 402, 0));
    assert_eq!((report.first, report.last), (Some(1), Some(mark.sequence)));
    let trail = place.trail();
    trail.open(Some(&mark)).unwrap();
    let filter = Filter { key: Some("KEY_2299".to_owned()), ..Filter::default() };
    let page = trail.newest(&filter, None, 10).unwrap();
    assert_eq!((page.entries.len(), page.entries[0].entry.revision), (1, Some(2299)));
    // Backwards page by page, and forwards: each entry once.
    let mut backwards = Vec::new();
    let mut before = None;
    loop {
        let page = trail.newest(&Filter::default(), before, 70).unwrap();
        backwards.extend(page.entries.iter().map(|numbered| numbered.sequence));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    backwards.reverse();
    let mut forwards: Vec<u64> = Vec::new();
    loop {
        let page = trail.following(&Filter::default(), forwards.last().copied().unwrap_or(0), 70).unwrap();
        if page.entries.is_empty() {
            break;
        }
        forwards.extend(page.entries.iter().map(|numbered| numbered.sequence));
    }
    assert_eq!(forwards, (1..=mark.sequence + 1).collect::<Vec<_>>());
    assert_eq!(backwards, forwards);
}

#[test]
fn three_hundred_random_edits_are_all_found() {
    let place = Place::new();
    let mark = filled(&place);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for edit in 0..300 {
        let files = place.segments();
        let path = &files[random(files.len())];
        let before = std::fs::read(path).unwrap();
        let mut bytes = before.clone();
        let at = random(bytes.len());
        let length = 1 + random(600.min(bytes.len() - at));
        let other = random(bytes.len());
        match edit % 6 {
            0 => bytes[at] ^= 1 << random(8),
            1 => drop(bytes.drain(at..at + length)),
            2 => bytes.truncate(at),
            3 => {
                let copy = bytes[at..at + length].to_vec();
                drop(bytes.splice(other..other, copy));
            }
            4 => bytes[at..at + length].iter_mut().for_each(|byte| *byte = 0),
            _ => bytes.insert(at, u8::try_from(random(256)).unwrap()),
        }
        if bytes == before {
            continue;
        }
        std::fs::write(path, &bytes).unwrap();
        let report = place.verify(Some(&mark), &[]);
        assert!(!report.faults.is_empty(), "edit {edit} of {} at {at} was not found", path.display());
        std::fs::write(path, &before).unwrap();
    }
    assert_eq!(place.verify(Some(&mark), &[]).faults, []);
}

#[test]
fn whole_frames_and_segments_that_are_removed_doubled_or_swapped_are_named() {
    let place = Place::new();
    let mark = filled(&place);
    let files = place.segments();
    let middle = &files[2];
    let bytes = std::fs::read(middle).unwrap();
    let starts: Vec<usize> = (0..bytes.len() - 4).filter(|&at| bytes[at..].starts_with(b"\xa7hsd")).collect();
    let check = |edited: Vec<u8>, expected: &str| {
        std::fs::write(middle, edited).unwrap();
        let faults = place.verify(Some(&mark), &[]).faults;
        std::fs::write(middle, &bytes).unwrap();
        assert!(faults.iter().any(|fault| fault.what.contains(expected) && fault.segment == 3), "{faults:?}");
    };
    let frame = |index: usize| bytes[starts[index]..starts[index + 1]].to_vec();
    let without = [&bytes[..starts[3]], &bytes[starts[4]..]].concat();
    check(without, "is missing");
    let doubled = [&bytes[..starts[4]], &frame(3), &bytes[starts[4]..]].concat();
    check(doubled, "stands there twice, or in the wrong place");
    let swapped = [&bytes[..starts[3]], &frame(4), &frame(3), &bytes[starts[5]..]].concat();
    check(swapped, "is missing");
    std::fs::remove_file(middle).unwrap();
    let faults = place.verify(Some(&mark), &[]).faults;
    assert!(faults.iter().any(|fault| fault.what == "segment 3 is missing"), "{faults:?}");
}

#[test]
fn a_cut_off_end_is_found_by_an_anchor_outside_also_when_the_vault_knows_nothing() {
    let place = Place::new();
    let mark = filled(&place);
    let anchor = Anchor { sequence: mark.sequence, link: mark.link };
    assert_eq!(place.verify(None, &[anchor]).faults, []);
    assert_eq!(place.verify(None, &[anchor]).anchors, 1);
    let last = place.segments().pop().unwrap();
    std::fs::remove_file(last).unwrap();
    assert_eq!(place.verify(None, &[]).faults, [], "nothing tells");
    assert_eq!(place.verify(None, &[anchor]).faults.len(), 1);
}

#[test]
fn an_end_that_a_kill_or_a_power_cut_tore_is_no_tampering_and_the_rest_goes_on() {
    let mut place = Place::new();
    place.options.segment_size = 64 << 10;
    let trail = place.trail();
    trail.open(None).unwrap();
    (0..50).for_each(|number| trail.record(&[reveal(number)]).unwrap());
    let mark = Mark { first_segment: 1, ..position(&trail) };
    (50..100).for_each(|number| trail.record(&[reveal(number)]).unwrap());
    drop(trail);
    let path = place.segments().pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let synced = usize::try_from(mark.offset).unwrap();
    let mut cases: Vec<Vec<u8>> = (synced..whole.len()).step_by(37).map(|end| whole[..end].to_vec()).collect();
    // A page that was never written, with one behind it that was; and half a page.
    let page = synced.next_multiple_of(4096);
    let mut lost = whole.clone();
    lost[page..page + 4096].fill(0);
    cases.push(lost);
    let mut half = whole.clone();
    half[page + 700..].fill(0);
    cases.push(half);
    for bytes in cases {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(place.verify(Some(&mark), &[]).faults, []);
        let trail = place.trail();
        let opened = trail.open(Some(&mark)).unwrap();
        assert_eq!(opened.broken, Vec::<String>::new());
        trail.record(&[reveal(7)]).unwrap();
        let after = Mark { first_segment: 1, ..position(&trail) };
        assert_eq!(place.verify(Some(&after), &[]).faults, []);
        std::fs::remove_file(place.segments().pop().unwrap()).unwrap();
    }
    // What was on the disk is never taken for torn.
    std::fs::write(&path, &whole[..synced - 10]).unwrap();
    assert_ne!(place.verify(Some(&mark), &[]).faults, []);
    assert_ne!(place.trail().open(Some(&mark)).unwrap().broken, Vec::<String>::new());
}

#[test]
fn the_oldest_segments_are_dropped_by_size_and_age_and_the_rest_still_verifies() {
    let mut place = Place::new();
    place.options.max_size = 5 * place.options.segment_size;
    let mark = filled(&place);
    let trail = place.trail();
    trail.open(Some(&mark)).unwrap();
    let first = trail.first_to_keep().unwrap();
    assert!(first > 1);
    let position = position(&trail);
    trail.drop_before(first).unwrap();
    let kept = Mark { first_segment: first, ..position };
    let report = place.verify(Some(&kept), &[]);
    assert_eq!(report.faults, []);
    assert!(report.first.unwrap() > 1);
    // One more than was dropped is found.
    std::fs::remove_file(&place.segments()[0]).unwrap();
    assert!(place.verify(Some(&kept), &[]).faults.iter().any(|fault| fault.what.contains("is missing")));
    place.clock.advance(Duration::from_hours(48));
    let newest = trail.first_to_keep().unwrap();
    assert_eq!(place.clock.now().since(START), Duration::from_hours(48));
    assert!(newest > first);
}

#[test]
fn many_who_record_at_once_each_find_their_entry_and_a_trail_whose_files_are_gone_refuses() {
    let mut place = Place::new();
    place.options.segment_size = 1 << 20;
    let trail = place.trail();
    trail.open(None).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let trail = &trail;
            scope.spawn(move || (0..200).for_each(|number| trail.record(&[reveal(1000 * thread + number)]).unwrap()));
        }
    });
    let found = trail.following(&Filter::default(), 0, 10_000).unwrap();
    assert_eq!(found.entries.len(), 1 + 8 * 200);
    place.clock.advance(Duration::from_secs(1));
    std::fs::rename(place.dir(), place.directory.path().join("elsewhere")).unwrap();
    assert!(trail.record(&[reveal(1)]).is_err());
    assert!(!trail.is_writable());
    std::fs::rename(place.directory.path().join("elsewhere"), place.dir()).unwrap();
    trail.open(None).unwrap();
    trail.record(&[reveal(1)]).unwrap();
}

#[tokio::test]
async fn entries_of_requests_at_hand_share_a_write_and_stay_where_a_caller_goes_away() {
    let place = Place::new();
    let trail = place.trail();
    trail.open(None).unwrap();
    let size = || std::fs::read(&place.segments()[0]).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let before = size();
    for number in 0..8 {
        trail.record_together(&[reveal(number)]).await.unwrap();
    }
    let alone = size() - before;
    let requests = (8..16).map(|number| {
        let (trail, entries) = (&trail, [reveal(number)]);
        async move { trail.record_together(&entries).await.unwrap() }
    });
    futures_util::future::join_all(requests).await;
    let together = size() - before - alone;
    assert!(together < alone - 100, "{together} bytes in one frame, {alone} in eight");
    let entries = [reveal(16)];
    let mut gone = Box::pin(trail.record_together(&entries));
    assert!(futures_util::poll!(&mut gone).is_pending());
    assert!(futures_util::poll!(&mut gone).is_pending(), "the turn is not over");
    drop(gone);
    trail.record(&[reveal(17)]).unwrap();
    let found = trail.following(&Filter::default(), 0, 100).unwrap();
    let revisions: Vec<u64> = found.entries.iter().filter_map(|numbered| numbered.entry.revision).collect();
    assert_eq!(revisions, (0..18).collect::<Vec<_>>());
    assert_eq!(place.verify(None, &[]).faults, []);
}

#[test]
#[ignore = "a measurement: cargo test --release --lib what_recording_costs -- --ignored --nocapture"]
fn what_recording_costs() {
    let mut place = Place::new();
    place.options.segment_size = 8 << 20;
    place.options.max_size = 1 << 30;
    let trail = place.trail();
    trail.open(None).unwrap();
    let count = 200_000;
    let begin = std::time::Instant::now();
    (0..count).for_each(|number| trail.record(&[reveal(number)]).unwrap());
    let each = begin.elapsed() / u32::try_from(count).unwrap();
    println!("{each:?} an entry");
}
