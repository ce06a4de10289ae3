//! Parameters of requests: the key in the path, the query, and `If-Match`.
//!
//! Invariants: everything is parsed into a type that cannot be wrong; an unknown parameter is ignored, a known one that
//! stands there twice is refused.

use actix_web::http::header::IF_MATCH;
use actix_web::{HttpRequest, web};

use crate::audit;
use crate::crypto::Recipient;
use crate::http::error::HttpError;
use crate::model::{Key, Namespace};
use crate::vault::{Precondition, Selection};

/// The largest number that is taken: what a client with signed numbers can say, as the description promises (`int64`).
pub(super) const MOST: u64 = i64::MAX.cast_unsigned();

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes the query of a request apart.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, HttpError> {
        if request.query_string().is_empty() {
            return Ok(Self(Vec::new()));
        }
        // What is decoded below would replace bytes that are no UTF-8.
        let decoded = percent_encoding::percent_decode_str(request.query_string()).decode_utf8();
        decoded.map_err(|_| invalid("The query is not UTF-8"))?;
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        pairs.map(|pairs| Self(pairs.into_inner())).map_err(|_| invalid("The query is malformed"))
    }

    /// `namespace`, or the default one.
    pub(super) fn namespace(&self) -> Result<Namespace, HttpError> {
        match self.get("namespace")? {
            Some(text) => text.parse().map_err(|error| invalid(&format!("{error}"))),
            None => Ok(Namespace::default()),
        }
    }

    /// `namespace`, where it is there.
    pub(super) fn optional_namespace(&self) -> Result<Option<Namespace>, HttpError> {
        let parse = |text: &str| text.parse().map_err(|error| invalid(&format!("{error}")));
        self.get("namespace")?.map(parse).transpose()
    }

    /// `revision`, a number from 1 on.
    pub(super) fn revision(&self) -> Result<Option<u64>, HttpError> {
        let number = |text: &str| text.parse().ok().filter(|number| (1..=MOST).contains(number));
        self.get("revision")?
            .map(|text| number(text).ok_or_else(|| invalid("revision must be an integer from 1 on")))
            .transpose()
    }

    /// `purge`, true or false.
    pub(super) fn purge(&self) -> Result<bool, HttpError> {
        self.flag("purge")
    }

    /// `keys`, names divided by commas, `prefix`, and `partial`.
    pub(super) fn selection(&self) -> Result<Selection, HttpError> {
        let keys = match self.get("keys")? {
            Some(list) => {
                let keys = list.split(',').map(str::parse).collect::<Result<Vec<Key>, _>>();
                Some(keys.map_err(|error| invalid(&error.to_string()))?)
            }
            None => None,
        };
        let prefix = self.get("prefix")?.map(str::to_owned);
        if let Some(prefix) = prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            prefix.parse::<Key>().map_err(|error| invalid(&error.to_string()))?;
        }
        Ok(Selection { keys, prefix, partial: self.flag("partial")? })
    }

    /// `recipient`, as often as it stands there.
    pub(super) fn recipients(&self) -> Result<Vec<Recipient>, HttpError> {
        let named = self.0.iter().filter(|(name, _)| name == "recipient");
        let parsed = named.map(|(_, text)| text.parse::<Recipient>());
        parsed.collect::<Result<_, _>>().map_err(|error| invalid(&format!("recipient: {error}")))
    }

    /// `actor`, `action`, `namespace`, `key`, `since` and `until` of the audit trail.
    pub(super) fn audit(&self) -> Result<audit::Filter, HttpError> {
        let text = |name| Ok::<_, HttpError>(self.get(name)?.map(str::to_owned));
        let time = |name: &str| {
            let parse = |text: &str| text.parse().map_err(|error| invalid(&format!("{name}: {error}")));
            self.get(name)?.map(parse).transpose()
        };
        let action = self.get("action")?.map(|name| {
            let names = || audit::Action::ALL.map(audit::Action::name).join(", ");
            audit::Action::from_name(name).ok_or_else(|| invalid(&format!("action must be one of {}", names())))
        });
        Ok(audit::Filter {
            actor: text("actor")?,
            action: action.transpose()?,
            namespace: self.get("namespace")?.map(|_| self.namespace()).transpose()?.map(|name| name.to_string()),
            key: text("key")?,
            since: time("since")?,
            until: time("until")?,
        })
    }

    /// `anchor`, as often as it stands there.
    pub(super) fn anchors(&self) -> Result<Vec<audit::Anchor>, HttpError> {
        let named = self.0.iter().filter(|(name, _)| name == "anchor");
        let parse = |(_, text): &(String, String)| {
            text.parse().map_err(|error: audit::InvalidAnchor| invalid(&format!("anchor: {error}")))
        };
        named.map(parse).collect()
    }

    /// A number from `least` to `most`.
    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, HttpError> {
        let parse = |text: &str| {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| invalid(&format!("{name} must be an integer from {least} to {most}")))
        };
        self.get(name)?.map(parse).transpose()
    }

    /// True or false; false where it is not there.
    fn flag(&self, name: &str) -> Result<bool, HttpError> {
        match self.get(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(&format!("{name} must be true or false"))),
        }
    }

    fn get(&self, name: &str) -> Result<Option<&str>, HttpError> {
        let mut found = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match (found.next(), found.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(invalid(&format!("{name} stands there twice"))),
        }
    }
}

/// The key in the path.
pub(super) fn key(request: &HttpRequest) -> Result<Key, HttpError> {
    // The prefix of the route has been taken off: `/KEY` or `/KEY/VERB`.
    let path = request.match_info().unprocessed();
    let key = path.split('/').nth(1).unwrap_or_default();
    key.parse::<Key>().map_err(|error| invalid(&error.to_string()))
}

/// The last part of the path, whatever characters it has.
pub(super) fn last_part(request: &HttpRequest) -> Result<String, HttpError> {
    // The router has decoded all but `%`, `/` and `+`.
    let path = request.match_info().unprocessed();
    let part = path.split('/').nth(1).unwrap_or_default();
    let text = percent_encoding::percent_decode_str(part).decode_utf8();
    Ok(text.map_err(|_| invalid("The path is not UTF-8"))?.into_owned())
}

/// `If-Match`: nothing, `*`, or entity tags that are revisions in quotes. A weak tag never matches (RFC 9110 §13.1.1).
pub(super) fn precondition(request: &HttpRequest) -> Result<Precondition, HttpError> {
    let malformed = || invalid("If-Match must be * or revisions in quotes, such as \"3\"");
    let mut expected = Vec::new();
    let mut any = false;
    let mut given = false;
    for value in request.headers().get_all(IF_MATCH) {
        given = true;
        for tag in value.to_str().map_err(|_| malformed())?.split(',').map(str::trim) {
            if tag == "*" {
                any = true;
                continue;
            }
            let (weak, quoted) = tag.strip_prefix("W/").map_or((false, tag), |rest| (true, rest));
            let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(malformed)?;
            if opaque.contains('"') {
                return Err(malformed());
            }
            if let (false, Ok(revision)) = (weak, opaque.parse()) {
                expected.push(revision);
            }
        }
    }
    Ok(if given && !any { Precondition::OneOf(expected) } else { Precondition::None })
}

fn invalid(message: &str) -> HttpError {
    HttpError::InvalidInput { message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn if_match_is_read_as_rfc_9110_says() {
        let read = |text: &'static str| {
            precondition(&TestRequest::default().insert_header((IF_MATCH, text)).to_http_request()).ok()
        };
        assert_eq!(read("*"), Some(Precondition::None));
        assert_eq!(read("\"3\""), Some(Precondition::OneOf(vec![3])));
        assert_eq!(read("\"3\", \"4\""), Some(Precondition::OneOf(vec![3, 4])));
        assert_eq!(read("W/\"3\""), Some(Precondition::OneOf(vec![])));
        assert_eq!(read("\"foreign\""), Some(Precondition::OneOf(vec![])));
        for malformed in ["3", "\"3", "", "\"3\" \"4\""] {
            assert_eq!(read(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_parameter_that_stands_twice_or_makes_no_sense_is_refused() {
        let query = |text: &str| Query::of(&TestRequest::with_uri(&format!("/?{text}")).to_http_request()).unwrap();
        assert!(query("namespace=a&namespace=b").namespace().is_err());
        assert!(query("namespace=A").namespace().is_err());
        assert!(Query::of(&TestRequest::with_uri("/?other=%ff").to_http_request()).is_err());
        assert!(query("revision=0").revision().is_err());
        assert!(query("revision=abc").revision().is_err());
        assert!(query("purge=yes").purge().is_err());
        assert!(query("keys=A,,B").selection().is_err());
        assert!(query("prefix=a").selection().is_err());
        assert!(query("partial=1").selection().is_err());
        assert_eq!(query("other=1&namespace=shop%2Fdev").namespace().unwrap().as_str(), "shop/dev");
    }
}
