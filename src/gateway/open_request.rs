//! One request from its head to the end of its answer: logged in one line and counted once, however
//! it ends.
//!
//! It travels with the answer: the last part of a body takes it to the socket. If the client leaves
//! before, dropping it logs that.

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Version};

use crate::gateway::context::{Context, Who};
use crate::gateway::headers::session_cookies::SessionChange;
use crate::gateway::log::line::{AccessEntry, Ending};
use crate::gateway::log::meter::Meter;
use crate::gateway::upstream::Upstream;
use crate::gateway::upstream::sent::Sent;
use crate::gateway::{Gateway, Refusal};
use crate::message::answer_end::AnswerEnd;
use crate::operation::ErrorCode;

/// A request whose answer has not ended; dropping it logs and counts it.
#[derive(Debug)]
pub struct OpenRequest {
    gateway: Arc<Gateway>,
    /// The facts of the head.
    pub(super) context: Context,
    /// The record of its answering.
    pub(super) record: RequestRecord,
    /// The head of the answer, once there is one.
    head: Option<ReplyHead>,
    body_bytes: u64,
    end: Option<AnswerEnd>,
}

/// The facts found while a request is answered; for the log and the metrics.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    /// Counts the answer.
    pub(crate) meter: Arc<Meter>,
    /// The principal.
    pub(crate) who: Who,
    /// Bytes of the request's body that an endpoint read.
    pub(crate) received: u64,
    /// The upstream that was asked.
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// The part of the request that it was sent.
    pub(crate) sent: Sent,
    /// Time that the upstream took.
    pub(crate) upstream_time: Option<Duration>,
    /// Time that verifying the token took.
    pub(crate) verify_time: Option<Duration>,
    /// Whether a session cookie would have authenticated the request.
    pub(crate) takes_session: bool,
    /// The change of the browser's session cookies that the answer makes.
    pub(crate) session: Option<SessionChange>,
    /// Decision made although revocation was stale.
    pub(crate) stale: Option<&'static str>,
}

#[derive(Debug)]
struct ReplyHead {
    status: StatusCode,
    time: Duration,
    refusal: Option<Refusal>,
}

/// The status of a request whose client left before its answer, as nginx logs it; never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl OpenRequest {
    /// Begins with a head; `meter` counts it if no route or endpoint takes it.
    pub(super) fn new(gateway: Arc<Gateway>, context: Context, meter: Arc<Meter>) -> Box<Self> {
        let record = RequestRecord::new(meter);
        Box::new(Self { gateway, context, record, head: None, body_bytes: 0, end: None })
    }

    /// Notes the head of the answer.
    pub(super) fn answered(&mut self, status: StatusCode, refusal: Option<Refusal>) {
        if let Some(Refusal::Rejected(rejection)) = &refusal
            && rejection.code == ErrorCode::Internal
        {
            let request_id = self.context.request_id.as_str();
            tracing::error!(request_id, reason = %rejection.reason, "a request failed");
        }
        self.head = Some(ReplyHead { status, time: self.context.started.elapsed(), refusal });
    }

    /// Counts bytes of the answer's body.
    pub(crate) const fn sent(&mut self, bytes: u64) {
        self.body_bytes = self.body_bytes.saturating_add(bytes);
    }

    /// Counts bytes that came from the client after the request (WebSocket).
    pub(crate) const fn received(&mut self, bytes: u64) {
        self.record.received = self.record.received.saturating_add(bytes);
    }

    /// Notes the end of the answer; the first one stays.
    pub fn ended(&mut self, end: AnswerEnd) {
        self.end.get_or_insert(end);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let end = self.end.unwrap_or(AnswerEnd::ClientGone);
        let record = &self.record;
        let refusal = self.head.as_ref().and_then(|head| head.refusal.as_ref());
        let (status, head_time) = match &self.head {
            Some(head) => (head.status.as_u16(), Some(head.time)),
            None => (CLIENT_CLOSED_REQUEST, None),
        };
        let reason = match (refusal, end) {
            (Some(refusal), _) => refusal.label(),
            (None, AnswerEnd::Done) => "ok",
            (None, end) => end.label(),
        };
        let duration = || self.context.started.elapsed();
        record.meter.count(status, reason, head_time.unwrap_or_else(duration));
        if !self.gateway.access_log.is_on() {
            return;
        }
        let sent = &record.sent;
        self.gateway.access_log.log_request(&AccessEntry {
            time: self.context.now.wall,
            request_id: self.context.request_id.as_str(),
            client: self.context.client.address,
            method: &self.context.method,
            host: self.context.authority(),
            path: self.context.target.path(),
            protocol: protocol(self.context.version),
            status,
            refusal: refusal.map(Refusal::log_fields),
            who: &record.who,
            site: record.meter.site(),
            place: record.meter.place(),
            upstream: record.upstream.as_ref().map(|upstream| upstream.logged_name()),
            ending: Ending {
                end,
                received: record.received.saturating_add(sent.body_bytes()),
                sent: self.body_bytes,
                upstream_sent: (head_time.is_none() && record.upstream.is_some())
                    .then(|| sent.extent()),
            },
            duration: duration(),
            head_time,
            upstream_time: record.upstream_time,
            verify_time: record.verify_time,
            stale: record.stale,
        });
    }
}

impl RequestRecord {
    /// An empty record.
    pub(crate) const fn new(meter: Arc<Meter>) -> Self {
        Self {
            meter,
            who: Who::Anonymous,
            received: 0,
            upstream: None,
            sent: Sent::new(),
            upstream_time: None,
            verify_time: None,
            takes_session: false,
            session: None,
            stale: None,
        }
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
