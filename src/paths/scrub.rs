//! Takes out of the environment what the daemon does not need, since it may hold anybody's credentials.
//!
//! Invariants: only a process with a single thread does it; what is taken out is overwritten where the kernel put it, so that
//! `/proc/PID/environ` and a core do not have it either.

#![expect(unsafe_code, reason = "variables can only be wiped where they are, and only while nobody else reads them")]

use std::ffi::{CStr, c_char};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// What the daemon, its libraries and an age plugin that it starts need.
const KEPT: [&str; 38] = [
    "CACHE_DIRECTORY",
    "COLUMNS",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "DISPLAY",
    "GPG_TTY",
    "HOME",
    "HUSHD_CONFIG",
    "HUSHD_LOG",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LANGUAGE",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LOGNAME",
    "LOGS_DIRECTORY",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "PATH",
    "RUNTIME_DIRECTORY",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];

/// Groups of such variables, by how they begin.
const KEPT_GROUPS: [&[u8]; 2] = [b"LC_", b"XDG_"];

/// Wipes every variable that the daemon does not need. Says whether it could: not while there are other threads.
pub fn scrub_environment() -> bool {
    if fs::read_dir("/proc/self/task").map(Iterator::count).ok() != Some(1) {
        return false;
    }
    let names = std::env::vars_os().map(|(name, _)| name);
    let unneeded: Vec<_> = names.filter(|name| !is_kept(name.as_bytes())).collect();
    // SAFETY: this is the only thread, so nobody changes or reads the environment meanwhile.
    unsafe { wipe_values() };
    for name in unneeded {
        // SAFETY: as above.
        unsafe { std::env::remove_var(name) };
    }
    true
}

/// Where programs are looked for.
pub fn program_directories() -> Vec<PathBuf> {
    let path = std::env::vars_os().find(|(name, _)| name == "PATH");
    path.map(|(_, path)| std::env::split_paths(&path).filter(|path| path.is_absolute()).collect()).unwrap_or_default()
}

/// Where the system bus is (D-Bus Specification, "System message bus"): addresses, the first that answers counts.
pub fn system_bus_address() -> String {
    let address = std::env::vars_os().find(|(name, _)| name == "DBUS_SYSTEM_BUS_ADDRESS");
    let address = address.and_then(|(_, address)| address.into_string().ok()).filter(|address| !address.is_empty());
    address
        .unwrap_or_else(|| "unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket".to_owned())
}

fn is_kept(name: &[u8]) -> bool {
    KEPT.iter().any(|kept| kept.as_bytes() == name) || KEPT_GROUPS.iter().any(|group| name.starts_with(group))
}

unsafe extern "C" {
    /// The variables, each a string, with a null pointer behind the last (environ(7)).
    static environ: *const *mut c_char;
}

/// Overwrites the values of all variables that are not kept.
///
/// # Safety
/// Nobody else may read or change the environment meanwhile.
unsafe fn wipe_values() {
    // SAFETY: the C library keeps this pointer valid.
    let mut next = unsafe { environ };
    // SAFETY: environ(7): an array of pointers to strings that ends with a null pointer, and it may be null itself.
    while let Some(variable) = unsafe { next.as_ref() }.filter(|variable| !variable.is_null()) {
        // SAFETY: each is a string that ends with a zero byte.
        let text = unsafe { CStr::from_ptr(*variable) }.to_bytes();
        let (name, length) = (text.split(|byte| *byte == b'=').next().unwrap_or(text).len(), text.len());
        if !is_kept(&text[..name]) {
            for index in (name + 1)..length {
                // SAFETY: the index is within the string, which is in memory that the process may write (execve(2)). A
                // volatile write is not left out because nobody reads it again.
                unsafe { variable.add(index).write_volatile(0) };
            }
        }
        // SAFETY: this one was not the null pointer at the end.
        next = unsafe { next.add(1) };
    }
}

/// Where the bus of the service manager is that this process belongs to: of a user's own manager (`MANAGERPID`) it is the
/// user's, else the system's.
pub fn manager_bus_address() -> String {
    let variable = |wanted: &str| {
        let found = std::env::vars_os().find(|(name, _)| name == wanted);
        found.and_then(|(_, value)| value.into_string().ok()).filter(|value| !value.is_empty())
    };
    if variable("MANAGERPID").is_none() {
        return system_bus_address();
    }
    let own = || Some(format!("unix:path={}/bus", variable("XDG_RUNTIME_DIR")?));
    variable("DBUS_SESSION_BUS_ADDRESS").or_else(own).unwrap_or_else(system_bus_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_needs_is_kept_and_nothing_else() {
        for kept in ["HOME", "PATH", "NOTIFY_SOCKET", "LISTEN_FDS", "LC_ALL", "XDG_RUNTIME_DIR"] {
            assert!(is_kept(kept.as_bytes()), "{kept}");
        }
        for gone in ["HUSHD_TOKEN", "HUSHD_TOKEN_FILE", "AWS_SECRET_ACCESS_KEY", "HOMES", "LD_PRELOAD", "xdg_x", ""] {
            assert!(!is_kept(gone.as_bytes()), "{gone}");
        }
    }

    #[test]
    fn nothing_is_wiped_while_there_are_other_threads() {
        // A test has a thread of its own beside the harness's.
        let before: Vec<_> = std::env::vars_os().collect();
        assert!(!scrub_environment());
        assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
    }
}
