//! The answer to HTTP in the clear on a port of HTTPS: a redirect to https, or 400.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode};

use crate::gateway::reply_body::ReplyBody;
use crate::gateway::request::framing;
use crate::gateway::snapshot::Snapshot;

/// 308 to the same address by https where a site is for its host, else 400.
pub(crate) fn answer<B>(snapshot: &Snapshot, request: &Request<B>) -> Response<ReplyBody> {
    let text = Bytes::from_static(b"this is HTTPS: ask for it by https://\n");
    let mut response = Response::new(ReplyBody::full(text));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    if let Some(location) = location(snapshot, request) {
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn location<B>(snapshot: &Snapshot, request: &Request<B>) -> Option<HeaderValue> {
    framing::check(request, &snapshot.config.limits).ok()?;
    snapshot.site(&framing::host(request)?)?;
    // Both are the same where both are there.
    let authority = match request.headers().get(HOST) {
        Some(host) => host.to_str().ok()?,
        None => request.uri().authority()?.as_str(),
    };
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let target = target.strip_prefix('*').unwrap_or(target);
    HeaderValue::try_from(format!("https://{authority}{target}")).ok()
}
