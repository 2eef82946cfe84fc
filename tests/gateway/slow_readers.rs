//! Clients that read slowly, or not at all: the steady ones get all of their answers, and what the
//! others leave unread, or hold of an upstream, has a bound.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::harness::client::{connect, tls};
use crate::harness::{DEADLINE, Frames, Gateway, Setup, Version, eventually, kind, raw, request};
use crate::lifecycle::plain_get;

/// More than the kernel takes at once.
const LONG: usize = 4_500_000;

/// Bytes of a read, and its interval: some 1.3 MB a second.
const STEP: usize = 64 << 10;
const EVERY: Duration = Duration::from_millis(50);

async fn start(tables: &str) -> Gateway {
    let routes = "{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\" },".to_owned();
    Gateway::start(Setup { routes, tables: tables.to_owned(), ..Setup::default() }).await
}

/// A connection whose streams have windows of so many bytes.
async fn with_window(gateway: &Gateway, window: u32) -> Frames {
    let mut frames = Frames::connect(gateway.address(), &gateway.trust()).await;
    let initial = [&[0, 4][..], &window.to_be_bytes()].concat();
    frames.write(kind::SETTINGS, 0, 0, &initial).await;
    frames.write(kind::WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()).await;
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_but_steadily_gets_all_of_it() {
    // Much less than the whole takes, and than the kernel would take to tell of a large step.
    let tables = "[limits]\nbody_idle_timeout = \"500ms\"\nkeep_alive = \"500ms\"\n";
    let gateway = start(tables).await;
    let target = format!("/huge/{LONG}");
    let one = async {
        let mut client = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
        let ask = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        client.write_all(ask.as_bytes()).await.unwrap();
        let (mut read, mut part) = (0, vec![0; STEP]);
        let mut pace = tokio::time::interval(EVERY);
        loop {
            pace.tick().await;
            let mut step = 0;
            while step < STEP {
                match client.read(&mut part[step..]).await.expect("a whole answer") {
                    0 => return read + step,
                    more => step += more,
                }
            }
            read += step;
        }
    };
    let two = async {
        let mut frames = with_window(&gateway, 6 << 20).await;
        frames.get(1, &target).await;
        let mut read = 0;
        let mut pace = tokio::time::interval(EVERY);
        loop {
            pace.tick().await;
            let mut step = 0;
            while step < STEP {
                let frame = frames.next().await.expect("a whole answer");
                if frame.kind == kind::DATA {
                    step += frame.payload.len();
                    if frame.flags & Frames::END_STREAM != 0 {
                        return read + step;
                    }
                }
            }
            read += step;
        }
    };

    let (one, two) = tokio::join!(one, two);

    assert!(one > LONG, "with its head: {one}");
    assert_eq!(two, LONG);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_is_not_held() {
    const STREAMS: u32 = 100;
    let gateway = start("").await;
    let metrics = format!("http://{}/metrics", gateway.app().admin().unwrap());
    let held = async || {
        let text = plain_get(&metrics).await;
        let line = text.lines().find(|line| line.starts_with("munjigi_buffered_bytes "));
        line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
    };
    let mut frames = with_window(&gateway, 8 << 20).await;

    for number in 0..STREAMS {
        assert!(frames.get(2 * number + 1, "/huge/2000000").await);
    }

    eventually("all are asked for", async || {
        (gateway.upstream.seen().len() == STREAMS as usize).then_some(())
    })
    .await;
    let most = eventually("it holds what it may", async || {
        let held = held().await;
        (held > 500_000.0).then_some(held)
    })
    .await;
    assert!(most < 2_000_000.0, "a connection holds one MiB and a few parts: {most}");
    drop(frames);
    eventually("it is given back", async || (held().await == 0.0).then_some(())).await;
}

/// Connects from another address of this machine.
async fn raw_from(local: &str, address: SocketAddr, trust: &RootCertStore, ask: &[u8]) -> Vec<u8> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local.parse().unwrap()).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let config = tls(trust, rustls::DEFAULT_VERSIONS, &[b"http/1.1"]);
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    stream.write_all(ask).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    answer
}

const ASK: &[u8] = b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn few(places: usize) -> String {
    format!(
        "[upstream.few]\ntargets = [\"{{upstream}}\"]\nmax_inflight = {places}\nqueue_timeout = \"10s\"\n"
    )
}

async fn start_few(places: usize, more: &str) -> Gateway {
    let routes = "{ path = \"/*\", upstream = \"few\", auth = \"none\" },".to_owned();
    let tables = few(places) + more;
    Gateway::start(Setup { routes, tables, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_gives_his_places_to_who_waits() {
    let gateway = start_few(4, "").await;
    let mut frames = with_window(&gateway, 0).await;
    for stream in [1, 3, 5, 7] {
        frames.get(stream, "/huge/2000000").await;
    }
    eventually("all places are taken", async || (gateway.upstream.seen().len() == 4).then_some(()))
        .await;

    let answer = raw_from("127.0.0.2:0", gateway.address(), &gateway.trust(), ASK).await;

    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_nothing_of_a_long_body_gives_his_place_to_who_waits() {
    let gateway = start_few(1, "").await;
    let mut idler = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
    let head = b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\nbegin";
    idler.write_all(head).await.unwrap();
    eventually("the place is taken", async || (gateway.upstream.seen().len() == 1).then_some(()))
        .await;

    let answer = raw_from("127.0.0.2:0", gateway.address(), &gateway.trust(), ASK).await;

    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let mut told = [0; 12];
    idler.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 408");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_body_takes_no_place_before_it_is_there() {
    let gateway = start_few(1, "").await;
    let mut idlers = Vec::new();
    for _ in 0..8 {
        let mut idler = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
        let head = b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\nbegin";
        idler.write_all(head).await.unwrap();
        idlers.push(idler);
    }

    let answer = raw(gateway.address(), &gateway.trust(), ASK).await.unwrap();

    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(gateway.upstream.seen().len(), 1, "no body has come whole");
    let [idler, ..] = &mut idlers[..] else { panic!("there are eight") };
    idler.write_all(&[b'a'; 59_995]).await.unwrap();
    let mut told = [0; 12];
    idler.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_holds_no_place_and_their_number_has_a_bound() {
    let gateway = start_few(1, "max_streams = 1\n").await;
    let ask = b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let open = async || {
        let mut socket = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
        socket.write_all(ask).await.unwrap();
        let mut status = [0; 12];
        socket.read_exact(&mut status).await.unwrap();
        (socket, String::from_utf8_lossy(&status).into_owned())
    };
    let (first, status) = open().await;
    assert_eq!(status, "HTTP/1.1 101");

    let mut client = gateway.client(Version::H2).await;
    assert_eq!(request("GET", "/x").send(&mut client).await.status, 200);
    assert_eq!(open().await.1, "HTTP/1.1 503");

    drop(first);
    eventually("its place among the streams is free", async || {
        (open().await.1 == "HTTP/1.1 101").then_some(())
    })
    .await;
}
