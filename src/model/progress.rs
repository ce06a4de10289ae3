//! How far long work is, told to whoever waits for it.

use std::fmt;
use std::sync::Arc;

/// Is told how much is done, and of how much. Cheap to call often.
#[derive(Clone)]
pub struct Progress(Option<Arc<dyn Fn(u64, u64) + Send + Sync>>);

impl Progress {
    /// Nobody waits.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Tells `told`.
    pub fn new(told: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    /// Tells how much is done, and of how much.
    pub fn tell(&self, done: u64, total: u64) {
        if let Some(told) = &self.0 {
            told(done, total);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}
