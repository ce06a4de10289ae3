//! Lines of any length from a stream, in memory that wipes itself.
//!
//! Invariant: a line is given without its newline, and only when that was there.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// A stream of lines.
pub(super) struct Lines<'a> {
    input: Box<dyn Read + 'a>,
    /// What was read; the line that was given last is at its start.
    buffer: Zeroizing<Vec<u8>>,
    /// Length of the line that was given last, with its newline.
    given: usize,
    filled: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(input: Box<dyn Read + 'a>) -> Self {
        Self { input, buffer: Zeroizing::new(vec![0; 2 * PIECE]), given: 0, filled: 0 }
    }

    /// The next line, or none at the end of the stream.
    ///
    /// # Errors
    /// The stream's, and [`io::ErrorKind::UnexpectedEof`] for a last line without a newline.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.buffer.copy_within(self.given..self.filled, 0);
        self.filled -= self.given;
        self.given = 0;
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..self.filled].iter().position(|byte| *byte == b'\n') {
                self.given = searched + at + 1;
                return Ok(Some(&self.buffer[..self.given - 1]));
            }
            searched = self.filled;
            if self.buffer.len() - self.filled < PIECE {
                // A vector that grows by itself would leave copies behind.
                let mut larger = Zeroizing::new(vec![0; self.buffer.len() * 2]);
                larger[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
                self.buffer = larger;
            }
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) if self.filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length_are_given_whole() {
        let text: Vec<String> =
            [0, 1, PIECE - 1, PIECE, 5 * PIECE, 3].iter().map(|&length| "x".repeat(length)).collect();
        let input = text.join("\n") + "\n";
        let mut lines = Lines::new(Box::new(input.as_bytes()));
        for line in &text {
            assert_eq!(lines.next().unwrap().unwrap(), line.as_bytes());
        }
        assert!(lines.next().unwrap().is_none());
        let mut lines = Lines::new(Box::new(&b"a\nb"[..]));
        assert_eq!(lines.next().unwrap().unwrap(), b"a");
        assert_eq!(lines.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
