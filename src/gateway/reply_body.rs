//! The body of an answer, and the unread rest of its request's body.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Semaphore, oneshot};

use crate::gateway::open_request::OpenRequest;
use crate::gateway::upstream::AnswerBody;
use crate::gateway::upstream::upload::Upload;
use crate::message::connection::CLOSE;
use crate::message::request_body::RequestBody;
use crate::revocation::EndFlag;

/// The body of an answer: a whole one of ours, or the upstream's as it streams.
///
/// It carries the rest of the request body, so that the writer of the answer can drain it
/// afterwards ([`ReplyBody::finish`]).
#[derive(Debug)]
pub struct ReplyBody {
    content: Content,
    rest: Option<Rest>,
    /// The request that it answers; logged when it is dropped.
    open: Option<Box<OpenRequest>>,
}

#[derive(Debug)]
enum Content {
    Full(Bytes),
    Stream(Box<AnswerBody>),
    /// The connection becomes a tunnel, which takes the request.
    Switching(oneshot::Sender<Box<OpenRequest>>),
}

/// The rest of a request body that its answer did not wait for.
#[derive(Debug)]
pub struct Rest(RestSource);

#[derive(Debug)]
enum RestSource {
    Unread(RequestBody),
    /// Was being forwarded; the rest is known when the upstream connection has ended.
    Forwarded(Arc<Upload>),
}

impl Content {
    const EMPTY: Self = Self::Full(Bytes::new());
}

impl ReplyBody {
    /// A body without bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// A body that is known whole.
    #[must_use]
    pub const fn full(bytes: Bytes) -> Self {
        Self::of(Content::Full(bytes))
    }

    /// An upstream's body, as it comes.
    pub(crate) const fn stream(answer: Box<AnswerBody>) -> Self {
        Self::of(Content::Stream(answer))
    }

    /// No body, and the request goes to a tunnel.
    pub(crate) const fn switching(tunnel: oneshot::Sender<Box<OpenRequest>>) -> Self {
        Self::of(Content::Switching(tunnel))
    }

    const fn of(content: Content) -> Self {
        Self { content, rest: None, open: None }
    }

    /// Attaches the request that is answered.
    pub(crate) fn attach(&mut self, open: Box<OpenRequest>) {
        match std::mem::replace(&mut self.content, Content::EMPTY) {
            // If nobody takes it the tunnel was never opened, and is logged so.
            Content::Switching(tunnel) => drop(tunnel.send(open)),
            content => {
                self.content = content;
                self.open = Some(open);
            }
        }
    }

    /// Says whether the body is read from an upstream as it is sent.
    #[must_use]
    pub const fn is_streaming(&self) -> bool {
        matches!(self.content, Content::Stream(_))
    }

    /// Takes the request out: for the last part, or to be ended.
    #[must_use]
    pub fn take_open(&mut self) -> Option<Box<OpenRequest>> {
        self.open.take()
    }

    /// The upstream's body, if it is still to come.
    pub(crate) const fn streaming(&mut self) -> Option<&mut AnswerBody> {
        match &mut self.content {
            Content::Stream(answer) => Some(answer),
            Content::Full(_) | Content::Switching(_) => None,
        }
    }

    /// The flag by which the connection knows that the body must end.
    #[must_use]
    pub fn end_flag(&self) -> Option<EndFlag> {
        match &self.content {
            Content::Stream(answer) => answer.end_flag(),
            Content::Full(_) | Content::Switching(_) => None,
        }
    }

    /// Attaches a request body that is still being forwarded.
    pub(crate) fn carry(&mut self, upload: Arc<Upload>) {
        self.rest = Some(Rest(RestSource::Forwarded(upload)));
    }

    /// Ends the body, and answers the rest of the request body, to be drained.
    #[must_use]
    pub fn finish(&mut self) -> Option<Rest> {
        // The upstream connection goes first: it returns the request body that it was sending.
        self.content = Content::EMPTY;
        self.rest.take()
    }
}

impl Rest {
    /// Drains the rest: at most 32 MiB, 5 s, and 64 bodies at once in the process.
    ///
    /// A body that is not drained ends its connection (HTTP/1.1) or is reset without error (HTTP/2)
    /// when it is dropped.
    pub async fn drain(self) {
        let body = match self.0 {
            RestSource::Unread(body) => Some(body),
            RestSource::Forwarded(upload) => upload.take_rest(),
        };
        let (Some(mut body), Ok(_place)) = (body, DRAINS.try_acquire()) else { return };
        let mut left = DRAIN_BYTES;
        let drained = tokio::time::timeout(DRAIN_TIME, async {
            while let Some(Ok(data)) = poll_fn(|context| body.poll_data(context)).await {
                match left.checked_sub(data.len()) {
                    Some(less) => left = less,
                    None => break,
                }
            }
        });
        if drained.await.is_err() {
            tracing::debug!("the rest of a request body did not come in time");
        }
    }
}

static DRAINS: Semaphore = Semaphore::const_new(64);
const DRAIN_BYTES: usize = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = match &mut self.content {
            Content::Switching(_) => None,
            Content::Full(bytes) if bytes.is_empty() => None,
            Content::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::Stream(answer) => ready!(answer.poll_data(context)),
        };
        match (&data, &mut self.open) {
            (Some(Ok(bytes)), Some(open)) => {
                open.sent(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            }
            (Some(Err(error)), Some(open)) => open.ended(AnswerBody::end_by(error)),
            _ => {}
        }
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Switching(_) => true,
            Content::Full(bytes) => bytes.is_empty(),
            Content::Stream(answer) => answer.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Switching(_) => SizeHint::with_exact(0),
            Content::Full(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Content::Stream(answer) => answer.size_hint(),
        }
    }
}

/// Settles the rest of a request body that the answer did not wait for ("Early answers" in
/// ARCHITECTURE.md): it is drained in the background, within bounds, once the head is written;
/// or the answer says that the connection ends.
pub(crate) fn settle(
    mut response: Response<ReplyBody>,
    mut body: RequestBody,
    version: Version,
) -> Response<ReplyBody> {
    if body.is_end_stream() {
        return response;
    }
    // hyper answers `100 Continue` when such a body is polled before the head is written.
    let is_coming = !body.awaits_continue();
    if is_coming && has_come_whole(&mut body) {
        return response;
    }
    if version != Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    if is_coming {
        response.body_mut().rest = Some(Rest(RestSource::Unread(body)));
    }
    response
}

/// Takes the part of a body that has come already; says whether that was all of it.
fn has_come_whole(body: &mut RequestBody) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match body.poll_data(&mut context) {
            Poll::Ready(None) => return true,
            Poll::Ready(Some(Ok(_))) if body.is_end_stream() => return true,
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::Body;
    use http_body_util::BodyExt;

    use super::ReplyBody;

    #[tokio::test]
    async fn a_whole_body_knows_its_length_and_its_end() {
        let mut body = ReplyBody::full(Bytes::from_static(b"four"));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(4), false));

        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();

        assert_eq!(data, "four");
        assert!(body.is_end_stream());
        assert!(ReplyBody::full(Bytes::new()).is_end_stream());
        assert_eq!(ReplyBody::empty().size_hint().exact(), Some(0));
    }
}
