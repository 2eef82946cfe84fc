//! Upstreams that refuse, reset, stall, cut or flood; bodies that stream; WebSockets.

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::connect;
use crate::harness::{Gateway, Setup, Version, request};

/// A server that reads a head, answers with these bytes, and closes.
async fn misbehaving(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            drop(stream.read(&mut head).await);
            drop(stream.write_all(bytes).await);
        }
    });
    url
}

fn impatient() -> Setup {
    let tables = "[upstream.app]\ntargets = [\"{upstream}\"]\nconnect_timeout = \"1s\"\n\
                  response_timeout = \"300ms\"\nidle_timeout = \"2s\"\n";
    Setup {
        routes: "{ path = \"/*\", upstream = \"app\", auth = \"none\" },".to_owned(),
        tables: tables.to_owned(),
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_does_wrong_is_502_or_504_in_the_sites_shape() {
    let gateway = Gateway::start(impatient()).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for (path, status, code) in
            [("/reset", 502, "upstream_unavailable"), ("/stall", 504, "upstream_timeout")]
        {
            let reply = request("GET", path).send(&mut client).await;
            assert_eq!(reply.status, status, "{path}");
            assert_eq!(reply.json()["code"], code, "{path}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
        }
        let reply = request("GET", "/fine").send(&mut client).await;
        assert_eq!(reply.status, 200, "the gateway goes on");
    }
    gateway.upstream.stop();
    let mut client = gateway.client(Version::H1).await;
    crate::harness::eventually("a refused connection is 502", async || {
        let reply = request("GET", "/x").send(&mut client).await;
        (reply.status == 502).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_from_an_upstream_is_502() {
    let url = misbehaving(b"\0\0\0 this is no HTTP\r\n\r\n").await;
    let routes = format!("{{ path = \"/*\", upstream = \"{url}\", auth = \"none\" }},");
    let gateway = Gateway::start(Setup { routes, ..Setup::default() }).await;

    let reply = request("GET", "/x").send(&mut gateway.client(Version::H2).await).await;

    assert_eq!(
        (reply.status.as_u16(), &reply.json()["code"]),
        (502, &json!("upstream_unavailable"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_cut_never_looks_complete() {
    let url = misbehaving(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789").await;
    let routes = format!("{{ path = \"/*\", upstream = \"{url}\", auth = \"none\" }},");
    let gateway = Gateway::start(Setup { routes, ..Setup::default() }).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let reply = client.try_send(request("GET", "/x").build()).await;
        assert!(reply.is_err(), "{version:?}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_stream_both_ways() {
    let gateway = Gateway::start(impatient()).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let reply = request("GET", "/huge/20000000").send(&mut client).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 20_000_000));
        let body = vec![b'x'; 5_000_000];
        let reply = request("POST", "/echo").body(body).send(&mut client).await;
        assert_eq!(reply.json()["body_bytes"], 5_000_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_of_a_stream_comes_before_its_end() {
    let gateway = Gateway::start(Setup::default()).await;
    let stream = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let ask = http::Request::get("/public/sse").header("host", "localhost");
    let ask = ask.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();

    let mut response = sender.send_request(ask).await.unwrap();
    let frame = tokio::time::timeout(crate::harness::DEADLINE, response.body_mut().frame());

    let data = frame.await.expect("an event in time").unwrap().unwrap().into_data().unwrap();
    assert_eq!(data, "data: one\n\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_tunnelled_once_the_token_is_good() {
    let gateway = Gateway::start(Setup::default()).await;
    gateway.add_user(&["--email", "you@example.com"], "correct horse 1").await;
    let issued = gateway.munjigi(&["token", "issue", "--user", "you@example.com"]).await;
    let token = String::from_utf8(issued.stdout).unwrap().trim().to_owned();
    let open = async |token: Option<&str>| {
        let stream = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
        let mut ask = http::Request::get("wss://localhost/api/ws")
            .header("host", "localhost")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        if let Some(token) = token {
            ask = ask.header("authorization", format!("Bearer {token}"));
        }
        client_async(ask.body(()).unwrap(), stream).await
    };

    let refused = open(None).await;
    assert!(refused.unwrap_err().to_string().contains("401"));
    assert!(gateway.upstream.seen().is_empty());
    let (mut socket, response) = open(Some(&token)).await.unwrap();
    assert_eq!(response.status(), 101);
    for text in ["안녕", "second"] {
        socket.send(Message::text(text)).await.unwrap();
        let echoed = tokio::time::timeout(crate::harness::DEADLINE, socket.next()).await;
        assert_eq!(echoed.expect("an echo in time").unwrap().unwrap(), Message::text(text));
    }
    let seen = gateway.upstream.seen().pop().unwrap();
    assert_eq!(seen["headers"]["x-user-email"], json!(["you@example.com"]));
    socket.close(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_the_upstream_refuses_is_no_tunnel() {
    let gateway = Gateway::start(Setup::default()).await;
    let head = "GET /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
                GET /public/hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    let answer = crate::harness::raw(gateway.address(), &gateway.trust(), head.as_bytes()).await;

    let answer = String::from_utf8_lossy(&answer.unwrap_or_else(|open| open)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("HTTP/1.1 101"), "{answer}");
}
