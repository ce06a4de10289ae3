//! The bars as a plot: each figure as a share of what its bar allows, so that everything left of the line is met.

use crate::report::{Bar, Sense, Verdict, number};

const WIDTH: u32 = 1160;
const ROW: u32 = 22;
/// Where the bars begin.
const LEFT: u32 = 400;
/// Where a bar ends that is just met.
const LINE: u32 = 700;
/// Shares above are cut off.
const MOST: f64 = 2.0;

/// Draws them.
pub fn bars(bars: &[&Bar]) -> String {
    let mut parts = vec![String::new()];
    let mut y = 2 * ROW;
    for bar in bars {
        parts.push(row(bar, y));
        y += ROW;
    }
    let top = ROW + 8;
    parts.push(format!(
        r#"<line x1="{LINE}" y1="{top}" x2="{LINE}" y2="{y}" stroke="black" stroke-dasharray="4 3"/>
</svg>
"#
    ));
    let height = y + ROW;
    parts[0] = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{height}" fill="white"/>
<text x="8" y="{ROW}" font-size="14">hushd against its bars: shorter is better, up to the line is met</text>
"#
    );
    parts.concat()
}

fn row(bar: &Bar, y: u32) -> String {
    let share = match bar.sense {
        Sense::AtLeast => bar.required / bar.figure.median,
        Sense::AtMost => bar.figure.median / bar.required,
    };
    let length = share.clamp(0.0, MOST) * f64::from(LINE - LEFT);
    let color = match bar.verdict() {
        Verdict::AndAim | Verdict::Met => "#3a7d44",
        Verdict::Missed => "#b3392f",
        Verdict::Unsure => "#999999",
    };
    let said = format!("{} {} ({} {})", number(bar.figure.median), bar.unit, bar.sense.sign(), number(bar.required));
    format!(
        r#"<text x="{before}" y="{text_y}" text-anchor="end">{what}</text>
<rect x="{LEFT}" y="{y}" width="{length:.1}" height="14" fill="{color}"/>
<text x="{after:.1}" y="{text_y}">{said}</text>
"#,
        before = LEFT - 8,
        text_y = y + 11,
        what = escaped(&bar.what),
        after = f64::from(LEFT) + length + 6.0,
        said = escaped(&said),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
