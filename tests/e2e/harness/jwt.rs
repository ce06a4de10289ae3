//! JSON web tokens made by hand, good ones and forged ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use super::now;

macro_rules! hmac {
    ($hash:ty, $secret:expr, $signed:expr) => {
        Hmac::<$hash>::new_from_slice($secret.as_bytes())
            .unwrap()
            .chain_update($signed.as_bytes())
            .finalize()
            .into_bytes()
            .to_vec()
    };
}

/// What an administrator's token says, and no more: good for a day, longer than any test takes.
pub fn admin_claims() -> Value {
    json!({"sub": "e2e", "role": "project_admin", "exp": now() + 24 * 3600})
}

/// An administrator's claims, changed by `changes`; a change to null removes a claim.
pub fn claims(changes: Value) -> Value {
    let mut claims = admin_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A token as the contract wants it.
pub fn hs256(secret: &str, claims: &Value) -> String {
    sign("HS256", "HS256", secret, claims)
}

/// A token whose header names `algorithm` and which is signed as `really` says: an HMAC, or `none`.
pub fn sign(algorithm: &str, really: &str, secret: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let signature = match really {
        "HS256" => hmac!(Sha256, secret, signed),
        "HS384" => hmac!(Sha384, secret, signed),
        "HS512" => hmac!(Sha512, secret, signed),
        "none" => Vec::new(),
        other => panic!("cannot sign with {other}"),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a token claims.
pub fn read(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// The token, signed anew with this secret.
pub fn hs256_like(token: &str, secret: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac!(Sha256, secret, signed)))
}
