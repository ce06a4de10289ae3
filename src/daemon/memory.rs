//! What the daemon tells the allocator.

#![expect(unsafe_code, reason = "the allocator is told by a function of C's, which no safe library has")]

/// Lets what is large (from 1 MiB on) come from the system by itself and go back to it when it is freed. Without glibc it
/// does nothing.
///
/// glibc takes a large block that is freed for a sign that more will follow: from then on it cuts such blocks out of its
/// arenas and keeps them there, 16 MiB and more in each. The store has buffers of 8 MiB, made by threads that come and go;
/// they would stay for good, once in each arena. A threshold that it was told it keeps to.
pub(super) fn give_back_what_is_large() {
    #[cfg(target_env = "gnu")]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, 1024 * 1024), (libc::M_TRIM_THRESHOLD, 4 * 1024 * 1024)] {
        // SAFETY: two numbers go in and one comes out; glibc takes its lock for what it changes.
        if unsafe { libc::mallopt(parameter, bytes) } == 0 {
            tracing::debug!(parameter, bytes, "the allocator does not take it");
        }
    }
}
