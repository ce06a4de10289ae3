//! Which system calls the process can make, by seccomp(2).
//!
//! Invariants: what is refused fails with `EPERM`, as it does for whoever lacks the privilege; only what a daemon that keeps
//! secrets never needs is refused, so that another version of a library does not stop it.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// What is refused.
const REFUSED: &[libc::c_long] = &[
    // The memory and the files of other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // The kernel and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Other views of the file system, and files beside their names.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // Ways into the kernel that daemons do not need and attackers like.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Refuses them from here on, to this thread and all that it starts.
pub(super) fn restrict() -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let refused: BTreeMap<_, _> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, eperm, arch).map_err(|error| error.to_string())?;
    let program = BpfProgram::try_from(filter).map_err(|error| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use rustix::io::Errno;
    use rustix::process::{chroot, pivot_root};

    use super::*;

    /// What a thread is forbidden is forbidden to it alone, so that the other tests go on.
    #[test]
    fn what_is_refused_fails_and_the_rest_works() {
        // Without the filter it is that there is no such directory, which root is told and nobody else.
        let nowhere = "/nonexistent";
        let inside = || {
            restrict()?;
            let refused = [chroot(nowhere).err(), pivot_root(nowhere, nowhere).err()];
            // And to the programs that it starts.
            let program = |program: &str, arguments: &[&str]| {
                Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
            };
            let refused_to_programs = !program("unshare", &["--user", "true"]);
            let file = tempfile::tempfile().and_then(|file| file.sync_all());
            let socket = std::net::TcpListener::bind("127.0.0.1:0");
            let works = file.is_ok() && socket.is_ok() && thread::spawn(|| 1).join().is_ok() && program("true", &[]);
            Ok::<_, String>((refused, refused_to_programs, works))
        };
        let found = thread::scope(|scope| scope.spawn(inside).join().unwrap());
        assert_eq!(found, Ok(([Some(Errno::PERM); 2], true, true)));
    }
}
