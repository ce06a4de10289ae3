//! A distribution in buckets that are fixed.
//!
//! Invariants: an observation is two atomic additions; a snapshot taken meanwhile may miss the newest observations, and
//! never shows a count that its buckets do not add up to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets beside the last one, which has no upper bound.
const BOUNDS: usize = 15;

/// Upper bounds in nanoseconds: 50 µs to 10 s.
const NANOSECONDS: [u64; BOUNDS] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// Upper bounds of sizes: powers of two, up to the largest group.
const SIZES: [u64; BOUNDS] = [1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

/// A distribution.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64; BOUNDS],
    /// What an observation is divided by where it is shown.
    scale: f64,
    buckets: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// A distribution at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Upper bounds with the number of observations in each bucket; the last bound is [`f64::INFINITY`] and stands for none.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all observations.
    pub sum: f64,
}

impl Histogram {
    /// Of durations, observed in nanoseconds and shown in seconds.
    pub const fn of_nanoseconds() -> Self {
        Self::new(&NANOSECONDS, 1e9)
    }

    /// Of sizes.
    pub const fn of_sizes() -> Self {
        Self::new(&SIZES, 1.0)
    }

    const fn new(bounds: &'static [u64; BOUNDS], scale: f64) -> Self {
        Self { bounds, scale, buckets: [const { AtomicU64::new(0) }; BOUNDS + 1], sum: AtomicU64::new(0) }
    }

    /// Notes an observation.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(BOUNDS);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Notes a duration.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What was observed.
    pub fn observed(&self) -> Observed {
        let bounds = self.bounds.iter().map(|bound| as_float(*bound) / self.scale).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        Observed { buckets: bounds.zip(counts).collect(), sum: as_float(self.sum.load(Ordering::Relaxed)) / self.scale }
    }
}

impl Observed {
    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Takes in another one of the same kind.
    pub fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            bucket.1 += more.1;
        }
        self.sum += other.sum;
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is lost is far below what is measured")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::of_nanoseconds();
        for micros in [1, 50, 51, 3_000] {
            histogram.observe_duration(Duration::from_micros(micros));
        }
        histogram.observe_duration(Duration::from_mins(1));
        let mut observed = histogram.observed();
        let at = |observed: &Observed, bound: f64| {
            observed.buckets.iter().find(|(upper, _)| (upper - bound).abs() < f64::EPSILON).unwrap().1
        };
        assert_eq!((at(&observed, 0.000_05), at(&observed, 0.000_1), at(&observed, 0.005)), (2, 1, 1));
        assert_eq!(observed.buckets.last(), Some(&(f64::INFINITY, 1)));
        assert_eq!(observed.count(), 5);
        assert!((observed.sum - 60.003_102).abs() < 1e-9, "{}", observed.sum);
        observed.add(&histogram.observed());
        assert_eq!(observed.count(), 10);
    }

    #[test]
    fn bounds_rise() {
        assert!(NANOSECONDS.is_sorted() && SIZES.is_sorted());
    }
}
