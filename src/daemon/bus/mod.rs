//! A connection to a bus (D-Bus Specification, "Authentication Protocol", "Message Bus").
//!
//! Invariants: signals are taken from the bus itself and from one trusted sender, whatever others send; whatever is not
//! understood ends the connection, and nothing else. It calls methods that take strings and lists of them, and offers none.

mod wire;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

pub(super) use wire::{Argument, Kind, Message};

/// What can be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub name: &'static str,
    pub path: &'static str,
    pub interface: &'static str,
}

/// The bus itself.
pub(super) const BUS: Object =
    Object { name: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// Signals that are kept while an answer is awaited.
const BACKLOG: usize = 64;
/// Longest line of the authentication.
const LINE: usize = 4096;
/// What is kept of the buffer when it is empty.
const BUFFER: usize = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    input: Vec<u8>,
    /// Descriptors that came with what was read, in order.
    fds: VecDeque<OwnedFd>,
    signals: VecDeque<Message>,
    /// Whose signals are taken beside those of the bus: its unique name.
    pub trusted: Option<String>,
}

impl Bus {
    /// Connects to the bus at the first of these addresses that answers, and says hello.
    ///
    /// # Errors
    /// That there is none, that it refuses, or that it is none.
    pub(super) async fn connect(addresses: &str) -> io::Result<Self> {
        tokio::time::timeout(PATIENCE, Self::connect_now(addresses)).await?
    }

    async fn connect_now(addresses: &str) -> io::Result<Self> {
        let stream = open(addresses).await?;
        let (input, fds, signals) = (Vec::new(), VecDeque::new(), VecDeque::new());
        let mut bus = Self { stream, serial: 0, input, fds, signals, trusted: None };
        let uid = rustix::process::geteuid().as_raw().to_string();
        // The digits in hexadecimal.
        let uid: Vec<_> = uid.chars().map(|digit| format!("3{digit}")).collect();
        bus.say(&format!("\0AUTH EXTERNAL {}\r\n", uid.concat()), "OK").await?;
        bus.say("NEGOTIATE_UNIX_FD\r\n", "AGREE_UNIX_FD").await?;
        bus.stream.write_all(b"BEGIN\r\n").await?;
        bus.call(&BUS, "Hello", &[]).await?;
        Ok(bus)
    }

    /// One step of the authentication.
    async fn say(&mut self, text: &str, expected: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        let end = loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            if self.input.len() > LINE {
                return Err(io::Error::other("it is no bus"));
            }
            self.read().await?;
        };
        let line: Vec<u8> = self.input.drain(..end + 2).collect();
        if line.starts_with(expected.as_bytes()) { Ok(()) } else { Err(io::Error::other("it refuses to be used")) }
    }

    /// Calls a method and waits for its answer, which may be an error.
    ///
    /// # Errors
    /// That the bus was lost, or takes too long.
    pub(super) async fn call(&mut self, object: &Object, method: &str, arguments: &[&str]) -> io::Result<Message> {
        let arguments: Vec<_> = arguments.iter().map(|text| Argument::Text(text)).collect();
        self.call_with(object, method, &arguments).await
    }

    /// The same, with arguments that are lists too.
    ///
    /// # Errors
    /// As [`Bus::call`].
    pub(super) async fn call_with(
        &mut self,
        object: &Object,
        method: &str,
        arguments: &[Argument<'_>],
    ) -> io::Result<Message> {
        self.serial = self.serial.wrapping_add(1).max(1);
        let message = wire::call(self.serial, object, method, arguments).ok_or_else(|| io::Error::other("too long"))?;
        let answer = async {
            self.stream.write_all(&message).await?;
            loop {
                let message = self.message().await?;
                match message.kind {
                    Kind::Return | Kind::Error if message.reply_to == Some(self.serial) => return Ok(message),
                    Kind::Signal if self.is_heard(&message) && self.signals.len() < BACKLOG => {
                        self.signals.push_back(message);
                    }
                    Kind::Return | Kind::Error | Kind::Signal | Kind::Other => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, answer).await?
    }

    /// The next signal of the bus or of the trusted sender.
    ///
    /// # Errors
    /// That the bus was lost.
    pub(super) async fn signal(&mut self) -> io::Result<Message> {
        loop {
            let message = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.message().await?,
            };
            if message.kind == Kind::Signal && self.is_heard(&message) {
                return Ok(message);
            }
        }
    }

    /// Anybody may send a signal to anybody; the bus writes by whom it is.
    fn is_heard(&self, signal: &Message) -> bool {
        let sender = signal.sender.as_deref();
        sender == Some(BUS.name) || (sender.is_some() && sender == self.trusted.as_deref())
    }

    async fn message(&mut self) -> io::Result<Message> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a message that is none");
        loop {
            if self.input.len() >= wire::FIXED {
                let length = wire::length(&self.input).ok_or_else(invalid)?;
                if self.input.len() >= length {
                    let mut message = Message::parse(&self.input[..length]).ok_or_else(invalid)?;
                    self.input.drain(..length);
                    if self.input.is_empty() {
                        self.input.shrink_to(BUFFER);
                    }
                    let count = message.fd_count.min(self.fds.len());
                    message.fds = self.fds.drain(..count).collect();
                    return Ok(message);
                }
            }
            self.read().await?;
        }
    }

    /// Reads what is there, with the descriptors that come with it.
    async fn read(&mut self) -> io::Result<()> {
        let (stream, input, fds) = (&self.stream, &mut self.input, &mut self.fds);
        let read = stream.async_io(Interest::READABLE, || {
            let mut buffer = [0; BUFFER];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(&mut buffer)];
            let length = recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    fds.extend(rights);
                }
            }
            input.extend_from_slice(&buffer[..length]);
            Ok(length)
        });
        if read.await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Connects to the first of the addresses that answers.
async fn open(addresses: &str) -> io::Result<UnixStream> {
    let mut failed = io::Error::new(io::ErrorKind::Unsupported, "its address is none of a Unix socket");
    for path in sockets(addresses) {
        match UnixStream::connect(&path).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The Unix sockets among addresses; an abstract one begins with a zero byte.
fn sockets(addresses: &str) -> impl Iterator<Item = PathBuf> {
    addresses.split(';').filter_map(|address| {
        address.strip_prefix("unix:")?.split(',').find_map(|part| {
            let (begin, value) = match part.split_once('=')? {
                ("path", value) => (None, value),
                ("abstract", value) => (Some(0), value),
                _ => return None,
            };
            let bytes: Vec<u8> = begin.into_iter().chain(percent_decode_str(value)).collect();
            Some(PathBuf::from(OsStr::from_bytes(&bytes)))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sockets_of_addresses_are_found() {
        let found = |text: &str| sockets(text).map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(found("unix:path=/run/bus"), ["/run/bus"]);
        assert_eq!(found("tcp:host=a,port=1;unix:guid=00,path=/a%20b;unix:abstract=x"), ["/a b", "\0x"]);
        assert_eq!(found("unix:dir=/tmp"), Vec::<String>::new());
        assert_eq!(found(""), Vec::<String>::new());
    }
}
