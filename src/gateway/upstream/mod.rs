//! Connections to backends: a sharded pool over our own HTTP/1.1 (`wire`).
//!
//! A connection has no task of its own: the request that uses it drives it, and so crosses no
//! task on its way (a third of a proxy's own time goes there otherwise). It returns to the pool
//! only when request body and response body were both completely done.

mod answer_body;
mod connector;
mod failure;
mod link;
mod permits;
mod pool;
mod race;
pub(crate) mod sent;
mod stream;
pub(crate) mod upload;
mod wire;

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use metrics::{Gauge, Histogram};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::config::{UpstreamConfig, UpstreamUrl};
use crate::gateway::log::members::UpstreamName;
use crate::gateway::upstream::upload::Upload;
use crate::telemetry::metric;

pub(crate) use answer_body::{AnswerBody, Exchange};
pub(crate) use failure::Failure;
pub(crate) use link::Link;
pub(crate) use permits::{Delayed, Permit};
pub(crate) use wire::answer_head::AnswerHead;
pub(crate) use wire::request_writer::Outgoing;

use connector::Connector;
use link::Unanswered;
use permits::Permits;
use pool::Pool;

/// A backend and its pooled connections; lives across reloads while its configuration stays.
#[derive(Debug)]
pub struct Upstream {
    name: UpstreamName,
    connector: Connector,
    waits: Waits,
    header_count: usize,
    keep_alive: Option<Duration>,
    permits: Arc<Permits>,
    streams: Arc<Semaphore>,
    pool: Pool,
    meters: OnceLock<Meters>,
}

/// The time limits of an upstream.
#[derive(Clone, Copy, Debug)]
struct Waits {
    response: Duration,
    idle: Duration,
    queue: Duration,
}

/// Handles made once, because a look-up by labels allocates.
#[derive(Debug)]
struct Meters {
    open: Gauge,
    seconds: Histogram,
}

/// An upstream that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The CA file does not read.
    #[error("the CA file does not read: {0}")]
    Ca(String),
    /// There is no target.
    #[error("the upstream has no target")]
    Target,
    /// The host is no name that a certificate can be for.
    #[error("`{0}` is no host name that a certificate can be for")]
    Name(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl Upstream {
    /// Makes a pool without connections.
    ///
    /// # Errors
    /// When the CA file does not read.
    pub fn new(name: &str, config: &UpstreamConfig) -> Result<Self, UpstreamError> {
        Ok(Self {
            name: UpstreamName::new(name),
            connector: Connector::new(config)?,
            waits: Waits {
                response: config.response_timeout,
                idle: config.idle_timeout,
                queue: config.queue_timeout,
            },
            header_count: config.header_count,
            keep_alive: config.keep_alive,
            permits: Permits::new(config.max_inflight),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            pool: Pool::new(),
            meters: OnceLock::new(),
        })
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The name, for the log.
    pub(crate) const fn logged_name(&self) -> &UpstreamName {
        &self.name
    }

    /// Its address.
    pub(crate) const fn target(&self) -> &UpstreamUrl {
        self.connector.target()
    }

    /// The host and port, as a `Host` header says them.
    pub(crate) fn authority(&self) -> &http::HeaderValue {
        self.connector.authority()
    }

    /// Longest time without a byte in either direction.
    pub(crate) const fn idle_timeout(&self) -> Duration {
        self.waits.idle
    }

    /// Waits for one of the `max_inflight` permits, for a client at an address.
    ///
    /// # Errors
    /// [`Failure::Full`] after `queue_timeout`.
    pub(crate) async fn admit(&self, client: IpAddr) -> Result<Permit, Failure> {
        self.permits.take(client, self.waits.queue).await.ok_or(Failure::Full)
    }

    /// Takes one of the `max_streams` permits, for as long as a WebSocket lasts.
    ///
    /// # Errors
    /// [`Failure::FullOfStreams`]
    pub(crate) fn admit_stream(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.streams).try_acquire_owned().ok().ok_or(Failure::FullOfStreams)
    }

    /// Registers a request whose client may keep it waiting.
    pub(crate) fn watch(&self, permit: &Permit, delayed: Weak<dyn Delayed>) {
        self.permits.watch(permit, delayed);
    }

    /// Sends a request at an instant, and waits for the head of its answer.
    ///
    /// A pooled connection that fails before a byte of an answer is made up for once by a fresh
    /// one, if the request may be sent twice (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// As [`Failure`].
    pub(crate) fn send<'a>(
        self: &'a Arc<Self>,
        request: Outgoing,
        upload: Option<&'a Upload>,
        now: Instant,
    ) -> impl Future<Output = Result<(Box<Link>, AnswerHead), Failure>> + 'a {
        // A connection takes it before the future is made, which need not hold it then.
        let begun = match self.pool.take(now) {
            Some(mut link) => {
                link.begin(request, now);
                Ok(link)
            }
            None => Err(Box::pin(self.send_anew(request, upload))),
        };
        async move {
            let mut link = match begun {
                Ok(link) => link,
                Err(sending) => return sending.await,
            };
            let unanswered = match poll_fn(|context| link.poll_answered(upload, context)).await {
                Ok(head) => return Ok((link, head)),
                Err(unanswered) => unanswered,
            };
            Box::pin(self.send_again(unanswered, upload)).await
        }
    }

    /// Sends a request once more, if that may be.
    async fn send_again(
        &self,
        unanswered: Box<Unanswered>,
        upload: Option<&Upload>,
    ) -> Result<(Box<Link>, AnswerHead), Failure> {
        let Unanswered { failure, again } = *unanswered;
        self.send_anew(again.ok_or(failure)?, upload).await
    }

    /// Sends a request by a new connection.
    async fn send_anew(
        &self,
        request: Outgoing,
        upload: Option<&Upload>,
    ) -> Result<(Box<Link>, AnswerHead), Failure> {
        let mut link = self.connect().await?;
        link.begin(request, Instant::now());
        match poll_fn(|context| link.poll_answered(upload, context)).await {
            Ok(head) => Ok((link, head)),
            Err(unanswered) => Err(unanswered.failure),
        }
    }

    /// Counts the time that an answer's head took.
    pub(crate) fn answered(&self, time: Duration) {
        self.meters().seconds.record(time);
    }

    /// Counts a request that was not answered.
    pub(crate) fn failed(&self, failure: &Failure) {
        let labels = [("upstream", self.name().to_owned()), ("kind", failure.kind().to_owned())];
        metrics::counter!(metric::UPSTREAM_ERRORS, &labels).increment(1);
    }

    async fn connect(&self) -> Result<Box<Link>, Failure> {
        let stream = self.connector.connect().await?;
        Ok(Link::open(stream, self.header_count, self.waits, self.meters().open.clone()))
    }

    fn keep(self: &Arc<Self>, mut link: Box<Link>, now: Instant) {
        link.rest();
        let idle_for = self.keep_alive.unwrap_or_else(|| link.may_idle_for());
        Pool::put(self, link, idle_for, now);
    }

    fn meters(&self) -> &Meters {
        self.meters.get_or_init(|| {
            let name = self.name().to_owned();
            Meters {
                open: metrics::gauge!(metric::UPSTREAM_CONNECTIONS, "upstream" => name.clone()),
                seconds: metrics::histogram!(metric::UPSTREAM_SECONDS, "upstream" => name),
            }
        })
    }
}
