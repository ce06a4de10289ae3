//! Calls about the vault's own keys: recipients, rotations, seal and unseal.

use std::time::Duration;

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::{
    AddRecipientRequest, AddRecipientResponse, RecipientsResponse, RemoveRecipientResponse, RotateDataKeyResponse,
    RotateJwtSecretRequest, RotateJwtSecretResponse, SealResponse, UnsealRequest,
};
use crate::client::connection::Extras;
use crate::client::{Client, ClientError};
use crate::model::SecretValue;

impl Client {
    /// `GET /api/recipients`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn recipients(&mut self) -> Result<RecipientsResponse, ClientError> {
        self.get("/api/recipients")
    }

    /// `POST /api/recipients`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn add_recipient(&mut self, recipient: &str) -> Result<AddRecipientResponse, ClientError> {
        self.post("/api/recipients", &AddRecipientRequest { recipient: recipient.to_owned() })
    }

    /// `DELETE /api/recipients`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn remove_recipient(&mut self, recipient: &str) -> Result<RemoveRecipientResponse, ClientError> {
        let target = format!("/api/recipients?recipient={}", utf8_percent_encode(recipient, NON_ALPHANUMERIC));
        self.call(Method::DELETE, &target, Extras::default()).map(|answer| answer.body)
    }

    /// `POST /api/rotate/data-key`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn rotate_data_key(&mut self) -> Result<RotateDataKeyResponse, ClientError> {
        self.post("/api/rotate/data-key", &serde_json::json!({}))
    }

    /// `POST /api/rotate/jwt-secret`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn rotate_jwt_secret(&mut self, grace_hours: Option<i64>) -> Result<RotateJwtSecretResponse, ClientError> {
        self.post("/api/rotate/jwt-secret", &RotateJwtSecretRequest { grace_period_hours: grace_hours })
    }

    /// `POST /api/seal`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn seal(&mut self) -> Result<SealResponse, ClientError> {
        self.post("/api/seal", &serde_json::json!({}))
    }

    /// `POST /api/unseal`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn unseal(&mut self, passphrase: Option<SecretValue>) -> Result<SealResponse, ClientError> {
        self.post("/api/unseal", &UnsealRequest { passphrase })
    }

    /// Waits before the next look at something that takes its time.
    pub fn pause(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }
}
