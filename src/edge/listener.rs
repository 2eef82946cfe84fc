//! A bound socket, and the loop that accepts from it.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use crate::drain::Guard;
use crate::edge::connection::Accepted;
use crate::edge::{Service, connection};
use crate::gateway::reply_body::ReplyBody;
use crate::message::connection::Connection;
use crate::message::request_body::RequestBody;

/// A listening socket: its address is known, and connections already queue.
#[derive(Debug)]
pub struct Bound {
    listener: StdListener,
    local: SocketAddr,
}

impl Bound {
    /// Binds and listens; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not this machine's.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = StdListener::from(socket);
        let local = listener.local_addr()?;
        Ok(Self { listener, local })
    }

    /// The address that was bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

const BACKLOG: i32 = 1024;

/// Accepts until the guard is signalled, then waits for the connections.
pub(super) async fn accept<H, F>(
    bound: Bound,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    service: Service<H>,
) where
    H: Fn(Request<RequestBody>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    let listener = match TcpListener::from_std(bound.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, listener = %bound.local, "cannot listen");
            return;
        }
    };
    let mut guard = service.guard.clone();
    let mut backoff = AcceptBackoff::default();
    // Dropping it ends the connections: nothing outlives this future but tunnels.
    let mut tasks = JoinSet::new();
    loop {
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
        let accepted = tokio::select! {
            biased;
            () = guard.signalled() => break,
            accepted = next(&listener, &service) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                backoff = AcceptBackoff::default();
                let Some(worker) = service.workers.least_busy() else { break };
                let accepted = Accepted {
                    stream,
                    connection: Connection { peer, local: bound.local, in_the_clear: false },
                    limits: (service.limits)(),
                    place: worker.place(permit),
                    guard: service.guard.clone(),
                };
                let tls = tls.as_ref().map(|tls| tls.load_full());
                let serving = connection::serve(accepted, tls, service.handler.clone());
                tasks.spawn_on(serving, worker.runtime());
            }
            Err(error) => backoff.wait(&error, &mut guard).await,
        }
    }
    drop(listener);
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
}

/// Waits for a permit first, so that what is over the cap queues in the kernel.
async fn next<H>(
    listener: &TcpListener,
    service: &Service<H>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit =
        Arc::clone(&service.connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // The worker that serves it waits for its events.
    Ok((stream.into_std()?, peer, permit))
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// Back-off after an error, so that a lack of file descriptors does not make a loop spin.
#[derive(Debug)]
struct AcceptBackoff(Duration);

impl Default for AcceptBackoff {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl AcceptBackoff {
    async fn wait(&mut self, error: &io::Error, guard: &mut Guard) {
        if is_of_the_peer(error) {
            return;
        }
        tracing::warn!(%error, wait = ?self.0, "cannot accept connections");
        tokio::select! {
            () = guard.signalled() => {}
            () = tokio::time::sleep(self.0) => {}
        }
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
