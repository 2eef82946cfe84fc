//! The extent of a request that an upstream was sent.

use std::sync::Arc;

use crate::gateway::upstream::upload::{Stage, Upload};

/// The part of a request that an upstream was sent; for the log, also when nobody waits for the
/// answer any more.
#[derive(Debug)]
pub(crate) struct Sent {
    head: bool,
    upload: Option<Arc<Upload>>,
    /// Bytes of a body that was read beforehand.
    read: u64,
}

impl Sent {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self { head: false, upload: None, read: 0 }
    }

    /// Notes that a connection was given the head, with its body.
    pub(crate) fn begin(&mut self, upload: Option<&Arc<Upload>>) {
        (self.head, self.upload) = (true, upload.cloned());
    }

    /// Notes that a body was read beforehand.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.read = u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Bytes of the body.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.upload.as_ref().map_or(self.read, |upload| upload.bytes())
    }

    /// The extent of the request, in a word.
    pub(crate) fn extent(&self) -> &'static str {
        match (self.head, self.upload.as_ref().map(|upload| upload.stage())) {
            (false, _) => "nothing",
            (true, None | Some(Some(Stage::Done(_)))) => "all",
            (true, Some(None)) => "head",
            (true, Some(Some(_))) => "part",
        }
    }
}
