//! All routes, in one expression.

use actix_web::dev::Handler;
use actix_web::{FromRequest, Resource, Responder, web};

use crate::http::error::HttpError;
use crate::http::{backup, keys, operations, secrets};

/// The API.
pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(at("/api/secrets").get(secrets::list).post(secrets::create).done())
        .service(at("/api/secrets/api-key/rotate").post(keys::rotate_api_key).done())
        .service(at("/api/secrets/anon-key/rotate").post(keys::rotate_anon_key).done())
        .service(at("/api/secrets/{key}").get(secrets::get).put(secrets::update).delete(secrets::delete).done())
        .service(at("/api/secrets/{key}/revisions").get(secrets::revisions).done())
        .service(at("/api/secrets/{key}/rollback").post(secrets::rollback).done())
        .service(at("/api/secrets/{key}/verify").post(secrets::verify).done())
        .service(at("/api/environment").get(secrets::environment).done())
        .service(at("/api/namespaces").get(secrets::namespaces).done())
        .service(at("/api/tokens").post(keys::create_token).done())
        .service(at("/api/health").get(operations::health).done())
        .service(at("/api/ready").get(operations::ready).done())
        .service(at("/api/status").get(operations::status).done())
        .service(at("/api/backup").get(backup::backup).done())
        .service(at("/api/check").get(operations::check).done())
        .service(at("/api/openapi.json").get(operations::describe).done())
        .default_service(web::to(async || Err::<&str, _>(HttpError::UnknownPath)));
}

/// A path and the methods that it takes; others are answered 405 with `Allow` (RFC 9110 §15.5.6).
struct Path {
    resource: Resource,
    allow: Vec<&'static str>,
}

fn at(path: &str) -> Path {
    Path { resource: web::resource(path), allow: Vec::new() }
}

macro_rules! method {
    ($name:ident, $($verb:literal => $route:ident),+) => {
        fn $name<F, Args>(mut self, handler: F) -> Self
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            $(
                self.allow.push($verb);
                self.resource = self.resource.route(web::$route().to(handler.clone()));
            )+
            self
        }
    };
}

impl Path {
    // HEAD works where GET does.
    method!(get, "GET" => get, "HEAD" => head);
    method!(post, "POST" => post);
    method!(put, "PUT" => put);
    method!(delete, "DELETE" => delete);

    fn done(self) -> Resource {
        let allow = self.allow.join(", ");
        self.resource.default_service(web::to(move || {
            let allow = allow.clone();
            async move { Err::<&str, _>(HttpError::MethodNotAllowed { allow }) }
        }))
    }
}
