//! SIGTERM: every kind of connection is told that it ends, and the process ends with zero.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::client::connect;
use crate::harness::gateway::trust;
use crate::harness::{DEADLINE, Frames, Setup, Version, eventually, kind, request};
use crate::lifecycle::{Running, plain_get, start};

/// A process whose upstream has a second and a half for an answer.
async fn open() -> Running {
    let tables = "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
                  shutdown_grace = \"15s\"\n[upstream.slow]\ntargets = [\"{upstream}\"]\n\
                  response_timeout = \"1500ms\"\n"
        .to_owned();
    let routes = "{ path = \"/*\", upstream = \"slow\", auth = \"none\" },".to_owned();
    start(&Setup { tables, routes, ..Setup::default() }).await
}

/// Sends SIGTERM, and waits until the process has taken notice.
async fn terminate(running: &Running) {
    running.process.signal("TERM").await;
    let ready = format!("http://{}/readyz", running.process.admin);
    eventually("it says that it is stopping", async || {
        (!plain_get(&ready).await.contains("200 OK")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_websocket_ends_with_the_process() {
    let running = open().await;
    let trust = trust(&running.folder.path().join("certs/dev/ca.pem"));
    let stream = connect(running.process.address, &trust, b"http/1.1").await;
    let (mut socket, _) =
        tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let begun = Instant::now();

    running.process.signal("TERM").await;

    let end = tokio::time::timeout(DEADLINE, socket.next()).await.expect("the tunnel ends");
    let Some(Ok(Message::Close(Some(frame)))) = end else { panic!("{end:?}") };
    assert_eq!(frame.code, CloseCode::Away);
    let closed = tokio::time::timeout(DEADLINE, socket.next()).await.expect("it is closed");
    assert!(closed.is_none(), "with a close_notify: {closed:?}");
    assert_eq!(running.process.wait().await.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_told_by_goaway_and_a_stream_under_way_is_answered() {
    let running = open().await;
    let trust = trust(&running.folder.path().join("certs/dev/ca.pem"));
    let mut idle = Frames::connect(running.process.address, &trust).await;
    idle.get(1, "/x").await;
    idle.next_of(kind::DATA).await.unwrap();
    let mut busy = Frames::connect(running.process.address, &trust).await;
    busy.get(1, "/stall").await;
    eventually("the upstream has both", async || {
        (running.upstream.seen().len() == 2).then_some(())
    })
    .await;

    running.process.signal("TERM").await;

    assert_eq!(idle.end().await, Some(0));
    let told = busy.next_of(kind::GOAWAY).await.unwrap();
    assert_eq!(told.number(4), 0);
    let answered = busy.next_of(kind::HEADERS).await.expect("the answer comes after the GOAWAY");
    assert_eq!(answered.stream, 1);
    busy.end().await;
    assert_eq!(running.process.wait().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http1_answer_says_connection_close() {
    let running = open().await;
    let mut client = running.client(Version::H1).await;
    assert_eq!(request("GET", "/x").send(&mut client).await.header("connection"), "");
    let in_flight = tokio::spawn(async move {
        let reply = request("GET", "/stall").send(&mut client).await;
        (reply, client)
    });
    eventually("the upstream has it", async || (running.upstream.seen().len() == 2).then_some(()))
        .await;

    terminate(&running).await;

    let (reply, mut client) = in_flight.await.unwrap();
    assert_eq!(reply.status, 504);
    assert_eq!(reply.header("connection"), "close");
    assert!(client.try_send(request("GET", "/x").build()).await.is_err(), "it was served again");
    assert_eq!(running.process.wait().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lasts_beyond_the_grace_is_cut() {
    let tables = "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
                  shutdown_grace = \"500ms\"\n"
        .to_owned();
    let running = start(&Setup { tables, ..Setup::default() }).await;
    let mut client = running.client(Version::H1).await;
    let in_flight =
        tokio::spawn(async move { client.try_send(request("GET", "/public/sse").build()).await });
    eventually("the upstream has it", async || (!running.upstream.seen().is_empty()).then_some(()))
        .await;

    running.process.signal("TERM").await;

    assert!(in_flight.await.unwrap().is_err(), "a cut answer looks complete");
    running.process.wait().await;
}
