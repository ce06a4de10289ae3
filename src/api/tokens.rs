//! The bodies about tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::{expose_one, present};
use crate::clock::Timestamp;
use crate::model::SecretValue;

/// Body of `POST /api/tokens`: issues a token with a scope, or mints an administrator's JWT.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenRequest {
    /// Whether to mint an administrator's JWT; then there is no scope, and nothing below `subject`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub admin: Option<bool>,
    /// The rules that the token is limited to, such as `read shop/**`: a list, or one text with `;` or newlines between.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scope: Option<ScopeText>,
    /// How long it is valid, in seconds: 1 to 31,536,000 (a year).
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub ttl_seconds: i64,
    /// Whom a JWT is for (`sub`); the caller when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 128)]
    pub subject: Option<String>,
    /// The user from whose processes alone the token is taken, over the Unix socket.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bind_uid: Option<u32>,
    /// The systemd unit from whose processes alone the token is taken, over the Unix socket.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bind_unit: Option<String>,
    /// How many requests the token is good for.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000)]
    pub uses: Option<u32>,
    /// What it is for.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 256)]
    pub reason: Option<String>,
}

/// The rules of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ScopeText {
    /// A list of rules.
    Rules(Vec<String>),
    /// Rules with `;` or newlines between.
    Text(String),
}

/// Answer of `POST /api/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenResponse {
    /// The token; it is not shown again.
    #[serde(serialize_with = "expose_one")]
    #[schema(value_type = String)]
    pub token: SecretValue,
    /// Its identifier, by which it is revoked.
    pub id: Uuid,
    /// Until when it is valid.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TokenKind {
    /// Issued with a scope.
    Scoped,
    /// A JWT that was minted here, or one of others that was revoked.
    Jwt,
}

/// What is known of a token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenMetadata {
    /// Its identifier: for a JWT its `jti`.
    pub id: String,
    /// Its kind.
    pub kind: TokenKind,
    /// Whom a JWT is for.
    #[schema(required)]
    pub subject: Option<String>,
    /// The rules that it is limited to; null for a JWT.
    #[schema(required)]
    pub scope: Option<Vec<String>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is refused.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The user that it is bound to.
    #[schema(required)]
    pub bind_uid: Option<u32>,
    /// The unit that it is bound to.
    #[schema(required)]
    pub bind_unit: Option<String>,
    /// How many requests it was good for.
    #[schema(required)]
    pub uses: Option<u32>,
    /// How many requests it is still good for.
    #[schema(required)]
    pub uses_left: Option<u32>,
    /// What it is for.
    #[schema(required)]
    pub reason: Option<String>,
    /// Whether it is refused already.
    pub revoked: bool,
}

/// Answer of `GET /api/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ListTokensResponse {
    /// The issued ones, then the JWTs, each newest first.
    pub tokens: Vec<TokenMetadata>,
}
