//! The size of the release binary, as it ships.

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::HUSHD;
use crate::measure::Spread;
use crate::report::{Section, Sense, number};
use crate::sections::megabytes;

/// Measures and tells.
pub fn measure(_: &Arguments) -> Result<Section> {
    let mut section = Section::new("The binary", "Stripped, as the release profile builds it.", &["what", "MB"]);
    let size = megabytes(std::fs::metadata(HUSHD)?.len());
    section.row(["hushd".to_owned(), number(size)]);
    section.figure("weight/binary", "MB", Spread::one(size));
    section.bar("release binary", (Spread::one(size), "MB"), Sense::AtMost, 9.0, None);
    Ok(section)
}
