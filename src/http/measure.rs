//! Requests in numbers: how many by route, method and status, and how long each took.
//!
//! Invariants: each worker counts for itself, in a place that its routes hold, so that a request costs no lock, no look-up
//! by name and no memory; a path that a client made up is never a label.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::guard::GuardContext;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest};
use parking_lot::Mutex;

use crate::clock::Stopwatch;
use crate::http::request_id::Noted;
use crate::metrics::{Histogram, Observed};

/// The route of requests for paths that there are not.
pub(super) const NO_ROUTE: &str = "(none)";

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "other"];
/// The statuses of the API contract; another one is counted as 0.
const STATUSES: [u16; 17] = [200, 201, 400, 401, 403, 404, 405, 409, 412, 413, 415, 429, 431, 500, 503, 507, 0];

/// One route's numbers, of one worker.
#[derive(Debug)]
pub(super) struct RouteCounts {
    route: &'static str,
    methods: [MethodCounts; METHODS.len()],
}

#[derive(Debug)]
struct MethodCounts {
    statuses: [AtomicU64; STATUSES.len()],
    latency: Histogram,
}

impl MethodCounts {
    const fn new() -> Self {
        Self { statuses: [const { AtomicU64::new(0) }; STATUSES.len()], latency: Histogram::of_nanoseconds() }
    }
}

impl RouteCounts {
    /// Notes that this is the route of a request; says yes, as a guard.
    pub(super) fn routed(&'static self, context: &GuardContext<'_>) -> bool {
        if let Some(noted) = context.req_data().get::<Noted>() {
            noted.route.set(Some(self));
        }
        true
    }

    fn note(&self, method: &Method, status: StatusCode, stopwatch: Stopwatch) {
        let method = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        let status = STATUSES.iter().position(|code| *code == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        let counts = &self.methods[method];
        counts.statuses[status].fetch_add(1, Ordering::Relaxed);
        counts.latency.observe_duration(stopwatch.elapsed());
    }
}

/// Notes a request that was answered, at the route that took it or at none. Gives the route.
pub(super) fn note(request: &HttpRequest, status: StatusCode, stopwatch: Stopwatch) -> &'static str {
    let routed = request.extensions().get::<Noted>().and_then(|noted| noted.route.get());
    let Some(counts) = routed.or_else(|| request.app_data::<NoRoute>().map(|none| none.0)) else { return NO_ROUTE };
    counts.note(request.method(), status, stopwatch);
    counts.route
}

/// Where requests are counted that no route takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRoute(pub(super) &'static RouteCounts);

/// All routes' numbers, of all workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<Mutex<Vec<&'static RouteCounts>>>);

/// The numbers of a route and a method.
#[derive(Debug, PartialEq)]
pub(super) struct Served {
    /// How many, by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// How long they took.
    pub(super) latency: Observed,
}

impl Requests {
    /// A place for a route's numbers, which is there as long as the process: each worker asks once for each route.
    pub(super) fn route(&self, route: &'static str) -> &'static RouteCounts {
        let counts = RouteCounts { route, methods: [const { MethodCounts::new() }; METHODS.len()] };
        let counts: &'static RouteCounts = Box::leak(Box::new(counts));
        self.0.lock().push(counts);
        counts
    }

    /// What was served, by route and method; nothing where there was nothing.
    pub(super) fn served(&self) -> BTreeMap<(&'static str, &'static str), Served> {
        let mut served: BTreeMap<_, Served> = BTreeMap::new();
        for route in self.0.lock().iter() {
            for (method, counts) in METHODS.iter().zip(&route.methods) {
                let latency = counts.latency.observed();
                if latency.count() == 0 {
                    continue;
                }
                let sum = served.entry((route.route, *method)).or_insert_with(|| Served {
                    statuses: BTreeMap::new(),
                    latency: Histogram::of_nanoseconds().observed(),
                });
                sum.latency.add(&latency);
                for (status, count) in STATUSES.iter().zip(&counts.statuses) {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        *sum.statuses.entry(*status).or_default() += count;
                    }
                }
            }
        }
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_all_workers_are_added_up() {
        let requests = Requests::default();
        let (one, other) = (requests.route("/api/x"), requests.route("/api/x"));
        one.note(&Method::GET, StatusCode::OK, Stopwatch::start());
        other.note(&Method::GET, StatusCode::OK, Stopwatch::start());
        other.note(&Method::GET, StatusCode::NOT_FOUND, Stopwatch::start());
        other.note(&Method::PATCH, StatusCode::IM_A_TEAPOT, Stopwatch::start());
        let served = requests.served();
        assert_eq!(served.keys().collect::<Vec<_>>(), [&("/api/x", "GET"), &("/api/x", "other")]);
        let get = &served[&("/api/x", "GET")];
        assert_eq!(get.statuses, BTreeMap::from([(200, 2), (404, 1)]));
        assert_eq!(get.latency.count(), 3);
        assert_eq!(served[&("/api/x", "other")].statuses, BTreeMap::from([(0, 1)]));
    }
}
