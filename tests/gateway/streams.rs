//! Streams end with their token: WebSockets, events, downloads, uploads.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

use crate::harness::client::connect;
use crate::harness::{
    DEADLINE, Frames, Gateway, Setup, Upstream, Version, eventually, kind, request,
};
use crate::redis::RedisServer;

/// Close, two bytes long, 1008.
const POLICY_VIOLATION: [u8; 4] = [0x88, 2, 0x03, 0xf0];

/// CANCEL (RFC 9113 §7).
const CANCEL: u32 = 8;

/// A backend whose every byte the test writes.
struct Backend {
    url: String,
    asked: mpsc::Receiver<TcpStream>,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, asked) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                until(&mut stream, "\r\n\r\n").await;
                if sender.send(stream).await.is_err() {
                    return;
                }
            }
        });
        Self { url, asked }
    }

    /// The next request, its head read.
    async fn next(&mut self) -> TcpStream {
        tokio::time::timeout(DEADLINE, self.asked.recv()).await.unwrap().unwrap()
    }
}

/// A gateway whose `/streams/*` is a [`Backend`].
struct Scene {
    gateway: Gateway,
    backend: Backend,
}

/// One end of the gateway and the other.
struct Open {
    client: TlsStream<TcpStream>,
    backend: TcpStream,
}

impl Scene {
    async fn start(tables: &str) -> Self {
        let (backend, upstream) = (Backend::start().await, Upstream::start().await);
        let routes = "{ path = \"/streams/*\", upstream = \"BACKEND\" },\n\
                      { path = \"/maybe/*\", upstream = \"BACKEND\", auth = \"optional\" },\n\
                      { path = \"/*\", upstream = \"{upstream}\" },";
        let routes = routes.replace("BACKEND", &backend.url);
        let setup = Setup { routes, tables: tables.to_owned(), ..Setup::default() };
        let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
        let text = setup.text(&upstream);
        Self { gateway: Gateway::start_in(folder, &text, upstream).await, backend }
    }

    /// A new session of an account, which is made where it is not there.
    async fn login(&self, name: &str) -> String {
        let account =
            format!(r#"{{"email": "{name}@example.com", "password": "correct horse 1"}}"#);
        let mut client = self.gateway.client(Version::H1).await;
        request("POST", "/auth/signup").json(&account).send(&mut client).await;
        let reply = request("POST", "/auth/login").json(&account).send(&mut client).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn status(&self, token: &str) -> u16 {
        let mut client = self.gateway.client(Version::H1).await;
        request("GET", "/api/hello").bearer(token).send(&mut client).await.status.as_u16()
    }

    async fn logout(&self, token: &str) {
        let mut client = self.gateway.client(Version::H1).await;
        let reply = request("POST", "/auth/logout").bearer(token).send(&mut client).await;
        assert_eq!(reply.status, 200);
    }

    /// Sends a request, to which the backend answers so; the end of that has come to the client.
    async fn open(&mut self, token: &str, rest: &str, answer: &str, end: &str) -> Open {
        let mut client = connect(self.gateway.address(), &self.gateway.trust(), b"http/1.1").await;
        let credentials = match token {
            "" => String::new(),
            _ => format!("authorization: Bearer {token}\r\n"),
        };
        let (line, more) = rest.split_once("\r\n").unwrap();
        let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{credentials}{more}");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut backend = self.backend.next().await;
        backend.write_all(answer.as_bytes()).await.unwrap();
        until(&mut client, end).await;
        Open { client, backend }
    }

    async fn events(&mut self, token: &str) -> Open {
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        self.open(token, "GET /streams/events\r\n\r\n", answer, "first\r\n").await
    }

    async fn download(&mut self, token: &str) -> Open {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nfirst";
        self.open(token, "GET /streams/file\r\n\r\n", answer, "first").await
    }

    async fn websocket(&mut self, token: &str) -> Open {
        let ask = "GET /streams/ws\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZQ==\r\n\r\n";
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                      upgrade: websocket\r\n\r\n";
        self.open(token, ask, answer, "\r\n\r\n").await
    }

    /// A request whose body began and goes on.
    async fn upload(&mut self, token: &str) -> Open {
        let ask = "POST /streams/file\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        let mut open = self.open(token, ask, "", "").await;
        until(&mut open.backend, "first\r\n").await;
        open
    }
}

impl Open {
    /// Goes on: more of the answer passes.
    async fn lives(mut self) {
        self.backend.write_all(b"4\r\nmore\r\n").await.unwrap();
        until(&mut self.client, "4\r\nmore\r\n").await;
    }

    /// Ends in its midst, for the backend too.
    async fn ends_incomplete(mut self) {
        let rest = to_end(&mut self.client).await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        assert!(to_end(&mut self.backend).await.is_empty());
    }

    /// The client is told 1008, and nothing of what it says reaches the backend.
    async fn ends_with_policy_violation(mut self) {
        let mut told = [0; 4];
        read_exact(&mut self.client, &mut told).await;
        assert_eq!(told, POLICY_VIOLATION);
        drop(self.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await);
        assert!(to_end(&mut self.client).await.is_empty());
        assert!(to_end(&mut self.backend).await.is_empty());
    }

    /// The client gets the site's 401, and the backend sees that the body is not whole.
    async fn gets_a_401(mut self) {
        let answer = until(&mut self.client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(to_end(&mut self.backend).await.is_empty());
    }
}

/// Reads until the text ends so.
async fn until(stream: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        read_exact(stream, &mut byte).await;
        text.extend(byte);
    }
    String::from_utf8_lossy(&text).into_owned()
}

async fn read_exact(stream: &mut (impl AsyncReadExt + Unpin), bytes: &mut [u8]) {
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(bytes)).await;
    read.expect("it comes in time").expect("it comes before the end");
}

/// Reads to the end, however it comes.
async fn to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    drop(read.expect("it ends in time"));
    rest
}

fn claim(token: &str, name: &str) -> serde_json::Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<serde_json::Value>(&claims).unwrap()[name].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_every_stream_of_the_session_and_no_other() {
    let mut scene = Scene::start("").await;
    let (token, other) = (scene.login("you").await, scene.login("you").await);
    let events = scene.events(&token).await;
    let download = scene.download(&token).await;
    let websocket = scene.websocket(&token).await;
    let upload = scene.upload(&token).await;
    let theirs = scene.events(&other).await;
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let nobodys = scene.open("", "GET /maybe/events\r\n\r\n", answer, "first\r\n").await;

    scene.logout(&token).await;

    events.ends_incomplete().await;
    download.ends_incomplete().await;
    websocket.ends_with_policy_violation().await;
    upload.gets_a_401().await;
    theirs.lives().await;
    nobodys.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_stream_is_reset_and_the_others_of_its_connection_go_on() {
    let mut scene = Scene::start("").await;
    let tokens = [scene.login("you").await, scene.login("you").await];
    let mut frames = Frames::connect(scene.gateway.address(), &scene.gateway.trust()).await;
    let mut backends = Vec::new();
    for (stream, token) in [1, 3].into_iter().zip(&tokens) {
        let line = Frames::line("authorization", &format!("Bearer {token}"));
        let head = [Frames::head("/streams/events"), line].concat();
        assert!(frames.write(kind::HEADERS, Frames::WHOLE, stream, &head).await);
        let mut backend = scene.backend.next().await;
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        backend.write_all(answer).await.unwrap();
        let data = frames.next_of(kind::DATA).await.unwrap();
        assert_eq!((data.stream, data.payload.as_slice()), (stream, b"first".as_slice()));
        backends.push(backend);
    }

    scene.logout(&tokens[0]).await;

    let reset = frames.next_of(kind::RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.number(0)), (1, CANCEL));
    backends[1].write_all(b"4\r\nmore\r\n").await.unwrap();
    let data = frames.next_of(kind::DATA).await.unwrap();
    assert_eq!((data.stream, data.payload.as_slice()), (3, b"more".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_streams_at_the_other_gateway() {
    let redis = RedisServer::start().await;
    let tables = format!("[store]\nurl = \"{}\"\ntimeout = \"10s\"\n", redis.url());
    let (here, mut there) = (Scene::start(&tables).await, Scene::start(&tables).await);
    let (token, other) = (here.login("you").await, here.login("you").await);
    let events = there.events(&token).await;
    let websocket = there.websocket(&token).await;
    let theirs = there.events(&other).await;

    here.logout(&token).await;

    events.ends_incomplete().await;
    websocket.ends_with_policy_violation().await;
    theirs.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_ends_streams() {
    let mut scene = Scene::start("").await;
    let stranger = scene.login("stranger").await;
    let theirs = scene.events(&stranger).await;
    for what in ["token", "session", "user"] {
        let token = scene.login("you").await;
        let session = claim(&token, "sid");
        let name = match what {
            "token" => token.as_str(),
            "session" => session.as_str().unwrap(),
            _ => "you@example.com",
        };
        let websocket = scene.websocket(&token).await;

        let output = scene.gateway.munjigi(&["revoke", what, name]).await;

        assert!(output.status.success(), "{output:?}");
        websocket.ends_with_policy_violation().await;
    }
    theirs.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_their_token_expires() {
    let mut scene = Scene::start("[site.\"localhost\".tokens]\naccess_ttl = \"2s\"\n").await;
    let token = scene.login("you").await;
    let events = scene.events(&token).await;
    let websocket = scene.websocket(&token).await;
    let upload = scene.upload(&token).await;

    websocket.ends_with_policy_violation().await;
    assert_eq!(scene.status(&token).await, 401, "not before its time");
    events.ends_incomplete().await;
    upload.gets_a_401().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_lets_streams_outlive_their_token_but_no_revocation() {
    let tables = "[revocation]\nclose_streams = \"revoked\"\n\
                  [site.\"localhost\".tokens]\naccess_ttl = \"1s\"\n";
    let mut scene = Scene::start(tables).await;
    let token = scene.login("you").await;
    let (events, websocket) = (scene.events(&token).await, scene.websocket(&token).await);
    eventually("the token expires", async || (scene.status(&token).await == 401).then_some(()))
        .await;
    events.lives().await;

    let session = claim(&token, "sid");
    let output = scene.gateway.munjigi(&["revoke", "session", session.as_str().unwrap()]).await;

    assert!(output.status.success(), "{output:?}");
    websocket.ends_with_policy_violation().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn off_ends_nothing() {
    let tables = "[revocation]\nclose_streams = \"off\"\n\
                  [site.\"localhost\".tokens]\naccess_ttl = \"1s\"\n";
    let mut scene = Scene::start(tables).await;
    let (revoked, expired) = (scene.login("you").await, scene.login("you").await);
    let (one, two) = (scene.events(&revoked).await, scene.events(&expired).await);

    scene.logout(&revoked).await;

    assert_eq!(scene.status(&revoked).await, 401);
    eventually("the token expires", async || (scene.status(&expired).await == 401).then_some(()))
        .await;
    one.lives().await;
    two.lives().await;
}

/// The first part of a text in parts, of 1000 bytes, of which the client has so many.
async fn in_a_fragment(websocket: &mut Open, come: usize) {
    let frame = [&[0x01, 126, 0x03, 0xe8], vec![b'a'; come].as_slice()].concat();
    websocket.backend.write_all(&frame).await.unwrap();
    let mut seen = vec![0; frame.len()];
    read_exact(&mut websocket.client, &mut seen).await;
    assert_eq!(seen, frame);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_closed_between_two_frames_of_a_message() {
    let mut scene = Scene::start("").await;
    let token = scene.login("you").await;
    let mut websocket = scene.websocket(&token).await;
    in_a_fragment(&mut websocket, 400).await;

    scene.logout(&token).await;
    drop(websocket.client.write_all(b"unheard").await);
    let rest = vec![b'b'; 600];
    let next = [0x00, 126, 0x03, 0xe8, b'c', b'c'];
    websocket.backend.write_all(&[rest.as_slice(), &next].concat()).await.unwrap();

    let mut seen = vec![0; 600];
    read_exact(&mut websocket.client, &mut seen).await;
    assert_eq!(seen, rest, "the frame under way is whole");
    websocket.ends_with_policy_violation().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_whose_frame_does_not_end_is_cut_after_a_second() {
    let mut scene = Scene::start("").await;
    let token = scene.login("you").await;
    let mut websocket = scene.websocket(&token).await;
    in_a_fragment(&mut websocket, 400).await;

    scene.logout(&token).await;
    let before = Instant::now();
    websocket.ends_incomplete().await;

    let waited = before.elapsed();
    assert!(waited > Duration::from_millis(800) && waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_and_ended_streams_are_counted() {
    let mut scene = Scene::start("").await;
    let token = scene.login("you").await;
    let events = scene.events(&token).await;
    let admin = format!("http://{}/metrics", scene.gateway.app().admin().unwrap());
    let metric = async |begin: &str| {
        let output = tokio::process::Command::new("curl").args(["-sS", &admin]).output().await;
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(begin))?.trim().to_owned();
        value.parse::<f64>().ok().filter(|value| *value > 0.0)
    };
    eventually("an open stream is shown", async || metric("munjigi_streams ").await).await;

    scene.logout(&token).await;
    events.ends_incomplete().await;

    let ended = "munjigi_streams_ended_total{reason=\"revoked\"} ";
    eventually("an ended stream is counted", async || metric(ended).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_revocation_reaches_nobody() {
    let mut scene = Scene::start("").await;
    let token = scene.login("you").await;
    let mut download = scene.download(&token).await;

    scene.logout(&token).await;
    // The gateway has hung up, or it does not pass it on.
    drop(download.backend.write_all(&vec![b'x'; 500_000]).await);

    download.ends_incomplete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_its_client_does_not_take_ends_too() {
    let mut scene = Scene::start("").await;
    let token = scene.login("you").await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\nfirst";
    let mut download = scene.open(&token, "GET /streams/file\r\n\r\n", answer, "first").await;
    let full = async { while download.backend.write(&[b'x'; 65_536]).await.is_ok() {} };
    let full = tokio::time::timeout(Duration::from_millis(500), full).await;
    assert!(full.is_err(), "every buffer on the way is full");

    scene.logout(&token).await;

    assert!(to_end(&mut download.backend).await.is_empty());
}
