//! A reader of the stream of events.

use std::io;

use serde_json::Value;

use crate::harness::Api;
use crate::harness::http::Connection;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its data.
    pub data: Value,
}

impl Event {
    /// What happened, to which secret, and its revision.
    pub fn told(&self) -> (&str, &str, u64) {
        let text = |field: &str| self.data[field].as_str().unwrap_or_default();
        (text("type"), text("key"), self.data["revision"].as_u64().unwrap_or_default())
    }
}

/// A reader that is connected.
pub struct Stream {
    connection: Connection,
    rest: String,
    /// The id of the newest event, or of the place where the stream began.
    pub last: String,
}

impl Stream {
    /// Connects as an administrator.
    pub fn open(api: &Api, target: &str, after: Option<&str>) -> Self {
        Self::connect(api, target, after, &api.vault.api_key).unwrap_or_else(|status| panic!("answered {status}"))
    }

    /// Connects with this credential; the status where that is refused.
    pub fn connect(api: &Api, target: &str, after: Option<&str>, credential: &str) -> Result<Self, u16> {
        let mut call = api.bare("GET", target).bearer(credential);
        if let Some(id) = after {
            call = call.header("Last-Event-ID", id);
        }
        let mut connection = api.connect();
        let (status, headers) = connection.begin(&call.request()).unwrap();
        if status != 200 {
            return Err(status);
        }
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        assert_eq!(header("content-type"), Some("text/event-stream"), "{headers:?}");
        assert_eq!(header("cache-control"), Some("no-store"), "{headers:?}");
        let mut stream = Self { connection, rest: String::new(), last: String::new() };
        let first = stream.block().unwrap().unwrap();
        assert!(first.starts_with("retry: "), "{first}");
        if let Some(id) = first.lines().find_map(|line| line.strip_prefix("id: ")) {
            id.clone_into(&mut stream.last);
        }
        Ok(stream)
    }

    /// The next event; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Event> {
        self.read().unwrap()
    }

    /// The same, where the connection may break.
    pub fn read(&mut self) -> io::Result<Option<Event>> {
        while let Some(block) = self.block()? {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let Some(id) = field("id: ") {
                id.clone_into(&mut self.last);
            }
            if let Some(data) = field("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(data["type"].as_str(), field("event: "), "{block}");
                return Ok(Some(Event { id: self.last.clone(), data }));
            }
        }
        Ok(None)
    }

    /// Reads so many events.
    pub fn take(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.next().unwrap()).collect()
    }

    fn block(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let block = block.to_owned();
                self.rest = rest.to_owned();
                return Ok(Some(block));
            }
            match self.connection.chunk()? {
                Some(piece) => self.rest.push_str(std::str::from_utf8(&piece).unwrap()),
                None => return Ok(None),
            }
        }
    }
}
