//! An address that leads to one server, then to another, as that of a load balancer does.

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use munjigi::store::RedisOptions;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

use crate::redis_server::RedisServer;
use crate::server::PATIENT;

/// Listens until it is dropped.
pub(crate) struct Relay {
    port: u16,
    /// Zero: connections are closed at once.
    leads_to: Arc<AtomicU16>,
    /// What a question has that is not handed on.
    held: watch::Sender<Option<&'static [u8]>>,
    /// How many questions were held so far.
    holdings: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let leads_to = Arc::new(AtomicU16::new(server.port()));
        let held = watch::Sender::new(None);
        let holdings = Arc::new(AtomicUsize::new(0));
        let hold = Hold { held: held.subscribe(), holdings: Arc::clone(&holdings) };
        let task = tokio::spawn(serve(listener, Arc::clone(&leads_to), hold));
        Self { port, leads_to, held, holdings, task }
    }

    /// As a store needs it.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions::new(format!("redis://127.0.0.1:{}", self.port), PATIENT)
    }

    /// Hands no question on that has these bytes, nor what comes after it, until it is released.
    pub(crate) fn hold(&self, bytes: &'static [u8]) {
        self.held.send_replace(Some(bytes));
    }

    /// How many questions were held so far.
    pub(crate) fn holdings(&self) -> usize {
        self.holdings.load(Ordering::SeqCst)
    }

    /// Hands on what was held.
    pub(crate) fn release(&self) {
        self.held.send_replace(None);
    }

    /// Leads to no server from now on; connections from before stay.
    pub(crate) fn close(&self) {
        self.leads_to.store(0, Ordering::SeqCst);
    }

    /// Leads to another server from now on; connections from before stay.
    pub(crate) fn swap(&self, server: &RedisServer) {
        self.leads_to.store(server.port(), Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Hold {
    held: watch::Receiver<Option<&'static [u8]>>,
    holdings: Arc<AtomicUsize>,
}

async fn serve(listener: TcpListener, leads_to: Arc<AtomicU16>, hold: Hold) {
    // Those that are relayed end with this task.
    let mut relayed = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let port = leads_to.load(Ordering::SeqCst);
        if port > 0 {
            relayed.spawn(relay(near, port, hold.clone()));
        }
    }
}

/// Ends when either side does.
async fn relay(near: TcpStream, port: u16, hold: Hold) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (questions, mut near) = near.into_split();
    let (mut answers, far) = far.into_split();
    tokio::select! {
        () = hand_on(questions, far, hold) => {}
        _ = tokio::io::copy(&mut answers, &mut near) => {}
    }
}

async fn hand_on(mut questions: OwnedReadHalf, mut far: OwnedWriteHalf, mut hold: Hold) {
    let mut bytes = vec![0; 65536];
    while let Ok(length @ 1..) = questions.read(&mut bytes).await {
        let question = &bytes[..length];
        let is_free = |held: &Option<&[u8]>| {
            held.is_none_or(|held| !question.windows(held.len()).any(|part| part == held))
        };
        if !is_free(&hold.held.borrow()) {
            hold.holdings.fetch_add(1, Ordering::SeqCst);
        }
        if hold.held.wait_for(is_free).await.is_err() || far.write_all(question).await.is_err() {
            return;
        }
    }
}
