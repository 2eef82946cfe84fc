//! A TCP link that can be cut, slowed, silenced, or led elsewhere while it is in use.
//!
//! It stands before a server. What it does to both directions, or to answers alone, is its
//! [`Mode`]; a change holds at once, also for what is on its way inside the link. What is held back
//! is delivered when the link is sound again, as by TCP after a partition: late, never lost. What
//! was lost (`Half`, `CutAfter`) ends its connection, so that no stream ever has a hole in it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// The behaviour of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes everything on, this much later, more or less by the jitter.
    Delay { by: Duration, jitter: Duration },
    /// Passes requests on, and answers this much later.
    Late { by: Duration },
    /// Passes so many bytes a second on.
    Drip { bytes: u32 },
    /// Passes everything on; this share of it, of a hundred, only when it is sent once more.
    Lossy { percent: u8 },
    /// Takes everything, and holds it back.
    Blackhole,
    /// Holds requests back that have these bytes in them, and what comes after those.
    Hold { bytes: &'static [u8] },
    /// Passes requests on, and loses the answers after the first few.
    Half { after: usize },
    /// Closes a connection after so many more bytes of answers.
    CutAfter { bytes: usize },
    /// Resets every connection.
    Reset,
    /// Resets every connection, and does not listen.
    Refuse,
}

/// A running link; its connections end with it.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    state: watch::Sender<State>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// Counts of all connections.
#[derive(Debug)]
struct Counts {
    seed: u64,
    /// Numbers that were drawn so far: each follows from its place and the seed.
    drawn: AtomicU64,
    /// Requests that [`Mode::Hold`] held back so far.
    held: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    /// Counts the settings of a mode.
    turn: u64,
    /// The port that it leads to.
    port: u16,
    /// Connections of an earlier one are reset.
    epoch: u64,
}

/// The sender of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

/// A piece of what came, and when.
type Piece = (Instant, Vec<u8>);

/// How long TCP waits at least before it sends a piece again (Linux), and how often one is lost.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MOST_TIMES: u32 = 4;

/// Pieces inside the link at most, in one direction of one connection.
const QUEUE: usize = 1024;

impl Link {
    /// Starts a link to a port of this machine.
    pub(crate) async fn to(port: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, watched) = watch::channel(State { mode: Mode::Pass, turn: 0, port, epoch: 0 });
        let counts = Counts { seed, drawn: AtomicU64::new(0), held: AtomicUsize::new(0) };
        let counts = Arc::new(counts);
        let task = tokio::spawn(accept(listener, address, watched, Arc::clone(&counts)));
        Self { address, state, counts, task }
    }

    /// The port that stands for the server's.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Does this from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.turn += 1;
        });
    }

    /// Requests held back so far.
    pub(crate) fn held(&self) -> usize {
        self.counts.held.load(Ordering::SeqCst)
    }

    /// Leads to another port from now on, as the address of a load balancer does: connections to
    /// the old one stay.
    pub(crate) fn turn_to(&self, port: u16) {
        self.state.send_modify(|state| state.port = port);
    }

    /// Leads to another port from now on; connections to the old one are reset.
    pub(crate) fn swap(&self, port: u16) {
        self.state.send_modify(|state| {
            state.port = port;
            state.epoch += 1;
        });
    }
}

impl Counts {
    /// Draws a number below a hundred.
    fn draw(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.drawn.fetch_add(1, Ordering::SeqCst)).hash(&mut hasher);
        u32::try_from(hasher.finish() % 100).unwrap_or(0)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    mut state: watch::Receiver<State>,
    counts: Arc<Counts>,
) {
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let refuses = state.borrow_and_update().mode == Mode::Refuse;
        if refuses {
            listener = None;
        } else if listener.is_none() {
            // Somebody's outgoing connection may hold the port for a moment.
            listener = TcpListener::bind(address).await.ok();
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(Duration::from_millis(20)), if listener.is_none() => {}
            Some(_) = connections.join_next() => {}
            Some(Ok((client, _))) = next(listener.as_ref()) => {
                connections.spawn(carry(client, state.clone(), Arc::clone(&counts)));
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> Option<std::io::Result<(TcpStream, SocketAddr)>> {
    match listener {
        Some(listener) => Some(listener.accept().await),
        None => std::future::pending().await,
    }
}

/// Carries one connection until either side, or the link, ends it.
async fn carry(client: TcpStream, mut state: watch::Receiver<State>, counts: Arc<Counts>) {
    let epoch = state.borrow().epoch;
    // Another handle of the socket, to say how it is to be closed.
    let Ok(handle) = client.as_fd().try_clone_to_owned() else { return };
    let mut watched = state.clone();
    let carried = async {
        // Behind a black hole nobody answers a connection either.
        let held = watched.wait_for(|state| state.mode != Mode::Blackhole).await;
        let Ok(port) = held.map(|state| state.port) else { return };
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let pump = |direction| Pump {
            direction,
            state: watched.clone(),
            counts: &counts,
            passed: Passed::default(),
        };
        let there = pump(Direction::Requests).run(from_client, to_server);
        let back = pump(Direction::Answers).run(from_server, to_client);
        // The first that is cut ends both.
        drop(tokio::try_join!(there, back));
    };
    tokio::select! {
        () = carried => {}
        _ = state.wait_for(|state| state.epoch != epoch || state.mode.resets()) => {
            drop(SockRef::from(&handle).set_linger(Some(Duration::ZERO)));
        }
    }
}

impl Mode {
    const fn resets(self) -> bool {
        matches!(self, Self::Reset | Self::Refuse)
    }
}

/// One direction of a connection.
struct Pump<'a> {
    direction: Direction,
    state: watch::Receiver<State>,
    counts: &'a Counts,
    passed: Passed,
}

/// Bytes passed on under one setting.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    turn: u64,
    pieces: usize,
    bytes: usize,
}

/// The connection ends here.
struct Cut;

/// The fate of a piece.
enum Fate {
    Pass,
    /// This much at a time.
    Drip(u32),
    /// No more than so many bytes, and then the end.
    Upto(usize),
}

impl Pump<'_> {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<(), Cut> {
        let (sender, mut queue) = mpsc::channel::<Piece>(QUEUE);
        let reading = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                let piece = (Instant::now(), buffer[..read].to_vec());
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            drop(sender);
            Ok(())
        };
        let writing = async {
            while let Some((came, bytes)) = queue.recv().await {
                match self.fate(came, &bytes).await? {
                    Fate::Pass => to.write_all(&bytes).await.map_err(|_gone| Cut)?,
                    Fate::Drip(rate) => drip(&mut to, &bytes, rate).await?,
                    Fate::Upto(left) if left >= bytes.len() => {
                        to.write_all(&bytes).await.map_err(|_gone| Cut)?;
                    }
                    Fate::Upto(left) => {
                        drop(to.write_all(&bytes[..left]).await);
                        return Err(Cut);
                    }
                }
                self.passed.pieces += 1;
                self.passed.bytes += bytes.len();
            }
            drop(to.shutdown().await);
            Ok(())
        };
        tokio::try_join!(reading, writing).map(|_both| ())
    }

    /// Waits as long as a piece is held back; says what is done with it then.
    async fn fate(&mut self, came: Instant, piece: &[u8]) -> Result<Fate, Cut> {
        loop {
            let State { mode, turn, .. } = *self.state.borrow_and_update();
            if self.passed.turn != turn {
                self.passed = Passed { turn, ..Passed::default() };
            }
            let answers = self.direction == Direction::Answers;
            match mode {
                Mode::Pass => return Ok(Fate::Pass),
                Mode::Drip { bytes } => return Ok(Fate::Drip(bytes)),
                Mode::CutAfter { bytes } if answers => {
                    return Ok(Fate::Upto(bytes.saturating_sub(self.passed.bytes)));
                }
                Mode::CutAfter { .. } => return Ok(Fate::Pass),
                Mode::Late { .. } if !answers => return Ok(Fate::Pass),
                Mode::Late { by } => {
                    if self.is_due(came + by).await? {
                        return Ok(Fate::Pass);
                    }
                }
                Mode::Delay { by, jitter } => {
                    let by = self.around(by, jitter);
                    if self.is_due(came + by).await? {
                        return Ok(Fate::Pass);
                    }
                }
                Mode::Lossy { percent } => {
                    let by = self.sent_again_after(percent);
                    if self.is_due(came + by).await? {
                        return Ok(Fate::Pass);
                    }
                }
                Mode::Hold { bytes } => {
                    if answers || !piece.windows(bytes.len()).any(|part| part == bytes) {
                        return Ok(Fate::Pass);
                    }
                    self.counts.held.fetch_add(1, Ordering::SeqCst);
                    let released = self.state.wait_for(|state| state.turn != turn);
                    released.await.map_err(|_ended| Cut)?;
                }
                Mode::Half { after } if !answers || self.passed.pieces < after => {
                    return Ok(Fate::Pass);
                }
                // The rest of this answer is lost: the connection cannot be used any more.
                Mode::Half { .. } => {
                    self.state.changed().await.map_err(|_ended| Cut)?;
                    return Err(Cut);
                }
                Mode::Blackhole => self.state.changed().await.map_err(|_ended| Cut)?,
                Mode::Reset | Mode::Refuse => return Err(Cut),
            }
        }
    }

    /// Waits until then; says whether nothing was changed meanwhile.
    async fn is_due(&mut self, until: Instant) -> Result<bool, Cut> {
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(true),
            changed = self.state.changed() => changed.map(|()| false).map_err(|_ended| Cut),
        }
    }

    fn around(&self, by: Duration, jitter: Duration) -> Duration {
        let offset = jitter * self.counts.draw() / 100;
        (by + offset).saturating_sub(jitter / 2)
    }

    /// How long it takes until a piece arrives that is lost so often: TCP waits twice as long each
    /// time, and holds back what comes after it.
    fn sent_again_after(&self, percent: u8) -> Duration {
        let mut times = 0;
        while times < MOST_TIMES && self.counts.draw() < u32::from(percent) {
            times += 1;
        }
        FIRST_WAIT * ((1 << times) - 1)
    }
}

async fn drip(to: &mut OwnedWriteHalf, bytes: &[u8], rate: u32) -> Result<(), Cut> {
    const EVERY: Duration = Duration::from_millis(20);
    let some = usize::try_from(rate / 50).unwrap_or(1).max(1);
    for part in bytes.chunks(some) {
        to.write_all(part).await.map_err(|_gone| Cut)?;
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
