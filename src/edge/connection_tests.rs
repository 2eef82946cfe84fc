//! Connections under their deadlines, caps and the stop signal.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::LimitsConfig;
use crate::drain::{Drain, Drained};
use crate::edge::test_rig::{
    Backend, DEADLINE, Rig, Settings, nowhere, read, read_head, read_to_end, request,
};
use crate::edge::{Bound, Service, Workers, serve_plain};
use crate::gateway::reply_body::ReplyBody;

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let mut settings = Settings::new(nowhere());
    settings.limits.handshake_timeout = SHORT;
    settings.limits.header_timeout = SHORT;
    let rig = Rig::start(settings);

    let mut silent = rig.tcp().await;
    assert_eq!(tokio::time::timeout(DEADLINE, silent.read(&mut [0])).await.unwrap().unwrap(), 0);
    for alpn in ["http/1.1", "h2"] {
        let mut shaken = rig.tls(alpn).await;
        read_to_end(&mut shaken).await;
    }
}

#[tokio::test]
async fn a_head_that_dribbles_is_cut_off() {
    let mut settings = Settings::new(nowhere());
    settings.limits.header_timeout = SHORT;
    let rig = Rig::start(settings);
    let mut stream = rig.tls("http/1.1").await;

    let start = Instant::now();
    let mut every = tokio::time::interval(Duration::from_millis(20));
    while stream.write_all(b"G").await.is_ok() && stream.flush().await.is_ok() {
        assert!(start.elapsed() < DEADLINE);
        every.tick().await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_keep_alive_not_after_the_header_timeout() {
    let mut settings = Settings::new(nowhere());
    settings.limits.header_timeout = Duration::from_millis(100);
    settings.limits.keep_alive = Duration::from_millis(800);
    let rig = Rig::start(settings);

    let mut stream = rig.tls("http/1.1").await;
    stream.write_all(b"GET /refuse HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let start = Instant::now();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());

    let mut client = rig.h2().await;
    client.send_request(request("GET", "/refuse", "")).await.unwrap();
    let start = Instant::now();
    while client.ready().await.is_ok() {
        assert!(start.elapsed() < DEADLINE);
        tokio::task::yield_now().await;
    }
    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_connection_over_the_cap_waits_for_a_place() {
    let mut settings = Settings::new(nowhere());
    settings.max_connections = 1;
    let rig = Rig::start(settings);
    let first = rig.h1().await;

    let second = tokio::time::timeout(SHORT, rig.tls("http/1.1")).await;
    assert!(second.is_err(), "it was served beyond the cap");
    drop(first);

    let third = tokio::time::timeout(DEADLINE, rig.h1()).await.unwrap();
    drop(third);
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_finish_and_closes_the_rest() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let backend = Backend::start(move |mut stream, _| {
        let mut gone = gone.clone();
        async move {
            read_head(&mut stream).await;
            gone.wait_for(|gone| *gone).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            read_head(&mut stream).await;
        }
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));
    let mut idle = rig.tls("http/1.1").await;
    let (mut one, mut two) = (rig.h1().await, rig.h2().await);
    let one = tokio::spawn(one.send_request(request("GET", "/", "")));
    let two = tokio::spawn(two.send_request(request("GET", "/", "")));
    tokio::time::timeout(DEADLINE, async {
        while backend.connections() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();

    let address = rig.address;
    let finish = tokio::spawn(rig.drain.finish(DEADLINE));
    read_to_end(&mut idle).await;
    go.send_replace(true);

    let (status, headers, body) = read(one.await.unwrap().unwrap()).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
    assert_eq!(headers["connection"], "close");
    assert_eq!(read(two.await.unwrap().unwrap()).await.2, "ok");
    assert_eq!(finish.await.unwrap(), Drained::Complete);
    rig.server.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let backend = Backend::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await);
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let mut settings = Settings::new(backend.address);
    settings.limits.body_idle_timeout = SHORT;
    let rig = Rig::start(settings);

    let mut one = rig.tls("http/1.1").await;
    one.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut two = rig.h2().await;
    let held = two.send_request(request("GET", "/", "")).await.unwrap();

    // The server gives both up, and so nothing holds the drain.
    assert_eq!(rig.drain.finish(DEADLINE).await, Drained::Complete);
    drop((one, held));
}

#[tokio::test]
async fn odd_heads_are_refused_and_the_connection_ends() {
    let rig = Rig::start(Settings::new(nowhere()));
    let fat = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(200_000));
    let rows: [(&str, &[u8], &str); 5] = [
        ("fragment", b"GET /a#b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "400"),
        ("two hosts", b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\nconnection: close\r\n\r\n", "400"),
        ("bare LF in value", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\nb\r\n\r\n", "400"),
        ("fat", fat.as_bytes(), "431"),
        ("connect", b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nconnection: close\r\n\r\n", "405"),
    ];

    for (row, sent, status) in rows {
        let answer = rig.talk(sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{row}: {answer}");
    }
}

#[tokio::test]
async fn nothing_after_a_request_with_two_lengths_is_read_as_a_request() {
    let rig = Rig::start(Settings::new(nowhere()));
    let hidden = "0\r\n\r\nGET /refuse HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let two = ["transfer-encoding: chunked\r\n", "content-length: 5\r\n"];

    for lines in [two.concat(), [two[1], two[0]].concat()] {
        let sent = format!("POST /refuse HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n{hidden}");
        let answer = rig.talk(sent.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 4").count(), 1, "{lines}: {answer}");
    }
}

#[tokio::test]
async fn a_plain_listener_serves_http1_until_it_is_stopped() {
    let drain = Drain::new();
    let bound = Bound::to(([127, 0, 0, 1], 0).into()).unwrap();
    let address = bound.local_addr();
    let service = Service {
        handler: |_, _| async { Response::new(ReplyBody::full(Bytes::from_static(b"live"))) },
        limits: Arc::new(LimitsConfig::default),
        connections: Arc::new(Semaphore::new(1)),
        guard: drain.guard(),
        workers: Workers::here(),
    };
    let server = tokio::spawn(serve_plain(bound, service));

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut said = vec![0; 15];
    stream.read_exact(&mut said).await.unwrap();

    assert_eq!(said, b"HTTP/1.1 200 OK");
    assert_eq!(drain.finish(DEADLINE).await, Drained::Complete);
    server.await.unwrap();
}
