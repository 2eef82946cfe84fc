//! Connecting to whichever of a name's addresses answers first (RFC 8305, "happy eyeballs").
//!
//! Attempts begin a quarter of a second after each other, families in turn, and the first that
//! succeeds is taken. An address that failed or was overtaken goes last for a minute, so that one
//! that swallows every packet costs a connection in a minute that wait, and not each.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;

use crate::lock::IgnorePoison;

/// The state of a target's addresses.
#[derive(Debug, Default)]
pub(super) struct Race {
    /// Addresses that did not answer, and when that was found.
    dead: Mutex<Vec<(SocketAddr, Instant)>>,
}

/// Connection attempt delay (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Time for which an address that did not answer goes last.
const DEAD_FOR: Duration = Duration::from_secs(60);
/// Most addresses that are remembered as dead.
const MOST_DEAD: usize = 64;

impl Race {
    /// Connects to a name or an address; the caller sets the deadline.
    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let found: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
        match found.as_slice() {
            [only] => TcpStream::connect(only).await,
            _ => self.run(self.ordered(found, Instant::now())).await,
        }
    }

    async fn run(&self, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        let mut waiting = addresses.into_iter();
        let mut running = Vec::new();
        let mut attempts = FuturesUnordered::new();
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        loop {
            if let Some(address) = waiting.next() {
                running.push(address);
                attempts.push(async move { (address, TcpStream::connect(address).await) });
            }
            let next = attempts.next();
            let ended = if waiting.len() == 0 {
                next.await
            } else {
                match tokio::time::timeout(HEAD_START, next).await {
                    Ok(ended) => ended,
                    Err(_elapsed) => continue,
                }
            };
            match ended {
                Some((winner, Ok(stream))) => {
                    // An attempt that began after the winner had no time to answer.
                    let before = running.into_iter().take_while(|address| *address != winner);
                    self.note(before, winner);
                    return Ok(stream);
                }
                Some((_, Err(error))) => failure = error,
                None => return Err(failure),
            }
        }
    }

    /// The addresses in the order of their attempts: as the resolver prefers them (RFC 6724), but
    /// families in turn (RFC 8305 §4), and the dead last.
    fn ordered(&self, found: Vec<SocketAddr>, now: Instant) -> Vec<SocketAddr> {
        let first_is_ipv4 = found.first().is_some_and(SocketAddr::is_ipv4);
        let (first, second): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| address.is_ipv4() == first_is_ipv4);
        let in_turn = |addresses: Vec<SocketAddr>, offset: usize| {
            addresses.into_iter().enumerate().map(move |(at, address)| (2 * at + offset, address))
        };
        let mut ordered: Vec<_> = in_turn(first, 0).chain(in_turn(second, 1)).collect();
        let dead = self.lock();
        let is_dead = |address: &SocketAddr| {
            dead.iter().any(|(known, since)| known == address && now < *since + DEAD_FOR)
        };
        ordered.sort_by_key(|(place, address)| (is_dead(address), *place));
        ordered.into_iter().map(|(_, address)| address).collect()
    }

    /// Notes addresses that did not answer while another did.
    fn note(&self, dead: impl Iterator<Item = SocketAddr>, alive: SocketAddr) {
        let now = Instant::now();
        let mut known = self.lock();
        known.retain(|(address, since)| *address != alive && now < *since + DEAD_FOR);
        for address in dead {
            if known.len() < MOST_DEAD && !known.iter().any(|(other, _)| *other == address) {
                known.push((address, now));
            }
        }
    }

    // The lock guards one list, and is held over no call that can panic.
    fn lock(&self) -> MutexGuard<'_, Vec<(SocketAddr, Instant)>> {
        self.dead.lock().ignore_poison()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::{DEAD_FOR, Race};

    /// An address that swallows every packet: its queue is full, and nobody accepts.
    struct BlackHole {
        address: SocketAddr,
        _sockets: Vec<Socket>,
    }

    fn socket() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn black_hole() -> BlackHole {
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let filling = socket();
            drop(filling.connect(&address.into()));
            sockets.push(filling);
        }
        BlackHole { address, _sockets: sockets }
    }

    #[tokio::test]
    async fn a_dead_address_costs_one_connection_a_quarter_of_a_second() {
        let dead = black_hole();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let refusing = socket();
        refusing.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let refusing = refusing.local_addr().unwrap().as_socket().unwrap();
        let race = Race::default();
        let found = vec![dead.address, refusing, alive];
        let now = Instant::now();

        let run = race.run(race.ordered(found.clone(), now));
        let stream = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap().unwrap();

        assert_eq!(stream.peer_addr().unwrap(), alive);
        let now = Instant::now();
        assert_eq!(race.ordered(found.clone(), now), [alive, dead.address, refusing]);
        assert_eq!(race.ordered(found.clone(), now + DEAD_FOR), found);
        // An address that answers is tried first again; if none answers, the last error is
        // returned.
        race.note([alive].into_iter(), refusing);
        assert_eq!(race.ordered(found, now), [refusing, dead.address, alive]);
        let refused = race.run(vec![refusing, refusing]).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn families_take_turns() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"]);

        let ordered = Race::default().ordered(found, Instant::now());

        let expected = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"];
        assert_eq!(ordered, addresses(&expected));
    }
}
