//! A machine with systemd: a layer over a Debian, booted by systemd-nspawn.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::needs;
use crate::package::{self, run};

/// What every machine has beside the smallest Debian.
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,libpam-systemd,dbus-user-session,polkitd,curl,python3-minimal,libgcc-s1";
/// How long a machine may take to boot, and whatever is waited for to happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// A machine that has booted; gone when dropped.
pub struct Machine {
    container: Child,
    leader: u32,
    layer: tempfile::TempDir,
    turn: Option<Turn>,
}

/// The turn to have a machine, of which there is one at a time: it has the processor to itself.
type Turn = MutexGuard<'static, ()>;

impl Machine {
    /// One with nothing of hushd's; `None`, said aloud, where none can be made.
    pub fn bare() -> Option<Self> {
        let turn = turn()?;
        Some(Self::boot(&debian().display().to_string(), turn))
    }

    /// One on which the package is installed and its socket enabled, with secrets in `shop/prod`.
    pub fn installed() -> Option<Self> {
        static INSTALLED: OnceLock<String> = OnceLock::new();
        let mut turn = turn()?;
        if INSTALLED.get().is_none() {
            let first = Self::boot(&debian().display().to_string(), turn);
            let (lower, again) = first.install_for_others();
            turn = again;
            INSTALLED.get_or_init(|| lower);
        }
        let lower = INSTALLED.get().unwrap();
        let machine = Self::boot(lower, turn);
        machine.wait("systemctl is-active hushd.socket");
        Some(machine)
    }

    /// Installs the package, and keeps what that changed as a layer that other machines are booted of.
    fn install_for_others(mut self) -> (String, Turn) {
        self.install("1.0");
        self.ok("systemctl enable --now hushd.socket 2>&1");
        self.ok("printf %s first-value | hushd --namespace shop/prod set DB_PASSWORD 2>&1");
        self.ok("printf %s second-value | hushd --namespace shop/prod set API_TOKEN 2>&1");
        self.run("journalctl --rotate -q; journalctl --vacuum-time=1s -q; systemctl poweroff");
        self.container.wait().unwrap();
        run(Command::new("umount").arg(self.layer.path().join("root")));
        let kept = debian().parent().unwrap().join("layer-installed");
        fs::rename(self.layer.path().join("upper"), &kept).unwrap();
        fs::remove_dir_all(kept.join("packages")).unwrap();
        let turn = self.turn.take().unwrap();
        (format!("{}:{}", kept.display(), debian().display()), turn)
    }

    fn boot(lower: &str, turn: Turn) -> Self {
        let layer = tempfile::Builder::new().prefix("layer-").tempdir_in(debian().parent().unwrap()).unwrap();
        for part in ["upper", "work", "root"] {
            fs::create_dir(layer.path().join(part)).unwrap();
        }
        let path = |part: &str| layer.path().join(part).display().to_string();
        let options = format!("lowerdir={lower},upperdir={},workdir={}", path("upper"), path("work"));
        run(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(layer.path().join("root")));
        // With the test that is killed its machine ends too.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "systemd-nspawn"]);
        command.args(["-q", "-b", "--register=no", "--keep-unit", "--console=pipe", "--private-network"]);
        command.args(["--capability=all", "--system-call-filter=@known", "-D"]).arg(layer.path().join("root"));
        let container = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut machine = Self { container, leader: 0, layer, turn: Some(turn) };
        let children = format!("/proc/{0}/task/{0}/children", machine.container.id());
        machine.leader = wait_for("the container", || {
            let pid: u32 = fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()?;
            // Not the one that makes it and ends.
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (name.trim() == "systemd").then_some(pid)
        });
        machine.wait("systemctl is-system-running | grep -qE 'running|degraded'");
        machine
    }

    /// Installs the package in this version with apt.
    pub fn install(&self, version: &str) {
        let directory = self.layer.path().join("root/packages");
        fs::create_dir_all(&directory).unwrap();
        package::build(&directory, version);
        self.ok(&format!("DEBIAN_FRONTEND=noninteractive apt-get install -y -q /packages/hushd_{version}.deb 2>&1"));
    }

    /// Runs a shell's command.
    pub fn run(&self, command: &str) -> Output {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-t", &self.leader.to_string(), "-a", "env", "-i"]);
        nsenter.args([
            "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "sh",
            "-c",
            command,
        ]);
        nsenter.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs one that must succeed, and gives what it prints.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        let output = self.run(command);
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {}: {text} {error}\n{}", output.status, self.journal());
        text
    }

    /// Whether one succeeds.
    pub fn try_run(&self, command: &str) -> bool {
        self.run(command).status.success()
    }

    /// Waits until one succeeds.
    #[track_caller]
    pub fn wait(&self, command: &str) {
        wait_for(command, || self.try_run(command).then_some(()));
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A file of the machine's, from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.leader))
    }

    /// Adds to the configuration, and has it taken over.
    pub fn configure(&self, text: &str) {
        let path = self.path("/etc/hushd/config.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{before}\n{text}\n")).unwrap();
        self.ok("systemctl start hushd.service; systemctl reload hushd.service");
        self.wait("journalctl -u hushd.service | grep -q 'was read anew'");
    }

    /// What the machine has to say.
    pub fn journal(&self) -> String {
        String::from_utf8_lossy(&self.run("journalctl -q --no-pager -n 80").stdout).into_owned()
    }

    /// A oneshot service that keeps the sizes and contents of its credentials in `/run/got/UNIT/`.
    pub fn add_unit(&self, name: &str, credentials: &[&str], more: &str) {
        let mut loads = String::new();
        for id in credentials {
            writeln!(loads, "LoadCredential={id}:/run/hushd/credentials.sock").unwrap();
        }
        let keep = "/bin/sh -c 'mkdir -p /run/got/%n && cp $CREDENTIALS_DIRECTORY/* /run/got/%n/'";
        // The service's own user could not write there.
        let text = format!("[Service]\nType=oneshot\n{loads}{more}\nExecStart=+{keep}\n");
        self.write(&format!("/etc/systemd/system/{name}"), &text);
        self.ok("systemctl daemon-reload");
    }

    /// Starts a unit that must fail because of its credentials, and gives what the daemon's journal says since.
    #[track_caller]
    pub fn fails(&self, unit: &str) -> String {
        let cursor = self.cursor();
        assert!(!self.try_run(&format!("systemctl start {unit}")), "{unit} started\n{}", self.journal());
        let status = self.ok(&format!("systemctl show -P ExecMainStatus {unit}"));
        assert_eq!(status, "243", "{unit}: not because of its credentials\n{}", self.journal());
        assert!(!self.path(&format!("/run/got/{unit}")).exists(), "it got something");
        self.since(&cursor)
    }

    /// A place in the journal.
    pub fn cursor(&self) -> String {
        let text = self.ok("journalctl --sync; journalctl -q -n 0 --show-cursor");
        text.rsplit("cursor: ").next().unwrap().trim().to_owned()
    }

    /// What came after it, of hushd's units.
    pub fn since(&self, cursor: &str) -> String {
        self.ok(&format!(
            "journalctl --sync; journalctl -q --no-pager -o cat --after-cursor='{cursor}' -u hushd.service -u 'hushd-credentials@*'"
        ))
    }

    /// What a unit got under an id.
    pub fn got(&self, unit: &str, id: &str) -> String {
        fs::read_to_string(self.path(&format!("/run/got/{unit}/{id}")))
            .unwrap_or_else(|error| panic!("{unit} has no {id}: {error}\n{}", self.journal()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its first process, with which all others end; systemd-nspawn alone would leave them behind.
        if self.leader != 0 && self.container.try_wait().is_ok_and(|ended| ended.is_none()) {
            Command::new("kill").args(["-KILL", &self.leader.to_string()]).stderr(Stdio::null()).status().ok();
        } else {
            self.container.kill().ok();
        }
        self.container.wait().ok();
        let mut umount = Command::new("umount");
        umount.arg("-lq").arg(self.layer.path().join("root")).stderr(Stdio::null()).status().ok();
    }
}

/// Waits for the turn; `None`, said aloud, where there can be no machine.
fn turn() -> Option<Turn> {
    static TURN: Mutex<()> = Mutex::new(());
    let met = needs::met(&["debootstrap", "systemd-nspawn", "dpkg-deb", "nsenter", "strip"]);
    met.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Waits until something is there.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A Debian, made once and kept beside what cargo builds.
fn debian() -> &'static Path {
    static DEBIAN: OnceLock<PathBuf> = OnceLock::new();
    DEBIAN.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemd");
        let root = directory.join(format!("bookworm-{}", PACKAGES.len()));
        fs::create_dir_all(&directory).unwrap();
        for left in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            if left.file_name().unwrap().to_string_lossy().starts_with("layer-") {
                Command::new("umount").arg("-lq").arg(left.join("root")).stderr(Stdio::null()).status().ok();
                fs::remove_dir_all(left).ok();
            }
        }
        if !root.exists() {
            let begun = Instant::now();
            let unfinished = directory.join("unfinished");
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished).unwrap();
            }
            let mut command = Command::new("debootstrap");
            command.args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]).arg(&unfinished);
            if let Some(mirror) = mirror() {
                command.arg(mirror);
            }
            run(&mut command);
            // A machine without an identity would ask for everything at its first boot.
            fs::write(unfinished.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
            fs::rename(&unfinished, &root).unwrap();
            eprintln!("debootstrap took {:?}", begun.elapsed());
        }
        root
    })
}

/// Where this machine's own apt gets Debian from.
fn mirror() -> Option<String> {
    let mut output = Command::new("apt-get");
    output.args(["indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"]);
    let output = String::from_utf8(output.output().ok()?.stdout).ok()?;
    output.lines().find_map(|line| line.strip_suffix(" bookworm").map(|site| site.trim_end_matches('/').to_owned()))
}
