//! A part of an answer on its way from hyper to the client's socket: counted for as long as it is
//! held, so that a connection knows what it has not sent.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::edge::connection_state::ConnectionState;
use crate::gateway::open_request::OpenRequest;
use crate::message::answer_end::AnswerEnd;

/// Bytes of an answer that were handed to hyper.
#[derive(Debug)]
pub(super) struct UnsentPart {
    bytes: Bytes,
    state: Arc<ConnectionState>,
    /// Travels with the last part of an answer, whose end is the answer's.
    open: Option<Box<OpenRequest>>,
}

impl UnsentPart {
    /// Hands bytes over; `open` where they are the last ones.
    pub(super) fn new(
        bytes: Bytes,
        state: Arc<ConnectionState>,
        open: Option<Box<OpenRequest>>,
    ) -> Self {
        state.unsent.handed(bytes.len());
        Self { bytes, state, open }
    }
}

impl Buf for UnsentPart {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.state.unsent.wrote(count);
    }
}

impl Drop for UnsentPart {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.state.unsent.dropped(self.bytes.len());
        }
        if let Some(open) = &mut self.open {
            let end = if self.bytes.is_empty() { Some(AnswerEnd::Done) } else { self.state.end() };
            open.ended(end.unwrap_or(AnswerEnd::ClientGone));
        }
    }
}
