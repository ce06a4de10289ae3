//! The frame in which an answer goes from the daemon to whoever holds the connection.
//!
//! Invariant: what was cut off is told apart from what is whole; a value that is too long or empty is in none.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// Longest credential, in bytes; systemd refuses what is longer (`CREDENTIALS_TOTAL_SIZE_MAX`).
pub(super) const LONGEST: usize = 1024 * 1024;
/// How a frame begins.
const MAGIC: &[u8; 4] = b"hush";
/// Length of what stands before the value.
const HEAD: usize = 9;

/// An answer.
pub(super) enum Answer {
    /// The value, of 1 to [`LONGEST`] bytes.
    Value(Zeroizing<Vec<u8>>),
    /// There is none; why, the daemon has logged.
    Refused,
}

/// What was read.
pub(super) enum Received {
    /// A whole answer.
    Whole(Answer),
    /// Nothing at all: whoever was asked has gone before it answered.
    Nothing,
    /// The beginning of an answer.
    Cut,
}

impl Answer {
    /// The frame.
    pub(super) fn frame(&self) -> Zeroizing<Vec<u8>> {
        let (kind, value): (u8, &[u8]) = match self {
            Self::Value(value) => (1, value),
            Self::Refused => (0, &[]),
        };
        let mut frame = Zeroizing::new(Vec::with_capacity(HEAD + value.len()));
        frame.extend(MAGIC);
        frame.push(kind);
        // No value is longer than four bytes can say.
        frame.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(value);
        frame
    }

    /// Reads an answer to its end.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Received> {
        let mut head = [0; HEAD];
        match fill(from, &mut head)? {
            HEAD => {}
            0 => return Ok(Received::Nothing),
            _ => return Ok(Received::Cut),
        }
        let size = head[5..].iter().fold(0_usize, |size, byte| (size << 8) | usize::from(*byte));
        match (&head[..4] == MAGIC, head[4], size) {
            (true, 0, 0) => Ok(Received::Whole(Self::Refused)),
            (true, 1, 1..=LONGEST) => {
                let mut value = Zeroizing::new(vec![0; size]);
                let whole = fill(from, &mut value)? == size;
                Ok(if whole { Received::Whole(Self::Value(value)) } else { Received::Cut })
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no answer")),
        }
    }
}

/// Reads until the buffer is full or nothing more comes; says how much there is. That the other one was killed is an end too.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_whole_or_it_is_none() {
        let frame = Answer::Value(Zeroizing::new(b"value".to_vec())).frame();
        for length in 0..=frame.len() {
            let read = Answer::read(&mut &frame[..length]).unwrap();
            match length {
                0 => assert!(matches!(read, Received::Nothing)),
                14 => assert!(matches!(read, Received::Whole(Answer::Value(value)) if **value == *b"value")),
                _ => assert!(matches!(read, Received::Cut), "{length}"),
            }
        }
        let refused = Answer::Refused.frame();
        assert!(matches!(Answer::read(&mut &**refused).unwrap(), Received::Whole(Answer::Refused)));
        for bytes in
            [b"hush\x01\0\0\0\0", b"hush\x01\0\x10\0\x01", b"hush\x02\0\0\0\0", b"HTTP/1.1 ", b"hush\0\0\0\0\x01"]
        {
            assert!(Answer::read(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }
}
