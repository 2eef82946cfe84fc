//! What is malformed in HTTP/2 is refused by stream or connection, and nothing of it is forwarded.

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::harness::DEADLINE;
use crate::harness::Gateway;
use crate::harness::Setup;
use crate::harness::Version;
use crate::harness::client::connect;
use crate::harness::request;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// HPACK's index of `:status: 200` (RFC 7541 appendix A).
const STATUS_200: u8 = 0x88;

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Answered { ok: bool },
    Reset,
    GoneAway,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literal fields with new names, without Huffman (RFC 7541 §6.2.2): any byte may stand there.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "longer texts have another prefix");
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// Sends one request on a connection of its own.
async fn fate(gateway: &Gateway, fields: &[(&str, &str)], body: Option<&[u8]>) -> Fate {
    let mut stream = connect(gateway.address(), &gateway.trust(), b"h2").await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let end = if body.is_none() { END_STREAM } else { 0 };
    bytes.extend(frame(HEADERS, END_HEADERS | end, 1, &block(fields)));
    if let Some(body) = body {
        bytes.extend(frame(DATA, END_STREAM, 1, body));
    }
    stream.write_all(&bytes).await.unwrap();
    let read = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return Fate::GoneAway;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            match head[3] {
                HEADERS => {
                    // The status stands before all other fields (RFC 9113 §8.3).
                    return Fate::Answered { ok: payload.first() == Some(&STATUS_200) };
                }
                RST_STREAM => return Fate::Reset,
                GOAWAY => return Fate::GoneAway,
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("the stream ends")
}

fn get(path: &str) -> Fields<'_> {
    vec![(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
}

fn and<'a>(mut fields: Fields<'a>, name: &'a str, value: &'a str) -> Fields<'a> {
    fields.push((name, value));
    fields
}

fn but<'a>(fields: Fields<'a>, name: &str, value: &'a str) -> Fields<'a> {
    fields.into_iter().map(|(own, old)| (own, if own == name { value } else { old })).collect()
}

fn without<'a>(fields: Fields<'a>, name: &str) -> Fields<'a> {
    fields.into_iter().filter(|(own, _)| *own != name).collect()
}

fn plain() -> Fields<'static> {
    get("/public/x")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_head_is_never_forwarded() {
    let gateway = Gateway::start(Setup::default()).await;
    assert_eq!(fate(&gateway, &plain(), None).await, Fate::Answered { ok: true });
    let before = gateway.upstream.seen().len();
    let late = vec![(":method", "GET"), (":scheme", "https"), ("a", "b"), (":path", "/public/x")];
    for (name, fields) in [
        ("cr in a value", and(plain(), "a", "b\rc")),
        ("lf in a value", and(plain(), "a", "b\nx-user-id: 1")),
        ("nul in a value", and(plain(), "a", "b\0c")),
        ("crlf in a name", and(plain(), "a\r\nx-user-id", "1")),
        ("colon in a name", and(plain(), "a:b", "c")),
        ("space in a name", and(plain(), "x-user-id ", "1")),
        ("upper case in a name", and(plain(), "X-User-Id", "1")),
        ("empty name", and(plain(), "", "1")),
        ("space in the path", get("/public/x HTTP/1.1")),
        ("crlf in the path", get("/public/x\r\nx: y")),
        ("nul in the path", get("/public/x\0")),
        ("no slash", get("public/x")),
        ("empty path", get("")),
        ("space in the method", but(plain(), ":method", "GET /api/x")),
        ("crlf in the method", but(plain(), ":method", "GET\r\n")),
        ("scheme", but(plain(), ":scheme", "ftp")),
        ("path in the scheme", but(plain(), ":scheme", "https://localhost/api?")),
        ("user in the authority", but(plain(), ":authority", "u@localhost")),
        ("path in the authority", but(plain(), ":authority", "localhost/api")),
        ("space in the authority", but(plain(), ":authority", "local host")),
        ("empty authority", but(plain(), ":authority", "")),
        ("authority and host differ", and(plain(), "host", "other.example")),
        ("two hosts", and(and(plain(), "host", "localhost"), "host", "other.example")),
        ("no method", without(plain(), ":method")),
        ("no path", without(plain(), ":path")),
        ("no scheme", without(plain(), ":scheme")),
        ("two paths", and(plain(), ":path", "/public/y")),
        ("two methods", and(plain(), ":method", "POST")),
        ("unknown pseudo-header", and(plain(), ":x-user-id", "1")),
        ("status", and(plain(), ":status", "200")),
        ("late pseudo-header", late),
        ("transfer-encoding", and(plain(), "transfer-encoding", "chunked")),
        ("connection", and(plain(), "connection", "x-user-id")),
        ("keep-alive", and(plain(), "keep-alive", "1")),
        ("proxy-connection", and(plain(), "proxy-connection", "close")),
        ("upgrade", and(plain(), "upgrade", "websocket")),
        ("te", and(plain(), "te", "gzip")),
        ("two lengths", and(and(plain(), "content-length", "0"), "content-length", "9")),
        ("connect", vec![(":method", "CONNECT"), (":authority", "localhost:443")]),
        ("extended connect", and(but(plain(), ":method", "CONNECT"), ":protocol", "websocket")),
    ] {
        let fate = fate(&gateway, &fields, None).await;
        assert_ne!(fate, Fate::Answered { ok: true }, "{name}");
        let seen = gateway.upstream.seen();
        assert_eq!(seen.len(), before, "{name} was forwarded: {:?}", seen.last());
    }
    let mut other = gateway.client(Version::H2).await;
    assert_eq!(request("GET", "/public/x").send(&mut other).await.status, 200);
}

/// Its library cuts a fragment off before we see it; the path that is judged is what is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_is_neither_judged_nor_forwarded() {
    let gateway = Gateway::start(Setup::default()).await;
    assert_eq!(fate(&gateway, &get("/api/x#/public/x"), None).await, Fate::Answered { ok: false });
    assert!(gateway.upstream.seen().is_empty());
    fate(&gateway, &get("/public/x#/../api"), None).await;
    for seen in gateway.upstream.seen() {
        assert_eq!(seen["target"], "/public/x");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_not_the_bodys_completes_nothing() {
    let gateway = Gateway::start(Setup::default()).await;
    let post = || but(plain(), ":method", "POST");
    let good = fate(&gateway, &and(post(), "content-length", "5"), Some(b"hello")).await;
    assert_eq!(good, Fate::Answered { ok: true });
    for (length, body) in [
        ("3", &b"hello"[..]),
        ("9", b"hello"),
        ("0", b"hello"),
        ("+5", b"hello"),
        ("5, 5", b"hello"),
        ("x", b"hello"),
    ] {
        let fate = fate(&gateway, &and(post(), "content-length", length), Some(body)).await;
        assert_ne!(fate, Fate::Answered { ok: true }, "{length}");
    }
    let empty = fate(&gateway, &and(post(), "content-length", "5"), None).await;
    assert_ne!(empty, Fate::Answered { ok: true }, "announced and not sent");
}
