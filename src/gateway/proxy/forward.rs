//! Sends a request to its upstream and streams the answer back.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::{CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, Version};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::gateway::access::registrar::Registrar;
use crate::gateway::proxy::outgoing;
use crate::gateway::proxy::plan::Plan;
use crate::gateway::reply_body::ReplyBody;
use crate::gateway::upstream::sent::Sent;
use crate::gateway::upstream::upload::{ClientBody, SHORT, Upload};
use crate::gateway::upstream::{AnswerBody, AnswerHead, Exchange, Failure, Permit, Upstream};
use crate::gateway::websocket::tunnel::Handshake;
use crate::message::connection::CLOSE;
use crate::message::request_body::{BodyFault, RequestBody, read_whole};
use crate::operation::Rejection;
use crate::revocation::StreamGuard;

/// A request that was not answered, and the rest of its body.
#[derive(Debug)]
pub(crate) struct Unforwarded {
    /// The refusal.
    pub(crate) rejection: Rejection,
    /// The unread rest of the body, for [`crate::gateway::reply_body::settle`].
    pub(crate) body: Option<RequestBody>,
}

/// A request that its upstream has room for.
struct Admitted {
    body: ClientBody,
    /// `None` if the body is not streamed.
    upload: Option<Arc<Upload>>,
    permit: Permit,
    /// The permit of a WebSocket, where it is to be one.
    stream: Option<OwnedSemaphorePermit>,
}

/// Forwards a request; a WebSocket upgrade is tunnelled once the upstream has said 101. Answers the
/// response, its body streaming, and the time to its head.
///
/// # Errors
/// 413 and 408 for the client's body, 502 and 504 for the upstream, 503 when it is full.
pub(crate) async fn forward(
    parts: &mut Parts,
    body: RequestBody,
    plan: &Plan<'_>,
    record: &mut Sent,
) -> Result<(Response<ReplyBody>, Duration), Unforwarded> {
    let upstream = plan.upstream;
    let handshake = Handshake::of(parts, &body);
    let admitted = admit(parts, body, plan, handshake.is_some(), record).await?;
    let Admitted { body, upload, permit, stream } = admitted;
    let request = outgoing::request(parts, body, plan, handshake.is_some());
    record.begin(upload.as_ref());
    let start = Instant::now();
    let sent = upstream.send(request, upload.as_deref(), start).await;
    let answered = Instant::now();
    let upstream_time = answered - start;
    let answered = match sent {
        Ok((link, head)) => {
            upstream.answered(upstream_time);
            let exchange = Exchange { link, upstream: Arc::clone(upstream), permit };
            let of_upload = || upload.as_ref().and_then(|upload| upload.take_guard());
            let guard = || of_upload().or_else(|| plan.watch.map(Registrar::register));
            match (head.status, handshake) {
                (StatusCode::SWITCHING_PROTOCOLS, None) => Err(Failure::Switched),
                (StatusCode::SWITCHING_PROTOCOLS, Some(handshake)) => {
                    Box::pin(handshake.open(head, exchange, guard(), stream)).await
                }
                _ => {
                    let answer = reply(head, exchange, upload.clone(), answered);
                    let answer = answer.and_then(|answer| hold(answer, guard));
                    answer.map(|answer| settle_upload(answer, upload.as_ref(), parts.version))
                }
            }
        }
        Err(failure) => Err(failure),
    };
    match answered {
        Ok(response) => Ok((response, upstream_time)),
        Err(failure) => Err(unforwarded(upstream, failure, upload)),
    }
}

/// Takes a permit at the upstream, after the body if that is small.
async fn admit(
    parts: &Parts,
    body: RequestBody,
    plan: &Plan<'_>,
    is_upgrade: bool,
    record: &mut Sent,
) -> Result<Admitted, Unforwarded> {
    let upstream = plan.upstream;
    let refused = |rejection, body| Unforwarded { rejection, body };
    if body.size_hint().lower() > plan.most_body.0 {
        return Err(refused(BodyFault::TooLarge.rejection(), Some(body)));
    }
    let stream = match is_upgrade.then(|| upstream.admit_stream()).transpose() {
        Ok(stream) => stream,
        Err(failure) => return Err(refused(refuse(upstream, failure), Some(body))),
    };
    // A client that is slow with a small body holds no permit meanwhile.
    let (body, upload) = if is_small(&body, &parts.headers) {
        (Box::pin(small(body, plan, record)).await?, None)
    } else {
        ClientBody::new(body, plan.most_body, plan.limits, plan.watch)
    };
    let permit = match upstream.admit(plan.client.address).await {
        Ok(permit) => permit,
        Err(failure) => return Err(refused(refuse(upstream, failure), body.into_unread())),
    };
    if let Some(upload) = &upload {
        upstream.watch(&permit, upload.delayed());
    }
    Ok(Admitted { body, upload, permit, stream })
}

/// Whether a body is read before its upstream is asked. One that waits to be asked for is not:
/// it would come in vain if the upstream is full.
fn is_small(body: &RequestBody, headers: &HeaderMap) -> bool {
    let length = body.size_hint().exact().filter(|length| *length > 0);
    length.is_some_and(|length| length <= SMALL) && !headers.contains_key(EXPECT)
}

/// The longest body that is read before its upstream is asked, in bytes.
const SMALL: u64 = 64 << 10;

/// Reads a small body whole.
///
/// # Errors
/// A fault of the body, and 401 if the token was revoked while it came.
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
            Err(Unforwarded { rejection, body: Some(body) })
        }
    }
}

fn refuse(upstream: &Upstream, failure: Failure) -> Rejection {
    upstream.failed(&failure);
    failure.rejection(upstream.name())
}

fn unforwarded(upstream: &Upstream, failure: Failure, upload: Option<Arc<Upload>>) -> Unforwarded {
    let body = upload.and_then(|upload| upload.take_rest());
    Unforwarded { rejection: refuse(upstream, failure), body }
}

/// Makes the client's answer of the upstream's.
fn reply(
    head: AnswerHead,
    exchange: Exchange,
    upload: Option<Arc<Upload>>,
    now: Instant,
) -> Result<Response<ReplyBody>, Failure> {
    let mut answer = AnswerBody::new(exchange, upload, now);
    // A small body has come with its head: it is written with it, and the connection is free now.
    // Any other is polled again by whoever writes it.
    let body = match answer.poll_data(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(None) => ReplyBody::empty(),
        Poll::Ready(Some(Err(error))) => return Err(Failure::Cut(error)),
        Poll::Ready(Some(Ok(data))) if answer.is_over() => ReplyBody::full(data),
        Poll::Ready(Some(Ok(data))) => {
            answer.put_back(data);
            ReplyBody::stream(Box::new(answer))
        }
        Poll::Pending => ReplyBody::stream(Box::new(answer)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// Attaches a streaming body to its guard; a whole one needs none.
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

/// The upstream may answer before it has the whole body: handled as an early answer of ours.
fn settle_upload(
    mut response: Response<ReplyBody>,
    upload: Option<&Arc<Upload>>,
    version: Version,
) -> Response<ReplyBody> {
    if let Some(upload) = upload {
        if !upload.is_done() && version != Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        response.body_mut().carry(Arc::clone(upload));
    }
    response
}
