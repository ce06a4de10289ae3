//! Figures: a sample of one window, several of them by turns, and what they come to.
//!
//! Something else on the machine disturbs some windows and not others; medians and quartiles of many short ones bear it.

use std::time::Duration;

use crate::load::{Keys, Load, Outcome, Request, Target, Work};
use crate::system::{Addresses, Counters, Process};
use crate::{Result, stopwatch};

/// What one window showed.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Operations a second.
    pub rate: f64,
    /// Half of them took at most this long, in microseconds.
    pub p50: f64,
    /// All but one in a hundred took at most this long, in microseconds.
    pub p99: f64,
    /// How many there were.
    pub count: u64,
    /// The server's time on a processor for all of them, in microseconds.
    pub cpu_micros: u64,
}

/// The middle of several figures, and how far apart the middle half of them is.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// A quarter of them were below.
    pub low: f64,
    /// A quarter of them were above.
    pub high: f64,
}

/// How requests reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The Unix socket.
    Unix,
    /// Loopback TCP.
    Tcp,
}

impl Transport {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unix => "Unix",
            Self::Tcp => "TCP",
        }
    }

    /// Where a server is, by it.
    pub fn target(self, addresses: &Addresses) -> Target {
        match self {
            Self::Unix => Target::Unix(addresses.unix.clone()),
            Self::Tcp => Target::Tcp(addresses.tcp),
        }
    }
}

impl Sample {
    /// Sums up latencies in nanoseconds of one window.
    #[expect(clippy::cast_precision_loss, reason = "counts and times of one window")]
    pub fn new(mut latencies: Vec<u32>, elapsed: Duration, cpu_micros: u64) -> Self {
        latencies.sort_unstable();
        let count = latencies.len();
        let at = |percent: usize| latencies.get((count * percent / 100).min(count.saturating_sub(1)));
        let micros = |percent: usize| at(percent).map_or(f64::NAN, |nanos| f64::from(*nanos) / 1000.0);
        Self {
            rate: count as f64 / elapsed.as_secs_f64(),
            p50: micros(50),
            p99: micros(99),
            count: count as u64,
            cpu_micros,
        }
    }
}

impl Spread {
    /// Of these figures; not a number where there are none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        // Between two figures where none stands there.
        let quantile = |quarters: usize| f64::midpoint(at(last * quarters / 4), at((last * quarters).div_ceil(4)));
        Self { median: quantile(2), low: quantile(1), high: quantile(3) }
    }

    /// Of a single figure.
    pub fn one(figure: f64) -> Self {
        Self { median: figure, low: figure, high: figure }
    }

    /// Of one figure of each sample.
    pub fn over(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> Self {
        Self::of(samples.iter().map(figure))
    }

    /// Of the ratio of one figure, ours over the limit's of the same round.
    pub fn ratio(ours: &[Sample], limit: &[Sample], figure: impl Fn(&Sample) -> f64) -> Self {
        Self::of(ours.iter().zip(limit).map(|(ours, limit)| figure(ours) / figure(limit)))
    }

    /// How far from the median the middle half of the figures reaches, as a share of it in percent.
    pub fn percent(&self) -> f64 {
        (self.high - self.median).max(self.median - self.low) / self.median * 100.0
    }
}

/// The server's time on a processor for each operation of all samples, in microseconds. The kernel counts it in steps that
/// are too coarse for one window.
#[expect(clippy::cast_precision_loss, reason = "counts and times of one run")]
pub fn cpu_each(samples: &[Sample]) -> f64 {
    let (cpu, count) =
        samples.iter().fold((0, 0), |(cpu, count), sample| (cpu + sample.cpu_micros, count + sample.count));
    cpu as f64 / count as f64
}

/// One of several things that are measured by turns.
pub type Turn<'a> = Box<dyn FnMut() -> Result<Sample> + 'a>;

/// Measures all of them, round after round, after one that does not count. Each round begins with another one, so that
/// none always comes first. Gives the samples of each.
pub fn by_turns(rounds: usize, turns: &mut [Turn<'_>]) -> Result<Vec<Vec<Sample>>> {
    let mut samples: Vec<Vec<Sample>> = turns.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..=rounds {
        for step in 0..turns.len() {
            let turn = (round + step) % turns.len();
            let sample = turns[turn]()?;
            if round > 0 {
                samples[turn].push(sample);
            }
        }
    }
    Ok(samples)
}

/// Drives a load for one window and looks at what it cost the server.
pub fn under_load(server: &Process, load: &Load) -> Result<(Outcome, u64)> {
    let before = Counters::of(server.pid())?;
    let outcome = load.run()?;
    let after = Counters::of(server.pid())?;
    Ok((outcome, after.cpu_micros - before.cpu_micros))
}

/// A turn that asks one thing of a server, for any of the first `keys` keys.
pub fn asking(
    server: &Process,
    transport: Transport,
    connections: usize,
    request: Request,
    keys: u32,
    window: Duration,
) -> Turn<'_> {
    let target = transport.target(&server.addresses);
    let load = Load { target, connections, work: Work::One(request), keys: Keys::Random(keys), window: Some(window) };
    Box::new(move || {
        let (outcome, cpu) = under_load(server, &load)?;
        Ok(Sample::new([outcome.reads, outcome.writes].concat(), outcome.elapsed, cpu))
    })
}

/// A turn that does something in this process again and again, and is asked how long once took.
pub fn repeating<'a>(window: Duration, mut operation: impl FnMut() -> Result<()> + 'a) -> Turn<'a> {
    Box::new(move || {
        let (started, mut latencies) = (stopwatch::now(), Vec::new());
        let mut begun = started;
        while begun - started < window {
            operation()?;
            let ended = stopwatch::now();
            latencies.push(u32::try_from((ended - begun).as_nanos()).unwrap_or(u32::MAX));
            begun = ended;
        }
        Ok(Sample::new(latencies, started.elapsed(), 0))
    })
}
