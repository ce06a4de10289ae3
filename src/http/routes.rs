//! All routes, in one expression.

use actix_web::dev::{AppService, Handler, HttpServiceFactory, ResourceDef};
use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::{FromRequest, Resource, Responder, Route, web};

use crate::http::error::HttpError;
use crate::http::measure::{Requests, RouteCounts};
use crate::http::{audit, backup, events, keys, metrics, operations, seal, secrets, tokens, vault_keys};

/// The API; each route counts its requests.
pub(super) fn routes(app: &mut web::ServiceConfig, requests: &Requests) {
    let at = |template| Path { template, routes: Vec::new(), counts: requests.route(template) };
    app.service(at("/api/secrets").get(secrets::list).post(secrets::create))
        .service(at("/api/secrets/api-key/rotate").post(keys::rotate_api_key))
        .service(at("/api/secrets/anon-key/rotate").post(keys::rotate_anon_key))
        .service(at("/api/secrets/{key}").get(secrets::get).put(secrets::update).delete(secrets::delete))
        .service(at("/api/secrets/{key}/revisions").get(secrets::revisions))
        .service(at("/api/secrets/{key}/rollback").post(secrets::rollback))
        .service(at("/api/secrets/{key}/consumers").get(audit::consumers))
        .service(at("/api/secrets/{key}/verify").post(secrets::verify))
        .service(at("/api/environment").get(secrets::environment))
        .service(at("/api/namespaces").get(secrets::namespaces))
        .service(at("/api/tokens").get(tokens::list).post(tokens::create))
        .service(at("/api/tokens/{id}").delete(tokens::revoke))
        .service(at("/api/recipients").get(vault_keys::list).post(vault_keys::add).delete(vault_keys::remove))
        .service(at("/api/rotate/data-key").post(vault_keys::rotate_data_key))
        .service(at("/api/rotate/jwt-secret").post(vault_keys::rotate_jwt_secret))
        .service(at("/api/seal").post(seal::seal))
        .service(at("/api/unseal").post(seal::unseal))
        .service(at("/api/health").get(operations::health))
        .service(at("/api/ready").get(operations::ready))
        .service(at("/api/status").get(operations::status))
        .service(at("/api/audit").get(audit::list))
        .service(at("/api/audit/verify").get(audit::verify))
        .service(at("/api/backup").get(backup::backup))
        .service(at("/api/check").get(operations::check))
        .service(at("/api/report").get(operations::report))
        .service(at("/api/openapi.json").get(operations::describe))
        .service(at("/api/events").get(events::events))
        .service(at("/metrics").get(metrics::metrics))
        .default_service(web::to(async || Err::<&str, _>(HttpError::UnknownPath)));
}

/// A path and the methods that it takes; others are answered 405 with `Allow` (RFC 9110 §15.5.6).
struct Path {
    template: &'static str,
    routes: Vec<(Method, Route)>,
    counts: &'static RouteCounts,
}

macro_rules! method {
    ($name:ident, $($method:ident),+) => {
        fn $name<F, Args>(mut self, handler: F) -> Self
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            $(self.routes.push((Method::$method, web::to(handler.clone())));)+
            self
        }
    };
}

impl Path {
    // HEAD works where GET does.
    method!(get, GET, HEAD);
    method!(post, POST);
    method!(put, PUT);
    method!(delete, DELETE);
}

impl HttpServiceFactory for Path {
    fn register(self, config: &mut AppService) {
        let allow = self.routes.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>().join(", ");
        let otherwise = web::to(move || {
            let allow = allow.clone();
            async move { Err::<&str, _>(HttpError::MethodNotAllowed { allow }) }
        });
        let (template, counts) = (self.template, self.counts);
        // A pattern would be matched by a regular expression, which takes a tenth of the time of a read.
        let Some((prefix, _)) = template.split_once("/{") else {
            let routes = self.routes.into_iter().map(|(method, route)| route.guard(guard::Method(method)));
            let resource = web::resource(template).guard(guard::fn_guard(move |context| counts.routed(context)));
            let resource = routes.fold(resource, Resource::route);
            return resource.default_service(otherwise).register(config);
        };
        let is_here =
            || guard::fn_guard(move |context| is_like(context.head().uri.path(), template) && counts.routed(context));
        for (method, route) in self.routes {
            let guards: Vec<Box<dyn Guard>> = vec![Box::new(guard::Method(method)), Box::new(is_here())];
            config.register_service(ResourceDef::prefix(prefix), Some(guards), route, None);
        }
        config.register_service(ResourceDef::prefix(prefix), Some(vec![Box::new(is_here())]), otherwise, None);
    }
}

/// Whether a path has the parts of a template, of which those in braces may be anything but empty.
fn is_like(path: &str, template: &str) -> bool {
    let mut parts = path.split('/');
    let mut expected = template.split('/');
    loop {
        match (parts.next(), expected.next()) {
            (None, None) => return true,
            (Some(part), Some(expected)) if expected.starts_with('{') && !part.is_empty() => {}
            (Some(part), Some(expected)) if part == expected => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_like_a_template_part_by_part() {
        assert!(is_like("/api/secrets/A", "/api/secrets/{key}"));
        assert!(is_like("/api/secrets/A/verify", "/api/secrets/{key}/verify"));
        for other in ["/api/secrets", "/api/secrets/", "/api/secrets/A/", "/api/secrets/A/verify", "/api/secretsA"] {
            assert!(!is_like(other, "/api/secrets/{key}"), "{other}");
        }
        assert!(!is_like("/api/secrets/{key}/a", "/api/secrets/{key}/verify"));
    }
}
