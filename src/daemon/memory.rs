//! What the daemon tells the allocator.

#![expect(unsafe_code, reason = "the allocator is told by functions of C's, which no safe library has")]

/// Gives back what the start took and needs no more, and from now on lets what is large (from 1 MiB on) come from the system
/// by itself and go back to it when it is freed, and no arena keep more than that. Without glibc it does nothing.
///
/// glibc takes a large block that is freed for a sign that more will follow: from then on it cuts such blocks out of its
/// arenas and keeps them there, 16 MiB and more in each. The store has buffers of 8 MiB, made by threads that come and go;
/// they would stay for good, once in each arena. While the store is opened, which makes many of them one after the other,
/// that is what makes it fast.
pub(super) fn give_back_what_is_large() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 1024 * 1024;
        for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
            // SAFETY: two numbers go in and one comes out; glibc takes its lock for what it changes.
            if unsafe { libc::mallopt(parameter, LARGE) } == 0 {
                tracing::debug!(parameter, "the allocator does not take it");
            }
        }
        // SAFETY: it gives back pages that nobody has allocated, under the locks of its arenas.
        unsafe { libc::malloc_trim(0) };
    }
}
