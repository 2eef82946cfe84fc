//! Answers are read in one way, whatever they hold and however they come; hyper's client is the
//! oracle.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer_head::{AnswerHead, Reading};
use super::decoder::Decoder;

/// An answer whose head was read: its status, its fields, and its body as far as it came.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// The end of the body.
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Whole, and another answer may follow.
    Reusable,
    /// Whole.
    Whole,
    Broken,
}

/// Reads what came in parts, until the other end closed.
fn read(parts: &[&[u8]], is_to_head: bool) -> Result<Read, String> {
    let reading = Reading { is_to_head, most_lines: 100 };
    let mut came = BytesMut::new();
    let mut parts = parts.iter();
    let head = loop {
        let head = AnswerHead::take(&mut came, reading).map_err(|error| error.to_string())?;
        if let Some(head) = head {
            break head;
        }
        came.extend_from_slice(parts.next().ok_or("no whole head")?);
    };
    let AnswerHead { status, headers, body: mut decoder, persists, .. } = head;
    let mut body = Vec::new();
    let end = loop {
        match decoder.decode(&mut came) {
            Err(_) => break End::Broken,
            Ok(Some(data)) => body.extend_from_slice(&data),
            Ok(None) if decoder.is_over() => {
                parts.for_each(|part| came.extend_from_slice(part));
                let is_clean = persists && decoder == Decoder::Over && came.is_empty();
                break if is_clean { End::Reusable } else { End::Whole };
            }
            Ok(None) => match parts.next() {
                Some(part) => came.extend_from_slice(part),
                None if decoder.closed().is_err() => break End::Broken,
                None => {}
            },
        }
    };
    Ok(Read { status, headers, body, end })
}

/// A row's name, the start of an answer, its rest, and what is read or what the error names.
type Row =
    (&'static str, &'static str, &'static str, Result<(u16, &'static str, End), &'static str>);

const OK: &str = "HTTP/1.1 200 OK\r\n";

const HEADS: &[Row] = {
    use End::{Broken, Reusable, Whole};
    &[
        ("length", OK, "content-length: 2\r\n\r\nok", Ok((200, "ok", Reusable))),
        ("length 0", OK, "content-length: 0\r\n\r\n", Ok((200, "", Reusable))),
        ("short", OK, "content-length: 3\r\n\r\nok", Ok((200, "ok", Broken))),
        ("extra", OK, "content-length: 1\r\n\r\nok", Ok((200, "o", Whole))),
        (
            "one length twice",
            OK,
            "content-length: 2, 2\r\ncontent-length: 2\r\n\r\nok",
            Ok((200, "ok", Reusable)),
        ),
        (
            "two lengths",
            OK,
            "content-length: 2\r\ncontent-length: 3\r\n\r\nok",
            Err("Content-Length"),
        ),
        ("two in a list", OK, "content-length: 2, 3\r\n\r\nok", Err("Content-Length")),
        ("signed", OK, "content-length: +2\r\n\r\nok", Err("Content-Length")),
        ("hex", OK, "content-length: 0x2\r\n\r\nok", Err("Content-Length")),
        ("no number", OK, "content-length:\r\n\r\nok", Err("Content-Length")),
        ("too large", OK, "content-length: 18446744073709551616\r\n\r\n", Err("Content-Length")),
        ("until close", OK, "\r\nok", Ok((200, "ok", Whole))),
        (
            "chunked",
            OK,
            "transfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            Ok((200, "ok", Reusable)),
        ),
        (
            "both",
            OK,
            "transfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            Ok((200, "ok", Whole)),
        ),
        (
            "chunked said twice",
            OK,
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            Ok((200, "ok", Whole)),
        ),
        ("identity", OK, "transfer-encoding: identity\r\n\r\nok", Ok((200, "ok", Whole))),
        (
            "another coding",
            OK,
            "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            Err("Transfer-Encoding"),
        ),
        ("1.0", "HTTP/1.0 200 OK\r\n", "content-length: 2\r\n\r\nok", Ok((200, "ok", Whole))),
        (
            "1.0, kept",
            "HTTP/1.0 200 OK\r\n",
            "connection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok",
            Ok((200, "ok", Reusable)),
        ),
        (
            "1.0, chunked",
            "HTTP/1.0 200 OK\r\n",
            "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            Err("Transfer-Encoding"),
        ),
        (
            "close",
            OK,
            "connection: x, Close\r\ncontent-length: 2\r\n\r\nok",
            Ok((200, "ok", Whole)),
        ),
        (
            "204",
            "HTTP/1.1 204 No Content\r\n",
            "content-length: 2\r\n\r\n",
            Ok((204, "", Reusable)),
        ),
        (
            "304",
            "HTTP/1.1 304 Not Modified\r\n",
            "transfer-encoding: chunked\r\n\r\n",
            Ok((304, "", Reusable)),
        ),
        (
            "interim",
            "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\n",
            "content-length: 0\r\n\r\n",
            Ok((404, "", Reusable)),
        ),
        (
            "101",
            "HTTP/1.1 101 Switching Protocols\r\n",
            "upgrade: websocket\r\n\r\n",
            Ok((101, "", Whole)),
        ),
        ("folded", OK, "x: a\r\n b\r\n\r\n", Err("invalid")),
        ("bare CR", OK, "x: a\rb\r\n\r\n", Err("invalid")),
        ("blank before the colon", OK, "content-length : 2\r\n\r\nok", Err("invalid")),
        ("NUL", OK, "x: \0\r\n\r\n", Err("invalid")),
        ("2.0", "HTTP/2.0 200 OK\r\n", "\r\n", Err("invalid")),
        ("status 99", "HTTP/1.1 099 No\r\n", "\r\n", Err("status")),
        ("cut", "HTTP/1.1 200", "", Err("no whole head")),
    ]
};

#[test]
fn the_head_says_where_the_body_ends() {
    for (row, start, rest, expected) in HEADS {
        let answer = [*start, *rest].concat();
        match (read(&[answer.as_bytes()], false), expected) {
            (Ok(read), Ok((status, body, end))) => {
                let seen = (read.status.as_u16(), read.body.as_slice(), read.end);
                assert_eq!(seen, (*status, body.as_bytes(), *end), "{row}");
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{row}: {error}"),
            (read, expected) => panic!("{row}: {read:?}, expected: {expected:?}"),
        }
    }
}

#[test]
fn an_answer_to_head_keeps_the_length_and_has_no_body() {
    for (fields, length) in [
        ("content-length: 5\r\n", Some("5")),
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n", None),
        ("transfer-encoding: chunked\r\n", None),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let read = read(&[answer.as_bytes()], true).unwrap();

        let said = read.headers.get("content-length").map(|length| length.to_str().unwrap());
        assert_eq!((said, read.body.len()), (length, 0), "{fields}");
        assert!(!read.headers.contains_key("transfer-encoding"), "{fields}");
    }
}

#[test]
fn only_end_to_end_fields_go_on() {
    let answer = b"HTTP/1.1 200 OK\r\nconnection: x-a, keep-alive, set-cookie\r\nx-a: 1\r\n\
        keep-alive: timeout=5\r\nproxy-authenticate: b\r\nset-cookie: c=1\r\nset-cookie: d=2\r\n\
        X-B: \xff\r\ncontent-length: 0\r\n\r\n";

    let read = read(&[answer], false).unwrap();

    let mut fields: Vec<_> =
        read.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    fields.sort_unstable();
    let cookies: [(&str, &[u8]); 2] = [("set-cookie", b"c=1"), ("set-cookie", b"d=2")];
    assert_eq!(fields, [cookies[0], cookies[1], ("x-b", b"\xff")]);
}

#[test]
fn a_chunked_body_has_one_reading() {
    use End::{Broken, Reusable, Whole};
    let long = format!("2;{}\r\nok\r\n0\r\n\r\n", "x".repeat(17 << 10));
    let rows = [
        ("upper case, zeros", "00A\r\n0123456789\r\n0\r\n\r\n", "0123456789", Reusable),
        ("several", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", Reusable),
        ("extension", "2;a=\"b\";c\r\nok\r\n0;d\r\n\r\n", "ok", Reusable),
        ("blanks", "2 \t\r\nok\r\n0 ;a\r\n\r\n", "ok", Reusable),
        ("extension with LF", "2;a\nok\r\n0\r\n\r\n", "", Broken),
        ("extensions without end", &long, "", Broken),
        ("size with LF", "2\nok\r\n0\r\n\r\n", "", Broken),
        ("no size", "\r\nok\r\n0\r\n\r\n", "", Broken),
        ("blank before the size", " 2\r\nok\r\n0\r\n\r\n", "", Broken),
        ("signed", "+2\r\nok\r\n0\r\n\r\n", "", Broken),
        ("0x", "0x2\r\nok\r\n0\r\n\r\n", "", Broken),
        ("digits after a blank", "2 2\r\nok\r\n0\r\n\r\n", "", Broken),
        ("too large", "10000000000000000\r\nok\r\n", "", Broken),
        ("data too long", "2\r\nokay\r\n0\r\n\r\n", "ok", Broken),
        ("data with LF", "2\r\nok\n0\r\n\r\n", "ok", Broken),
        ("cut in data", "3\r\nok", "ok", Broken),
        ("cut before the end", "2\r\nok\r\n", "ok", Broken),
        ("cut in the end", "2\r\nok\r\n0\r\n", "ok", Broken),
        ("trailers", "2\r\nok\r\n0\r\nx-user-id: 7\r\n\r\n", "ok", Whole),
        ("end with LF", "2\r\nok\r\n0\r\n\nHTTP/1.1 200 OK\r\n\r\n", "ok", Whole),
        ("more after it", "2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "ok", Whole),
    ];
    for (row, chunks, body, end) in rows {
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        let read = read(&[answer.as_bytes()], false).unwrap();

        assert_eq!(
            (String::from_utf8(read.body).unwrap().as_str(), read.end),
            (body, end),
            "{row}"
        );
    }
}

/// An answer, mostly well-formed.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let start = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 \r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 x\r\n",
    ]);
    let field = prop::sample::select(vec![
        "content-length: 2\r\n",
        "content-length: 3\r\n",
        "content-length: 2,2\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "transfer-encoding: x, chunked\r\n",
        "connection: close\r\n",
        "connection: keep-alive\r\n",
        "x: y\r\n",
        "set-cookie: a=b\r\n",
        "x:\t y \r\n",
        "x y: z\r\n",
        "x: a\n",
    ]);
    let body = prop::sample::select(vec![
        "ok",
        "oks",
        "2\r\nok\r\n0\r\n\r\n",
        "2;a=b\r\nok\r\n1\r\ns\r\n0\r\n\r\n",
        "2\r\nok\r\n0\r\nx: y\r\n\r\n",
        "2\r\nok\r\n",
        "",
    ]);
    let bytes = (start, prop::collection::vec(field, 0..4), body);
    let bytes =
        bytes.prop_map(|(start, fields, body)| [start, &fields.concat(), "\r\n", body].concat());
    let fault = (any::<prop::sample::Index>(), prop::sample::select(b"\r\n\t :;0a\xff\0".to_vec()));
    (bytes, prop::collection::vec((fault, any::<bool>()), 0..3)).prop_map(|(text, faults)| {
        let mut bytes = text.into_bytes();
        for ((at, byte), inserts) in faults {
            let at = at.index(bytes.len());
            if inserts {
                bytes.insert(at, byte);
            } else {
                bytes[at] = byte;
            }
        }
        bytes
    })
}

/// As hyper's client reads it.
fn oracle(answer: &[u8], is_to_head: bool) -> Result<(StatusCode, Vec<u8>, bool), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(64 << 10);
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
        tokio::spawn(driver.with_upgrades());
        let method = if is_to_head { "HEAD" } else { "GET" };
        let request = Request::builder().method(method).uri("/").header("host", "a");
        let sent = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
        let answering = async {
            // Bytes that come before the request are no answer to it.
            far.read_u8().await.unwrap();
            far.write_all(answer).await.unwrap();
            far.shutdown().await.unwrap();
        };
        let (response, ()) = tokio::join!(sent, answering);
        let response = response.map_err(|error| error.to_string())?;
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let mut is_whole = true;
        while let Some(frame) = body.frame().await {
            match frame.map(|frame| frame.into_data()) {
                Ok(Ok(data)) => bytes.extend_from_slice(&data),
                Ok(Err(_trailers)) => {}
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        Ok::<_, String>((parts.status, bytes, is_whole))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_an_answer_gives_the_same_reading(
        answer in answer(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len())).collect();
        cuts.extend([0, answer.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &answer[cut[0]..cut[1]]).collect();

        prop_assert_eq!(read(&parts, false).ok(), read(&[&answer], false).ok());
    }

    #[test]
    fn what_hyper_refuses_is_refused_and_what_it_reads_is_read_alike(
        answer in answer(),
        is_to_head in any::<bool>(),
    ) {
        let text = String::from_utf8_lossy(&answer);
        match (read(&[&answer], is_to_head), oracle(&answer, is_to_head)) {
            (Err(_), Err(_)) => {}
            // hyper takes off a coding that it does not know, or reads until the end; and it does
            // not look at lengths that do not matter.
            (Err(error), Ok(_)) => prop_assert!(
                error.contains("Transfer-Encoding") || error.contains("Content-Length"),
                "{error}: {text:?}"
            ),
            (Ok(read), Err(error)) => prop_assert!(false, "{read:?}, but: {error}: {text:?}"),
            (Ok(read), Ok((status, body, is_whole))) => {
                prop_assert_eq!((read.status, &read.body), (status, &body), "{:?}", text);
                // hyper reads trailers, which are nothing here: the connection ends before them.
                let agree = is_whole == (read.end != End::Broken) || read.end == End::Whole;
                prop_assert!(agree, "{read:?}, hyper: {is_whole}: {text:?}");
            }
        }
    }
}
