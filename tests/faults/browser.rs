//! "Every page open in a browser can reach loopback": pages of other origins in a real Chromium, and a rebound name.
//!
//! A relay stands between the browser and the daemon and writes down what each request was and how it was answered; it
//! changes only `Connection`, so that each request has a connection of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

use crate::harness::cli::PATIENCE;
use crate::harness::{Api, Transport};
use crate::needs;

const PAGE: &str = include_str!("browser.html");
const MARKER: &str = "sk_live_marker_of_the_browser_test";
/// How the page tries, and what its requests are known by.
const WAYS: [&str; 15] = [
    "cors",
    "cors with a key",
    "cors with credentials",
    "no-cors",
    "no-cors post",
    "text post",
    "json post",
    "image",
    "script",
    "style",
    "frame",
    "form",
    "text form",
    "events",
    "socket",
];

/// A request that reached the daemon's port, and the status of its answer.
#[derive(Debug)]
struct Seen {
    line: String,
    host: String,
    origin: String,
    site: String,
    status: u16,
}

/// "A script in a real headless Chromium page from another origin … get[s] nothing from the TCP port."
#[test]
fn a_page_of_another_origin_gets_nothing() {
    if !needs::met(&["chromium"]) {
        return;
    }
    let stage = Stage::new();
    let relay = stage.relay();
    // Another site altogether, and the same machine by another port, which is the same site to a browser.
    for origin in ["http://evil.example", "http://127.0.0.1", "http://localhost"] {
        let (page, report) = stage.serve_page(&format!("http://127.0.0.1:{}", relay.port));
        let found = report_of(&report, || stage.open(&format!("{origin}:{page}/")));
        nothing_was_read(origin, &found, false);
        let seen = relay.seen();
        assert!(seen.len() >= WAYS.len(), "{origin}: it did not try everything: {seen:#?}");
        let served: Vec<_> = seen.iter().filter(|seen| seen.status != 403).collect();
        assert!(served.is_empty(), "{origin}: answered: {served:#?}");
        assert!(seen.iter().all(|seen| seen.host == format!("127.0.0.1:{}", relay.port)), "{seen:#?}");
        assert!(seen.iter().any(|seen| seen.line.starts_with("OPTIONS ")), "no preflight: {seen:#?}");
        assert!(seen.iter().any(|seen| seen.site.ends_with("-site")), "no Sec-Fetch-Site: {seen:#?}");
    }
    stage.nothing_was_planted();
    // What the guards let through is a person who types the address, or the test would prove nothing.
    let _browser = stage.open(&format!("http://127.0.0.1:{}/api/health", relay.port));
    let typed = relay.next();
    assert_eq!((&*typed.site, typed.status), ("none", 200), "{typed:?}");
    stage.api.stop();
}

/// "a DNS-rebinding request": the page's own origin suddenly is the daemon.
#[test]
fn a_rebound_name_gets_nothing() {
    if !needs::met(&["chromium"]) {
        return;
    }
    let stage = Stage::new();
    let relay = stage.relay();
    // The first request gets the page from its author, all others go where the name points now.
    let report = Report::start();
    let page = page("http://rebind.example:PORT", &stage.api.vault.api_key, report.port);
    let found = report_of(&report.reports, || {
        relay.rebind(page.replace("PORT", &relay.port.to_string()));
        stage.open(&format!("http://rebind.example:{}/", relay.port))
    });
    nothing_was_read("rebinding", &found, true);
    let seen = relay.seen();
    assert!(seen.len() >= WAYS.len(), "it did not try everything: {seen:#?}");
    let served: Vec<_> = seen.iter().filter(|seen| seen.status != 403).collect();
    assert!(served.is_empty(), "answered: {served:#?}");
    assert!(seen.iter().all(|seen| seen.host.starts_with("rebind.example:")), "{seen:#?}");
    // To the browser all of it is the page's own, so that the name in `Host` is all that tells.
    let own = format!("http://rebind.example:{}", relay.port);
    assert!(seen.iter().all(|seen| seen.origin.is_empty() || seen.origin == own), "{seen:#?}");
    assert!(seen.iter().all(|seen| matches!(&*seen.site, "" | "same-origin")), "{seen:#?}");
    stage.nothing_was_planted();
    stage.api.stop();
}

/// What a page reports that is opened like this: a browser that hangs, as some do when they start on a busy
/// machine, is put away and another one opened, for it is not what is tested.
#[track_caller]
fn report_of(reports: &Receiver<serde_json::Value>, open: impl Fn() -> Browser) -> serde_json::Value {
    let mut said = String::new();
    for _ in 0..3 {
        let browser = open();
        match reports.recv_timeout(PATIENCE) {
            Ok(found) => return found,
            Err(_) => said = browser.said(),
        }
    }
    panic!("no page reports in {PATIENCE:?}, the last browser said: {said}");
}

/// What the page got: nothing, or, where the browser lets it see answers, our refusals.
#[track_caller]
fn nothing_was_read(origin: &str, found: &serde_json::Value, sees_refusals: bool) {
    let found: Vec<(String, String)> = serde_json::from_value(found.clone()).unwrap();
    for way in WAYS {
        let (_, got) =
            found.iter().find(|(name, _)| name == way).unwrap_or_else(|| panic!("{way} is not in {found:?}"));
        let refused = sees_refusals && got.contains("\"error\":\"FORBIDDEN\"");
        let frame = sees_refusals && matches!(way, "frame" | "form" | "text form") && got.starts_with("loaded");
        let nothing =
            got.starts_with("TypeError") || matches!(&**got, "failed" | "loaded" | "loaded unseen" | "opaque 0 ");
        assert!(nothing || refused || frame, "{origin}: {way} got {got:?}");
    }
    let text = format!("{found:?}");
    assert!(!text.contains(MARKER) && !text.contains("\\\"service\\\""), "{origin}: {text}");
    let (_, cookies) = found.iter().find(|(name, _)| name == "cookies").unwrap();
    assert_eq!(cookies, "", "{origin}");
}

/// The page, as it goes to work on `target`.
fn page(target: &str, key: &str, report: u16) -> String {
    let report = format!("http://127.0.0.1:{report}/report");
    PAGE.replace("TARGET", target).replace("REPORT", &report).replace("\"KEY\"", &json!(key).to_string())
}

/// A daemon with a secret, and directories for the browser.
struct Stage {
    api: Api,
}

impl Stage {
    fn new() -> Self {
        let api = Api::start(Transport::Tcp);
        api.create("MARKED", MARKER);
        Self { api }
    }

    fn relay(&self) -> Relay {
        Relay::start(self.api.daemon().port)
    }

    /// Serves the page on a port of its own, and receives what it reports.
    fn serve_page(&self, target: &str) -> (u16, Receiver<serde_json::Value>) {
        let report = Report::start();
        *report.page.lock().unwrap() = page(target, &self.api.vault.api_key, report.port);
        (report.port, report.reports)
    }

    /// Opens an address in a browser of its own.
    fn open(&self, address: &str) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut command = self.api.vault.sandbox.command("chromium".as_ref());
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        // What is tested is the daemon, not what the newest browsers ask before a page may reach this machine.
        command.arg("--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests");
        command.arg("--host-resolver-rules=MAP *.example 127.0.0.1");
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg(address);
        let said = File::create(profile.path().join("stderr")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).process_group(0);
        Browser { child: command.spawn().unwrap(), profile }
    }

    #[track_caller]
    fn nothing_was_planted(&self) {
        self.api.get("/api/secrets/PLANTED").is(404);
        assert_eq!(self.api.value("MARKED"), MARKER);
    }
}

/// A browser, which is gone when this is dropped.
struct Browser {
    child: Child,
    profile: tempfile::TempDir,
}

impl Browser {
    fn said(&self) -> String {
        fs::read_to_string(self.profile.path().join("stderr")).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// The page's author: serves it and takes its reports.
struct Report {
    port: u16,
    page: std::sync::Arc<std::sync::Mutex<String>>,
    reports: Receiver<serde_json::Value>,
}

impl Report {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let page = std::sync::Arc::<std::sync::Mutex<String>>::default();
        let (sender, reports) = mpsc::channel();
        let shown = std::sync::Arc::clone(&page);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shown, sender) = (std::sync::Arc::clone(&shown), sender.clone());
                thread::spawn(move || serve(stream?, &shown.lock().unwrap().clone(), &sender));
            }
        });
        Self { port, page, reports }
    }
}

fn serve(stream: TcpStream, page: &str, reports: &Sender<serde_json::Value>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let Some(message) = Message::read(&mut reader)? else { return Ok(()) };
    if message.line.starts_with("POST /report ") {
        reports.send(serde_json::from_slice(&message.body)?).ok();
    }
    let answer = if message.line.starts_with("GET / ") { page } else { "" };
    send_page(reader.into_inner(), answer)
}

fn send_page(mut stream: TcpStream, page: &str) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len())
}

/// Stands between the browser and the daemon.
struct Relay {
    port: u16,
    seen: Receiver<Seen>,
    rebound: std::sync::Arc<std::sync::Mutex<Option<String>>>,
}

impl Relay {
    fn start(daemon: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, seen) = mpsc::channel();
        let rebound = std::sync::Arc::<std::sync::Mutex<Option<String>>>::default();
        let first = std::sync::Arc::clone(&rebound);
        let daemon = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), daemon);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (sender, first) = (sender.clone(), std::sync::Arc::clone(&first));
                thread::spawn(move || pass_on(stream?, daemon, &sender, &first));
            }
        });
        Self { port, seen, rebound }
    }

    /// Answers the next request for `/` with this page, as whoever has the name would before he rebinds it.
    fn rebind(&self, page: String) {
        *self.rebound.lock().unwrap() = Some(page);
    }

    /// What has reached the daemon so far.
    fn seen(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }

    /// What reaches the daemon next.
    fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a request")
    }
}

fn pass_on(
    stream: TcpStream,
    daemon: SocketAddr,
    seen: &Sender<Seen>,
    first: &std::sync::Mutex<Option<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let Some(request) = Message::read(&mut reader)? else { return Ok(()) };
    if request.line.starts_with("GET / ")
        && let Some(page) = first.lock().unwrap().take()
    {
        return send_page(reader.into_inner(), &page);
    }
    let mut upstream = TcpStream::connect(daemon)?;
    upstream.set_read_timeout(Some(PATIENCE))?;
    upstream.write_all(&request.without_keep_alive())?;
    let mut answer = Vec::new();
    BufReader::new(&upstream).read_to_end(&mut answer)?;
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok());
    let known = Seen {
        host: request.header("host"),
        origin: request.header("origin"),
        site: request.header("sec-fetch-site"),
        line: request.line,
        status: status.unwrap_or(0),
    };
    // A browser looks for an icon by itself, whatever it shows.
    if !known.line.contains("/favicon.ico") {
        seen.send(known).ok();
    }
    reader.into_inner().write_all(&answer)
}

/// A request.
struct Message {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    /// Reads one; `None` when the connection was opened in advance and never used.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut message = Self { line: line.trim_end().to_owned(), headers, body: Vec::new() };
        message.body.resize(message.header("content-length").parse().unwrap_or(0), 0);
        reader.read_exact(&mut message.body)?;
        Ok(Some(message))
    }

    fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn without_keep_alive(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "connection") {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
