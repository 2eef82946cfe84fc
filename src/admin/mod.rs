//! The second listener: liveness, readiness, metrics.
//!
//! Only `/livez`, `/readyz` and `/metrics` exist, and [`users`] where that is configured;
//! everything else is 404. It never answers on the public listener, and it never shows a secret:
//! metrics carry no subject, token or path.

mod metrics;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use tokio::sync::Semaphore;

use crate::clock::Now;
use crate::drain::{Guard, Signal};
use crate::edge::{self, Bound, Service, Workers};
use crate::gateway::Gateway;
use crate::gateway::reply_body::ReplyBody;
use crate::message::connection::Connection;
use crate::message::request_body::RequestBody;
use crate::revocation::Freshness;
use crate::telemetry::{causes, escaped};

pub use metrics::Metrics;

/// The admin listener's answers.
#[derive(Clone, Debug)]
pub struct Admin {
    gateway: Arc<Gateway>,
    metrics: Metrics,
    stopping: Signal,
}

/// Enough for every prober and scraper; a flood of them takes no permits from the gateway.
const MOST_CONNECTIONS: usize = 64;

impl Admin {
    /// The answers for one gateway; `stopping` signals that it takes no more requests.
    #[must_use]
    pub const fn new(gateway: Arc<Gateway>, metrics: Metrics, stopping: Signal) -> Self {
        Self { gateway, metrics, stopping }
    }

    /// Serves plain HTTP on `bound` until `guard` is signalled.
    pub async fn serve(self, bound: Bound, guard: Guard) {
        let metrics = self.metrics.clone();
        let mut upkeep_guard = guard.clone();
        let gateway = Arc::clone(&self.gateway);
        let admin = Arc::new(self);
        let service = Service {
            handler: move |request, _: Connection| {
                let admin = Arc::clone(&admin);
                async move { admin.answer(&request).await }
            },
            limits: Arc::new(move || gateway.snapshot.load().config.limits.clone()),
            connections: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            guard,
            workers: Workers::here(),
        };
        tokio::join!(edge::serve_plain(bound, service), async move {
            tokio::select! {
                () = upkeep_guard.signalled() => {}
                () = metrics.keep_up() => {}
            }
        });
    }

    async fn answer(&self, request: &Request<RequestBody>) -> Response<ReplyBody> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            let allow = http::HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" => self.ready().await,
            "/metrics" => {
                edge::measure();
                text(StatusCode::OK, self.metrics.render())
            }
            _ => users::answer(&self.gateway, request)
                .await
                .unwrap_or_else(|| text(StatusCode::NOT_FOUND, "/livez, /readyz or /metrics\n")),
        }
    }

    /// A gateway is ready when it can decide requests and serve them: revocations are read and
    /// fresh, the store takes writes, and no stop was asked for.
    async fn ready(&self) -> Response<ReplyBody> {
        if self.stopping.is_given() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        let max_staleness = self.gateway.snapshot.load().config.revocation.max_staleness;
        let auth = &self.gateway.auth;
        let interruption = || auth.revocations.interruption().map(|cause| cause.to_string());
        let (words, cause) = match auth.revocations.freshness(Now::read().boot, max_staleness) {
            Freshness::Fresh => match auth.store.writable().await {
                Ok(()) => return text(StatusCode::OK, "ready\n"),
                Err(error) => ("nothing can be recorded".to_owned(), Some(causes(&error))),
            },
            Freshness::Unread => ("revocations were not read yet".to_owned(), interruption()),
            Freshness::Stale { age } => {
                let age = age.as_secs();
                (format!("no news of revocations from the store for {age} s"), interruption())
            }
        };
        let cause = cause.map(|cause| format!(": {}", escaped(&cause))).unwrap_or_default();
        text(StatusCode::SERVICE_UNAVAILABLE, format!("{words}{cause}\n"))
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::full(body.into()));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let fresh = http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, fresh);
    response
}
