//! A request on its way out: its head, then its body in the framing that the head announces.
//!
//! One part of the body is held at a time, so that the client is asked for more only as the
//! backend takes it. The head is kept whole, so that it can be sent once more.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::malformed;
use crate::gateway::upstream::upload::ClientBody;

/// A request to send.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The head, empty line included.
    pub(crate) head: Bytes,
    /// The body.
    pub(crate) body: ClientBody,
    /// Its length as the head says it; `None`: it goes out in chunks.
    pub(crate) length: Option<u64>,
    /// Whether it may be sent again when it may have been received (RFC 9110 §9.2.2).
    pub(crate) may_repeat: bool,
    /// Whether its method is HEAD.
    pub(crate) is_head: bool,
}

/// A request, and how much of it was written.
#[derive(Debug)]
pub(in crate::gateway::upstream) struct RequestWriter {
    request: Outgoing,
    /// Unwritten rest of the head.
    head: Bytes,
    /// The line before a chunk, its data, and what follows it.
    size_line: Bytes,
    data: Bytes,
    end: &'static [u8],
    /// Bytes still to come of a body of announced length.
    left: Option<u64>,
    stage: WriteStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteStage {
    /// The body is to be asked for more.
    Body,
    /// All is to be written that was taken in.
    Rest,
    Done,
}

impl RequestWriter {
    /// Takes a request.
    pub(in crate::gateway::upstream) fn new(request: Outgoing) -> Self {
        Self {
            head: request.head.clone(),
            left: request.length,
            request,
            size_line: Bytes::new(),
            data: Bytes::new(),
            end: b"",
            stage: WriteStage::Body,
        }
    }

    /// Whether all was written.
    pub(in crate::gateway::upstream) const fn is_done(&self) -> bool {
        matches!(self.stage, WriteStage::Done)
    }

    /// Gives the request back, where it may be sent once more.
    pub(in crate::gateway::upstream) fn into_again(self) -> Option<Outgoing> {
        self.request.may_repeat.then_some(self.request)
    }

    /// Writes on, as much as the backend takes and the client gives.
    ///
    /// # Errors
    /// A fault of the client's body, or of the connection.
    pub(in crate::gateway::upstream) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.stage != WriteStage::Done {
            let is_ready = !self.data.has_remaining() && self.end.is_empty();
            let body = match self.stage {
                // Also before the head is written: the first part goes out with it.
                WriteStage::Body if is_ready => self.poll_body(context)?,
                _ => Poll::Ready(()),
            };
            while self.has_bytes() {
                let written = ready!(self.poll_write_some(stream, context))?;
                self.advance(written);
            }
            if body.is_pending() {
                ready!(Pin::new(&mut *stream).poll_flush(context))?;
                return Poll::Pending;
            }
            if self.stage == WriteStage::Rest {
                ready!(Pin::new(&mut *stream).poll_flush(context))?;
                self.stage = WriteStage::Done;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes in the next part of the body, or its end.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let part = ready!(self.request.body.poll_data(context));
        let data = part.transpose().map_err(io::Error::other)?.unwrap_or_default();
        let is_end = data.is_empty() || self.request.body.is_end_stream();
        match &mut self.left {
            Some(left) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                let rest = left.checked_sub(length).filter(|rest| *rest == 0 || !is_end);
                *left = rest.ok_or_else(|| malformed("the request's body has another length"))?;
            }
            None if data.is_empty() => self.end = LAST_CHUNK,
            None => {
                self.size_line = Bytes::from(format!("{:x}\r\n", data.len()));
                self.end = if is_end { END_AND_LAST_CHUNK } else { b"\r\n" };
            }
        }
        self.data = data;
        if is_end || self.left == Some(0) {
            self.stage = WriteStage::Rest;
        }
        Poll::Ready(Ok(()))
    }

    fn has_bytes(&self) -> bool {
        self.head.has_remaining() || self.data.has_remaining() || !self.end.is_empty()
    }

    fn poll_write_some<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        let written = if self.data.is_empty() && self.end.is_empty() {
            ready!(stream.poll_write(context, &self.head))?
        } else {
            let parts: [&[u8]; 4] = [&self.head, &self.size_line, &self.data, self.end];
            ready!(stream.poll_write_vectored(context, &parts.map(IoSlice::new)))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        for part in [&mut self.head, &mut self.size_line, &mut self.data] {
            let now = written.min(part.len());
            part.advance(now);
            written -= now;
        }
        self.end = self.end.get(written..).unwrap_or_default();
    }
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const END_AND_LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
