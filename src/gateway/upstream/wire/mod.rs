//! HTTP/1.1 towards a backend, as bytes (RFC 9112): no I/O, no clock.

pub(super) mod answer_head;
pub(super) mod decoder;
pub(crate) mod request_writer;

use std::io;

/// An answer that cannot be read, or that could be read in more than one way.
fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests;
