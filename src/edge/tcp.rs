//! A client's TCP stream: a stalled write ends it, and its close lingers.
//!
//! A socket that is closed with unread bytes is reset, and the reset destroys the answer on its
//! way; so after our side is shut, what still comes is thrown away for a while (RFC 9112 §9.6).

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::net::TcpStream as StdStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::edge::connection_state::ConnectionState;
use crate::message::answer_end::AnswerEnd;

/// A TCP stream.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: TcpStream,
    state: Arc<ConnectionState>,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
    linger: Linger,
}

/// The type of TLS handshake records.
const HANDSHAKE: u8 = 0x16;

/// Progress of a close.
#[derive(Debug)]
enum Linger {
    NotYet,
    Until(Pin<Box<Sleep>>),
    Over,
}

/// Bytes that the kernel may hold before the network takes them: beyond, a write waits, so that
/// its progress is the client's, and a slow one holds little.
const UNSENT: u32 = 64 << 10;

/// Asks for signs of life of the other end's kernel, which a slow client's gives as well: an HTTP/2
/// PING would wait behind everything that the client has not read.
fn keep_alive() -> TcpKeepalive {
    let every = Duration::from_secs(15);
    TcpKeepalive::new().with_time(every).with_interval(every).with_retries(3)
}

/// Longest wait for the client to close too.
const LINGER: Duration = Duration::from_secs(2);

impl Tcp {
    /// Wraps an accepted stream, and turns Nagle's algorithm off.
    ///
    /// # Errors
    /// When the stream has ended already.
    pub(super) fn new(stream: StdStream, state: Arc<ConnectionState>) -> io::Result<Self> {
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_notsent_lowat(UNSENT)?;
        socket.set_tcp_keepalive(&keep_alive())?;
        Ok(Self { stream, state, stall: None, linger: Linger::NotYet })
    }

    /// Says whether the client begins as TLS does, with a handshake record (RFC 8446 §5.1), having
    /// waited for its first byte.
    ///
    /// # Errors
    /// When the stream ends badly.
    pub(super) async fn begins_tls(&self) -> io::Result<bool> {
        let mut first = [0];
        // Nothing, at a stream's end, is for TLS to refuse.
        Ok(self.stream.peek(&mut first).await? == 0 || first == [HANDSHAKE])
    }

    /// Lets a write wait, but not for ever.
    fn patiently<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.state.blocked(written.is_pending());
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.state.stall();
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(stall.as_mut().poll(context));
        self.state.end_for(AnswerEnd::TooSlow);
        let reason = "the client takes nothing of its answer";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
    }

    /// Throws away what comes, until the client closes or the time is over.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 4096];
        for _ in 0..64 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let Linger::Until(over) = &mut self.linger else { return Poll::Ready(()) };
                    return over.as_mut().poll(context);
                }
            }
        }
        // More has come than one turn may take: the deadline is checked before the rest.
        context.waker().wake_by_ref();
        let Linger::Until(over) = &mut self.linger else { return Poll::Ready(()) };
        over.as_mut().poll(context)
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patiently(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.linger, Linger::NotYet) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.linger = if self.state.ends_abruptly() {
                Linger::Over
            } else {
                Linger::Until(Box::pin(tokio::time::sleep(LINGER)))
            };
        }
        if matches!(self.linger, Linger::Until(_)) {
            ready!(self.poll_linger(context));
            self.linger = Linger::Over;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patiently(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;

    use super::Tcp;
    use crate::config::LimitsConfig;
    use crate::drain::Drain;
    use crate::edge::connection_state::ConnectionState;
    use crate::edge::workers::Place;

    #[tokio::test]
    async fn small_writes_to_a_client_do_not_wait_for_each_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let place = Place::new(permit, &Arc::default());
        let state = ConnectionState::new(&LimitsConfig::default(), place, Drain::new().guard());

        let tcp = Tcp::new(stream.into_std().unwrap(), Arc::new(state)).unwrap();

        assert!(tcp.stream.nodelay().unwrap());
    }
}
