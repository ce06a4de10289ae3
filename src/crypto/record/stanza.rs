//! The record's stanza for the age crate: proof that any age implementation can read and write records.

use std::cell::RefCell;
use std::collections::HashSet;

use age_core::format::{FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{Place, layout, unwrap_file_key, wrap_file_key};
use crate::crypto::Keyring;
use crate::crypto::primitives::fill_random;
use crate::store::Table;

/// The stanza's type, spelt out a second time on purpose: it is part of the format.
const STANZA_TAG: &str = "hushd/v1";

/// Wraps and unwraps file keys for one place in the store, as the age crate asks for it.
pub(super) struct RecordStanza<'a> {
    pub(super) keyring: &'a Keyring,
    pub(super) table: Table,
    pub(super) key: &'a [u8],
    /// The last file key that was wrapped.
    pub(super) wrapped: RefCell<Option<[u8; 16]>>,
}

impl<'a> RecordStanza<'a> {
    pub(super) fn new(keyring: &'a Keyring, table: Table, key: &'a [u8]) -> Self {
        Self { keyring, table, key, wrapped: RefCell::new(None) }
    }
}

impl age::Recipient for RecordStanza<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let mut nonce = [0; 24];
        fill_random(&mut nonce).unwrap();
        let (epoch, data_key) = self.keyring.current_data_key();
        let place = Place { table: self.table, key: self.key, epoch };
        let body = wrap_file_key(&data_key, &place, &nonce, file_key.expose_secret()).unwrap();
        self.wrapped.replace(Some(*file_key.expose_secret()));
        let stanza = Stanza {
            tag: STANZA_TAG.to_owned(),
            args: vec![epoch.to_string(), STANDARD_NO_PAD.encode(nonce)],
            body: body.to_vec(),
        };
        Ok((vec![stanza], HashSet::new()))
    }
}

impl age::Identity for RecordStanza<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        let [epoch, nonce] = &stanza.args[..] else { return None };
        if stanza.tag != STANZA_TAG {
            return None;
        }
        let epoch = layout::parse_epoch(epoch.as_bytes())?;
        let nonce = STANDARD_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let body = stanza.body.as_slice().try_into().ok()?;
        let place = Place { table: self.table, key: self.key, epoch };
        let file_key = unwrap_file_key(&*self.keyring.data_key(epoch)?, &place, &nonce, body).ok()?;
        Some(Ok(FileKey::new(Box::new(*file_key))))
    }
}
