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
    pub figure: f64,
    /// In what.
    pub unit: &'static str,
    /// Whether more is better.
    pub sense: Sense,
    /// What is required.
    pub required: f64,
    /// What is hoped for.
    pub aim: Option<f64>,
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
        (figure, unit): (f64, &'static str),
        sense: Sense,
        required: f64,
        aim: Option<f64>,
    ) {
        self.bars.push(Bar { what: what.into(), figure, unit, sense, required, aim });
    }
}

impl Bar {
    /// Whether the figure is where it has to be.
    pub fn is_met(&self) -> bool {
        match self.sense {
            Sense::AtLeast => self.figure >= self.required,
            Sense::AtMost => self.figure <= self.required,
        }
    }

    /// Whether it is where it is hoped to be.
    pub fn reaches_aim(&self) -> bool {
        self.aim.is_some_and(|aim| match self.sense {
            Sense::AtLeast => self.figure >= aim,
            Sense::AtMost => self.figure <= aim,
        })
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
