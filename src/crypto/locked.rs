//! Memory for keys: pages that are never swapped, never in a core, and, where the kernel has memfd_secret(2), out of reach
//! even for root's debugger.
//!
//! Invariants: what was given back is zero before anybody else gets it; two owners never share a byte; a child of the
//! process does not inherit the pages. Where the system locks nothing the keys still have a place, and
//! [`KeyMemory::of_process`] says so. Copies that cryptography makes while it works are not in here.

#![expect(unsafe_code, reason = "pages are mapped and locked by system calls, and their bytes are reached by address")]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use parking_lot::Mutex;
use zeroize::Zeroize as _;

/// Bytes of a region: a thousand keys. Keys are few, and what can be locked is little (`RLIMIT_MEMLOCK`).
const REGION: usize = 32 * 1024;
/// What is handed out is a multiple of it.
const GRANULE: usize = 32;

/// How the memory that holds keys is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyMemory {
    /// Not at all: the system locks no pages for this process.
    Ordinary,
    /// Never swapped, and not in a core (mlock(2), madvise(2) `MADV_DONTDUMP`).
    Locked,
    /// Out of reach for everything but this process's own instructions (memfd_secret(2)).
    Secret,
}

impl KeyMemory {
    /// How all keys of this process are protected: as the worst protected of them is.
    pub fn of_process() -> Self {
        let mut arena = ARENA.lock();
        if arena.is_empty() {
            arena.push(Region::map(REGION));
        }
        arena.iter().map(|region| region.memory).min().unwrap_or(Self::Ordinary)
    }
}

/// Bytes in the memory for keys; wiped when dropped.
pub(super) struct LockedBytes {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the bytes belong to this value alone, as those of a box would, and are in memory of the whole process.
unsafe impl Send for LockedBytes {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for LockedBytes {}

impl LockedBytes {
    /// So many zero bytes.
    #[expect(clippy::expect_used, reason = "a new region has room for what it was made for")]
    pub(super) fn zeroed(length: usize) -> Self {
        let granules = length.div_ceil(GRANULE).max(1);
        let mut arena = ARENA.lock();
        let found = arena.iter_mut().find_map(|region| region.take(granules));
        let start = found.unwrap_or_else(|| {
            let mut region = Region::map((granules * GRANULE).next_multiple_of(REGION));
            let start = region.take(granules).expect("a new region has room for what it was made for");
            arena.push(region);
            start
        });
        Self { start, length }
    }

    /// A copy of these bytes.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

impl Deref for LockedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `Region::take` gave so many initialised bytes to this value alone; regions are never unmapped.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for LockedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        self.zeroize();
        let granules = self.length.div_ceil(GRANULE).max(1);
        let mut arena = ARENA.lock();
        if let Some(region) = arena.iter_mut().find(|region| region.holds(self.start)) {
            region.give_back(self.start, granules);
        }
    }
}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedBytes(…)")
    }
}

/// All regions of the process. They stay: keys come and go with every seal.
static ARENA: Mutex<Vec<Region>> = Mutex::new(Vec::new());

/// Some pages, and which parts of them are taken.
struct Region {
    start: NonNull<u8>,
    taken: Vec<bool>,
    memory: KeyMemory,
}

// SAFETY: a region is an address of memory that lives as long as the process; it is used under the arena's mutex.
unsafe impl Send for Region {}

impl Region {
    /// Maps `length` zero bytes, in the best memory that the system gives.
    fn map(length: usize) -> Self {
        let taken = vec![false; length / GRANULE];
        let found = system::secret(length).map(|start| (start, KeyMemory::Secret));
        let found = found.or_else(|| system::locked(length).map(|start| (start, KeyMemory::Locked)));
        let (start, memory) = found.unwrap_or_else(|| {
            let heap = Box::leak(vec![0_u8; length].into_boxed_slice());
            (NonNull::from(heap).cast(), KeyMemory::Ordinary)
        });
        Self { start, taken, memory }
    }

    /// The first gap that is long enough.
    fn take(&mut self, granules: usize) -> Option<NonNull<u8>> {
        let first = self.taken.windows(granules).position(|gap| gap.iter().all(|taken| !taken))?;
        self.taken[first..first + granules].fill(true);
        // SAFETY: `first` is an index into `taken`, which has one entry for each granule of the region.
        Some(unsafe { self.start.add(first * GRANULE) })
    }

    fn holds(&self, start: NonNull<u8>) -> bool {
        let begin = self.start.addr().get();
        (begin..begin + self.taken.len() * GRANULE).contains(&start.addr().get())
    }

    fn give_back(&mut self, start: NonNull<u8>, granules: usize) {
        let first = (start.addr().get() - self.start.addr().get()) / GRANULE;
        self.taken[first..first + granules].fill(false);
    }
}

/// What the system has for keys.
mod system {
    use std::ffi::c_void;
    use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
    use std::ptr::{self, NonNull};

    use rustix::mm::{Advice, MapFlags, ProtFlags};

    /// Memory that only this process's instructions reach: the kernel itself has it in no map (memfd_secret(2)). It
    /// counts as locked.
    pub(super) fn secret(length: usize) -> Option<NonNull<u8>> {
        // SAFETY: the call takes flags and no address.
        let file = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let file = RawFd::try_from(file).ok().filter(|file| *file >= 0)?;
        // SAFETY: the system call has just given us this descriptor.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        rustix::fs::ftruncate(&file, length as u64).ok()?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the system chooses an address where nothing is mapped.
        let start = unsafe { rustix::mm::mmap(ptr::null_mut(), length, access, MapFlags::SHARED, &file, 0) };
        let start = start.ok()?;
        keep_from_children(start, length);
        NonNull::new(start.cast())
    }

    /// Memory that is never swapped and in no core.
    pub(super) fn locked(length: usize) -> Option<NonNull<u8>> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the system chooses an address where nothing is mapped.
        let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), length, access, MapFlags::PRIVATE) };
        let start = start.ok()?;
        // SAFETY: this much has just been mapped there, and advice about cores changes no byte.
        let _not_dumped = unsafe { rustix::mm::madvise(start, length, Advice::LinuxDontDump) };
        // SAFETY: as above; locking changes no byte.
        if unsafe { rustix::mm::mlock(start, length) }.is_err() {
            // SAFETY: nobody has got anything of it yet.
            let _unmapped = unsafe { rustix::mm::munmap(start, length) };
            return None;
        }
        keep_from_children(start, length);
        NonNull::new(start.cast())
    }

    fn keep_from_children(start: *mut c_void, length: usize) {
        // SAFETY: both callers have just mapped this much there; what children inherit changes nothing for this process.
        let _not_inherited = unsafe { rustix::mm::madvise(start, length, Advice::LinuxDontFork) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_share_no_byte_and_what_is_given_back_is_zero() {
        let mut owners: Vec<_> = (1..200_u8).map(|length| LockedBytes::zeroed(usize::from(length))).collect();
        for (mark, owner) in (1_u8..).zip(&mut owners) {
            assert!(owner.iter().all(|byte| *byte == 0), "not zero at first");
            owner.fill(mark);
        }
        for (mark, owner) in (1_u8..).zip(&owners) {
            assert!(owner.len() == usize::from(mark) && owner.iter().all(|byte| *byte == mark));
        }
        owners.retain(|owner| owner.len() % 2 == 0);
        let others: Vec<_> = (1..200_u8).map(|length| LockedBytes::zeroed(usize::from(length))).collect();
        assert!(others.iter().all(|other| other.iter().all(|byte| *byte == 0)));
        assert!(owners.iter().all(|owner| owner.iter().all(|byte| usize::from(*byte) == owner.len())));
    }

    #[test]
    fn what_does_not_fit_into_a_region_gets_one_of_its_own() {
        let large = LockedBytes::copy_of(&vec![7; 3 * REGION + 1]);
        assert!(large.len() == 3 * REGION + 1 && large.iter().all(|byte| *byte == 7));
        assert!(LockedBytes::zeroed(0).is_empty());
        assert_eq!(REGION % 4096, 0, "a page would be shared with others, or wasted");
        assert_eq!(format!("{:?}", LockedBytes::copy_of(b"secret")), "LockedBytes(…)");
    }

    #[test]
    fn what_was_dropped_is_wiped_and_given_to_others() {
        for _ in 0..200 {
            let mut bytes = LockedBytes::zeroed(REGION);
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(7);
        }
        let regions = ARENA.lock().len();
        assert!(regions < 50, "{regions}");
    }

    #[test]
    fn what_the_system_has_for_keys_can_be_written_and_is_this_processs_alone() {
        let locked = system::locked(4096).unwrap();
        for start in [Some(locked), system::secret(4096)].into_iter().flatten() {
            // SAFETY: so many bytes were mapped for this test alone, and are never unmapped.
            let bytes = unsafe { slice::from_raw_parts_mut(start.as_ptr(), 4096) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(7);
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_region_is_full_when_all_of_it_is_taken_and_empty_when_all_was_given_back() {
        let mut region = Region::map(4 * GRANULE);
        let first = region.take(3).unwrap();
        assert!(region.take(2).is_none());
        let last = region.take(1).unwrap();
        assert!(region.take(1).is_none() && region.holds(first) && region.holds(last));
        region.give_back(first, 3);
        assert!(region.take(4).is_none());
        region.give_back(last, 1);
        assert_eq!(region.take(4), Some(first));
        let other = Region::map(GRANULE);
        assert!(!region.holds(other.start) && !other.holds(region.start));
    }

    /// What root's debugger gets of a process's memory it reads as this does: not through the process's own instructions.
    #[test]
    fn the_pages_are_locked_and_the_kernel_reads_no_secret_ones() {
        use std::os::unix::fs::FileExt as _;
        let bytes = LockedBytes::copy_of(b"a key in the memory for keys....");
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let address = bytes.start.addr().get();
        let holds = |line: &str| {
            let range = line.split(' ').next()?.split_once('-')?;
            let parse = |text| usize::from_str_radix(text, 16).ok();
            Some((parse(range.0)?..parse(range.1)?).contains(&address))
        };
        let mut lines = maps.lines().skip_while(|line| holds(line) != Some(true));
        let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
        let memory = KeyMemory::of_process();
        let has = |flag: &str| flags.split(' ').any(|word| word == flag);
        assert_eq!(has("lo"), memory >= KeyMemory::Locked, "{flags}");
        assert_eq!(has("dc"), memory >= KeyMemory::Locked, "children inherit it: {flags}");
        let mut copy = [0; 32];
        let process = std::fs::File::open("/proc/self/mem").unwrap();
        let read = process.read_exact_at(&mut copy, address as u64);
        if memory == KeyMemory::Secret {
            assert!(read.is_err(), "the kernel read it");
        } else {
            assert_eq!((read.is_ok(), copy), (true, *b"a key in the memory for keys...."));
        }
    }
}
