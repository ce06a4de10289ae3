//! "the SSE stream read by a real browser's EventSource".
//!
//! `EventSource` sends no headers of a page's own, and the daemon wants a credential: a small proxy on loopback serves the
//! page and adds the credential to `/api/events`. It also breaks the connection now and then, so that the browser comes back
//! by itself with `Last-Event-ID`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde_json::{Value, json};

use crate::harness::cli::PATIENCE;
use crate::harness::{Api, Transport, api::secret, programs};

const EVENTS: u64 = 40;

const PAGE: &str = "<!doctype html><script>
const source = new EventSource('/api/events');
const tell = (what) => fetch('/seen', {method: 'POST', body: JSON.stringify(what)});
for (const type of ['created', 'updated', 'deleted', 'reset'])
  source.addEventListener(type, (event) => tell({id: event.lastEventId, data: JSON.parse(event.data)}));
source.onopen = () => tell({opened: true});
</script>";

/// What the proxy was asked and told.
enum Heard {
    /// A stream was opened, after this event.
    Stream(Option<String>),
    /// The page tells.
    Seen(Value),
}

fn serve(mut client: TcpStream, port: u16, credential: &str, heard: &Sender<Heard>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut lines, mut length, mut last) = (String::new(), 0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        if lower.starts_with("last-event-id:") {
            last = line.split_once(':').map(|(_, id)| id.trim().to_owned());
        }
        lines += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let plain = |kind: &str, body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    if lines.starts_with("POST /seen ") {
        heard.send(Heard::Seen(serde_json::from_slice(&body)?)).ok();
        return client.write_all(plain("text/plain", "").as_bytes());
    }
    if !lines.starts_with("GET /api/events ") {
        return client.write_all(plain("text/html", PAGE).as_bytes());
    }
    heard.send(Heard::Stream(last.clone())).ok();
    let mut daemon = TcpStream::connect(("127.0.0.1", port))?;
    let resume = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    write!(daemon, "GET /api/events HTTP/1.1\r\nHost: localhost\r\nx-api-key: {credential}\r\n{resume}\r\n")?;
    // After so many bytes the connection breaks, wherever in an event that is.
    let mut left = 2500;
    let mut piece = [0; 700];
    while left > 0 {
        let read = daemon.read(&mut piece)?;
        if read == 0 {
            break;
        }
        client.write_all(&piece[..read])?;
        left -= read.min(left);
    }
    Ok(())
}

#[test]
fn a_browser_reads_the_stream_and_comes_back_without_a_gap_or_a_double() {
    let Some(chromium) = programs::find("chromium") else { return };
    let api = Api::start(Transport::Tcp);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let (sender, heard) = channel();
    let (port, credential) = (api.daemon().port, api.vault.api_key.clone());
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (credential, sender) = (credential.clone(), sender.clone());
            thread::spawn(move || serve(client, port, &credential, &sender).ok());
        }
    });
    let mut command = api.vault.sandbox.command(&chromium);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.arg(format!("--user-data-dir={}", api.vault.sandbox.path("chromium").display())).arg(page);
    let mut browser = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut events, mut resumed, mut begun) = (Vec::new(), 0, false);
    while (events.len() as u64) < EVENTS {
        match heard.recv_timeout(PATIENCE).expect("the browser reads") {
            Heard::Stream(last) => resumed += u32::from(last.is_some()),
            Heard::Seen(seen) if seen["opened"] == true => {
                if !begun {
                    begun = true;
                    api.create("A", "x");
                    for _ in 1..EVENTS {
                        api.put(&secret("A"), json!({"value": "y"})).is(200);
                    }
                }
            }
            Heard::Seen(seen) => events.push(seen),
        }
    }
    browser.kill().unwrap();
    browser.wait().unwrap();
    // The page's reports are requests of their own, which may overtake each other.
    events.sort_by_key(|event| event["data"]["revision"].as_u64());
    let revisions: Vec<u64> = events.iter().map(|event| event["data"]["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (1..=EVENTS).collect::<Vec<_>>(), "{events:?}");
    assert!(events.iter().all(|event| event["data"]["key"] == "A"), "{events:?}");
    assert!(resumed >= 2, "the browser came back {resumed} times");
    api.stop();
}
