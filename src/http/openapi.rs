//! The description of the API, generated from the handlers and the bodies (OpenAPI 3).
//!
//! Invariant: it is the same text at every start, and a golden file of the tests; routes and description agree.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{IntoResponses, Modify, OpenApi};

use crate::api::ErrorResponse;
use crate::http::{audit, backup, events, keys, metrics, operations, seal, secrets, tokens, vault_keys};
use crate::model::Namespace;

#[derive(OpenApi)]
#[openapi(
    info(title = "hushd", description = "One machine's secrets", license(name = "MIT OR Apache-2.0")),
    paths(
        secrets::list, secrets::create, secrets::get, secrets::update, secrets::delete, secrets::revisions,
        secrets::rollback, secrets::verify, secrets::environment, secrets::namespaces,
        keys::rotate_api_key, keys::rotate_anon_key, tokens::create, tokens::list, tokens::revoke,
        vault_keys::list, vault_keys::add, vault_keys::remove, vault_keys::rotate_data_key,
        vault_keys::rotate_jwt_secret, seal::seal, seal::unseal,
        operations::health, operations::ready, operations::status, operations::check,
        operations::report, operations::describe, backup::backup, metrics::metrics, events::events,
        audit::list, audit::verify, audit::consumers,
    ),
    components(schemas(ErrorResponse)),
    security(("bearerAuth" = []), ("apiKey" = []), ()),
    modifiers(&Schemes, &Details),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearerAuth", SecurityScheme::Http(bearer));
        let api_key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
        components.add_security_scheme("apiKey", api_key);
    }
}

/// What the macros cannot say.
struct Details;

impl Modify for Details {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for path in document.paths.paths.values_mut() {
            let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
            for operation in operations.into_iter().flatten() {
                operation.parameters.iter_mut().flatten().for_each(describe_parameter);
                if let Some(RefOr::T(body)) = &mut operation.request_body {
                    body.content.values_mut().for_each(describe_body);
                }
            }
        }
    }
}

/// Nothing outside of a body can be `null`, and a namespace looks like one everywhere.
fn describe_parameter(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(Parameter { name, schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter else { return };
    if matches!(&schema.schema_type, SchemaType::Array(types) if types.contains(&Type::String)) {
        schema.schema_type = SchemaType::Type(Type::String);
    }
    match name.as_str() {
        "namespace" => {
            schema.pattern = Some(Namespace::PATTERN.to_owned());
            schema.max_length = Some(Namespace::MAX_LENGTH);
        }
        "If-Match" => schema.pattern = Some(r#"^(\*|"[0-9]{1,18}")$"#.to_owned()),
        _ => {}
    }
}

/// A body that may be left out is an object all the same where it is sent, and never `null`.
fn describe_body(content: &mut RefOr<Content>) {
    if let RefOr::T(Content { schema: Some(RefOr::T(Schema::OneOf(choice))), .. }) = content {
        let sent = choice.items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned();
        *content = ContentBuilder::new().schema(sent).build().into();
    }
}

/// The document as text.
pub(super) fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| Document::openapi().to_pretty_json().unwrap_or_default())
}

/// What every call that takes a credential may answer.
pub(super) struct Refused;
/// What a call on one secret may answer.
pub(super) struct Missing;
/// What a conditional call may answer.
pub(super) struct Conflict;
/// What a create may answer.
pub(super) struct AlreadyExists;
/// What a call with a body may answer.
pub(super) struct BadBody;
/// What a rotation may answer.
pub(super) struct TooMany;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&[
            (400, "The request makes no sense"),
            (401, "No credential, or none of ours"),
            (403, "Not allowed"),
            (429, "Too many wrong credentials, or too many of what was asked for; Retry-After says how long to wait"),
            (500, "The daemon failed; its log says why"),
            (503, "The vault is sealed"),
        ])
    }
}

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&[(404, "Unknown, inactive or expired")])
    }
}

impl IntoResponses for Conflict {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&[(412, "The revision moved")])
    }
}

impl IntoResponses for TooMany {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&[(429, "Too many rotated keys are in their grace period, or too many tokens")])
    }
}

impl IntoResponses for AlreadyExists {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&[(409, "There is one already")])
    }
}

impl IntoResponses for BadBody {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&[
            (413, "The body or the value is too large"),
            (415, "The body is not JSON in UTF-8"),
            (507, "The disk is full"),
        ])
    }
}

fn failures(statuses: &[(u16, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorResponse"))).build();
    let answer =
        |text: &str| ResponseBuilder::new().description(text).content("application/json", body.clone()).build();
    statuses.iter().map(|(status, text)| (status.to_string(), RefOr::T(answer(text)))).collect()
}
