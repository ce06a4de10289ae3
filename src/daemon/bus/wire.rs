//! Messages as they are on the bus (D-Bus Specification, "Message Protocol").
//!
//! Invariant: whatever bytes come, they are a message or none; nothing here panics. It writes method calls with strings and
//! lists of them, and reads strings, truths and the units of systemd.

use std::os::fd::OwnedFd;

use crate::daemon::bus::Object;

/// The part of a message that says how long it is, in bytes.
pub(super) const FIXED: usize = 16;
/// Longest message, in bytes.
const LONGEST: usize = 128 * 1024 * 1024;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Kind {
    Return,
    Error,
    Signal,
    Other,
}

/// A message that was read.
#[derive(Debug)]
pub(in crate::daemon) struct Message {
    pub kind: Kind,
    pub member: Option<String>,
    pub error: Option<String>,
    pub reply_to: Option<u32>,
    pub sender: Option<String>,
    /// How many descriptors belong to it.
    pub fd_count: usize,
    /// They, once they are there.
    pub fds: Vec<OwnedFd>,
    signature: String,
    big: bool,
    body: Vec<u8>,
}

/// How long the message is that begins with these bytes; `None` where it is none.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader { bytes, at: 4, big: is_big(bytes)? };
    let body = reader.size()?;
    reader.at = 12;
    let fields = reader.size()?;
    let length = FIXED.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (length <= LONGEST).then_some(length)
}

fn is_big(bytes: &[u8]) -> Option<bool> {
    match bytes.first()? {
        b'l' => Some(false),
        b'B' => Some(true),
        _ => None,
    }
}

impl Message {
    /// Reads a whole message; `None` where it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let big = is_big(bytes)?;
        let kind = match bytes.get(1)? {
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let mut message = Self {
            kind,
            member: None,
            error: None,
            reply_to: None,
            sender: None,
            fd_count: 0,
            fds: Vec::new(),
            signature: String::new(),
            big,
            body: Vec::new(),
        };
        let mut reader = Reader { bytes, at: 12, big };
        let end = FIXED.checked_add(reader.size()?)?;
        while reader.at < end {
            reader.align(8)?;
            let (code, signature) = (reader.byte()?, reader.signature()?);
            match (code, signature.as_str()) {
                (3, "s") => message.member = Some(reader.string()?),
                (4, "s") => message.error = Some(reader.string()?),
                (5, "u") => message.reply_to = Some(reader.number()?),
                (7, "s") => message.sender = Some(reader.string()?),
                (8, "g") => message.signature = reader.signature()?,
                (9, "u") => message.fd_count = reader.size()?,
                (_, "s" | "o") => drop(reader.string()?),
                (_, "u") => drop(reader.number()?),
                (_, "g") => drop(reader.signature()?),
                _ => return None,
            }
        }
        message.body = bytes.get(end.checked_next_multiple_of(8)?..)?.to_vec();
        Some(message)
    }

    /// The strings that it begins with.
    pub(in crate::daemon) fn strings(&self) -> Vec<String> {
        let mut reader = Reader { bytes: &self.body, at: 0, big: self.big };
        self.signature.chars().map_while(|kind| if kind == 's' { reader.string() } else { None }).collect()
    }

    /// The names of a list of units, as systemd gives it: `a(ssssssouso)`, each beginning with its name.
    pub(in crate::daemon) fn units(&self) -> Vec<String> {
        let mut names = Vec::new();
        if self.signature != "a(ssssssouso)" {
            return names;
        }
        let mut reader = Reader { bytes: &self.body, at: 0, big: self.big };
        let Some(size) = reader.size() else { return names };
        let end = reader.at.next_multiple_of(8).saturating_add(size);
        while reader.at < end {
            match reader.unit() {
                Some(name) => names.push(name),
                None => break,
            }
        }
        names
    }

    /// The truth that it is.
    pub(in crate::daemon) fn boolean(&self) -> Option<bool> {
        let mut reader = Reader { bytes: &self.body, at: 0, big: self.big };
        if self.signature == "b" { reader.number().map(|number| number != 0) } else { None }
    }
}

/// An argument of a method.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) enum Argument<'a> {
    /// `s`
    Text(&'a str),
    /// `as`
    Texts(&'a [&'a str]),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        let big = self.big;
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// As many bytes of text, and the zero byte behind them.
    fn text(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    fn string(&mut self) -> Option<String> {
        let length = self.size()?;
        self.text(length)
    }

    /// The name of a unit, with everything else that is told of it passed over.
    fn unit(&mut self) -> Option<String> {
        self.align(8)?;
        let name = self.string()?;
        for _ in 0..6 {
            drop(self.string()?);
        }
        self.number()?;
        drop((self.string()?, self.string()?));
        Some(name)
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        self.text(length)
    }
}

/// A method call; `None` where it is too long for a message.
pub(super) fn call(serial: u32, object: &Object, method: &str, arguments: &[Argument<'_>]) -> Option<Vec<u8>> {
    let (mut body, mut signature) = (Vec::new(), String::new());
    for argument in arguments {
        match argument {
            Argument::Text(text) => {
                signature.push('s');
                push_string(&mut body, text)?;
            }
            Argument::Texts(texts) => {
                signature.push_str("as");
                let mut list = Vec::new();
                for text in *texts {
                    push_string(&mut list, text)?;
                }
                pad(&mut body, 4);
                body.extend(u32::try_from(list.len()).ok()?.to_le_bytes());
                body.extend(list);
            }
        }
    }
    let mut fields = Vec::new();
    for (code, kind, text) in
        [(1, b'o', object.path), (2, b's', object.interface), (3, b's', method), (6, b's', object.name)]
    {
        pad(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        push_string(&mut fields, text)?;
    }
    if !arguments.is_empty() {
        pad(&mut fields, 8);
        fields.extend([8, 1, b'g', 0, u8::try_from(signature.len()).ok()?]);
        fields.extend(signature.bytes());
        fields.push(0);
    }
    let mut message = vec![b'l', 1, 0, 1];
    for number in [u32::try_from(body.len()).ok()?, serial, u32::try_from(fields.len()).ok()?] {
        message.extend(number.to_le_bytes());
    }
    message.extend(fields);
    pad(&mut message, 8);
    message.extend(body);
    Some(message)
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn push_string(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    pad(bytes, 4);
    bytes.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::daemon::bus::BUS;

    #[test]
    fn a_call_is_read_as_it_was_written() {
        let texts = ["sleep", "", "a b", "delay"].map(Argument::Text);
        let bytes = call(7, &BUS, "Inhibit", &texts).unwrap();
        assert_eq!(length(&bytes), Some(bytes.len()));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_deref()), (Kind::Other, Some("Inhibit")));
        assert_eq!(message.strings(), ["sleep", "", "a b", "delay"]);
        assert_eq!(message.boolean(), None);
    }

    #[test]
    fn a_list_of_units_is_read() {
        let mut list = Vec::new();
        for name in ["shop@eu.service", "shop@us.service"] {
            pad(&mut list, 8);
            for text in [name, "Shop", "loaded", "active", "running", "", "/org/x"] {
                push_string(&mut list, text).unwrap();
            }
            pad(&mut list, 4);
            list.extend([0; 4]);
            for text in ["", "/"] {
                push_string(&mut list, text).unwrap();
            }
        }
        let mut body = u32::try_from(list.len()).unwrap().to_le_bytes().to_vec();
        pad(&mut body, 8);
        body.extend(list);
        let bytes = call(7, &BUS, "Hello", &[]).unwrap();
        let mut message = Message::parse(&bytes).unwrap();
        assert_eq!(message.units(), Vec::<String>::new());
        (message.signature, message.body) = ("a(ssssssouso)".to_owned(), body);
        assert_eq!(message.units(), ["shop@eu.service", "shop@us.service"]);
        message.body.truncate(150);
        assert_eq!(message.units(), ["shop@eu.service"]);
    }

    /// As a machine of the other byte order writes it.
    #[test]
    fn a_big_endian_signal_is_read() {
        let parts: [&[u8]; 5] = [
            b"B\x04\x01\x01\0\0\0\x04\0\0\0\x09\0\0\0\x17",
            b"\x07\x01s\0\0\0\0\x03:.1\0\0\0\0\0",
            b"\x08\x01g\0\x01b\0",
            b"\0",
            b"\0\0\0\x01",
        ];
        let bytes = parts.concat();
        assert_eq!(length(&bytes), Some(bytes.len()));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.kind, message.sender.as_deref()), (Kind::Signal, Some(":.1")));
        assert_eq!(message.boolean(), Some(true));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..150usize) {
            let _any = (length(&bytes), Message::parse(&bytes).map(|message| (message.strings(), message.boolean())));
            // And what is almost a message.
            let mut almost = call(7, &BUS, "Inhibit", &["sleep", "hushd"].map(Argument::Text)).unwrap();
            for (to, from) in almost.iter_mut().skip(at).zip(bytes.drain(..).take(4)) {
                *to = from;
            }
            let _any = (length(&almost), Message::parse(&almost).map(|message| (message.strings(), message.boolean())));
        }
    }
}
