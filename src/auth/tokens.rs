//! JSON web tokens: HS256 signed with the vault's secret (RFC 7519, API contract "Authentication"). The only file that
//! names jsonwebtoken.
//!
//! Invariants: no algorithm but HS256 is ever accepted; `exp` and `sub` are required; a claim of a wrong type is
//! refused, never ignored; time is compared with our clock and no leeway, as signer and verifier share one machine.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind as JwtErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::Sha256;

use crate::auth::{Scope, ScopeError};
use crate::clock::Timestamp;
use crate::model::SecretValue;

const ADMIN_ROLE: &str = "project_admin";
/// `iss` and `aud` of the tokens that we mint, and the only ones accepted where a token has them.
const OURS: &str = "hushd";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, or broken.
    #[error("the token is not valid")]
    Invalid,
    /// Authentic, but past its `exp`.
    #[error("the token has expired")]
    Expired,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed")]
pub struct MintError(#[source] JwtError);

/// A token that was found authentic.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) subject: Arc<str>,
    pub(super) is_admin: bool,
    /// What it is limited to; none where it has no such claim.
    pub(super) scope: Option<Scope>,
    pub(super) jti: Option<Arc<str>>,
    pub(super) expires_at: Timestamp,
    not_before: Option<Timestamp>,
}

impl Verified {
    /// Whether the token is valid at `now`.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), TokenError> {
        if now >= self.expires_at {
            return Err(TokenError::Expired);
        }
        if self.not_before.is_some_and(|start| now < start) {
            return Err(TokenError::Invalid);
        }
        Ok(())
    }
}

/// The secrets that sign tokens: the current one, and rotated ones in their grace period.
pub struct SigningSecrets {
    signing: EncodingKey,
    /// Each with the end of its grace period; the current one has none.
    verifying: Vec<(DecodingKey, Option<Timestamp>)>,
    validation: Validation,
}

impl std::fmt::Debug for SigningSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningSecrets").field("secrets", &self.verifying.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    role: Option<String>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<ScopeClaim>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
}

/// One text, or a list of rules.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScopeClaim {
    Text(String),
    List(Vec<String>),
}

impl ScopeClaim {
    fn parse(&self) -> Result<Scope, ScopeError> {
        match self {
            Self::Text(text) => Scope::parse_text(text),
            Self::List(texts) => Scope::parse(texts),
        }
    }
}

/// A claim that is null is of a wrong type: a scope must not be lost by it.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A token that was minted, to be shown once.
#[derive(Debug)]
pub struct Minted {
    /// The token.
    pub token: SecretValue,
    /// Its `jti`.
    pub id: uuid::Uuid,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct MintedClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    role: &'a str,
    iat: i64,
    exp: i64,
    jti: uuid::Uuid,
}

impl SigningSecrets {
    /// Takes the secrets in; `current` signs, `previous` still verify, each until its grace period ends.
    pub fn new<'a>(current: &'a [u8], previous: impl IntoIterator<Item = (&'a [u8], Timestamp)>) -> Self {
        // Fails when it was installed before, which is as good.
        let _installed = CryptoProvider::install_default(&HS256_ONLY);
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.set_issuer(&[OURS]);
        validation.set_audience(&[OURS]);
        // Both are checked against our clock, in `Verified::check`.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let previous = previous.into_iter().map(|(secret, end)| (secret, Some(end)));
        let verifying = std::iter::once((current, None)).chain(previous);
        let verifying = verifying.map(|(secret, end)| (DecodingKey::from_secret(secret), end)).collect();
        Self { signing: EncodingKey::from_secret(current), verifying, validation }
    }

    /// Finds out whom a token is from, whatever the time is. One that was signed with an older secret expires when that
    /// one's grace period does.
    pub(super) fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let (claims, grace_ends) = self
            .verifying
            .iter()
            .find_map(|(key, end)| {
                let decoded = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?;
                Some((decoded.claims, *end))
            })
            .ok_or(TokenError::Invalid)?;
        if claims.sub.is_empty() {
            return Err(TokenError::Invalid);
        }
        let scope = claims.scope.as_ref().map(|scope| {
            scope.parse().map_err(|error| {
                tracing::info!(subject = printable(&claims.sub), %error, "a token was refused: its scope is not valid");
                TokenError::Invalid
            })
        });
        Ok(Verified {
            expires_at: grace_ends.into_iter().chain([numeric_date(claims.exp)?]).min().ok_or(TokenError::Invalid)?,
            not_before: claims.nbf.map(numeric_date).transpose()?,
            subject: Arc::from(printable(&claims.sub)),
            is_admin: claims.role.as_deref() == Some(ADMIN_ROLE),
            scope: scope.transpose()?,
            jti: claims.jti.map(Arc::from),
        })
    }

    /// Mints an administrator's token, and says until when it is valid.
    ///
    /// # Errors
    /// [`MintError`] when it cannot be signed.
    pub fn mint(&self, subject: &str, now: Timestamp, ttl: Duration) -> Result<Minted, MintError> {
        let id = uuid::Uuid::new_v4();
        let exp = now.plus(ttl).as_seconds();
        let claims =
            MintedClaims { iss: OURS, aud: OURS, sub: subject, role: ADMIN_ROLE, iat: now.as_seconds(), exp, jti: id };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing).map_err(MintError)?;
        let expires_at = Timestamp::from_millis(exp.saturating_mul(1000));
        Ok(Minted { token: SecretValue::new(token), id, expires_at })
    }
}

/// A NumericDate (RFC 7519 §2): seconds since the epoch, fractions allowed.
fn numeric_date(seconds: f64) -> Result<Timestamp, TokenError> {
    const END_OF_TIME: f64 = 253_402_207_200.0;
    if !seconds.is_finite() || seconds < 0.0 {
        return Err(TokenError::Invalid);
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded on both sides just above")]
    let millis = (seconds.min(END_OF_TIME) * 1000.0) as i64;
    Ok(Timestamp::from_millis(millis))
}

/// A subject stands in logs and revisions: short, and without control characters.
fn printable(subject: &str) -> String {
    subject.chars().filter(|character| !character.is_control()).take(128).collect()
}

/// HMAC with SHA-256 and nothing else, so that no RSA or elliptic-curve code is linked in for tokens.
static HS256_ONLY: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.try_get_as_bytes()?)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, JwtError> {
        if algorithm != Algorithm::HS256 {
            return Err(JwtErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| JwtErrorKind::InvalidKeyFormat.into())
    }
}

impl signature::Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // Constant-time, and refuses a shortened signature.
        self.0.clone().chain_update(message).verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn verify(claims: &serde_json::Value) -> Result<Verified, TokenError> {
        let secrets = SigningSecrets::new(SECRET, []);
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET)).unwrap();
        let verified = secrets.verify(&token)?;
        verified.check(NOW)?;
        Ok(verified)
    }

    #[test]
    fn the_signature_is_that_of_rfc_7515() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use signature::{Signer as _, Verifier as _};
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA\
                     6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let hs256 = Hs256::new(Algorithm::HS256, &URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap();
        let signed = hs256.try_sign(input.as_bytes()).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(&signed), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        hs256.verify(input.as_bytes(), &signed).unwrap();
        assert!(hs256.verify(input.as_bytes(), &signed[..16].to_vec()).is_err());
    }

    #[test]
    fn just_the_contracts_claims_make_an_administrator() {
        let verified =
            verify(&serde_json::json!({"sub": "ci", "role": "project_admin", "exp": 1_800_000_001})).unwrap();
        assert_eq!((&*verified.subject, verified.is_admin, verified.scope.is_none()), ("ci", true, true));
    }

    #[test]
    fn wrong_typed_or_missing_claims_are_refused() {
        use serde_json::json;
        for claims in [
            json!({"role": "project_admin", "exp": 1_800_000_001}),
            json!({"sub": "", "exp": 1_800_000_001}),
            json!({"sub": 1, "exp": 1_800_000_001}),
            json!({"sub": "a"}),
            json!({"sub": "a", "exp": "1800000001"}),
            json!({"sub": "a", "exp": null}),
            json!({"sub": "a", "exp": -1}),
            json!({"sub": "a", "exp": 1_800_000_001, "nbf": "0"}),
            json!({"sub": "a", "exp": 1_800_000_001, "nbf": 1_800_000_001}),
            json!({"sub": "a", "exp": 1_800_000_001, "role": 1}),
            json!({"sub": "a", "exp": 1_800_000_001, "aud": "somebody else"}),
            json!({"sub": "a", "exp": 1_800_000_001, "iss": "somebody else"}),
            json!({"sub": "a", "exp": 1_800_000_001, "jti": 7}),
            json!({"sub": "a", "exp": 1_800_000_001, "jti": null}),
            json!({"sub": "a", "exp": 1_800_000_001, "scope": null}),
            json!({"sub": "a", "exp": 1_800_000_001, "scope": 7}),
            json!({"sub": "a", "exp": 1_800_000_001, "scope": "openid profile"}),
            json!({"sub": "a", "exp": 1_800_000_001, "scope": ["read shop/**", "rule"]}),
        ] {
            assert_eq!(verify(&claims).err(), Some(TokenError::Invalid), "{claims}");
        }
        assert_eq!(verify(&json!({"sub": "a", "exp": 1_800_000_000})).err(), Some(TokenError::Expired));
        assert!(verify(&json!({"sub": "a", "exp": 1_800_000_000.5, "iss": "hushd", "aud": ["hushd", "b"]})).is_ok());
        assert!(verify(&json!({"sub": "a", "exp": 253_402_300_799_i64})).is_ok());
        assert!(verify(&json!({"sub": "a", "exp": 1_800_000_001, "nbf": 1_800_000_000})).is_ok());
    }

    #[test]
    fn a_date_is_a_number_of_seconds_from_the_epoch_on() {
        for (seconds, millis) in [(0.0, 0), (0.5, 500), (1e300, 253_402_207_200_000)] {
            assert_eq!(numeric_date(seconds), Ok(Timestamp::from_millis(millis)), "{seconds}");
        }
        for wrong in [-0.001, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(numeric_date(wrong), Err(TokenError::Invalid), "{wrong}");
        }
    }

    #[test]
    fn nothing_secret_is_in_the_debug_text() {
        let secrets = SigningSecrets::new(SECRET, [(&b"another"[..], NOW)]);
        assert_eq!(format!("{secrets:?}"), "SigningSecrets { secrets: 2, .. }");
    }

    #[test]
    fn a_minted_token_verifies_and_a_rotated_secret_still_does() {
        let Minted { token, expires_at, .. } =
            SigningSecrets::new(SECRET, []).mint("me", NOW, Duration::from_mins(1)).unwrap();
        assert_eq!(expires_at, NOW.plus(Duration::from_mins(1)));
        let rotated =
            SigningSecrets::new(b"another secret of 32 bytes......", [(SECRET, NOW.plus(Duration::from_secs(9)))]);
        let verified = rotated.verify(token.expose_secret()).unwrap();
        assert_eq!(verified.check(NOW), Ok(()));
        assert_eq!(verified.check(NOW.plus(Duration::from_secs(9))), Err(TokenError::Expired), "its grace is over");
        let foreign = SigningSecrets::new(b"another secret of 32 bytes......", []);
        assert_eq!(foreign.verify(token.expose_secret()).err(), Some(TokenError::Invalid));
    }
}
