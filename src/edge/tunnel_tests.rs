//! WebSocket through the edge: opened by the upstream's 101 alone, ended by the stop signal.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::drain::Drained;
use crate::edge::test_rig::{Backend, DEADLINE, Rig, Settings, read_head, read_to_end};

const ASK: &[u8] = b"GET /socket HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

type Tls = TlsStream<TcpStream>;

async fn open(stream: Tls) -> (WebSocketStream<Tls>, Response) {
    Box::pin(tokio_tungstenite::client_async("ws://localhost/socket", stream)).await.unwrap()
}

async fn echo() -> Backend {
    Backend::start(|stream, _| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn messages_pass_both_ways() {
    let backend = echo().await;
    let rig = Rig::start(Settings::new(backend.address));
    let stream = rig.tls("http/1.1").await;

    let (mut socket, response) = open(stream).await;
    socket.send(Message::text("hello")).await.unwrap();
    let said = socket.next().await.unwrap().unwrap();

    assert_eq!(response.status(), 101);
    assert_eq!(said, Message::text("hello"));
}

#[tokio::test]
async fn a_client_is_told_that_the_gateway_goes_away_and_heard_out() {
    let backend = echo().await;
    let rig = Rig::start(Settings::new(backend.address));
    let stream = rig.tls("http/1.1").await;
    let (mut socket, _) = open(stream).await;
    socket.send(Message::text("hello")).await.unwrap();
    socket.next().await.unwrap().unwrap();

    let talk = async { (socket.next().await.unwrap().unwrap(), socket.next().await.is_none()) };
    let (drained, (said, closed)) = tokio::join!(rig.drain.finish(DEADLINE), talk);

    assert_eq!(drained, Drained::Complete);
    let Message::Close(Some(frame)) = said else { panic!("{said:?}") };
    assert_eq!(frame.code, CloseCode::Away);
    assert!(closed, "with a close_notify: an error otherwise");
}

#[tokio::test]
async fn a_tunnel_that_idles_is_closed() {
    let backend = echo().await;
    let mut settings = Settings::new(backend.address);
    settings.upstream.idle_timeout = Duration::from_millis(200);
    let rig = Rig::start(settings);
    let stream = rig.tls("http/1.1").await;
    let (mut socket, _) = open(stream).await;

    let ended = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();

    assert!(ended.is_none_or(|message| message.is_err()));
}

#[tokio::test]
async fn a_refused_upgrade_is_not_tunnelled() {
    let backend = Backend::start(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let asked = head.contains("upgrade: websocket");
            let said: &[u8] = if asked {
                b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno"
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain"
            };
            stream.write_all(said).await.unwrap();
        }
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));
    let hidden = b"GET /hidden HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    let answer = rig.talk(&[ASK, hidden].concat()).await;

    // The bytes after a refused upgrade are the client's next request, and are handled as one.
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.ends_with("plain"), "{answer}");
}

#[tokio::test]
async fn other_upgrades_and_half_asked_ones_are_stripped() {
    let backend = Backend::echoing_heads().await;
    let rig = Rig::start(Settings::new(backend.address));
    let ask = String::from_utf8(ASK.to_vec()).unwrap();

    let rows = [
        ("h2c", ask.replace("upgrade: websocket", "upgrade: h2c")),
        ("two", ask.replace("upgrade: websocket", "upgrade: websocket, h2c")),
        ("not named", ask.replace("connection: Upgrade", "connection: keep-alive")),
        ("post", ask.replace("GET", "POST")),
    ];
    for (row, ask) in rows {
        let mut stream = rig.tls("http/1.1").await;
        let last = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(format!("{ask}{last}").as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{row}: {answer}");
        assert!(!answer.contains("upgrade: "), "{row}: {answer}");
    }
}

#[tokio::test]
async fn bytes_sent_early_reach_the_backend_only_after_its_101() {
    let backend = Backend::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        let mut early = [0; 1];
        let none = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut early)).await;
        assert!(none.is_err(), "bytes came before the 101");
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                  connection: upgrade\r\n\r\n",
            )
            .await
            .unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));

    let answer = rig.talk(&[ASK, b"early"].concat()).await;

    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("early"), "{answer}");
}
