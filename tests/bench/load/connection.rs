//! A keep-alive connection, and just as much of HTTP/1.1 (RFC 9112) as the servers answer with.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What requests can go over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Stream for S {}

/// A connection.
pub struct Connection<S> {
    stream: S,
    buffer: Box<[u8]>,
}

/// How an answer's body ends.
enum Body {
    Length(usize),
    Chunked,
}

impl<S: Stream> Connection<S> {
    /// Takes over an open stream.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; 64 * 1024].into() }
    }

    /// Sends a request and reads the answer to its end. Says how long its body was.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<u64> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(end) = self.buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !self.buffer.starts_with(b"HTTP/1.1 2") {
            let answer = String::from_utf8_lossy(&self.buffer[..filled]).into_owned();
            return Err(io::Error::other(format!("no success: {answer}")));
        }
        match body(&self.buffer[..head])? {
            Body::Length(length) => {
                let mut there = filled - head;
                while there < length {
                    there += self.read(0).await?;
                }
                Ok(length as u64)
            }
            Body::Chunked => self.read_to_last_chunk(head, filled).await,
        }
    }

    /// Reads chunks to the last one. JSON has no line ends of its own, so that only the last chunk ends like this.
    async fn read_to_last_chunk(&mut self, head: usize, filled: usize) -> io::Result<u64> {
        const LAST: &[u8] = b"\r\n0\r\n\r\n";
        let mut end = self.buffer[head..filled].to_vec();
        let mut there = end.len();
        while !end.ends_with(LAST) {
            let read = self.read(0).await?;
            there += read;
            end.extend_from_slice(&self.buffer[..read]);
            end.drain(..end.len().saturating_sub(LAST.len()));
        }
        Ok(there as u64)
    }

    async fn read(&mut self, from: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[from..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn body(head: &[u8]) -> io::Result<Body> {
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            return length.map(Body::Length).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
            return Ok(Body::Chunked);
        }
    }
    Err(io::Error::other("an answer without a length"))
}
