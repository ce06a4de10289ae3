//! A raw HTTP/1.1 client over the Unix socket or TCP, independent of the program's own.
//!
//! It adds `Host` and `Content-Length` where the test did not, and nothing else; bytes can be sent as they are.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::cli::PATIENCE;
use super::leaks;

/// Where a daemon listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A port on 127.0.0.1.
    Tcp(u16),
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query, as they are sent.
    pub target: String,
    /// Headers, as they are sent.
    pub headers: Vec<(String, String)>,
    /// The body; `None` sends neither a body nor its length.
    pub body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body, without any transfer encoding.
    pub body: Vec<u8>,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Notes the values and credentials of a request.
fn note(request: &Request) {
    leaks::body(request.body.as_deref().unwrap_or_default());
    for (name, value) in &request.headers {
        if name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("x-api-key") {
            leaks::credential(value.strip_prefix("Bearer ").unwrap_or(value));
        }
    }
}

/// A connection, kept alive from request to request.
pub struct Connection {
    stream: BufReader<Stream>,
    host: String,
}

impl Connection {
    /// Connects.
    pub fn open(address: &Address) -> io::Result<Self> {
        let (stream, host) = match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                (Stream::Unix(stream), "localhost".to_owned())
            }
            Address::Tcp(port) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                (Stream::Tcp(stream), format!("127.0.0.1:{port}"))
            }
        };
        Ok(Self { stream: BufReader::new(stream), host })
    }

    /// Sends the request and reads its answer.
    ///
    /// A daemon may answer and close before it has read a long body, so a failure to write is only one when no answer
    /// can be read either.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let sent = self.ask(request)?;
        let response = self.read(&request.method).map_err(|error| sent.err().unwrap_or(error))?;
        leaks::body(&response.body);
        Ok(response)
    }

    /// Sends the request, and reads the head of its answer: the status and the headers. What follows is read by
    /// [`Connection::chunk`].
    pub fn begin(&mut self, request: &Request) -> io::Result<(u16, Vec<(String, String)>)> {
        self.ask(request)??;
        let status = self.line()?;
        let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Ok((status.ok_or_else(|| io::Error::other("not an HTTP answer"))?, self.headers()?))
    }

    /// The next piece of an answer that is sent in chunks; `None` at its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        let mut piece = Vec::new();
        self.take(length, &mut piece)?;
        self.line()?;
        Ok((length > 0).then_some(piece))
    }

    /// Sends the request, and says how writing it went.
    fn ask(&mut self, request: &Request) -> io::Result<io::Result<()>> {
        note(request);
        let named = |name: &str| request.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        let mut bytes = Vec::new();
        write!(bytes, "{} {} HTTP/1.1\r\n", request.method, request.target)?;
        if !named("host") {
            write!(bytes, "Host: {}\r\n", self.host)?;
        }
        for (name, value) in &request.headers {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        let body = request.body.as_deref();
        if let Some(body) = body.filter(|_| !named("content-length") && !named("transfer-encoding")) {
            write!(bytes, "Content-Length: {}\r\n", body.len())?;
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.unwrap_or_default());
        Ok(self.write(&bytes))
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent; what is answered can still be read.
    pub fn end_writing(&mut self) -> io::Result<()> {
        match self.stream.get_ref() {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Reads until the daemon closes the connection.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the answer to a request of this method.
    pub fn read(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let status = self.line()?;
            let status = status.strip_prefix("HTTP/1.1 ").or_else(|| status.strip_prefix("HTTP/1.0 "));
            let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other("not an HTTP answer"))?;
            let headers = self.headers()?;
            if status >= 200 {
                let body = if method == "HEAD" { Vec::new() } else { self.body(&headers)? };
                return Ok(Response { status, headers, body });
            }
        }
    }

    /// Waits for the `100 Continue` of a request that expects it: the daemon has the request and wants its body.
    pub fn is_asked_to_continue(&mut self) -> io::Result<bool> {
        let status = self.line()?;
        Ok(status.starts_with("HTTP/1.1 100 ") && self.headers()?.is_empty())
    }

    /// Whether the daemon has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        self.stream.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    fn headers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other("not a header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn body(&mut self, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
        let value = |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
        let mut body = Vec::new();
        if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
                self.take(length, &mut body)?;
                self.line()?;
                if length == 0 {
                    return Ok(body);
                }
            }
        }
        match value("content-length") {
            Some(length) => self.take(length.parse().map_err(io::Error::other)?, &mut body)?,
            None => drop(self.stream.read_to_end(&mut body)?),
        }
        Ok(body)
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
