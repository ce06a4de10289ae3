//! The clients of the soak: they create, update, read, delete and purge a few secrets that all of them share, and rotate the
//! API key; and they hold each answer against its history.
//!
//! Invariants: an operation is in its history before it is sent and its answer after it has come; a request that fails while
//! nothing disturbs the daemon is a wrong answer.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, RwLock};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::history::{History, Id, Model};
use crate::harness::Daemon;
use crate::harness::api::secret;
use crate::harness::cli::PATIENCE;
use crate::harness::http::{Address, Connection, Request, Response};
use crate::machine::Machine;
use crate::needs::Numbers;

/// Secrets that all clients share: few, so that they meet.
const SECRETS: usize = 6;
/// Clients.
const CLIENTS: usize = 12;
/// Longest pause of a client between two operations, in microseconds.
const PAUSE: u64 = 15_000;
/// A connection that was idle for longer than this, on a machine that is short of time, may have been closed meanwhile.
const IDLE: Duration = Duration::from_secs(2);
/// One in so many operations concerns the API key.
const RARELY: u64 = 60;

/// What there is of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Never created, or purged.
    Absent,
    /// Deleted, and can come back.
    Deleted,
    /// It has the value of this operation.
    Has(Id),
}

/// What is asked of a secret.
#[derive(Clone, Debug)]
enum Ask {
    Create,
    Update,
    Read,
    Delete,
    Purge,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Told {
    Done,
    Missing,
    Exists,
    Value(Id),
}

/// A secret, as API.md has it.
#[derive(Debug)]
struct Secret;

impl Model for Secret {
    type State = State;
    type Operation = Ask;
    type Answer = Told;

    fn apply(state: &State, id: Id, asked: &Ask) -> (State, Told) {
        match (asked, state) {
            (Ask::Create, State::Has(_)) => (state.clone(), Told::Exists),
            (Ask::Create, _) | (Ask::Update, State::Has(_) | State::Deleted) => (State::Has(id), Told::Done),
            (Ask::Read, State::Has(value)) => (state.clone(), Told::Value(*value)),
            (Ask::Delete, State::Has(_) | State::Deleted) => (State::Deleted, Told::Done),
            (Ask::Purge, State::Has(_) | State::Deleted) => (State::Absent, Told::Done),
            (Ask::Update | Ask::Delete | Ask::Purge, State::Absent) | (Ask::Read, _) => (state.clone(), Told::Missing),
        }
    }
}

/// The API key: which rotation made the current one.
#[derive(Debug)]
struct ApiKey;

/// What is asked of the API key.
#[derive(Clone, Debug)]
enum AskKey {
    Rotate,
    /// Whether the key of that rotation is the current one: no other mints tokens.
    Mint(Id),
}

impl Model for ApiKey {
    type State = Id;
    type Operation = AskKey;
    type Answer = bool;

    fn apply(state: &Id, id: Id, asked: &AskKey) -> (Id, bool) {
        match asked {
            AskKey::Rotate => (id, true),
            AskKey::Mint(rotation) => (*state, rotation == state),
        }
    }
}

/// A history, and its operations that got no answer.
struct Kept<M: Model> {
    history: History<M>,
    lost: Vec<Id>,
}

impl<M: Model> Kept<M> {
    fn new(state: M::State) -> Mutex<Self> {
        Mutex::new(Self { history: History::new(state), lost: Vec::new() })
    }

    fn settle(&mut self) {
        self.history.settle(&self.lost);
        self.lost.clear();
    }
}

/// How calm begins.
#[derive(Clone, Copy, Debug)]
pub enum Calm {
    /// What got no answer so far can take effect no more.
    Settled,
}

/// All clients, and what they know.
pub struct Work {
    secrets: [Mutex<Kept<Secret>>; SECRETS],
    api_key: Mutex<Kept<ApiKey>>,
    /// API keys by the rotation that made them, the newest last.
    keys: Mutex<Vec<(Id, String)>>,
    addresses: RwLock<[Address; 2]>,
    token: String,
    started: Instant,
    /// Odd while the daemon is disturbed.
    turns: AtomicU64,
    waiting: AtomicUsize,
    ended: AtomicBool,
    /// The first answer that was wrong.
    wrong: OnceLock<String>,
    /// Operations that were answered.
    pub operations: AtomicU64,
}

/// Ends the clients when it is dropped.
pub struct Ended<'a>(&'a Work);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

impl Work {
    /// Work for a vault that has no secrets yet.
    pub fn new(machine: &Machine) -> Self {
        let daemon = machine.daemon();
        Self {
            secrets: [(); SECRETS].map(|()| Kept::new(State::Absent)),
            api_key: Kept::new(0),
            keys: Mutex::new(vec![(0, machine.vault.api_key.clone())]),
            addresses: RwLock::new([daemon.unix(), daemon.tcp()]),
            token: machine.vault.admin_token(),
            started: Instant::now(),
            turns: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            wrong: OnceLock::new(),
            operations: AtomicU64::new(0),
        }
    }

    /// Starts the clients; they end with the scope's [`Ended`].
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, numbers: &mut Numbers) {
        for client in 0..CLIENTS {
            let mut numbers = numbers.branch();
            scope.spawn(move || {
                let mut connection = None;
                while !self.ended.load(Ordering::SeqCst) {
                    let paused = Instant::now();
                    thread::sleep(Duration::from_micros(numbers.below(PAUSE)));
                    if paused.elapsed() > IDLE {
                        connection = None;
                    }
                    if self.step(client % 2, &mut connection, &mut numbers).is_none() {
                        connection = None;
                        self.wait_for_calm();
                    }
                }
            });
        }
    }

    /// Ends the clients when it goes.
    pub fn until_dropped(&self) -> Ended<'_> {
        Ended(self)
    }

    /// From here on requests may fail.
    pub fn disturb(&self) {
        self.turns.fetch_add(1, Ordering::SeqCst);
    }

    /// Requests must be answered again.
    pub fn calm(&self, Calm::Settled: Calm) {
        for secret in &self.secrets {
            secret.lock().unwrap().settle();
        }
        self.api_key.lock().unwrap().settle();
        self.turns.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the work, because of an answer.
    fn is_wrong(&self, answer: String) {
        if !self.ended.swap(true, Ordering::SeqCst) {
            self.wrong.set(answer).ok();
        }
    }

    /// Fails where an answer was wrong.
    #[track_caller]
    pub fn nothing_is_wrong(&self, daemon: &Daemon) {
        if let Some(wrong) = self.wrong.get() {
            panic!("a wrong answer: {wrong}\n{}", daemon.log());
        }
    }

    /// Waits until each client has found out that the daemon is gone.
    #[track_caller]
    pub fn wait_until_all_have_stopped(&self) {
        let started = Instant::now();
        while !self.ended.load(Ordering::SeqCst) && self.waiting.load(Ordering::SeqCst) < CLIENTS {
            assert!(started.elapsed() < PATIENCE, "a client goes on without a daemon");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A new daemon has other addresses.
    pub fn served_at(&self, daemon: &Daemon) {
        *self.addresses.write().unwrap() = [daemon.unix(), daemon.tcp()];
    }

    /// The status of `/api/ready`.
    pub fn ready(&self) -> u16 {
        self.ask("GET", "/api/ready").map_or(0, |answer| answer.status)
    }

    /// Gets something that must be there.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        let answer = self.ask("GET", target).unwrap_or_else(|| panic!("{target} has no answer"));
        assert_eq!(answer.status, 200, "{target}");
        answer
    }

    /// Asks for something that must succeed.
    #[track_caller]
    pub fn post(&self, target: &str) {
        let answer = self.ask("POST", target).unwrap_or_else(|| panic!("{target} has no answer"));
        assert!(matches!(answer.status, 200 | 202), "{target}: {}", String::from_utf8_lossy(&answer.body));
    }

    fn ask(&self, method: &str, target: &str) -> Option<Response> {
        self.send(0, &mut None, &self.token, method, target, (method == "POST").then(|| json!({})))
    }

    fn wait_for_calm(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while self.turns.load(Ordering::SeqCst) % 2 == 1 && !self.ended.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// One operation of a client. `None` where it had no answer and may have had none.
    fn step(&self, transport: usize, connection: &mut Option<Connection>, numbers: &mut Numbers) -> Option<()> {
        let turn = self.turns.load(Ordering::SeqCst);
        let done = if numbers.below(RARELY) == 0 {
            self.about_the_key(transport, connection, numbers)
        } else {
            self.about_a_secret(transport, connection, numbers)
        };
        match done {
            Ok(()) => {
                self.operations.fetch_add(1, Ordering::SeqCst);
                Some(())
            }
            Err(failure) => {
                let calm = turn.is_multiple_of(2) && self.turns.load(Ordering::SeqCst) == turn;
                if calm {
                    self.is_wrong(format!("outside of any fault: {failure}"));
                }
                None
            }
        }
    }

    fn about_a_secret(
        &self,
        transport: usize,
        connection: &mut Option<Connection>,
        numbers: &mut Numbers,
    ) -> Result<(), String> {
        let number = usize::try_from(numbers.below(SECRETS as u64)).unwrap();
        let (key, kept) = (format!("SHARED_{number}"), &self.secrets[number]);
        let (asked, method) = match numbers.below(10) {
            0 | 1 => (Ask::Create, "POST"),
            2..=4 => (Ask::Update, "PUT"),
            5..=7 => (Ask::Read, "GET"),
            8 => (Ask::Delete, "DELETE"),
            _ => (Ask::Purge, "DELETE"),
        };
        let id = kept.lock().unwrap().history.call(asked.clone());
        let value = spelled(id, numbers.below(600));
        let (target, body) = match asked {
            Ask::Create => ("/api/secrets".to_owned(), Some(json!({"key": key, "value": value}))),
            Ask::Update => (secret(&key), Some(json!({"value": value, "isActive": true}))),
            Ask::Read | Ask::Delete => (secret(&key), None),
            Ask::Purge => (format!("{}?purge=true", secret(&key)), None),
        };
        let answer = self.send(transport, connection, &self.token, method, &target, body);
        let told = answer.as_ref().and_then(|answer| match answer.status {
            200 if matches!(asked, Ask::Read) => Some(Told::Value(number_of(&answer.body))),
            200 | 201 => Some(Told::Done),
            404 => Some(Told::Missing),
            409 => Some(Told::Exists),
            _ => None,
        });
        let mut kept = kept.lock().unwrap();
        let Some(told) = told else {
            match asked {
                Ask::Read => kept.history.forget(id),
                Ask::Create | Ask::Update | Ask::Delete | Ask::Purge => kept.lost.push(id),
            }
            return Err(failure(method, &target, answer.as_ref()));
        };
        kept.history.answer(id, &told).unwrap_or_else(|problem| self.is_wrong(format!("{key}: {problem}")));
        Ok(())
    }

    fn about_the_key(
        &self,
        transport: usize,
        connection: &mut Option<Connection>,
        numbers: &mut Numbers,
    ) -> Result<(), String> {
        let may_rotate;
        // Most tries are with the newest key, and some with one that it has replaced.
        let (rotation, key) = {
            let keys = self.keys.lock().unwrap();
            // All of them are in their grace period, of which there can be 512.
            may_rotate = (keys.len() as u64) < 40 + self.started.elapsed().as_secs() / 9;
            let age = usize::try_from(numbers.below(8)).unwrap().saturating_sub(5);
            keys[keys.len() - 1 - age.min(keys.len() - 1)].clone()
        };
        let rotates = may_rotate && numbers.below(4) == 0;
        let asked = if rotates { AskKey::Rotate } else { AskKey::Mint(rotation) };
        let id = self.api_key.lock().unwrap().history.call(asked);
        let (credential, target, body) = if rotates {
            (&self.token, "/api/secrets/api-key/rotate", json!({"gracePeriodHours": 2}))
        } else {
            (&key, "/api/tokens", json!({"admin": true, "ttlSeconds": 1}))
        };
        let answer = self.send(transport, connection, credential, "POST", target, Some(body));
        let mut kept = self.api_key.lock().unwrap();
        let told = match answer.as_ref().map(|answer| answer.status) {
            Some(200 | 201) => true,
            Some(403) if !rotates => false,
            _ if rotates => {
                kept.lost.push(id);
                return Err(failure("POST", target, answer.as_ref()));
            }
            _ => {
                kept.history.forget(id);
                return Err(failure("POST", target, answer.as_ref()));
            }
        };
        kept.history.answer(id, &told).unwrap_or_else(|problem| self.is_wrong(format!("the API key: {problem}")));
        if let Some(answer) = answer.filter(|_| rotates) {
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            self.keys.lock().unwrap().push((id, answer["apiKey"].as_str().unwrap().to_owned()));
        }
        Ok(())
    }

    fn send(
        &self,
        transport: usize,
        connection: &mut Option<Connection>,
        credential: &str,
        method: &str,
        target: &str,
        body: Option<Value>,
    ) -> Option<Response> {
        let address = self.addresses.read().unwrap()[transport].clone();
        let mut headers = vec![("Authorization".to_owned(), format!("Bearer {credential}"))];
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(|body| body.to_string().into_bytes());
        let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body };
        let open = match connection.take() {
            Some(open) => open,
            None => Connection::open(&address).ok()?,
        };
        let answer = connection.insert(open).send(&request).ok();
        // A refusal may come before the body was read, and then ends the connection.
        if answer.as_ref().is_none_or(|answer| answer.status >= 400) {
            *connection = None;
        }
        answer
    }
}

fn failure(method: &str, target: &str, answer: Option<&Response>) -> String {
    let answer = answer
        .map_or("no answer".into(), |answer| format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
    format!("{method} {target}: {answer}")
}

/// A value that says which operation wrote it, in letters (what is nothing but letters is not kept for the search for leaks,
/// which would remember a million of them), and is longer or shorter.
fn spelled(id: Id, more: u64) -> String {
    let letters: String = id.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    format!("{letters}{}", "x".repeat(usize::try_from(more).unwrap()))
}

/// The operation that wrote the value of an answer.
fn number_of(body: &[u8]) -> Id {
    let answer: Value = serde_json::from_slice(body).unwrap();
    let value = answer["value"].as_str().unwrap();
    let digits: String = value.trim_end_matches('x').bytes().map(|letter| char::from(letter - b'a' + b'0')).collect();
    digits.parse().unwrap_or_else(|_| panic!("nobody wrote {value:?}"))
}
