//! The bytes of a connection to an upstream.
//!
//! A backend that answers early and closes makes our next write fail while its answer already
//! waits to be read. A failed write is therefore no error here: what follows it is dropped, and
//! reading says what became of the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection's bytes.
#[derive(Debug)]
pub(super) struct Stream {
    wire: Wire,
    /// The other side takes no more.
    write_closed: bool,
}

#[derive(Debug)]
enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// By TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Bytes in the clear.
    pub(super) const fn plain(stream: TcpStream) -> Self {
        Self { wire: Wire::Plain(stream), write_closed: false }
    }

    /// Bytes by TLS.
    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { wire: Wire::Tls(Box::new(stream)), write_closed: false }
    }

    /// Takes a failed write as done once the other side has closed.
    fn settle<T>(&mut self, written: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error)) if is_closed(&error) => {
                self.write_closed = true;
                Poll::Ready(Ok(done))
            }
            other => other,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        if stream.write_closed {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = match &mut stream.wire {
            Wire::Plain(wire) => Pin::new(wire).poll_write(context, bytes),
            Wire::Tls(wire) => Pin::new(wire).poll_write(context, bytes),
        };
        stream.settle(written, bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.write_closed {
            return Poll::Ready(Ok(()));
        }
        let flushed = match &mut stream.wire {
            Wire::Plain(wire) => Pin::new(wire).poll_flush(context),
            Wire::Tls(wire) => Pin::new(wire).poll_flush(context),
        };
        stream.settle(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.write_closed {
            return Poll::Ready(Ok(()));
        }
        let shut = match &mut stream.wire {
            Wire::Plain(wire) => Pin::new(wire).poll_shutdown(context),
            Wire::Tls(wire) => Pin::new(wire).poll_shutdown(context),
        };
        stream.settle(shut, ())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if stream.write_closed {
            return Poll::Ready(Ok(length));
        }
        let written = match &mut stream.wire {
            Wire::Plain(wire) => Pin::new(wire).poll_write_vectored(context, slices),
            Wire::Tls(wire) => Pin::new(wire).poll_write_vectored(context, slices),
        };
        stream.settle(written, length)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::Wire;
    use crate::config::{UpstreamConfig, UpstreamUrl};
    use crate::gateway::upstream::connector::Connector;

    #[tokio::test]
    async fn small_writes_to_an_upstream_do_not_wait_for_each_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target: UpstreamUrl = format!("http://{address}").parse().unwrap();
        let connector = Connector::new(&UpstreamConfig::at(target)).unwrap();

        let stream = connector.connect().await.unwrap();

        let Wire::Plain(tcp) = &stream.wire else { panic!("no TLS was asked for") };
        assert!(tcp.nodelay().unwrap());
    }
}
