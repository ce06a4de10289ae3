//! A disk of its own for a sandbox, whose power can be cut: ext4 on a loop device.
//!
//! Invariants: `config` and `data` of the sandbox are on it, logs and sockets are not; it is unmounted when dropped. A
//! power cut is the kernel's own: `EXT4_IOC_SHUTDOWN` without flushing the journal, so that what was neither synced nor
//! written back by chance is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Sandbox, cli};

/// What it takes.
pub const PROGRAMS: [&str; 5] = ["mkfs.ext4", "mount", "umount", "losetup", "perl"];

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`. Rust has no safe wrapper for it.
const SHUT_DOWN: &str = "my $flags = pack('L', 2);
    sysopen(my $disk, $ARGV[0], 0) or die \"open: $!\";
    ioctl($disk, 0x8004587D, $flags) or die \"ioctl: $!\";";

/// The disk of a sandbox.
pub struct Disk {
    // In memory, so that a sync costs little and the medium can fail.
    medium: TempDir,
    image: PathBuf,
    root: PathBuf,
    sandbox: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Puts the directories of a sandbox, which are empty, on a new disk of this size.
    pub fn under(sandbox: &Sandbox, megabytes: u64) -> Self {
        let medium = TempDir::new().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "mode=0700", "hushd-test", path(medium.path())]);
        let image = medium.path().join("image");
        fs::File::create(&image).unwrap().set_len(megabytes * 1024 * 1024).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-b", "4096", "-J", "size=8", path(&image)]);
        let root = medium.path().join("disk");
        fs::create_dir(&root).unwrap();
        let mut disk = Self { medium, image, root, sandbox: sandbox.path(""), mounted: false };
        disk.mount();
        disk
    }

    /// Where all of the disk can be seen.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cuts the power: from now on nothing is written any more. Whoever uses the disk is then killed by the caller.
    pub fn cut_power(&self) {
        run("perl", &["-e", SHUT_DOWN, path(&self.root)]);
    }

    /// Restores the power: shows the disk as a machine finds it that starts again.
    pub fn restore_power(&mut self) {
        self.unmount();
        self.mount();
    }

    /// Lets every write to a place of the medium fail that nothing was written to yet.
    ///
    /// That is data: the journal is gone round once before, so that what the file system keeps for itself has its place.
    pub fn fail_where_unwritten(&self) {
        // A loop device takes a write for done that was done in part, so each is of one page: done or not.
        let device = run("losetup", &["-n", "-O", "NAME", "-j", path(&self.image)]);
        let name = Path::new(device.trim()).file_name().unwrap();
        fs::write(Path::new("/sys/block").join(name).join("queue/max_sectors_kb"), "4").unwrap();
        let turn = self.root.join("turn");
        for _ in 0..1500 {
            let file = fs::File::create(&turn).unwrap();
            file.sync_all().unwrap();
            fs::remove_file(&turn).unwrap();
        }
        rustix::fs::syncfs(fs::File::open(&self.root).unwrap()).unwrap();
        let used = rustix::fs::statvfs(self.medium.path()).unwrap();
        let used = (used.f_blocks - used.f_bfree) * used.f_frsize / 1024;
        self.size_medium(&format!("{used}k"));
    }

    /// Mends the medium.
    pub fn mend(&self) {
        self.size_medium("50%");
    }

    fn size_medium(&self, size: &str) {
        run("mount", &["-o", &format!("remount,size={size}"), path(self.medium.path())]);
    }

    fn mount(&mut self) {
        run("mount", &["-o", "loop", path(&self.image), path(&self.root)]);
        self.mounted = true;
        for name in ["config", "data"] {
            let part = self.root.join(name);
            if !part.exists() {
                fs::create_dir(&part).unwrap();
                fs::set_permissions(&part, fs::Permissions::from_mode(0o700)).unwrap();
            }
            run("mount", &["--bind", path(&part), path(&self.sandbox.join(name))]);
        }
        rustix::fs::syncfs(fs::File::open(&self.root).unwrap()).unwrap();
    }

    fn unmount(&mut self) {
        for name in ["config", "data"] {
            run("umount", &[path(&self.sandbox.join(name))]);
        }
        let device = run("findmnt", &["-n", "-o", "SOURCE", path(&self.root)]);
        run("umount", &[path(&self.root)]);
        self.mounted = false;
        // Whoever copied the mounts meanwhile (a container that starts) keeps the file system for a moment longer, and
        // mounting it then shows the one without power.
        let kept = Path::new("/sys/fs/ext4").join(Path::new(device.trim()).file_name().unwrap());
        for _ in 0..100 {
            if !kept.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // Also what is still in use goes, when nobody uses it any more.
            for place in [self.sandbox.join("config"), self.sandbox.join("data"), self.root.clone()] {
                Command::new("umount").arg("--lazy").arg(place).status().ok();
            }
        }
        Command::new("umount").arg("--lazy").arg(self.medium.path()).status().ok();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = cli::run(Command::new(program).args(arguments), b"");
    assert_eq!(output.code, 0, "{program} {arguments:?}: {output:?}");
    output.stdout
}
