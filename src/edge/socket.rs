//! A client's byte stream, in the clear or by TLS, observed for facts that hyper does not report.
//!
//! It notes when a head begins, and whether a request line has a fragment, which `http::Uri` cuts
//! off without a trace.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::edge::connection_state::{ConnectionState, Heard};
use crate::edge::tcp::Tcp;

/// The stream that hyper reads and writes.
pub(super) struct Socket {
    layer: Layer,
    state: Arc<ConnectionState>,
    parser_state: ParserState,
}

enum Layer {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
}

/// The meaning of the next bytes.
#[derive(Clone, Copy, Debug)]
enum ParserState {
    /// HTTP/1: a request line.
    RequestLine,
    /// HTTP/1: anything else.
    Other,
    /// HTTP/2: as many bytes of the preface as are still to come.
    Preface(usize),
    /// HTTP/2: anything else.
    Frames,
}

/// The length of HTTP/2's client preface (RFC 9113 §3.4).
const PREFACE: usize = 24;

impl Socket {
    /// A stream in the clear.
    pub(super) const fn plain(tcp: Tcp, state: Arc<ConnectionState>) -> Self {
        Self { layer: Layer::Plain(tcp), state, parser_state: ParserState::RequestLine }
    }

    /// A TLS stream, by which HTTP/2 was negotiated or not.
    pub(super) fn tls(stream: TlsStream<Tcp>, state: Arc<ConnectionState>, http2: bool) -> Self {
        let parser_state =
            if http2 { ParserState::Preface(PREFACE) } else { ParserState::RequestLine };
        Self { layer: Layer::Tls(Box::new(stream)), state, parser_state }
    }

    fn observe(&mut self, bytes: &[u8]) {
        match self.parser_state {
            ParserState::Frames => return,
            ParserState::Preface(left) if bytes.len() < left => {
                self.parser_state = ParserState::Preface(left - bytes.len());
                return;
            }
            ParserState::Preface(_) => {
                self.parser_state = ParserState::Frames;
                self.state.not_a_head();
                return;
            }
            ParserState::RequestLine | ParserState::Other => {}
        }
        match self.state.heard() {
            Heard::Head => self.parser_state = ParserState::RequestLine,
            Heard::MoreOfHead => {}
            Heard::Other => return,
        }
        if matches!(self.parser_state, ParserState::RequestLine) {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            if bytes.iter().take(end.unwrap_or(bytes.len())).any(|byte| *byte == b'#') {
                self.state.saw_fragment();
            }
            if end.is_some() {
                self.parser_state = ParserState::Other;
            }
        }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Socket")
            .field("parser_state", &self.parser_state)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(match &mut this.layer {
            Layer::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Layer::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        })?;
        match buffer.filled().get(before..) {
            Some(bytes) if !bytes.is_empty() => this.observe(bytes),
            _ => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Layer::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(match &mut this.layer {
            Layer::Plain(stream) => Pin::new(stream).poll_flush(context),
            Layer::Tls(stream) => Pin::new(stream).poll_flush(context),
        })?;
        this.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Layer::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Layer::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.layer {
            Layer::Plain(stream) => stream.is_write_vectored(),
            Layer::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
