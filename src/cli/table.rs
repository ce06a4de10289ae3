//! Tables for people: aligned columns that fit the terminal.
//!
//! Invariant: the first column is the last to suffer: others are left out before it is cut.

use crate::cli::{Output, Style};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// What goes first where there is no room: the highest; 0 stays.
    pub spare: u8,
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::Plain }
    }
}

/// The shortest that the first column is cut to.
const SHORTEST: usize = 12;

/// Lays the table out, one line a row and one for the titles.
pub fn render(output: &Output, columns: &[Column], rows: &[Vec<Cell>]) -> String {
    let width_of = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.text.chars().count());
        cells.chain([columns[index].title.len()]).max().unwrap_or(0)
    };
    let mut shown: Vec<(usize, usize)> = (0..columns.len()).map(|index| (index, width_of(index))).collect();
    if let Some(limit) = output.width() {
        fit(&mut shown, columns, limit);
    }
    let titles = columns.iter().map(|column| Cell { text: column.title.to_owned(), style: Style::Heading }).collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for (place, (index, width)) in shown.iter().enumerate() {
            let Some(cell) = row.get(*index) else { continue };
            let cut = cut(&cell.text, *width);
            let padding = width.saturating_sub(cut.chars().count());
            line += &output.styled(cell.style, &cut);
            if place + 1 < shown.len() {
                line += &" ".repeat(padding + 2);
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn fit(shown: &mut Vec<(usize, usize)>, columns: &[Column], limit: usize) {
    let total = |shown: &[(usize, usize)]| shown.iter().map(|(_, width)| width + 2).sum::<usize>().saturating_sub(2);
    while total(shown) > limit {
        let spare = shown.iter().enumerate().max_by_key(|(_, (index, _))| columns[*index].spare);
        match spare {
            Some((place, (index, _))) if columns[*index].spare > 0 => drop(shown.remove(place)),
            _ => break,
        }
    }
    let excess = total(shown).saturating_sub(limit);
    if let Some((_, width)) = shown.first_mut() {
        *width = width.saturating_sub(excess).max(SHORTEST.min(*width));
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [Column { title: "KEY", spare: 0 }, Column { title: "USED", spare: 2 }, Column { title: "REVISION", spare: 1 }];

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["STRIPE_SECRET_KEY".into(), "3d ago".into(), "12".into()],
            vec!["A".into(), "never".into(), "1".into()],
        ]
    }

    fn lines(limit: usize) -> Vec<String> {
        let mut shown = vec![(0, 17), (1, 6), (2, 8)];
        fit(&mut shown, &COLUMNS, limit);
        shown.iter().map(|(index, width)| format!("{} {width}", COLUMNS[*index].title)).collect()
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let text = render(&Output::default(), &COLUMNS, &rows());
        assert_eq!(
            text,
            "KEY                USED    REVISION\nSTRIPE_SECRET_KEY  3d ago  12\nA                  never   1\n"
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_in_its_order_and_then_the_key_is_cut() {
        assert_eq!(lines(35), ["KEY 17", "USED 6", "REVISION 8"]);
        assert_eq!(lines(34), ["KEY 17", "REVISION 8"]);
        assert_eq!(lines(20), ["KEY 17"]);
        assert_eq!(lines(14), ["KEY 14"]);
        assert_eq!(lines(3), ["KEY 12"]);
        assert_eq!(cut("STRIPE_SECRET_KEY", 8), "STRIPE_…");
    }
}
