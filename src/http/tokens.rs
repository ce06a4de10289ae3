//! Access tokens over HTTP.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::{
    CreateTokenRequest, CreateTokenResponse, ListTokensResponse, ScopeText, SuccessResponse, TokenKind, TokenMetadata,
};
use crate::auth::{Scope, StoredJwt, StoredToken, TokenDraft, Unit};
use crate::http::caller::{Administrator, Minter};
use crate::http::error::HttpError;
use crate::http::openapi::{BadBody, Missing, Refused, TooMany};
use crate::http::query::last_part;
use crate::http::{State, body};
use crate::vault::TokenLife;

/// Longest body of these calls, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// Longest identifier that is looked for, in bytes.
const MAX_ID: usize = 256;

type Answer = Result<HttpResponse, HttpError>;

/// Issues a token with a scope, or mints an administrator's JWT
#[utoipa::path(post, path = "/api/tokens", operation_id = "create_token", tag = "Tokens", request_body = CreateTokenRequest,
    responses((status = 201, description = "The token", body = CreateTokenResponse), TooMany, BadBody, Refused))]
pub(super) async fn create(
    state: web::Data<State>,
    caller: Minter,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let sent: CreateTokenRequest = body::json(&request, payload, BODY_LIMIT).await?;
    let vault = state.vault()?;
    let made = match (sent.admin, &sent.scope) {
        (Some(true), None) => {
            let limited = sent.bind_uid.is_some() || sent.bind_unit.is_some() || sent.uses.is_some();
            if limited {
                return Err(invalid("An administrator's JWT takes no bindUid, bindUnit or uses: give it a scope"));
            }
            vault.mint_token(&caller.0, sent.subject, TokenLife::seconds(sent.ttl_seconds)?).await?
        }
        (Some(true), Some(_)) => return Err(invalid("Send either admin or scope: an administrator has no scope")),
        (Some(false), None) => return Err(invalid("Invalid value for field 'admin': expected true, or a scope")),
        (None, None) => return Err(invalid("Either scope or admin is required")),
        (Some(false) | None, Some(scope)) => {
            if sent.subject.is_some() {
                return Err(invalid("Only an administrator's JWT has a subject: say in reason what the token is for"));
            }
            let draft = TokenDraft {
                scope: parse(scope)?,
                bind_uid: sent.bind_uid,
                bind_unit: sent.bind_unit.as_deref().map(unit).transpose()?,
                uses: sent.uses,
                reason: sent.reason,
            };
            vault.issue_token(&caller.0, draft, TokenLife::seconds(sent.ttl_seconds)?).await?
        }
    };
    let answer = CreateTokenResponse { token: made.token, id: made.id, expires_at: made.expires_at };
    Ok(HttpResponse::Created().json(answer))
}

/// Lists the tokens that have not expired, never the tokens themselves
#[utoipa::path(get, path = "/api/tokens", operation_id = "list_tokens", tag = "Tokens",
    responses((status = 200, description = "The issued ones, then the JWTs, each newest first",
        body = ListTokensResponse), Refused))]
pub(super) async fn list(state: web::Data<State>, caller: Administrator) -> Answer {
    let (tokens, jwts) = state.vault()?.tokens(&caller.0)?;
    let tokens = tokens.into_iter().map(issued).chain(jwts.into_iter().map(jwt)).collect();
    Ok(HttpResponse::Ok().json(ListTokensResponse { tokens }))
}

/// Revokes a token: it is refused from the answer on
#[utoipa::path(delete, path = "/api/tokens/{id}", operation_id = "revoke_token", tag = "Tokens",
    params(("id" = String, Path, description = "The identifier of the token, or the `jti` of a JWT")),
    responses((status = 200, description = "Revoked", body = SuccessResponse), Missing, Refused))]
pub(super) async fn revoke(state: web::Data<State>, caller: Administrator, request: HttpRequest) -> Answer {
    let id = last_part(&request)?;
    if id.len() > MAX_ID {
        return Err(invalid("The identifier of a token is shorter"));
    }
    state.vault()?.revoke_token(&caller.0, &id).await?;
    let message = "The token has been revoked".to_owned();
    Ok(HttpResponse::Ok().json(SuccessResponse { success: true, message }))
}

fn parse(scope: &ScopeText) -> Result<Scope, HttpError> {
    let parsed = match scope {
        ScopeText::Rules(rules) => Scope::parse(rules),
        ScopeText::Text(text) => Scope::parse_text(text),
    };
    parsed.map_err(|error| HttpError::InvalidInput { message: format!("Invalid scope: {error}") })
}

fn unit(text: &str) -> Result<String, HttpError> {
    let unit: Unit = text.parse().map_err(|_| {
        invalid("bindUnit must be a unit such as shop.service, or user@1000.service/shop.service for a user's own")
    })?;
    Ok(unit.to_string())
}

fn invalid(message: &str) -> HttpError {
    HttpError::InvalidInput { message: message.to_owned() }
}

fn issued(token: StoredToken) -> TokenMetadata {
    TokenMetadata {
        id: token.id.to_string(),
        kind: TokenKind::Scoped,
        subject: None,
        scope: Some(token.scope),
        created_at: token.created_at,
        created_by: token.created_by,
        expires_at: token.expires_at,
        bind_uid: token.bind_uid,
        bind_unit: token.bind_unit,
        uses: token.uses,
        uses_left: token.uses_left,
        reason: token.reason,
        revoked: false,
    }
}

fn jwt(jwt: StoredJwt) -> TokenMetadata {
    TokenMetadata {
        id: jwt.id,
        kind: TokenKind::Jwt,
        subject: Some(jwt.subject),
        scope: None,
        created_at: jwt.created_at,
        created_by: jwt.created_by,
        expires_at: jwt.expires_at,
        bind_uid: None,
        bind_unit: None,
        uses: None,
        uses_left: None,
        reason: None,
        revoked: jwt.revoked,
    }
}
