//! A progress bar for long work: on standard error, and only where that is a terminal and somebody wants to see it.
//!
//! Invariant: it is gone from the terminal when it is dropped, so that nothing of it stays between other lines.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::model::Progress;

/// How often a bar moves by itself, so that one sees that work goes on.
const TICK: Duration = Duration::from_millis(120);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Records and the like.
    Things,
}

/// A bar.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar, where it is wanted and standard error is a terminal. It is shown when it first moves, so that what is asked
    /// before that can be read.
    pub(super) fn new(wanted: bool, what: &str, unit: Unit) -> Self {
        if !wanted || !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let spinner = match unit {
            Unit::Bytes => "{msg} {spinner} {bytes} {bytes_per_sec} {elapsed}",
            Unit::Things => "{msg} {spinner} {elapsed}",
        };
        let style = ProgressStyle::with_template(spinner).unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self(ProgressBar::no_length().with_message(what.to_owned()).with_style(style))
    }

    /// Moves it by itself, for work that nobody tells the extent of.
    #[must_use]
    pub fn spinning(self) -> Self {
        self.0.enable_steady_tick(TICK);
        self
    }

    /// What moves it.
    pub fn progress(&self, unit: Unit) -> Progress {
        let bar = self.0.clone();
        if bar.is_hidden() {
            return Progress::none();
        }
        Progress::new(move |done, total| {
            if bar.length() != Some(total) && total > 0 {
                bar.set_style(style(unit));
                bar.set_length(total);
                bar.enable_steady_tick(TICK);
            }
            bar.set_position(if total > 0 { done.min(total) } else { done });
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => "{msg} [{bar:30}] {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        Unit::Things => "{msg} [{bar:30}] {percent:>3}% {pos}/{len} {eta}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_nobody_is_told() {
        let bar = Bar::new(false, "reading", Unit::Bytes);
        assert!(bar.0.is_hidden());
        bar.progress(Unit::Bytes).tell(1, 2);
        assert_eq!(bar.0.position(), 0);
    }
}
