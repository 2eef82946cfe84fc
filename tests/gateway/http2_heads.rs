//! Malformed HTTP/2 heads are refused by stream or connection, and nothing of them is forwarded.

use crate::harness::{Frames, Gateway, Setup, Version, kind, request};

/// HPACK's index of `:status: 200` (RFC 7541 appendix A).
const STATUS_200: u8 = 0x88;

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// The end of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Answered { ok: bool },
    Reset,
    GoneAway,
}

/// Sends one request on a connection of its own.
async fn fate(gateway: &Gateway, fields: &[(&str, &str)], body: Option<&[u8]>) -> Fate {
    let mut frames = Frames::connect(gateway.address(), &gateway.trust()).await;
    let block: Vec<u8> =
        fields.iter().flat_map(|(name, value)| Frames::line(name, value)).collect();
    let flags = if body.is_none() { Frames::WHOLE } else { Frames::END_HEADERS };
    frames.write(kind::HEADERS, flags, 1, &block).await;
    if let Some(body) = body {
        // The head alone may have ended the connection.
        frames.write(kind::DATA, Frames::END_STREAM, 1, body).await;
    }
    loop {
        match frames.next().await {
            None => return Fate::GoneAway,
            Some(frame) if frame.kind == kind::GOAWAY => return Fate::GoneAway,
            Some(frame) if frame.kind == kind::RST_STREAM => return Fate::Reset,
            // The status stands before all other fields (RFC 9113 §8.3).
            Some(frame) if frame.kind == kind::HEADERS => {
                return Fate::Answered { ok: frame.payload.first() == Some(&STATUS_200) };
            }
            Some(_) => {}
        }
    }
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
        ("query alone", get("?a=b")),
        ("space before the path", get(" /public/x")),
        ("value begins with a space", and(plain(), "a", " b")),
        ("value ends with a tab", and(plain(), "a", "b\t")),
        ("value is a space", and(plain(), "a", " ")),
        ("host ends with a space", and(plain(), "host", "localhost ")),
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

/// A browser may send each cookie in a line of its own (RFC 9113 §8.2.3).
#[tokio::test(flavor = "multi_thread")]
async fn the_crumbs_of_a_cookie_are_one_line() {
    let gateway = Gateway::start(Setup::default()).await;
    let crumbs: Vec<String> = (0..180).map(|number| format!("crumb-{number}={number}")).collect();
    let cookies = crumbs.iter().fold(plain(), |fields, crumb| and(fields, "cookie", crumb));
    let others = crumbs.iter().fold(plain(), |fields, crumb| and(fields, "x", crumb));

    assert_eq!(fate(&gateway, &cookies, None).await, Fate::Answered { ok: true });
    assert_eq!(fate(&gateway, &others, None).await, Fate::Answered { ok: false });

    let seen = gateway.upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["headers"]["cookie"], serde_json::json!([crumbs.join("; ")]));
}

/// Its library drops trailers' pseudo-headers before we see them: they name nothing.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_change_no_request() {
    let gateway = Gateway::start(Setup::default()).await;
    for (name, value) in [(":path", "/api/x"), (":status", "200"), ("x-user-id", "1"), ("a", " b")]
    {
        let mut frames = Frames::connect(gateway.address(), &gateway.trust()).await;
        let head = but(plain(), ":method", "POST");
        let head: Vec<u8> =
            head.iter().flat_map(|(name, value)| Frames::line(name, value)).collect();
        frames.write(kind::HEADERS, Frames::END_HEADERS, 1, &head).await;
        frames.write(kind::HEADERS, Frames::WHOLE, 1, &Frames::line(name, value)).await;
        frames.next_of(kind::HEADERS).await;

        let seen = gateway.upstream.seen().pop().unwrap();
        assert_eq!(seen["target"], "/public/x", "{name}");
        assert_eq!(seen["headers"].get(name), None, "{name}");
    }
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
