//! The end of an answer in log and metrics: one line and one count a request, also if the client
//! left.

use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::client::connect;
use crate::harness::gateway::trust;
use crate::harness::{
    Client, DEADLINE, Frames, Process, Setup, Upstream, Version, eventually, kind, request,
};
use crate::lifecycle::plain_get;

/// A gateway as a process, and the file that its access log goes to.
struct Scene {
    process: Process,
    folder: tempfile::TempDir,
    log: PathBuf,
    upstream: Upstream,
}

impl Scene {
    async fn start(routes: &str, tables: &str) -> Self {
        let upstream = Upstream::start().await;
        let folder = tempfile::tempdir().unwrap();
        let (file, log) = (folder.path().join("munjigi.toml"), folder.path().join("access.log"));
        let setup =
            Setup { routes: routes.to_owned(), tables: tables.to_owned(), ..Setup::default() };
        std::fs::write(&file, setup.text(&upstream)).unwrap();
        let process = Process::run_logging(&file, &log).await;
        Self { process, folder, log, upstream }
    }

    fn trust(&self) -> rustls::RootCertStore {
        trust(&self.folder.path().join("certs/dev/ca.pem"))
    }

    async fn client(&self, version: Version) -> Client {
        Client::connect(self.process.address, &self.trust(), version).await
    }

    /// The only line of a path, once it is there.
    async fn line(&self, path: &str) -> Value {
        let line = eventually("the line is written", async || self.lines(path).pop()).await;
        assert_eq!(self.lines(path).len(), 1, "{path}");
        line
    }

    fn lines(&self, path: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        // The last line may be half-written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["path"] == path).collect()
    }

    async fn counted(&self, labels: &str) -> bool {
        let metrics = plain_get(&format!("http://{}/metrics", self.process.admin)).await;
        metrics.lines().any(|line| {
            line.starts_with("munjigi_requests_total")
                && line.contains(labels)
                && line.ends_with(" 1")
        })
    }
}

const OPEN: &str = "{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\" },";

/// A backend that answers each connection with these bytes, and closes it.
async fn backend(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            drop(stream.read(&mut head).await);
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_is_one_line_with_what_the_upstream_had() {
    let scene = Scene::start(OPEN, "").await;
    let post = b"POST /one/stall HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello";
    let mut one = connect(scene.process.address, &scene.trust(), b"http/1.1").await;
    one.write_all(post).await.unwrap();
    let mut two = Frames::connect(scene.process.address, &scene.trust()).await;
    two.get(1, "/two/stall").await;
    eventually("the upstream has both", async || (scene.upstream.seen().len() == 2).then_some(()))
        .await;

    drop(one);
    two.write(kind::RST_STREAM, 0, 1, &8_u32.to_be_bytes()).await;

    for (path, protocol, bytes) in [("/one/stall", "HTTP/1.1", 5), ("/two/stall", "HTTP/2", 0)] {
        let line = scene.line(path).await;
        assert_eq!(line["status"], 499, "{line}");
        assert_eq!(line["end"], "client gone", "{line}");
        assert_eq!(line["upstream_sent"], "all", "{line}");
        assert_eq!((&line["protocol"], &line["bytes_in"]), (&protocol.into(), &bytes.into()));
        assert!(line["head_ms"].is_null(), "{line}");
    }
    let metrics = plain_get(&format!("http://{}/metrics", scene.process.admin)).await;
    let labels = "route=\"/*\",status=\"499\",reason=\"client_gone\"} 2";
    assert!(metrics.contains(labels), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_tells_at_the_end_how_the_answer_ended() {
    let cut = backend("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
    let routes = format!(
        "{{ path = \"/cut\", upstream = \"{cut}\", auth = \"none\" }},\n{OPEN}\n\
         {{ path = \"/mine/*\", upstream = \"{{upstream}}\" }},"
    );
    let tables = "[limits]\nbody_idle_timeout = \"900ms\"\n";
    let scene = Scene::start(&routes, tables).await;
    let mut client = scene.client(Version::H1).await;

    // Whole, with a body each way.
    request("POST", "/whole").body(vec![b'a'; 70_000]).send(&mut client).await;
    let line = scene.line("/whole").await;
    assert_eq!((&line["end"], &line["bytes_in"]), (&"done".into(), &70_000.into()), "{line}");
    assert!(line["bytes_out"].as_u64().unwrap() > 10, "{line}");
    assert!(line["head_ms"].as_f64() <= line["duration_ms"].as_f64(), "{line}");

    // Cut short by the upstream: the head said 200 before.
    drop(client.try_send(request("GET", "/cut").build()).await);
    let mut client = scene.client(Version::H1).await;
    let line = scene.line("/cut").await;
    assert_eq!((&line["status"], &line["end"]), (&200.into(), &"upstream cut".into()), "{line}");
    assert_eq!(line["bytes_out"], 3, "{line}");

    // The client leaves in the midst.
    let mut leaver = connect(scene.process.address, &scene.trust(), b"http/1.1").await;
    leaver.write_all(b"GET /leaves/sse HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(leaver.read(&mut [0; 64]).await.unwrap() > 0);
    assert!(scene.lines("/leaves/sse").is_empty(), "not before its end");
    drop(leaver);
    assert_eq!(scene.line("/leaves/sse").await["end"], "client gone");

    // The client takes nothing.
    let mut deaf = connect(scene.process.address, &scene.trust(), b"http/1.1").await;
    deaf.write_all(b"GET /huge/50000000 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let line = scene.line("/huge/50000000").await;
    assert_eq!((&line["status"], &line["end"]), (&200.into(), &"too slow".into()), "{line}");

    // Its token is revoked.
    let account = r#"{"email": "ann@example.com", "password": "correct horse 1"}"#;
    request("POST", "/auth/signup").json(account).send(&mut client).await;
    let login = request("POST", "/auth/login").json(account).send(&mut client).await.json();
    let token = login["access_token"].as_str().unwrap();
    let mut stream = connect(scene.process.address, &scene.trust(), b"http/1.1").await;
    let head = format!(
        "GET /mine/sse HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
    request("POST", "/auth/logout").bearer(token).send(&mut client).await;
    assert_eq!(scene.line("/mine/sse").await["end"], "revoked");

    for reason in ["upstream_cut", "client_gone", "too_slow", "revoked"] {
        let labels = format!("status=\"200\",reason=\"{reason}\"");
        assert!(scene.counted(&labels).await, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_one_line_at_its_end() {
    let scene = Scene::start(OPEN, "").await;
    let ask = b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut socket = connect(scene.process.address, &scene.trust(), b"http/1.1").await;
    socket.write_all(ask).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }

    scene.process.signal("TERM").await;

    let mut close = [0; 4];
    socket.read_exact(&mut close).await.unwrap();
    assert_eq!(close, [0x88, 2, 0x03, 0xe9], "1001, going away");
    assert!(scene.lines("/ws").is_empty(), "the client may say its goodbye");
    socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).await.unwrap();
    let closed = tokio::time::timeout(DEADLINE, socket.read(&mut [0; 8])).await.unwrap();
    assert_eq!(closed.unwrap(), 0, "the server closes first, with a close_notify");
    let line = scene.line("/ws").await;
    assert_eq!((&line["status"], &line["end"]), (&101.into(), &"drained".into()), "{line}");
    assert!(scene.process.wait().await.success());
}
