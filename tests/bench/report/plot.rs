//! The bars as a plot: each figure as a share of what its bar allows, so that everything left of the line is met.

use std::fmt::Write as _;

use crate::report::text::number;
use crate::report::{Bar, Sense};

const ROW: usize = 22;
const LABELS: usize = 400;
const SCALE: f64 = 300.0;
/// Shares above are cut off.
const MOST: f64 = 2.0;

/// Draws them.
pub fn bars(bars: &[&Bar]) -> String {
    let (width, height) = (LABELS + 760, ROW * (bars.len() + 3));
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<rect width="{width}" height="{height}" fill="white"/>
<text x="8" y="{ROW}" font-size="14">hushd against its bars: shorter is better, up to the line is met</text>
"#
    );
    for (index, bar) in bars.iter().enumerate() {
        let y = ROW * (index + 2);
        let share = match bar.sense {
            Sense::AtLeast => bar.bar / bar.figure,
            Sense::AtMost => bar.figure / bar.bar,
        };
        let length = share.clamp(0.0, MOST) * SCALE;
        let color = if bar.is_met() { "#3a7d44" } else { "#b3392f" };
        let said = format!("{} {} ({} {})", number(bar.figure), bar.unit, bar.sense.sign(), number(bar.bar));
        let text_y = y + 11;
        // Writing to a string cannot fail.
        drop(write!(
            svg,
            r#"<text x="{label}" y="{text_y}" text-anchor="end">{what}</text>
<rect x="{LABELS}" y="{y}" width="{length:.1}" height="14" fill="{color}"/>
<text x="{after:.1}" y="{text_y}">{said}</text>
"#,
            label = LABELS - 8,
            what = escaped(&bar.what),
            after = f64::from(u32::try_from(LABELS).unwrap_or_default()) + length + 6.0,
            said = escaped(&said),
        ));
    }
    let line = f64::from(u32::try_from(LABELS).unwrap_or_default()) + SCALE;
    let bottom = ROW * (bars.len() + 2);
    drop(write!(
        svg,
        r#"<line x1="{line}" y1="{top}" x2="{line}" y2="{bottom}" stroke="black" stroke-dasharray="4 3"/>
</svg>
"#,
        top = ROW + 8,
    ));
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
