//! "Nobody gets in", with real other users of the machine, who become themselves by setpriv.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use crate::harness::cli::{self, Output};
use crate::harness::{Api, Daemon, Transport, Vault, files};
use crate::needs;

/// The group that may connect, and users of whom only the first is in it.
const GROUP: u32 = 64_201;
const MEMBER: u32 = 64_202;
const STRANGER: u32 = 64_203;

/// Sends a request over the Unix socket and prints the answer.
const ASK: &str = r"
import socket, sys
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(sys.argv[1])
except PermissionError:
    print('cannot connect')
    sys.exit()
for credential in sys.argv[3:] or ['']:
    head = 'GET ' + sys.argv[2] + ' HTTP/1.1\r\nHost: x\r\n'
    connection.sendall((head + (credential and 'x-api-key: ' + credential + '\r\n') + '\r\n').encode())
    print(connection.recv(65536).decode().replace('\r\n', '\n').replace('\n\n', '\n'))
";

/// Tries to take the place of the socket in each way that there is.
const REPLACE: &str = r"
import os, socket, sys
path = sys.argv[1]
other = sys.argv[2] + '/mine.sock'
socket.socket(socket.AF_UNIX).bind(other)
ways = {
    'unlink': lambda: os.unlink(path),
    'rename away': lambda: os.rename(path, path + '.old'),
    'rename over': lambda: os.rename(other, path),
    'link over': lambda: os.link(other, path + '.new'),
    'bind beside': lambda: socket.socket(socket.AF_UNIX).bind(path + '.new'),
    'chmod': lambda: os.chmod(path, 0o777),
    'rename directory': lambda: os.rename(os.path.dirname(path), os.path.dirname(path) + '.old'),
}
for name, way in ways.items():
    try:
        way()
        print('done:', name)
    except OSError as error:
        print('refused:', name, error.errno)
";

/// Opens everything below some directories, for reading and for writing.
const OPEN: &str = r"
import os, sys
for path in sys.argv[1:]:
    for mode in (os.O_RDONLY, os.O_WRONLY, os.O_RDONLY | os.O_DIRECTORY):
        try:
            os.open(path, mode)
            print('opened', path)
        except NotADirectoryError:
            pass
        except IsADirectoryError:
            pass
        except OSError as error:
            print('refused', path, error.errno)
";

/// A vault whose socket is for a group.
struct Shared {
    api: Api,
}

impl Shared {
    fn new() -> Self {
        let vault = Vault::init();
        // The way to the runtime directory is open, as /run is; everything else is as it was born.
        for directory in [vault.sandbox.path(""), vault.sandbox.path("runtime")] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let settings = format!("[socket]\ngroup = \"{GROUP}\"\nmode = \"0660\"\n");
        fs::write(vault.sandbox.config().join("config.toml"), settings).unwrap();
        let api = Api::serve(vault, Transport::Unix);
        api.create("A", "sk_live_marker_of_users");
        Self { api }
    }

    /// Runs a Python program as another user.
    fn run_as(&self, user: u32, groups: &[u32], program: &str, arguments: &[&str]) -> Output {
        let mut command = as_user(&self.api.vault, user, groups);
        command.args(["/usr/bin/python3", "-c", program]).args(arguments);
        cli::run(&mut command, b"").exits(0)
    }

    /// Asks as another user, once with each of the credentials, and gives the answers.
    fn ask_as(&self, user: u32, groups: &[u32], path: &str, credentials: &[&str]) -> String {
        let socket = self.api.daemon().socket.display().to_string();
        let arguments: Vec<&str> = [&*socket, path].into_iter().chain(credentials.iter().copied()).collect();
        self.run_as(user, groups, ASK, &arguments).stdout
    }
}

fn as_user(vault: &Vault, user: u32, groups: &[u32]) -> Command {
    let mut command = vault.sandbox.command(Path::new("setpriv"));
    command.args([format!("--reuid={user}"), format!("--regid={user}")]).current_dir("/");
    if groups.is_empty() {
        command.arg("--clear-groups");
    } else {
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        command.arg(format!("--groups={}", groups.join(",")));
    }
    command
}

/// "Config for the socket's group and mode (0660, group `hushd`)": a member gets to the door, a stranger does not; and at
/// the door he is nobody until a rule or a credential says otherwise.
#[test]
fn only_the_group_of_the_socket_can_connect_and_is_nobody_by_itself() {
    if !needs::met(&["setpriv", "python3"]) {
        return;
    }
    let shared = Shared::new();
    let socket = &shared.api.daemon().socket;
    let found = fs::metadata(socket).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o660, 0, GROUP));
    let directory = fs::metadata(socket.parent().unwrap()).unwrap();
    assert_eq!((directory.mode() & 0o7777, directory.uid(), directory.gid()), (0o710, 0, GROUP));

    for groups in [&[][..], &[MEMBER, 64_299]] {
        assert_eq!(shared.ask_as(STRANGER, groups, "/api/health", &[]), "cannot connect\n");
    }
    let answer = shared.ask_as(MEMBER, &[GROUP], "/api/health", &[]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for path in ["/api/secrets/A", "/api/secrets", "/api/namespaces", "/api/status", "/api/environment"] {
        let answer = shared.ask_as(MEMBER, &[GROUP], path, &[]);
        assert!(answer.starts_with("HTTP/1.1 401 ") || answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
        assert!(!answer.contains("sk_live_marker"), "{answer}");
    }
    let answer = shared.ask_as(MEMBER, &[GROUP], "/api/secrets/A", &[&shared.api.vault.api_key]);
    assert!(answer.contains("sk_live_marker_of_users"), "with a credential he is whom it says: {answer}");
    shared.api.stop();
}

/// "cannot replace the socket or read any file"
#[test]
fn another_user_can_neither_replace_the_socket_nor_open_a_file() {
    if !needs::met(&["setpriv", "python3"]) {
        return;
    }
    let shared = Shared::new();
    let sandbox = &shared.api.vault.sandbox;
    let socket = shared.api.daemon().socket.clone();
    let inode = fs::metadata(&socket).unwrap().ino();
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let paths = (socket.display().to_string(), scratch.path().display().to_string());
    let directories = [sandbox.config(), sandbox.data(), socket.parent().unwrap().to_owned()];
    let mut everything: Vec<String> = directories
        .iter()
        .flat_map(|directory| files::tree(directory))
        .map(|(path, _)| path.display().to_string())
        .collect();
    everything.retain(|path| *path != paths.0);
    everything.extend(directories.iter().map(|path| path.display().to_string()));
    assert!(everything.len() > 10, "{everything:?}");
    let everything: Vec<&str> = everything.iter().map(String::as_str).collect();
    for (user, groups) in [(STRANGER, &[][..]), (MEMBER, &[GROUP][..])] {
        let tried = shared.run_as(user, groups, REPLACE, &[&paths.0, &paths.1]).stdout;
        assert_eq!(tried.matches("refused:").count(), 7, "{user}: {tried}");
        fs::remove_file(scratch.path().join("mine.sock")).unwrap();
        let opened = shared.run_as(user, groups, OPEN, &everything).stdout;
        assert!(!opened.contains("opened") && opened.contains("refused"), "{user}: {opened}");
        // Nor through the process itself.
        let process = format!("/proc/{}", shared.api.daemon().pid().as_raw_nonzero());
        let parts: Vec<String> = ["mem", "environ", "maps", "fd", "root", "cwd", "exe", "auxv"]
            .map(|part| format!("{process}/{part}"))
            .into();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let opened = shared.run_as(user, groups, OPEN, &parts).stdout;
        assert!(!opened.contains("opened"), "{user}: {opened}");
    }
    assert_eq!(fs::metadata(&socket).unwrap().ino(), inode);
    shared.api.get("/api/secrets/A").is(200);
    shared.api.stop();
}

/// The daemon's own user is as far from its memory as any other: not dumpable. (Root is not, which no program can change.)
#[test]
fn another_process_of_the_same_user_cannot_look_into_the_daemon() {
    if !needs::met(&["setpriv", "python3"]) {
        return;
    }
    let vault = Vault::init();
    let root = vault.sandbox.path("");
    let mut chown = Command::new("chown");
    cli::run(chown.arg("-R").arg(format!("{MEMBER}:{MEMBER}")).arg(&root), b"").exits(0);
    let serve = Daemon::command(&vault.sandbox);
    let mut command = as_user(&vault, MEMBER, &[]);
    command.arg(serve.get_program()).args(serve.get_args());
    let daemon = Daemon::launch(&vault.sandbox, command).unwrap();
    let process = format!("/proc/{}", daemon.pid().as_raw_nonzero());
    let parts: Vec<String> = ["mem", "environ", "maps", "fd", "auxv"].map(|part| format!("{process}/{part}")).into();
    let mut look = as_user(&vault, MEMBER, &[]);
    let opened = cli::run(look.args(["/usr/bin/python3", "-c", OPEN]).args(&parts), b"").exits(0).stdout;
    assert!(!opened.contains("opened"), "{opened}");
    // His command line is known for who he is, and he is the administrator of his own daemon.
    let mut client = as_user(&vault, MEMBER, &[]);
    let list = vault.sandbox.hushd(&["list", "--json"]);
    client.arg(list.get_program()).args(list.get_args());
    cli::run(&mut client, b"").exits(0);
    daemon.stop_cleanly();
}

/// "failed authentications are counted per peer …, without letting one local user lock out another"
#[test]
fn a_user_who_guesses_locks_out_nobody_but_himself() {
    if !needs::met(&["setpriv", "python3"]) {
        return;
    }
    let shared = Shared::new();
    let key = shared.api.vault.api_key.clone();
    let mut credentials = vec!["ik_wrong"; 31];
    credentials.push(&key);
    let answers = shared.ask_as(MEMBER, &[GROUP], "/api/secrets/A", &credentials);
    assert_eq!(answers.matches("HTTP/1.1 401 ").count(), 30, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 429 ").count(), 2, "a right key is not looked at either: {answers}");
    assert!(answers.to_ascii_lowercase().contains("retry-after: 1\n") && answers.contains("RATE_LIMITED"), "{answers}");
    // Another user of the same group, and the owner, are served at once.
    let answer = shared.ask_as(STRANGER, &[GROUP], "/api/secrets/A", &[&key]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = shared.ask_as(STRANGER, &[GROUP], "/api/secrets/A", &["ik_wrong"]);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    shared.api.get("/api/secrets/A").is(200);
    shared.api.stop();
}
