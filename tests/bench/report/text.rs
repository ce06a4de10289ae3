//! Tables in Markdown, aligned so that a terminal shows them as well.

use crate::report::{Bar, Section};

/// A section's table.
pub fn section(section: &Section) -> String {
    let columns: Vec<String> = section.columns.iter().map(|&column| column.to_owned()).collect();
    format!("\n### {}\n\n{}\n\n{}", section.title, section.note, table(&columns, &section.rows))
}

/// The table of bars.
pub fn bars(bars: &[&Bar]) -> String {
    let rows: Vec<Vec<String>> = bars
        .iter()
        .map(|bar| {
            let limit = |limit: f64| format!("{} {}", bar.sense.sign(), number(limit));
            vec![
                bar.what.clone(),
                format!("{} {}", number(bar.figure.median), bar.unit),
                format!("{} – {}", number(bar.figure.low), number(bar.figure.high)),
                limit(bar.required),
                bar.aim.map(limit).unwrap_or_default(),
                bar.verdict().text().to_owned(),
            ]
        })
        .collect();
    let columns = ["what", "figure", "middle half", "bar", "aim", "met"].map(str::to_owned);
    format!("\n### Bars\n\n{}", table(&columns, &rows))
}

/// A number with three or more digits that mean something.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    match value.abs() {
        size if size >= 1000.0 => grouped(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number with its thousands set apart.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first column is text, the others are numbers and stand at the right.
fn table(columns: &[String], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).chain(columns.get(index));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let cell = if index == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.extend(["| ", &cell, " "]);
        }
        text.push_str("|\n");
    };
    line(columns);
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(
            |(index, width)| {
                if index == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width.saturating_sub(1))) }
            },
        )
        .collect();
    line(&rule);
    for row in rows {
        line(row);
    }
    text
}
