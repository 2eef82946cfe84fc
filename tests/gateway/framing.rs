//! A forwarded request has exactly one reading by RFC 9112; ambiguity ends the connection.

use crate::harness::{Gateway, Setup, Version, eventually, raw, request};
use crate::lifecycle::plain_get;

/// A request that must never be seen by the upstream.
const HIDDEN: &str = "GET /public/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends bytes followed by a hidden request; gives the first status of each answer.
async fn statuses(gateway: &Gateway, bytes: &str) -> Vec<u16> {
    let bytes = format!("{bytes}{HIDDEN}");
    let answer = raw(gateway.address(), &gateway.trust(), bytes.as_bytes()).await;
    let answer = answer.unwrap_or_else(|open| {
        panic!("the connection stays open after {bytes:?}: {}", String::from_utf8_lossy(&open))
    });
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let answers = answer.split("HTTP/1.1 ").skip(1);
    answers.map(|answer| answer[..3].parse().unwrap()).collect()
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /public/x HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_framing_is_400_and_the_end_of_the_connection() {
    let gateway = Gateway::start(Setup::default()).await;
    let chunk = "5\r\nhello\r\n0\r\n\r\n";
    let cases = [
        ("te xchunked", post("Transfer-Encoding: xchunked", chunk)),
        ("te in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunk)),
        ("te twice chunked", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunk)),
        ("te list", post("Transfer-Encoding: identity, chunked", chunk)),
        ("te gzip, chunked", post("Transfer-Encoding: gzip, chunked", chunk)),
        ("te chunked, identity", post("Transfer-Encoding: chunked, identity", chunk)),
        ("te quoted", post("Transfer-Encoding: \"chunked\"", chunk)),
        ("te with parameter", post("Transfer-Encoding: chunked;q=1", chunk)),
        ("te with a comma", post("Transfer-Encoding: ,chunked", chunk)),
        ("te with vertical tab", post("Transfer-Encoding: \x0bchunked", chunk)),
        ("te space before colon", post("Transfer-Encoding : chunked", chunk)),
        ("te folded", post("Transfer-Encoding:\r\n chunked", chunk)),
        ("cl differing", post("Content-Length: 5\r\nContent-Length: 6", "hello")),
        ("cl list", post("Content-Length: 5, 6", "hello")),
        ("cl plus", post("Content-Length: +5", "hello")),
        ("cl minus", post("Content-Length: -1", "hello")),
        ("cl hex", post("Content-Length: 0x5", "hello")),
        ("cl empty", post("Content-Length:", "hello")),
        ("cl float", post("Content-Length: 5.0", "hello")),
        ("cl trailing comma", post("Content-Length: 5,", "hello")),
        ("cl nul", post("Content-Length: 5\0", "hello")),
        ("cl inner space", post("Content-Length: 1 5", "hello")),
        ("cl same list", post("Content-Length: 5, 5", "hello")),
        ("te trailing comma", post("Transfer-Encoding: chunked,", chunk)),
        ("te empty", post("Transfer-Encoding:", chunk)),
        ("te non-breaking space", post("Transfer-Encoding: \u{a0}chunked", chunk)),
        ("te apostrophes", post("Transfer-Encoding: 'chunked'", chunk)),
        ("te cow", post("Transfer-Encoding: cow", chunk)),
        ("cl 2^64", post("Content-Length: 18446744073709551616", "hello")),
        ("no path", "GET ?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("te in 1.0", "POST /public/x HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        ("no host", "GET /public/x HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET /public/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".to_owned()),
        ("host with space", "GET /public/x HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned()),
        ("host with slash", "GET /public/x HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        ("host with user", "GET /public/x HTTP/1.1\r\nHost: u@localhost\r\n\r\n".to_owned()),
        ("host with bad port", "GET /public/x HTTP/1.1\r\nHost: localhost:x\r\n\r\n".to_owned()),
        ("absolute-form of another host", "GET https://evil.example/public/x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("nul in a value", "GET /public/x HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n".to_owned()),
        ("no colon", "GET /public/x HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n".to_owned()),
        ("space in a name", "GET /public/x HTTP/1.1\r\nHost: localhost\r\nX Y: z\r\n\r\n".to_owned()),
        ("tab in the request line", "GET\t/public/x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
    ];
    for (name, bytes) in cases {
        let statuses = statuses(&gateway, &bytes).await;

        assert_eq!(statuses, [400], "{name}");
        assert!(gateway.upstream.seen().is_empty(), "{name}: {:?}", gateway.upstream.seen());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_length_beside_chunked_hides_no_request() {
    let gateway = Gateway::start(Setup::default()).await;
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
    ] {
        let statuses = statuses(&gateway, &post(headers, "0\r\n\r\n")).await;

        assert_eq!(statuses, [200], "{headers}");
        let hidden = gateway.upstream.seen().iter().any(|seen| seen["target"] == "/public/hidden");
        assert!(!hidden, "{headers}");
    }
}

/// RFC 9112 §7: the names of codings have no case.
#[tokio::test(flavor = "multi_thread")]
async fn chunked_is_chunked_in_any_case_and_others_may_follow() {
    let gateway = Gateway::start(Setup::default()).await;
    let last = "GET /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for coding in ["chunked", "Chunked", "CHUNKED"] {
        for chunk in ["5\r\nhello\r\n0\r\n\r\n", "05 ; a=\"b\"\r\nhello\r\n000\r\n\r\n"] {
            let first = post(&format!("Transfer-Encoding: {coding}"), chunk);
            let bytes = format!("{first}{last}");
            let answer = raw(gateway.address(), &gateway.trust(), bytes.as_bytes()).await.unwrap();

            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{coding} {chunk:?}: {answer}");
            assert!(answer.contains("\"body_bytes\":5"), "{coding} {chunk:?}: {answer}");
        }
    }
}

/// A parser that takes a bare LF for a line's end sees another request there than one that does
/// not.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_after_a_body_with_trailers() {
    let gateway = Gateway::start(Setup::default()).await;
    let swallowed =
        format!("POST /public/y HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", HIDDEN.len());
    let login = r#"{"email": "nobody@example.com", "password": "correct horse 1"}"#;
    for (path, body) in [("/public/x", "hello"), ("/auth/login", login), ("/api/x", "hello")] {
        for trailers in [
            "X: a\r\n\r\n",
            "X: a\n\r\n",
            "X: a\nY: b\r\n\r\n",
            "\n\r\n",
            &format!("\n{swallowed}"),
            &format!("X: a\n\n{swallowed}"),
            &format!("X: a\r\n\n{swallowed}"),
            "X: a\rY: b\r\n\r\n",
            "\rX: a\r\n\r\n",
            "X: a\0b\r\n\r\n",
            "X\0: a\r\n\r\n",
            " X: a\r\n\r\n",
            "X : a\r\n\r\n",
            "no colon\r\n\r\n",
        ] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
            );
            let bytes = format!("{head}{:x}\r\n{body}\r\n0\r\n{trailers}", body.len());
            let statuses = statuses(&gateway, &bytes).await;

            assert_eq!(statuses.len(), 1, "{path} {trailers:?}: {statuses:?}");
        }
    }
    for seen in gateway.upstream.seen() {
        assert_eq!(seen["target"], "/public/x");
        assert_eq!(seen["headers"].get("x"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chunk_ends_everything() {
    let gateway = Gateway::start(Setup::default()).await;
    for chunk in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0_5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "\0\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\0\r\nhello\r\n0\r\n\r\n",
        "5;a\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0;a\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
    ] {
        let bytes = post("Transfer-Encoding: chunked", chunk);
        let statuses = statuses(&gateway, &bytes).await;

        assert!(statuses.len() <= 1 && !statuses.contains(&200), "{chunk:?}: {statuses:?}");
        let hidden = gateway.upstream.seen().iter().any(|seen| seen["target"] == "/public/hidden");
        assert!(!hidden, "{chunk:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_refusals_of_the_head_have_their_own_status() {
    let gateway = Gateway::start(Setup::default()).await;
    let long_target =
        format!("GET /public/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(9000));
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    let many = format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    let large =
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "y".repeat(40_000));
    for (name, bytes, status) in [
        (
            "connect",
            "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\nConnection: close\r\n\r\n",
            405,
        ),
        (
            "expectation",
            "GET /public/x HTTP/1.1\r\nHost: localhost\r\nExpect: magic\r\nConnection: close\r\n\r\n",
            417,
        ),
        ("long target", long_target.as_str(), 414),
        ("many headers", many.as_str(), 431),
        ("large head", large.as_str(), 431),
    ] {
        let answer = raw(gateway.address(), &gateway.trust(), bytes.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer.unwrap_or_else(|open| open)).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        assert!(gateway.upstream.seen().is_empty(), "{name}");
    }
}

/// Heads refused for a reason, by all gateways of this process.
async fn refused(gateway: &Gateway, reason: &str) -> u64 {
    let admin = gateway.app().admin().expect("an admin listener");
    let metrics = plain_get(&format!("http://{admin}/metrics")).await;
    let name = format!("munjigi_heads_refused_total{{reason=\"{reason}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_become_a_request_are_counted() {
    let gateway = Gateway::start(Setup::default()).await;
    let large = "x".repeat(70_000);
    for (reason, head) in [
        ("malformed", "GET /public/x HTTP/1.1\r\nno colon\r\n\r\n"),
        ("malformed", "GET /\u{7f} HTTP/1.1\r\n\r\n"),
        ("malformed", "GET / HTTP/3.0\r\n\r\n"),
        ("oversized", &format!("GET /{large} HTTP/1.1\r\n\r\n")),
        ("oversized", &format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {large}\r\n\r\n")),
    ] {
        let before = refused(&gateway, reason).await;
        drop(raw(gateway.address(), &gateway.trust(), head.as_bytes()).await);

        eventually("it is counted", async || {
            (refused(&gateway, reason).await > before).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_second_request_needs_its_own_token() {
    let gateway = Gateway::start(Setup::default()).await;
    let first = "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let second = "GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    let answer =
        raw(gateway.address(), &gateway.trust(), format!("{first}{second}").as_bytes()).await;

    let answer = String::from_utf8_lossy(&answer.unwrap()).into_owned();
    let statuses: Vec<&str> =
        answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "401"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_authority_and_host_must_agree() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H2).await;

    let differs =
        request("GET", "/public/x").header("host", "other.example").send(&mut client).await;

    assert_eq!(differs.status, 400);
    assert!(gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_upgrades_are_not_tunnelled() {
    let gateway = Gateway::start(Setup::default()).await;
    let head = "GET /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";

    let answer = raw(gateway.address(), &gateway.trust(), head.as_bytes()).await.unwrap();

    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let seen = gateway.upstream.seen().pop().unwrap();
    assert_eq!(seen["headers"].get("upgrade"), None);
    assert_eq!(seen["headers"].get("http2-settings"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_hidden_by_its_spelling_is_refused() {
    let gateway = Gateway::start(Setup::default()).await;
    for (name, line) in [
        ("folded", "X: a\r\n X-User-Id: 1"),
        ("folded by a tab", "X: a\r\n\tX-User-Id: 1"),
        ("first line folded", " X-User-Id: 1"),
        ("bare cr", "X: a\rX-User-Id: 1"),
        ("cr cr lf", "X: a\r\r\nX-User-Id: 1"),
        ("nul", "X-User-Id\0: 1"),
        ("space before the colon", "X-User-Id : 1"),
        ("tab before the colon", "X-User-Id\t: 1"),
        ("no name", ": 1"),
        ("del in a value", "X: a\x7fb"),
        ("control in a value", "X: a\x01b"),
        ("host folded", "Host:\r\n localhost"),
        ("host with comma", "Host: localhost,evil.example"),
        ("host with nul", "Host: localhost\0"),
    ] {
        let host = if line.starts_with("Host") { "" } else { "Host: localhost\r\n" };
        // The line stands first as well as last: a parser may treat the two differently.
        for head in [format!("{host}{line}\r\n"), format!("{line}\r\n{host}")] {
            let head = format!("GET /public/x HTTP/1.1\r\n{head}\r\n");
            assert_eq!(statuses(&gateway, &head).await, [400], "{name}");
        }
    }
    assert!(gateway.upstream.seen().is_empty(), "{:?}", gateway.upstream.seen());
}

/// RFC 9112 §2.2 lets a line end in LF alone; what was hidden so must be seen for what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_bare_line_feed_hides_no_header() {
    let gateway = Gateway::start(Setup::default()).await;
    let head = "GET /public/x HTTP/1.1\r\nHost: localhost\r\nX: a\nX-User-Id: 1\r\n\
                Connection: close\r\n\r\n";

    let answer = raw(gateway.address(), &gateway.trust(), head.as_bytes()).await.unwrap();

    let answer = String::from_utf8_lossy(&answer);
    assert!(["HTTP/1.1 200", "HTTP/1.1 400"].iter().any(|line| answer.starts_with(line)));
    for seen in gateway.upstream.seen() {
        assert_eq!(seen["headers"].get("x-user-id"), None);
        assert_eq!(seen["headers"]["x"], serde_json::json!(["a"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_no_method_calls_for_is_never_a_second_request() {
    let gateway = Gateway::start(Setup::default()).await;
    let length = HIDDEN.len();
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        for path in ["/public/x", "/api/x"] {
            for connection in ["close", "close, content-length", "transfer-encoding, close"] {
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\
                     Content-Length: {length}\r\n\r\n{HIDDEN}"
                );
                let answer = raw(gateway.address(), &gateway.trust(), head.as_bytes()).await;
                let answer = String::from_utf8_lossy(&answer.unwrap()).into_owned();
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{method} {path}: {answer}");
            }
        }
    }
    let hidden = gateway.upstream.seen().iter().any(|seen| seen["target"] == "/public/hidden");
    assert!(!hidden);
}
