//! Limits on connections, on requests at an upstream, and on bytes of a body.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Gateway, Setup, Version, assert_literal, eventually, raw, request};
use crate::lifecycle::plain_get;

/// A gateway whose upstream takes one request at once, and is waited for as long.
async fn narrow(queue: &str, response: &str) -> Gateway {
    let tables = format!(
        "[upstream.narrow]\ntargets = [\"{{upstream}}\"]\nmax_inflight = 1\n\
         queue_timeout = \"{queue}\"\nresponse_timeout = \"{response}\"\n"
    );
    let routes = "{ path = \"/*\", upstream = \"narrow\", auth = \"none\" },".to_owned();
    Gateway::start(Setup { tables, routes, ..Setup::default() }).await
}

/// Sends a request that the upstream never answers, and waits until it is there.
async fn occupy(gateway: &Gateway) -> tokio::task::JoinHandle<http::StatusCode> {
    let mut client = gateway.client(Version::H1).await;
    let request = request("GET", "/stall").build();
    let stalled = tokio::spawn(async move { client.send(request).await.status });
    eventually("the upstream has it", async || (!gateway.upstream.seen().is_empty()).then_some(()))
        .await;
    stalled
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_the_cap_waits_and_admin_does_not() {
    let server = "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
                  max_connections = 2\n";
    let gateway = Gateway::start(Setup { tables: server.to_owned(), ..Setup::default() }).await;
    let mut one = gateway.client(Version::H1).await;
    let mut two = gateway.client(Version::H2).await;
    for client in [&mut one, &mut two] {
        assert_eq!(request("GET", "/public/x").send(client).await.status, 200);
    }

    let third = async {
        let mut client = gateway.client(Version::H1).await;
        request("GET", "/public/x").send(&mut client).await.status
    };
    let mut third = std::pin::pin!(third);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut third).await;
    assert!(early.is_err(), "it was served beyond the cap");
    let admin = gateway.app().admin().unwrap();
    assert!(plain_get(&format!("http://{admin}/livez")).await.starts_with("HTTP/1.1 200"));
    assert_eq!(request("GET", "/public/x").send(&mut one).await.status, 200);

    drop(two);
    assert_eq!(third.await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_max_inflight_is_503_after_the_queue_timeout() {
    let gateway = narrow("200ms", "20s").await;
    let stalled = occupy(&gateway).await;

    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let reply = request("POST", "/x").body(vec![b'x'; 1000]).send(&mut client).await;

        assert_eq!(reply.status, 503, "{version:?}");
        assert_eq!(reply.header("retry-after"), "1");
        assert_literal(
            &reply.body,
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the request cannot be served at the moment","code":"service_unavailable","request_id":"<id>"}"#,
        );
    }
    assert_eq!(gateway.upstream.seen().len(), 1);
    stalled.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_the_queue_is_served_when_a_place_is_free() {
    let gateway = narrow("20s", "400ms").await;
    let stalled = occupy(&gateway).await;

    let mut client = gateway.client(Version::H2).await;
    assert_eq!(request("GET", "/x").send(&mut client).await.status, 200);
    assert_eq!(stalled.await.unwrap(), 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_gives_its_place_at_the_upstream_back() {
    let gateway = narrow("20s", "20s").await;
    let stalled = occupy(&gateway).await;

    stalled.abort();

    let mut client = gateway.client(Version::H1).await;
    assert_eq!(request("GET", "/x").send(&mut client).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoints_body_over_the_limit_is_its_validation_error() {
    let standard = r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"body cannot be read","code":"invalid_input","field":"body","request_id":"<id>"}"#;
    let zdm = r#"{"success":false,"requestID":"<id>","error":{"code":"VALIDATION_ERROR","message":"유효한 요청 본문 형식이 아닙니다"},"timestamp":"<now>"}"#;
    let rows = [("standard", "/auth/login", standard), ("zdm", "/api/v1/auth/issue", zdm)];
    for (contract, path, literal) in rows {
        let tables = "[limits]\nauth_body = \"2KiB\"\n".to_owned();
        let gateway = Gateway::start(Setup { tables, ..Setup::contract(contract) }).await;
        for version in Version::BOTH {
            let chunked = vec![vec![b' '; 1024]; 64];
            for request in [
                request("POST", path).body(vec![b' '; 64 << 10]),
                request("POST", path).parts(chunked),
                request("POST", path).endless(&[b' '; 3000]),
                request("POST", path).header("content-length", "9999999").endless(b"{"),
            ] {
                let mut client = gateway.client(version).await;
                let reply =
                    request.header("content-type", "application/json").send(&mut client).await;

                assert_eq!(reply.status, 400, "{contract} {version:?}: {}", reply.text());
                assert_literal(&reply.body, literal);
            }
            let mut client = gateway.client(version).await;
            let within = request("POST", path).json(&format!("{{}}{}", " ".repeat(2046)));
            assert_eq!(within.send(&mut client).await.status, 400, "still no account is named");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_body_over_the_limit_is_413_and_the_upstream_never_has_it_whole() {
    let tables = "[limits]\nbody = \"100KiB\"\n".to_owned();
    let gateway = Gateway::start(Setup { tables, ..Setup::default() }).await;
    for version in Version::BOTH {
        for request in [
            request("POST", "/public/x").body(vec![b'x'; 200 << 10]),
            request("POST", "/public/x").parts(vec![vec![b'x'; 10 << 10]; 20]),
        ] {
            let mut client = gateway.client(version).await;
            let reply = request.send(&mut client).await;

            assert_eq!(reply.status, 413, "{version:?}");
            assert_literal(
                &reply.body,
                r#"{"type":"about:blank","title":"Payload Too Large","status":413,"detail":"the body is too large","code":"payload_too_large","request_id":"<id>"}"#,
            );
        }
        let mut client = gateway.client(version).await;
        let exact = request("POST", "/public/x").parts(vec![vec![b'x'; 10 << 10]; 10]);
        let reply = exact.send(&mut client).await;
        assert_eq!(reply.json()["body_bytes"], 100 << 10, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_measure_is_refused_and_its_connection_ends() {
    let gateway = Gateway::start(Setup::default()).await;
    let line = "GET /public/x HTTP/1.1\r\nhost: localhost\r\n";
    let many: String = (0..5000).map(|number| format!("x-{number}: x\r\n")).collect();
    let rows = [
        ("a value of 200 KB", format!("{line}x: {}\r\n\r\n", "v".repeat(200_000)), "431"),
        ("a name of 70 KB", format!("{line}{}: x\r\n\r\n", "n".repeat(70_000)), "431"),
        ("5,000 lines", format!("{line}{many}\r\n"), "431"),
        ("a target of 100 KB", line.replacen("/x", &"/x".repeat(50_000), 1), "4"),
        ("a request line without end", format!("GET /{}", "x".repeat(1_000_000)), "4"),
        ("a megabyte of nothing", "\r\n".repeat(500_000), "4"),
    ];

    for (row, sent, status) in rows {
        let answer = raw(gateway.address(), &gateway.trust(), sent.as_bytes()).await;
        let answer = String::from_utf8(answer.expect(row)).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{row}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{row}: {answer}");
    }
    assert!(gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_refused_is_not_asked_for() {
    let gateway = Gateway::start(Setup::default()).await;
    let head = "POST /api/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\
                expect: 100-continue\r\n\r\n";

    let answer = raw(gateway.address(), &gateway.trust(), head.as_bytes()).await;

    let answer = String::from_utf8(answer.expect("the connection ends")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_hold_nobody_up() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
        }
        silent.push(stream);
    }

    let served = async {
        let mut client = gateway.client(Version::H1).await;
        request("GET", "/public/x").send(&mut client).await.status
    };
    let served = tokio::time::timeout(Duration::from_secs(2), served).await;

    assert_eq!(served.ok(), Some(http::StatusCode::OK));
}
