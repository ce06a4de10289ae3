//! A part of the report: a table for people, figures for programs, and bars.

use crate::measure::Spread;

/// One kind of measurement.
#[derive(Debug)]
pub struct Section {
    /// What it is about.
    pub title: &'static str,
    /// What has to be known to read the table.
    pub note: &'static str,
    /// The table's head.
    pub columns: &'static [&'static str],
    /// The table's rows.
    pub rows: Vec<Vec<String>>,
    /// Name, unit and figure of all that was measured.
    pub figures: Vec<(String, &'static str, Spread)>,
    /// What it is held against.
    pub bars: Vec<Bar>,
}

/// Whether more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// The figure must reach the bar.
    AtLeast,
    /// The figure must not exceed the bar.
    AtMost,
}

/// A figure and what it is held against (the issue on speed).
#[derive(Clone, Debug)]
pub struct Bar {
    /// What was measured.
    pub what: String,
    /// What came out.
    pub figure: Spread,
    /// In what.
    pub unit: &'static str,
    /// Whether more is better.
    pub sense: Sense,
    /// What is required.
    pub required: f64,
    /// What is hoped for.
    pub aim: Option<f64>,
    /// Whether the figure cannot be true.
    pub doubtful: bool,
}

impl Section {
    /// An empty one.
    pub fn new(title: &'static str, note: &'static str, columns: &'static [&'static str]) -> Self {
        Self { title, note, columns, rows: Vec::new(), figures: Vec::new(), bars: Vec::new() }
    }

    /// Adds a row to the table.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: impl Into<String>, unit: &'static str, spread: Spread) {
        self.figures.push((name.into(), unit, spread));
    }

    /// Adds a bar.
    pub fn bar(
        &mut self,
        what: impl Into<String>,
        (figure, unit): (Spread, &'static str),
        sense: Sense,
        required: f64,
        aim: Option<f64>,
    ) {
        self.bars.push(Bar { what: what.into(), figure, unit, sense, required, aim, doubtful: false });
    }

    /// Notes that the figure of the bar added last cannot be true.
    pub fn doubt_last_bar(&mut self) {
        if let Some(bar) = self.bars.last_mut() {
            bar.doubtful = true;
        }
    }
}

/// Whether a bar is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// And what is hoped for, too.
    AndAim,
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// The rounds contradict each other, or the figure cannot be true.
    Unsure,
}

impl Bar {
    /// Whether the figure is where it has to be. Only what the middle half of the rounds agrees on counts.
    pub fn verdict(&self) -> Verdict {
        let Spread { median, low, high } = self.figure;
        let reaches = |figure: f64, limit: f64| match self.sense {
            Sense::AtLeast => figure >= limit,
            Sense::AtMost => figure <= limit,
        };
        if self.doubtful || reaches(low, self.required) != reaches(high, self.required) {
            return Verdict::Unsure;
        }
        match (reaches(median, self.required), self.aim.is_some_and(|aim| reaches(low, aim) && reaches(high, aim))) {
            (true, true) => Verdict::AndAim,
            (true, false) => Verdict::Met,
            (false, _) => Verdict::Missed,
        }
    }
}

impl Verdict {
    /// As it stands in tables.
    pub fn text(self) -> &'static str {
        match self {
            Self::AndAim => "yes, and the aim",
            Self::Met => "yes",
            Self::Missed => "NO",
            Self::Unsure => "unsure",
        }
    }
}

impl Sense {
    /// Its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => "≥",
            Self::AtMost => "≤",
        }
    }
}
