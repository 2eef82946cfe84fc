//! Sends a request to its upstream and streams the answer back.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::config::{ByteSize, HostHeader, LimitsConfig};
use crate::gateway::access::watch::Watch;
use crate::gateway::body::reply::{CLOSE, ReplyBody, read_whole};
use crate::gateway::body::request::RequestBody;
use crate::gateway::body::sent::Sent;
use crate::gateway::body::upload::{ClientBody, Fault, SHORT, Upload};
use crate::gateway::headers::hop;
use crate::gateway::headers::reserved::Reserved;
use crate::gateway::proxy::outgoing;
use crate::gateway::upstream::{Answer, Exchange, Failure, Upstream};
use crate::gateway::websocket::tunnel::Handshake;
use crate::operation::Rejection;
use crate::revocation::StreamGuard;

/// Where a request goes, and what is changed on the way.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The backend.
    pub(crate) upstream: &'a Arc<Upstream>,
    /// The canonical path, prefix already stripped, and the query byte for byte.
    pub(crate) target: PathAndQuery,
    /// Identity headers to set, after everything of the client's that looks like one went.
    pub(crate) identity: &'a [(HeaderName, HeaderValue)],
    /// The names that no client's header may have.
    pub(crate) reserved: &'a Reserved,
    /// Names of the contract's own cookies: what must go of `Cookie`.
    pub(crate) cookie_names: &'a [String],
    /// What was cut from the path, for `X-Forwarded-Prefix`.
    pub(crate) prefix: Option<&'a str>,
    /// Set last.
    pub(crate) set_headers: &'a [(HeaderName, HeaderValue)],
    /// Whether `Authorization` goes along: the token where that is wanted, others' credentials.
    pub(crate) forward_authorization: bool,
    /// Which `Host` the upstream sees.
    pub(crate) host: HostHeader,
    /// The client's authority as sent (host and port).
    pub(crate) authority: &'a str,
    /// The client's address, for `X-Forwarded-For` and `X-Real-IP`.
    pub(crate) client: IpAddr,
    /// The address of the connection's other end: the client, or the proxy that it came by.
    pub(crate) peer: IpAddr,
    /// Whether the peer is a trusted proxy, whose `X-Forwarded-*` are added to, not replaced.
    pub(crate) trusted_peer: bool,
    /// `X-Request-Id`.
    pub(crate) request_id: &'a HeaderValue,
    /// Longest body.
    pub(crate) most_body: ByteSize,
    /// Body deadlines.
    pub(crate) limits: &'a LimitsConfig,
    /// By what streams are ended before their time; `None`: by nothing.
    pub(crate) watch: Option<Watch<'a>>,
}

/// An upstream's answer, and how long it took to come.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// The answer, its body streaming.
    pub(crate) response: Response<ReplyBody>,
    /// From the first byte sent to the response head.
    pub(crate) upstream_time: Duration,
}

/// A request that was not answered, and what is left of its body.
#[derive(Debug)]
pub(crate) struct Unforwarded {
    /// What to answer.
    pub(crate) rejection: Rejection,
    /// What was not read of the body: to be given to [`crate::gateway::body::reply::settle`].
    pub(crate) body: Option<RequestBody>,
    /// Whether the client still waits to be told to send the body, if it said that it would.
    pub(crate) untouched: bool,
}

/// Forwards a request; a WebSocket upgrade is tunnelled once the upstream has said 101.
///
/// # Errors
/// 413 and 408 for the client's body, 502 and 504 for the upstream, 503 when it is full.
pub(crate) async fn forward(
    mut request: Request<RequestBody>,
    plan: &Plan<'_>,
    record: &mut Sent,
) -> Result<Forwarded, Unforwarded> {
    let handshake = Handshake::of(&mut request);
    let method = request.method().clone();
    let version = request.version();
    let (parts, body) = request.into_parts();
    let refused = |rejection, body| Unforwarded { rejection, body: Some(body), untouched: true };
    if body.size_hint().lower() > plan.most_body.0 {
        return Err(refused(Fault::TooLarge.rejection(), body));
    }
    let upstream = plan.upstream;
    let watch = plan.watch;
    let stream = match handshake.as_ref().map(|_| upstream.admit_stream()).transpose() {
        Ok(stream) => stream,
        Err(failure) => return Err(refused(refuse(upstream, failure), body)),
    };
    // A client that is slow with a small body holds no place meanwhile.
    let (body, upload) = if is_small(&body, &parts.headers) {
        (small(body, plan, record).await?, None)
    } else {
        ClientBody::new(body, plan.most_body, plan.limits, watch)
    };
    let place = match upstream.admit(plan.client).await {
        Ok(place) => place,
        Err(failure) => {
            let body = body.into_unread();
            return Err(Unforwarded {
                rejection: refuse(upstream, failure),
                body,
                untouched: true,
            });
        }
    };
    if let Some(upload) = &upload {
        upstream.watch(&place, upload.delayed());
    }
    let request = outgoing::request(parts, body, plan, handshake.is_some());
    record.begin(upload.as_ref());
    let start = Instant::now();
    let sent = upstream.send(request, upload.as_deref()).await;
    let upstream_time = start.elapsed();
    let upload_rest = upload.clone();
    let (link, response) = match sent {
        Ok(answered) => answered,
        Err(failure) => return Err(unforwarded(upstream, failure, upload_rest)),
    };
    upstream.answered(upstream_time);

    let reusable = !has_two_lengths(response.headers());
    let exchange = Exchange { link, upstream: Arc::clone(upstream), place, reusable };
    let of_upload = || upload_rest.as_ref().and_then(|upload| upload.take_guard());
    let guard = || of_upload().or_else(|| watch.map(Watch::register));
    let response = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let switched = match handshake {
            Some(handshake) => Box::pin(handshake.open(response, exchange, guard(), stream)).await,
            None => Err(Failure::Switched),
        };
        switched.map_err(|failure| unforwarded(upstream, failure, upload_rest))?
    } else {
        let answer = reply(response, exchange, &method, upload.clone());
        let answer = answer.await.and_then(|answer| hold(answer, guard));
        let mut response = answer.map_err(|failure| unforwarded(upstream, failure, upload_rest))?;
        if let Some(upload) = upload {
            settle_upload(&mut response, upload, version);
        }
        response
    };
    Ok(Forwarded { response, upstream_time })
}

/// Whether a body is read before its upstream is asked. One that waits to be asked for is not:
/// it would come for nothing where the upstream is full.
fn is_small(body: &RequestBody, headers: &HeaderMap) -> bool {
    let length = body.size_hint().exact().filter(|length| *length > 0);
    length.is_some_and(|length| length <= SMALL) && !headers.contains_key(EXPECT)
}

/// The longest body that is read before its upstream is asked, in bytes.
const SMALL: u64 = 64 << 10;

/// Reads a small body whole.
///
/// # Errors
/// What is wrong with the body, and 401 where the token was revoked while it came.
async fn small(
    mut body: RequestBody,
    plan: &Plan<'_>,
    record: &mut Sent,
) -> Result<ClientBody, Unforwarded> {
    let begun = Instant::now();
    let read = read_whole(&mut body, SMALL, plan.limits).await;
    let ended = plan.watch.filter(|_| begun.elapsed() >= SHORT).and_then(|watch| {
        let mut guard = watch.register();
        guard.has_ended()
    });
    let read = match (read, ended) {
        (Ok(_), Some(ended)) => Err(Failure::Ended(ended)),
        (Ok(bytes), None) => Ok(bytes),
        (Err(fault), _) => Err(Failure::Upload(fault)),
    };
    match read {
        Ok(bytes) => {
            record.read(bytes.len());
            Ok(ClientBody::whole(bytes))
        }
        Err(failure) => {
            let rejection = refuse(plan.upstream, failure);
            Err(Unforwarded { rejection, body: Some(body), untouched: false })
        }
    }
}

fn refuse(upstream: &Upstream, failure: Failure) -> Rejection {
    upstream.failed(&failure);
    failure.rejection(upstream.name())
}

fn unforwarded(upstream: &Upstream, failure: Failure, upload: Option<Arc<Upload>>) -> Unforwarded {
    let untouched = upload.as_ref().is_some_and(|upload| upload.stage().is_none());
    let body = upload.and_then(|upload| upload.take_rest());
    Unforwarded { rejection: refuse(upstream, failure), body, untouched }
}

/// RFC 9112 §6.3: such an answer may be an attempt at response splitting, and hyper keeps its
/// connection (hyper#4181).
fn has_two_lengths(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// Makes the client's answer of the upstream's.
async fn reply(
    response: Response<Incoming>,
    exchange: Exchange,
    method: &Method,
    upload: Option<Arc<Upload>>,
) -> Result<Response<ReplyBody>, Failure> {
    let (mut parts, body) = response.into_parts();
    hop::strip(&mut parts.headers);
    // The length is written anew from the body, except where there is a length and no body.
    if !exchange.reusable || *method != Method::HEAD {
        parts.headers.remove(CONTENT_LENGTH);
    }
    parts.extensions.clear();
    parts.version = Version::HTTP_11;

    let mut answer = Answer::new(body, exchange, upload);
    // A small body has come with its head: it is written with it, and frees the connection now.
    let body = match poll_fn(|context| Poll::Ready(answer.poll_data(context))).await {
        Poll::Ready(None) => ReplyBody::empty(),
        Poll::Ready(Some(Err(error))) => return Err(Failure::Cut(error)),
        Poll::Ready(Some(Ok(data))) if answer.is_over() => ReplyBody::full(data),
        Poll::Ready(Some(Ok(data))) => {
            answer.put_back(data);
            ReplyBody::stream(Box::new(answer))
        }
        Poll::Pending => ReplyBody::stream(Box::new(answer)),
    };
    Ok(Response::from_parts(parts, body))
}

/// Ties a body that is still to come to its guard; a whole one needs none.
fn hold(
    mut response: Response<ReplyBody>,
    guard: impl FnOnce() -> Option<StreamGuard>,
) -> Result<Response<ReplyBody>, Failure> {
    let Some(answer) = response.body_mut().streaming() else { return Ok(response) };
    if let Some(mut guard) = guard() {
        if let Some(ended) = guard.has_ended() {
            return Err(Failure::Ended(ended));
        }
        answer.hold(guard);
    }
    answer.share();
    Ok(response)
}

/// The upstream answered before it had the whole body: the same as an early answer of ours.
fn settle_upload(response: &mut Response<ReplyBody>, upload: Arc<Upload>, version: Version) {
    if !upload.is_done() && version != Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    response.body_mut().carry(upload);
}
