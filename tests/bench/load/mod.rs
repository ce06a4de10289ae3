//! The client that drives load: one thread, keep-alive connections, one request at a time on each (a closed loop).
//!
//! It shares the machine with the server, so it does as little as it can: requests are made beforehand and only their
//! digits are changed; of an answer it reads the status and the length.

mod connection;
mod request;

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::net::{TcpStream, UnixStream};

use crate::{Result, stopwatch};
use connection::Connection;
pub use request::Request;

/// Where the server is.
#[derive(Clone, Debug)]
pub enum Target {
    /// A Unix socket.
    Unix(PathBuf),
    /// A port.
    Tcp(SocketAddr),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Work {
    /// One request, for this key and that.
    One(Request),
    /// Reads and writes.
    Mixed {
        /// The read.
        read: Request,
        /// The write.
        write: Request,
        /// Writes of a hundred requests.
        writes_of_hundred: u32,
    },
}

/// Which keys are asked for.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Any below this number, again and again. No two connections ask for the same one.
    Random(u32),
    /// Each of these once.
    Each(Range<u32>),
}

/// A load to drive.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub target: Target,
    /// Over how many connections.
    pub connections: usize,
    /// What.
    pub work: Work,
    /// Of which keys.
    pub keys: Keys,
    /// For how long; without it, until there are no more keys.
    pub window: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How long each read took, in nanoseconds.
    pub reads: Vec<u32>,
    /// How long each write took, in nanoseconds.
    pub writes: Vec<u32>,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
    /// How long it took altogether.
    pub elapsed: Duration,
}

impl Load {
    /// Drives it.
    pub fn run(&self) -> Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        match &self.target {
            Target::Unix(path) => runtime.block_on(async {
                let connecting = (0..self.connections).map(async |_| UnixStream::connect(path).await);
                self.drive(try_join_all(connecting).await?).await
            }),
            Target::Tcp(address) => runtime.block_on(async {
                let connecting = (0..self.connections).map(async |_| {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Ok::<_, std::io::Error>(stream)
                });
                self.drive(try_join_all(connecting).await?).await
            }),
        }
    }

    async fn drive<S: connection::Stream>(&self, streams: Vec<S>) -> Result<Outcome> {
        let next = Rc::new(Cell::new(match &self.keys {
            Keys::Random(_) => 0,
            Keys::Each(numbers) => numbers.start,
        }));
        let tasks = tokio::task::LocalSet::new();
        let started = stopwatch::now();
        let running: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(number, stream)| {
                let driver = Driver::new(self.clone(), number, Rc::clone(&next), started);
                tasks.spawn_local(driver.run(Connection::new(stream)))
            })
            .collect();
        let outcomes = tasks.run_until(try_join_all(running)).await?;
        let mut total = Outcome { elapsed: started.elapsed(), ..Outcome::default() };
        for outcome in outcomes {
            let outcome = outcome?;
            total.reads.extend(outcome.reads);
            total.writes.extend(outcome.writes);
            total.bytes += outcome.bytes;
        }
        Ok(total)
    }
}

/// One connection's part of a load.
struct Driver {
    load: Load,
    number: u32,
    next: Rc<Cell<u32>>,
    started: Instant,
    random: u64,
}

impl Driver {
    fn new(load: Load, number: usize, next: Rc<Cell<u32>>, started: Instant) -> Self {
        let number = u32::try_from(number).unwrap_or_default();
        // Any odd start will do; the same in each run.
        let random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(number) * 2 + 1);
        Self { load, number, next, started, random }
    }

    async fn run<S: connection::Stream>(mut self, mut connection: Connection<S>) -> std::io::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut begun = stopwatch::now();
        while let Some(key) = self.next_key() {
            let chance = self.draw(100);
            let value = self.random;
            let request = match &mut self.load.work {
                Work::One(request) => request,
                Work::Mixed { write, writes_of_hundred, .. } if chance < *writes_of_hundred => write,
                Work::Mixed { read, .. } => read,
            };
            outcome.bytes += connection.ask(request.filled(key, value)).await?;
            let ended = stopwatch::now();
            let nanos = u32::try_from((ended - begun).as_nanos()).unwrap_or(u32::MAX);
            if request.writes {
                outcome.writes.push(nanos);
            } else {
                outcome.reads.push(nanos);
            }
            if self.load.window.is_some_and(|window| ended - self.started >= window) {
                break;
            }
            begun = ended;
        }
        Ok(outcome)
    }

    fn next_key(&mut self) -> Option<u32> {
        match self.load.keys {
            Keys::Random(count) => {
                let connections = u32::try_from(self.load.connections).unwrap_or(u32::MAX);
                let own = (count / connections).max(1);
                Some((self.draw(own) * connections + self.number) % count)
            }
            Keys::Each(ref numbers) => {
                let key = self.next.get();
                self.next.set(key.saturating_add(1));
                (key < numbers.end).then_some(key)
            }
        }
    }

    /// A number below `end` (xorshift64).
    fn draw(&mut self, end: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        u32::try_from((self.random >> 32) % u64::from(end.max(1))).unwrap_or_default()
    }
}
