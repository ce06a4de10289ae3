//! The list of a namespace's secrets over HTTP: a long one is a stream, made as fast as the client takes it.
//!
//! Invariants: the client gets, byte for byte, a [`ListSecretsResponse`](crate::api::ListSecretsResponse); memory holds one
//! piece of it, whatever the client does; where the vault is sealed meanwhile, the answer ends before its end, which nobody
//! can take for a whole one.

use std::io;

use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_util::stream;

use crate::api::SecretMetadata;
use crate::http::State;
use crate::model::Metadata;
use crate::vault::Listing;

/// Bytes that are sent at a time, about.
const PIECE: usize = 64 * 1024;
/// What the metadata of a secret takes, in bytes, about.
const ITEM: usize = 320;

/// The answer that has this list; one of a single piece says how long it is.
pub(super) fn answer(state: web::Data<State>, listing: Listing) -> HttpResponse {
    let is_open = move || state.vault().is_ok();
    let mut pieces = Pieces { listing: listing.map(|secret| metadata(&secret)), is_open, begun: false, ended: false };
    let mut answer = HttpResponse::Ok();
    answer.content_type(ContentType::json());
    match pieces.next() {
        Some(Ok(whole)) if pieces.ended => answer.body(whole),
        first => answer.streaming(stream::iter(first.into_iter().chain(pieces))),
    }
}

/// The text of a list, piece by piece.
struct Pieces<L, O> {
    listing: L,
    is_open: O,
    begun: bool,
    ended: bool,
}

impl<L: ExactSizeIterator<Item = SecretMetadata>, O: Fn() -> bool> Pieces<L, O> {
    fn write(&mut self) -> io::Result<Bytes> {
        let mut text = Vec::with_capacity(PIECE.min(self.listing.len().saturating_mul(ITEM)) + ITEM);
        if !self.begun {
            text.extend_from_slice(br#"{"secrets":["#);
        }
        while text.len() < PIECE {
            let Some(secret) = self.listing.next() else {
                text.extend_from_slice(b"]}");
                self.ended = true;
                break;
            };
            if std::mem::replace(&mut self.begun, true) {
                text.push(b',');
            }
            serde_json::to_writer(&mut text, &secret)?;
        }
        Ok(text.into())
    }
}

impl<L: ExactSizeIterator<Item = SecretMetadata>, O: Fn() -> bool> Iterator for Pieces<L, O> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if self.begun && !(self.is_open)() {
            self.ended = true;
            return Some(Err(io::Error::other("the vault was sealed")));
        }
        Some(self.write())
    }
}

fn metadata(secret: &Metadata) -> SecretMetadata {
    SecretMetadata {
        id: secret.id,
        key: secret.key.to_string(),
        namespace: secret.namespace.to_string(),
        is_active: secret.is_active,
        is_reserved: secret.is_reserved,
        is_template: secret.is_template,
        last_used_at: secret.last_used_at,
        expires_at: secret.expires_at,
        created_at: secret.created_at,
        updated_at: secret.updated_at,
        revision: secret.revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ListSecretsResponse;
    use crate::clock::Timestamp;

    fn secrets(count: u64) -> Vec<SecretMetadata> {
        let secret = |number: u64| SecretMetadata {
            id: uuid::Uuid::from_u128(number.into()),
            key: format!("KEY_{number}"),
            namespace: "shop/dev".to_owned(),
            is_active: number.is_multiple_of(2),
            is_reserved: false,
            is_template: false,
            last_used_at: None,
            expires_at: number.is_multiple_of(3).then(|| Timestamp::from_millis(1_000)),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(1),
            revision: number,
        };
        (0..count).map(secret).collect()
    }

    fn pieces(count: u64, is_open: impl Fn() -> bool) -> Vec<io::Result<Bytes>> {
        Pieces { listing: secrets(count).into_iter(), is_open, begun: false, ended: false }.collect()
    }

    #[test]
    fn the_pieces_are_the_whole_answer() {
        for count in [0, 1, 2, 2_000] {
            let pieces = pieces(count, || true);
            let text = pieces.iter().flat_map(|piece| piece.as_ref().unwrap().to_vec()).collect::<Vec<_>>();
            let read: ListSecretsResponse = serde_json::from_slice(&text).unwrap();
            assert_eq!(serde_json::to_vec(&read).unwrap(), text);
            assert_eq!(read.secrets.len() as u64, count);
            assert_eq!(pieces.len() > 1, count == 2_000);
            assert!(pieces.iter().all(|piece| piece.as_ref().unwrap().len() < PIECE + 2 * ITEM));
        }
    }

    #[test]
    fn a_list_ends_where_the_vault_is_sealed() {
        let pieces = pieces(2_000, || false);
        assert!(pieces[0].as_ref().unwrap().starts_with(b"{\"secrets\":[{"));
        assert!(pieces[1].is_err());
        assert_eq!(pieces.len(), 2);
    }
}
