//! Deadlines: a client that keeps the gateway waiting is cut off; one that is only busy is not.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::connect;
use crate::harness::{
    DEADLINE, Frames, Gateway, Setup, Version, assert_literal, kind, raw, request,
};

const SHORT: Duration = Duration::from_millis(400);
/// Tolerance of a deadline; well below the defaults, so that the right one is seen.
const LATE: Duration = Duration::from_secs(4);

/// A gateway that differs from the defaults in some of `[limits]`.
async fn with_limits(limits: &str) -> Gateway {
    Gateway::start(Setup { tables: format!("[limits]\n{limits}\n"), ..Setup::default() }).await
}

/// A gateway whose connections may idle for 200 ms, in front of an upstream with these waits.
async fn hasty(waits: &str) -> Gateway {
    let tables = format!(
        "[limits]\nkeep_alive = \"200ms\"\nheader_timeout = \"200ms\"\n\
         [upstream.slow]\ntargets = [\"{{upstream}}\"]\n{waits}\n"
    );
    let routes = "{ path = \"/*\", upstream = \"slow\", auth = \"none\" },".to_owned();
    Gateway::start(Setup { tables, routes, ..Setup::default() }).await
}

/// Writes a byte every 20 ms, if there are any left, until the other side closes.
async fn time_to_close<S>(mut stream: S, drip: impl IntoIterator<Item = u8>) -> Duration
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let begun = Instant::now();
    let mut drip = drip.into_iter();
    let mut every = tokio::time::interval(Duration::from_millis(20));
    let mut buffer = [0; 1024];
    let closed = async {
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => {
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                }
                _ = every.tick() => {
                    let Some(byte) = drip.next() else { continue };
                    if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.expect("the connection is closed");
    begun.elapsed()
}

#[track_caller]
fn assert_at(row: &str, took: Duration, due: Duration) {
    let tolerance = Duration::from_millis(50);
    assert!(took + tolerance >= due && took < due + LATE, "{row}: {took:?}, not {due:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_or_dribbles_is_cut_off() {
    let gateway = with_limits("handshake_timeout = \"400ms\"").await;
    // A record that announces a hello of 512 bytes.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into_iter().chain([0; 500]);
    let open = async || TcpStream::connect(gateway.address()).await.unwrap();

    let nothing = time_to_close(open().await, []).await;
    let dribbled = time_to_close(open().await, hello).await;

    assert_at("nothing", nothing, SHORT);
    assert_at("dribbled", dribbled, SHORT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_or_dribbles_is_cut_off() {
    let gateway = with_limits("header_timeout = \"400ms\"").await;
    let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(2000));
    let rows: [(&str, &[u8], &str); 4] = [
        ("HTTP/1.1, nothing", b"http/1.1", ""),
        ("HTTP/1.1, dribbled", b"http/1.1", &head),
        ("HTTP/2, no preface", b"h2", ""),
        ("HTTP/2, dribbled preface", b"h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ];

    for (row, alpn, drip) in rows {
        let stream = connect(gateway.address(), &gateway.trust(), alpn).await;
        assert_at(row, time_to_close(stream, drip.bytes()).await, SHORT);
    }

    let mut second = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
    second.write_all(b"GET /public/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(second.read(&mut [0; 16]).await.unwrap() > 0);
    assert_at("a second head", time_to_close(second, head.bytes()).await, SHORT);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_after_keep_alive() {
    let gateway = with_limits("keep_alive = \"400ms\"").await;
    let mut one = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
    one.write_all(b"GET /public/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(one.read(&mut [0; 16]).await.unwrap() > 0);
    assert_at("HTTP/1.1", time_to_close(one, []).await, SHORT);

    let mut two = Frames::connect(gateway.address(), &gateway.trust()).await;
    two.get(1, "/public/x").await;
    two.next_of(kind::HEADERS).await.unwrap();
    let begun = Instant::now();
    assert_eq!(two.end().await, Some(0), "a GOAWAY that blames nobody");
    assert_at("HTTP/2", begun.elapsed(), SHORT);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_that_never_completes_a_request_idles() {
    let gateway = with_limits("keep_alive = \"400ms\"").await;
    let begun = Instant::now();

    let mut unfinished = Frames::connect(gateway.address(), &gateway.trust()).await;
    unfinished.write(kind::HEADERS, Frames::END_STREAM, 1, &Frames::head("/public/x")).await;
    let mut pinging = Frames::connect(gateway.address(), &gateway.trust()).await;
    let pings = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        while pinging.write(kind::PING, 0, 0, b"12345678").await {
            every.tick().await;
        }
    };
    let pings = tokio::time::timeout(DEADLINE, pings);
    let (code, pings) = tokio::join!(unfinished.end(), pings);

    assert!(code.is_some(), "it is told to go");
    pings.expect("the connection is closed");
    assert_at("both", begun.elapsed(), SHORT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_longer_than_keep_alive_is_not_cut() {
    let gateway = hasty("response_timeout = \"1s\"").await;

    for version in Version::BOTH {
        let begun = Instant::now();
        let mut client = gateway.client(version).await;
        let reply = request("GET", "/stall").send(&mut client).await;

        assert_eq!(reply.status, 504, "{version:?}");
        assert_at("504", begun.elapsed(), Duration::from_secs(1));
        assert_eq!(reply.header("connection"), "", "it was told to end meanwhile");
        assert_eq!(request("GET", "/x").send(&mut client).await.status, 200, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stops_is_cut_after_the_idle_timeout_and_never_completed() {
    let gateway = hasty("idle_timeout = \"1s\"").await;

    let begun = Instant::now();
    let bytes = b"GET /sse HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = raw(gateway.address(), &gateway.trust(), bytes).await.expect("it is cut");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("data: one\n\n\r\n"), "it looks complete: {answer}");
    assert_at("HTTP/1.1", begun.elapsed(), Duration::from_secs(1));

    let begun = Instant::now();
    let mut frames = Frames::connect(gateway.address(), &gateway.trust()).await;
    frames.get(1, "/sse").await;
    let data = frames.next_of(kind::DATA).await.unwrap();
    assert_eq!((data.payload.as_slice(), data.flags), (b"data: one\n\n".as_slice(), 0));
    let next = frames.next().await.unwrap();
    assert_eq!((next.kind, next.stream), (kind::RST_STREAM, 1), "{next:?}");
    assert_at("HTTP/2", begun.elapsed(), Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_lives_until_its_own_idle_timeout() {
    let gateway = hasty("idle_timeout = \"1s\"").await;
    let stream = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
    let (mut socket, _) =
        tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();

    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let begun = Instant::now();
    let end = tokio::time::timeout(DEADLINE, socket.next()).await.expect("it ends");

    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert_at("idle", begun.elapsed(), Duration::from_secs(1));
}

const STANDARD_408: &str = r#"{"type":"about:blank","title":"Request Timeout","status":408,"detail":"the request came too slowly","code":"request_timeout","request_id":"<id>"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_408_in_the_sites_shape() {
    let gateway = with_limits("body_idle_timeout = \"400ms\"").await;

    for version in Version::BOTH {
        for path in ["/public/x", "/auth/login"] {
            let begun = Instant::now();
            let mut client = gateway.client(version).await;
            let stuck = request("POST", path).header("content-length", "100").endless(b"{\"em");
            let reply = stuck.send(&mut client).await;

            assert_eq!(reply.status, 408, "{version:?} {path}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
            assert_literal(&reply.body, STANDARD_408);
            assert_at(path, begun.elapsed(), SHORT);
        }
    }
    assert!(gateway.upstream.seen().iter().all(|seen| seen["body_bytes"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_408_in_the_sites_shape() {
    // The rate is averaged over ten seconds, whatever the configuration: all at once, then.
    let gateway = with_limits("body_rate = \"1KiB/s\"").await;
    let rows = [
        ("http/1.1", "/public/x"),
        ("http/1.1", "/auth/login"),
        ("h2", "/public/x"),
        ("h2", "/auth/login"),
    ];
    let mut trickles = tokio::task::JoinSet::new();
    for (alpn, path) in rows {
        let version = if alpn == "h2" { Version::H2 } else { Version::H1 };
        let mut client = gateway.client(version).await;
        trickles.spawn(async move {
            let begun = Instant::now();
            let reply = request("POST", path).trickle().send(&mut client).await;
            assert_eq!(reply.status, 408, "{alpn} {path}");
            assert_literal(&reply.body, STANDARD_408);
            assert_at(path, begun.elapsed(), Duration::from_secs(10));
        });
    }
    trickles.join_all().await;
}
