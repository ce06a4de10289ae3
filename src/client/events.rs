//! Reads Server-Sent Events (WHATWG HTML, "Interpreting an event stream"), as far as the daemon sends them.
//!
//! Invariants: a piece may end anywhere, also within a character; an event that is not whole is never given; a line is
//! bounded. A field or a type that is not known is passed over.

use crate::api::EventMessage;

/// Longest line, in bytes.
const LONGEST: usize = 64 * 1024;

/// The stream is not one of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoEvents;

/// Takes a stream apart.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    data: String,
    /// The id of the newest event that was given.
    pub(super) last_id: Option<String>,
    id: Option<String>,
}

impl Reader {
    /// Takes a piece, and gives each event that is whole with it to `sink`.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        sink: &mut dyn FnMut(EventMessage) -> std::io::Result<()>,
    ) -> Result<std::io::Result<()>, NoEvents> {
        for byte in piece {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > LONGEST {
                    return Err(NoEvents);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = std::str::from_utf8(&line).map_err(|_| NoEvents)?;
            if let Some(message) = self.line(line.trim_end_matches('\r'))?
                && let Err(error) = sink(message)
            {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn line(&mut self, line: &str) -> Result<Option<EventMessage>, NoEvents> {
        if line.is_empty() {
            self.last_id = self.id.take().or(self.last_id.take());
            let data = std::mem::take(&mut self.data);
            return Ok((!data.is_empty()).then(|| serde_json::from_str(&data).ok()).flatten());
        }
        let (field, value) = line.split_once(':').ok_or(NoEvents)?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "data" => value.clone_into(&mut self.data),
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventKind;

    const STREAM: &str = "retry: 1000\nid: a-0\n\n: heartbeat\n\nid: a-1\nevent: updated\ndata: \
        {\"type\":\"updated\",\"namespace\":\"n\",\"key\":\"K\",\"revision\":2,\"at\":\"2026-07-15T12:00:00.000Z\"}\n\n\
        event: novel\nid: a-2\ndata: {\"type\":\"novel\"}\n\nid: a-3\nevent: created\ndata: {";

    #[test]
    fn events_are_read_whole_wherever_the_pieces_end() {
        for size in 1..40 {
            let (mut reader, mut found) = (Reader::default(), Vec::new());
            for piece in STREAM.as_bytes().chunks(size) {
                let taken = reader.take(piece, &mut |message| {
                    found.push(message);
                    Ok(())
                });
                taken.unwrap().unwrap();
            }
            assert_eq!(found.len(), 1, "{size}");
            assert_eq!((found[0].kind, found[0].key.as_deref()), (EventKind::Updated, Some("K")));
            assert_eq!(
                reader.last_id.as_deref(),
                Some("a-2"),
                "one that is not known counts, one that is not whole does not"
            );
        }
    }

    #[test]
    fn what_is_no_stream_of_events_is_said_to_be_none() {
        assert_eq!(Reader::default().take(b"<html>\n", &mut |_| Ok(())).unwrap_err(), NoEvents);
        assert_eq!(Reader::default().take(&vec![b'x'; LONGEST + 1], &mut |_| Ok(())).unwrap_err(), NoEvents);
    }
}
