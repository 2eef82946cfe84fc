//! One request, from its head to its answer.
//!
//! [`Gateway::handle`] is infallible: it takes the current snapshot, leads the request through
//! route, endpoint or authenticate → authorize → identity → forward, turns a refusal into the
//! site's own error, logs and counts.

pub(crate) mod access;
mod context;
mod credentials;
mod endpoint;
pub mod explain;
#[cfg(test)]
mod fixtures;
pub mod headers;
mod hosted;
mod in_the_clear;
pub mod log;
mod look;
pub mod open_request;
mod pipeline;
pub mod proxy;
mod renewal;
pub mod reply_body;
pub mod request;
mod scope;
mod site;
pub mod snapshot;
mod text;
pub mod upstream;
pub mod websocket;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};

use crate::auth::Auth;
use crate::clock::Now;
use crate::contract::Endpoint;
use crate::message::connection::Connection;
use crate::message::request_body::RequestBody;
use crate::operation::{ErrorCode, Rejection};

use context::{Context, RequestIds};
use headers::forwarded::REQUEST_ID;
use log::meter::Meter;
use log::writer::AccessLog;
use open_request::OpenRequest;
use renewal::Renewals;
use reply_body::ReplyBody;
use request::client_address::Client;
use scope::RequestScope;
use site::Site;
use snapshot::Snapshot;

/// The gateway: everything that a connection needs to have its requests answered.
#[derive(Debug)]
pub struct Gateway {
    /// Sites, routes, contracts, keys, limits: replaced whole by a reload.
    pub snapshot: ArcSwap<Snapshot>,
    /// The operations of the auth API, with the store and the revocation list.
    pub auth: Auth,
    /// One line a request.
    pub access_log: AccessLog,
    ids: RequestIds,
    renewals: Renewals,
    /// Counts requests for hosts that no site is for.
    unknown_host_meter: Arc<Meter>,
}

/// A refusal of a request.
#[derive(Debug)]
enum Refusal {
    /// Its head has more than one reading: the connection ends.
    Framing(Rejection),
    /// No site is for its host: 421.
    UnknownHost,
    /// A step of the pipeline refused it.
    Rejected(Rejection),
}

impl Gateway {
    /// Makes a gateway. The metrics recorder must be installed before the first request.
    #[must_use]
    pub fn new(snapshot: Snapshot, auth: Auth, access_log: AccessLog) -> Self {
        let snapshot = ArcSwap::from_pointee(snapshot);
        let unknown_host_meter = Meter::new(&Arc::from(""), "");
        let (ids, renewals) = (RequestIds::new(), Renewals::default());
        Self { snapshot, auth, access_log, ids, renewals, unknown_host_meter }
    }

    /// Answers a request.
    ///
    /// As an `async fn`, it would hold its arguments twice, and be too large for an allocator's
    /// quick lists.
    pub fn handle(
        self: Arc<Self>,
        request: Request<RequestBody>,
        connection: Connection,
    ) -> impl Future<Output = Response<ReplyBody>> {
        let (now, started) = (Now::read(), Instant::now());
        async move {
            if connection.in_the_clear {
                return in_the_clear::answer(&self.snapshot.load(), &request);
            }
            let snapshot = self.snapshot.load_full();
            let framing = request::framing::check(&request, &snapshot.config.limits);
            let host = request::framing::host(&request);
            // HTTP/1.0 need not name a host: only the site for every host answers then.
            let site = snapshot.site(host.as_deref().unwrap_or_default());
            let (mut parts, body) = request.into_parts();
            let proxies = &snapshot.config.server.trusted_proxies;
            let client = Client::of(connection.peer.ip(), &parts.headers, proxies);
            let context = Context::new(&parts, client, now, started, || self.make_request_id(site));
            let meter = Arc::clone(site.map_or(&self.unknown_host_meter, |site| &site.unrouted));
            let mut open = OpenRequest::new(Arc::clone(&self), context, meter);
            let OpenRequest { context, record, .. } = &mut *open;
            let context = &*context;
            let mut body = Some(body);
            let cors = site.and_then(|site| site.cors.as_ref());
            let marks = cors.map(|cors| cors.marks(&parts.headers));

            let mut endpoint = None;
            let answer = match (framing, site) {
                (Err(rejection), _) => Err(Refusal::Framing(rejection)),
                (Ok(()), None) => Err(Refusal::UnknownHost),
                (Ok(()), Some(site)) => {
                    let scope = RequestScope { gateway: &self, snapshot: &snapshot, site, context };
                    // Boxed, so that a connection without a request holds no room for one; and before
                    // it is wrapped, because each wrapper would move all of it.
                    let answering = Box::pin(scope.answer(&mut parts, &mut body, record));
                    caught(answering).await.map_err(|refused| {
                        endpoint = refused.endpoint;
                        Refusal::Rejected(refused.rejection)
                    })
                }
            };
            let (mut response, refusal) = match answer {
                Ok(response) => (response, None),
                Err(refusal) => {
                    let plain = refuse(&refusal, site, context, endpoint);
                    let page = site.and_then(|site| {
                        let scope =
                            RequestScope { gateway: &self, snapshot: &snapshot, site, context };
                        let Refusal::Rejected(rejection) = &refusal else { return None };
                        hosted::refusal::answer(scope, &parts, rejection, &plain, record)
                    });
                    (close_if(&refusal, page.unwrap_or(plain), context), Some(refusal))
                }
            };
            if let Some(body) = body {
                response = reply_body::settle(response, body, context.version);
            }
            if let (Some(site), Some(change)) = (site, &record.session) {
                site.session_cookies.write(change, now.wall, response.headers_mut());
            }
            if let Some(marks) = marks {
                marks.write(response.headers_mut());
            }
            response.headers_mut().insert(REQUEST_ID, context.request_id.for_answer());
            open.answered(response.status(), refusal);
            response.body_mut().attach(open);
            response
        }
    }

    fn make_request_id(&self, site: Option<&Site>) -> String {
        let random = self.ids.random();
        site.map_or_else(
            || uuid::Builder::from_random_bytes(random).into_uuid().to_string(),
            |site| site.contract.make_request_id(random),
        )
    }
}

impl Refusal {
    /// The `reason` label of metrics.
    const fn label(&self) -> &'static str {
        match self {
            Self::Framing(rejection) | Self::Rejected(rejection) => rejection.code.name(),
            Self::UnknownHost => "unknown_host",
        }
    }

    /// Code and reason for the log.
    fn log_fields(&self) -> (Option<ErrorCode>, &str) {
        match self {
            Self::Framing(rejection) | Self::Rejected(rejection) => {
                (Some(rejection.code), &rejection.reason)
            }
            Self::UnknownHost => (None, "no site is for this host"),
        }
    }

    /// Whether an HTTP/1.1 connection ends with the answer: the next request's start is in doubt,
    /// or the client is too slow.
    const fn ends_connection(&self) -> bool {
        match self {
            Self::Framing(_) => true,
            Self::UnknownHost => false,
            Self::Rejected(rejection) => {
                matches!(rejection.code, ErrorCode::BadRequest | ErrorCode::RequestTimeout)
            }
        }
    }
}

/// Renders a refusal: as the site's contract does, or empty where there is no site.
fn refuse(
    refusal: &Refusal,
    site: Option<&Site>,
    context: &Context,
    endpoint: Option<&Endpoint>,
) -> Response<Bytes> {
    match (refusal, site) {
        (Refusal::Framing(rejection) | Refusal::Rejected(rejection), Some(site)) => {
            site.contract.refuse(endpoint, rejection, context.reply(site.same_site))
        }
        (Refusal::Framing(rejection) | Refusal::Rejected(rejection), None) => {
            let status = StatusCode::from_u16(rejection.code.status());
            empty(status.unwrap_or(StatusCode::BAD_REQUEST))
        }
        (Refusal::UnknownHost, _) => empty(StatusCode::MISDIRECTED_REQUEST),
    }
}

/// The answer of a refusal, which says where the connection ends with it.
fn close_if(
    refusal: &Refusal,
    rendered: Response<Bytes>,
    context: &Context,
) -> Response<ReplyBody> {
    let mut response = reply(rendered, &context.method);
    // HTTP/2 has no such header (RFC 9113 §8.2.2).
    if refusal.ends_connection() && context.version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// The gateway's own answer. `HEAD` gets the length and no body, which hyper does in HTTP/1.1 only.
fn reply(response: Response<Bytes>, method: &Method) -> Response<ReplyBody> {
    let (mut parts, mut bytes) = response.into_parts();
    if method == Method::HEAD {
        let length = HeaderValue::from(bytes.len());
        parts.headers.insert(header::CONTENT_LENGTH, length);
        bytes = Bytes::new();
    }
    Response::from_parts(parts, ReplyBody::full(bytes))
}

/// Turns a panic into a refusal: it ends one request, not the connection with all its streams.
async fn caught<T, E: From<Rejection>>(
    answering: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let answered = AssertUnwindSafe(answering).catch_unwind().await;
    answered.unwrap_or_else(|_panic| Err(Rejection::internal("a panic ended the request").into()))
}

#[cfg(test)]
mod tests {
    use super::caught;
    use crate::operation::{ErrorCode, Rejection};

    #[tokio::test]
    async fn a_panic_is_one_failed_request() {
        let answering = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "a fault of ours");
            Ok::<_, Rejection>(())
        };

        let refused = caught(answering).await.unwrap_err();

        assert_eq!(refused.code, ErrorCode::Internal);
        assert_eq!(refused.code.status(), 500);
        assert_eq!(caught(async { Ok::<_, Rejection>(7) }).await, Ok(7));
    }
}
