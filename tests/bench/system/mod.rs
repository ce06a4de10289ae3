//! Processes: started until they are ready, looked at from outside, and always reaped.

mod counters;
mod process;

pub use counters::{Counters, peak_memory};
pub use process::{Addresses, Process};
