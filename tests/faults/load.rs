//! Concurrent writers that note what was acknowledged, and the comparison with what is found after a fault.
//!
//! Invariants: each writer has secrets of its own and one connection; of a request that got no answer, or that a fault
//! made fail, either outcome is right, and the next comparison takes the one that was found as known. Values say how long
//! they are, so that a mixture of two is recognised.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::cli::PATIENCE;
use crate::harness::http::{Address, Connection, Request, Response};
use crate::harness::{Daemon, Vault};
use crate::needs::Numbers;

/// Secrets of each writer.
const SECRETS: u64 = 4;
/// One in so many operations of two of the writers is a rotation.
const RARELY: u64 = 24;

/// What is known of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Never created, or purged.
    Absent,
    /// Deleted, and can come back.
    Deleted,
    /// It has this value.
    Has(String),
}

/// What one writer knows: what was acknowledged last, and what it tried after that and never heard of.
#[derive(Debug)]
struct Ledger {
    writer: u64,
    secrets: Vec<(State, Option<State>)>,
    /// The newest keys that were handed out: the API key of writer 0, the anon key of writer 1.
    key: Option<String>,
    /// Whether a rotation got no answer.
    rotating: bool,
    /// The newest token that was handed out.
    token: Option<String>,
    written: u64,
}

/// What was found in all rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Faults.
    pub rounds: u64,
    /// Operations that were acknowledged.
    pub acknowledged: u64,
    /// Acknowledged operations that were not there afterwards.
    pub lost: u64,
    /// Operations that were there by half, acknowledged or not.
    pub torn: u64,
    /// Starts after a fault without any problem.
    pub clean: u64,
}

impl Figures {
    /// Shows the figures and fails unless nothing was lost, nothing torn and every start clean.
    #[track_caller]
    pub fn conclude(self, what: &str) {
        eprintln!(
            "{}: {what}; {} operations acknowledged, {} lost, {} torn, {} starts clean",
            self.rounds, self.acknowledged, self.lost, self.torn, self.clean
        );
        assert_eq!((self.lost, self.torn, self.clean), (0, 0, self.rounds), "{self:?}");
    }
}

/// The writers.
#[derive(Debug)]
pub struct Load {
    ledgers: Vec<Ledger>,
    /// The figures so far.
    pub figures: Figures,
}

impl Load {
    /// Writers, at least three, for a vault in which none of them has written.
    pub fn new(writers: u64) -> Self {
        let secrets = (0..SECRETS).map(|_| (State::Absent, None)).collect::<Vec<_>>();
        let ledger =
            |writer| Ledger { writer, secrets: secrets.clone(), key: None, rotating: false, token: None, written: 0 };
        Self { ledgers: (0..writers).map(ledger).collect(), figures: Figures::default() }
    }

    /// Begins again with a new vault, keeping the figures.
    pub fn forget(&mut self) {
        *self = Self { figures: self.figures, ..Self::new(self.ledgers.len() as u64) };
    }

    /// Lets all write until `until` operations have been acknowledged, then runs `fault`, from whose beginning on they may
    /// fail, and waits for them to end. Says whether it came so far: not, when the daemon has ended before.
    pub fn write_until(
        &mut self,
        address: &Address,
        vault: &Vault,
        numbers: &mut Numbers,
        until: u64,
        fault: impl FnOnce(),
    ) -> bool {
        self.run(address, vault, numbers, until, false, fault)
    }

    fn run(
        &mut self,
        address: &Address,
        vault: &Vault,
        numbers: &mut Numbers,
        until: u64,
        faulty: bool,
        fault: impl FnOnce(),
    ) -> bool {
        let mut count = 0;
        let faulty = AtomicBool::new(faulty);
        let (acknowledged, acknowledgements) = mpsc::channel();
        thread::scope(|scope| {
            for ledger in &mut self.ledgers {
                let mut client = Client {
                    address: address.clone(),
                    connection: None,
                    token: vault.admin_token(),
                    acknowledged: acknowledged.clone(),
                    faulty: &faulty,
                };
                let mut numbers = numbers.branch();
                scope.spawn(move || while ledger.write(&mut client, &mut numbers).is_some() {});
            }
            drop(acknowledged);
            while count < until {
                match acknowledgements.recv_timeout(PATIENCE) {
                    Ok(()) => count += 1,
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => panic!("nothing was acknowledged within {PATIENCE:?}"),
                }
            }
            faulty.store(true, Ordering::SeqCst);
            fault();
        });
        self.figures.acknowledged += count + acknowledgements.try_iter().count() as u64;
        count == until
    }

    /// Lets all write until each has been answered a failure.
    pub fn write_until_failing(&mut self, address: &Address, vault: &Vault, numbers: &mut Numbers) {
        let ended = !self.run(address, vault, numbers, u64::MAX, true, || ());
        assert!(ended, "nothing failed");
    }

    /// Compares what a daemon that was just started says with what is known.
    pub fn compare(&mut self, daemon: &Daemon, vault: &Vault) {
        self.figures.rounds += 1;
        let (never, ignored) = (AtomicBool::new(false), mpsc::channel().0);
        let mut client = Client {
            address: daemon.unix(),
            connection: None,
            token: vault.admin_token(),
            acknowledged: ignored,
            faulty: &never,
        };
        let (_, status) = client.ask("GET", "/api/status", None, None);
        let (ready, _) = client.ask("GET", "/api/ready", None, None);
        // No kill and no power cut is taken for tampering with the audit trail.
        let (_, trail) = client.ask("GET", "/api/audit/verify", None, None);
        let whole = trail["ok"] == json!(true);
        let clean = status["problems"] == json!([]) && status["writable"] == json!(true) && ready == 200 && whole;
        self.figures.clean += u64::from(clean);
        if !clean {
            eprintln!("the start was not clean: {status} {trail}");
        }
        let (_, list) = client.ask("GET", "/api/secrets", None, None);
        for ledger in &mut self.ledgers {
            ledger.compare(&mut client, &list, &mut self.figures);
        }
    }
}

/// A connection of an administrator's.
struct Client<'a> {
    address: Address,
    connection: Option<Connection>,
    token: String,
    acknowledged: Sender<()>,
    faulty: &'a AtomicBool,
}

impl Client<'_> {
    /// Sends a request that changes something. `None` when it has no answer, or when a fault made it fail.
    fn change(&mut self, method: &str, target: &str, body: Option<Value>) -> Option<Value> {
        let answer = self.send(method, target, None, body)?;
        let text = String::from_utf8_lossy(&answer.body);
        if !matches!(answer.status, 200 | 201) {
            assert!(self.faulty.load(Ordering::SeqCst), "{method} {target}: {} {text}", answer.status);
            assert!(matches!(answer.status, 500 | 503 | 507), "{method} {target}: {} {text}", answer.status);
            return None;
        }
        self.acknowledged.send(()).ok();
        Some(serde_json::from_slice(&answer.body).unwrap())
    }

    /// Sends a request that must be answered, as an administrator or with another credential.
    fn ask(&mut self, method: &str, target: &str, credential: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let answer = self.send(method, target, credential, body).unwrap_or_else(|| panic!("{target} has no answer"));
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    fn send(&mut self, method: &str, target: &str, credential: Option<&str>, body: Option<Value>) -> Option<Response> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.address).ok()?);
        }
        let bearer = format!("Bearer {}", credential.unwrap_or(&self.token));
        let mut headers = vec![("Authorization".to_owned(), bearer)];
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(|body| body.to_string().into_bytes());
        let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body };
        let answer = self.connection.as_mut()?.send(&request).ok();
        // A refusal may come before the body was read, and then ends the connection.
        if answer.as_ref().is_none_or(|answer| answer.status >= 400) {
            self.connection = None;
        }
        answer
    }
}

impl Ledger {
    /// Does one thing. `None` when it was not acknowledged.
    fn write(&mut self, client: &mut Client<'_>, numbers: &mut Numbers) -> Option<()> {
        let chosen = numbers.below(SECRETS);
        // Keys in their grace period are kept, so rotations are few.
        match (self.writer, numbers.below(RARELY)) {
            (0 | 1, 0) => self.rotate(client),
            (2, _) if chosen == 0 => self.mint(client),
            _ => self.change(client, numbers, chosen),
        }
    }

    fn rotate(&mut self, client: &mut Client<'_>) -> Option<()> {
        let (kind, field) = if self.writer == 0 { ("api-key", "apiKey") } else { ("anon-key", "anonKey") };
        self.rotating = true;
        let answer = client.change("POST", &format!("/api/secrets/{kind}/rotate"), Some(json!({})))?;
        self.key = Some(answer[field].as_str().unwrap().to_owned());
        self.rotating = false;
        Some(())
    }

    fn mint(&mut self, client: &mut Client<'_>) -> Option<()> {
        let answer = client.change("POST", "/api/tokens", Some(json!({"admin": true, "ttlSeconds": 3600})))?;
        self.token = Some(answer["token"].as_str().unwrap().to_owned());
        Some(())
    }

    fn change(&mut self, client: &mut Client<'_>, numbers: &mut Numbers, chosen: u64) -> Option<()> {
        let key = self.key_of(chosen);
        self.written += 1;
        let length = length(numbers);
        let value = format!("{} wrote {} {length} {}", self.writer, self.written, "x".repeat(length));
        let (state, attempted) = &mut self.secrets[usize::try_from(chosen).unwrap()];
        let next = match (&*state, numbers.below(8)) {
            (State::Has(_), 0) => State::Deleted,
            (State::Has(_) | State::Deleted, 1) => State::Absent,
            _ => State::Has(value.clone()),
        };
        let (method, target, body) = match (&*state, &next) {
            (_, State::Absent) => ("DELETE", format!("{}?purge=true", secret(&key)), None),
            (_, State::Deleted) => ("DELETE", secret(&key), None),
            (State::Has(_), State::Has(_)) => ("PUT", secret(&key), Some(json!({"value": value}))),
            (_, State::Has(_)) => ("POST", "/api/secrets".to_owned(), Some(json!({"key": key, "value": value}))),
        };
        *attempted = Some(next);
        client.change(method, &target, body)?;
        *state = attempted.take().unwrap();
        Some(())
    }

    fn key_of(&self, number: u64) -> String {
        format!("WRITER_{}_{number}", self.writer)
    }

    fn compare(&mut self, client: &mut Client<'_>, list: &Value, figures: &mut Figures) {
        for number in 0..SECRETS {
            let key = self.key_of(number);
            let found = find(client, list, &key);
            let (state, attempted) = &mut self.secrets[usize::try_from(number).unwrap()];
            match found {
                Err(reason) => {
                    figures.torn += 1;
                    eprintln!("{key} is there by half: {reason}");
                }
                Ok(found) => {
                    if found != *state && attempted.as_ref() != Some(&found) {
                        figures.lost += 1;
                        let attempted = attempted.as_ref().map(brief);
                        eprintln!(
                            "{key}: {} was acknowledged, {attempted:?} was tried, {} is there",
                            brief(state),
                            brief(&found)
                        );
                    }
                    *state = found;
                }
            }
            *attempted = None;
        }
        self.compare_keys(client, figures);
    }

    /// "a rotation never leaves two keys or none": the newest key that was handed out works, and it is the current one
    /// unless a rotation that got no answer has replaced it.
    fn compare_keys(&mut self, client: &mut Client<'_>, figures: &mut Figures) {
        if let Some(token) = &self.token {
            let (status, _) = client.ask("GET", "/api/secrets", Some(token), None);
            figures.lost += u64::from(status != 200);
        }
        if let Some(key) = &self.key {
            let (status, answer) = client.ask("GET", "/api/secrets", Some(key), None);
            let expected = if self.writer == 0 { 200 } else { 403 };
            let mut right = status == expected;
            if self.writer == 0 {
                let mint = Some(json!({"admin": true, "ttlSeconds": 60}));
                let (status, _) = client.ask("POST", "/api/tokens", Some(key), mint);
                right &= status == 201 || status == 403 && self.rotating;
            }
            if !right {
                figures.lost += 1;
                eprintln!("the newest key of a rotation is lost: {answer}");
            }
        }
        if self.rotating {
            self.rotate(client).expect("rotations work again");
        }
    }
}

/// What is there of a secret; or why that makes no sense.
fn find(client: &mut Client<'_>, list: &Value, key: &str) -> Result<State, String> {
    let metadata = list["secrets"].as_array().unwrap().iter().find(|secret| secret["key"] == key);
    let (status, answer) = client.ask("GET", &secret(key), None, None);
    match (metadata.map(|metadata| metadata["isActive"] == json!(true)), status) {
        (None, 404) => Ok(State::Absent),
        (Some(false), 404) => Ok(State::Deleted),
        (Some(true), 200) => {
            let value = answer["value"].as_str().unwrap();
            let mut words = value.split(' ').skip(3);
            let length = words.next().and_then(|word| word.parse().ok());
            let rest = words.next().unwrap_or_default();
            let whole = length == Some(rest.len()) && rest.bytes().all(|byte| byte == b'x');
            if whole { Ok(State::Has(value.to_owned())) } else { Err(brief(&State::Has(value.to_owned()))) }
        }
        (listed, status) => Err(format!("listed as active: {listed:?}, answered {status} {answer}")),
    }
}

fn brief(state: &State) -> String {
    let text: String = format!("{state:?}").chars().take(40).collect();
    text
}

/// Mostly small, now and then one that takes several records.
fn length(numbers: &mut Numbers) -> usize {
    let limit = if numbers.below(40) == 0 { 200_000 } else { 300 };
    usize::try_from(numbers.below(limit)).unwrap()
}
