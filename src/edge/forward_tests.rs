//! Forwarding over real sockets: what the backend sees, and what a bad backend leads to.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::edge::test_rig::{Backend, DEADLINE, Rig, Settings, nowhere, read, read_head, request};

#[tokio::test]
async fn the_backend_sees_our_identity_and_none_of_the_clients() {
    let backend = Backend::echoing_heads().await;
    let rig = Rig::start(Settings::new(backend.address));

    let answer = rig
        .talk(
            b"GET /a/b?c=%20d HTTP/1.1\r\nHost: localhost\r\nX-User-Id: 1\r\nX_User_Id: 2\r\n\
              X.User.Roles: admin\r\nConnection: close, X-User-Id, Host\r\nTE: trailers\r\n\
              Authorization: Bearer x\r\nX-Forwarded-For: 9.9.9.9\r\nX_Forwarded_Host: evil\r\n\
              Upgrade: h2c\r\nHTTP2-Settings: x\r\nAccept: text/plain\r\n\r\n",
        )
        .await;

    let (_, head) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "GET /a/b?c=%20d HTTP/1.1",
            "accept: text/plain",
            "host: localhost",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: localhost",
            "x-forwarded-proto: https",
            "x-real-ip: 127.0.0.1",
            "x-request-id: req-1",
            "x-user-id: 7",
        ]
    );
}

#[tokio::test]
async fn http2_becomes_http1_with_one_cookie_line() {
    let backend = Backend::echoing_heads().await;
    let rig = Rig::start(Settings::new(backend.address));
    let mut request = request("GET", "https://localhost/x", "");
    request.headers_mut().remove("host");
    request.headers_mut().append("cookie", "a=1".parse().unwrap());
    request.headers_mut().append("cookie", "b=2".parse().unwrap());

    let (status, _, head) = read(rig.h2().await.send_request(request).await.unwrap()).await;

    assert_eq!(status, 200);
    assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("cookie: a=1; b=2\r\n"), "{head}");
    assert!(head.contains("host: localhost\r\n"), "{head}");
}

#[tokio::test]
async fn bodies_are_framed_anew_and_reach_the_backend() {
    let backend = Backend::start(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        let end: &[u8] = if head.contains("chunked") { b"0\r\n\r\n" } else { b"abc" };
        let mut body = Vec::new();
        while !body.ends_with(end) {
            body.push(stream.read_u8().await.unwrap());
        }
        let said = format!("{head}{}", String::from_utf8(body).unwrap());
        let length = said.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{said}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));
    let rows = [
        ("length", "POST", "content-length: 3\r\n\r\nabc", "content-length: 3"),
        ("get", "GET", "content-length: 3\r\n\r\nabc", "content-length: 3"),
        (
            "chunked get, trailer dropped",
            "GET",
            "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-user-id: 9\r\n\r\n",
            "transfer-encoding: chunked",
        ),
        (
            "named by connection",
            "POST",
            "connection: content-length\r\ncontent-length: 3\r\n\r\nabc",
            "content-length: 3",
        ),
    ];
    for (row, method, rest, framed) in rows {
        let sent = format!("{method} / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{rest}");
        let answer = rig.talk(sent.as_bytes()).await;
        assert!(answer.contains("HTTP/1.1 200"), "{row}: {answer}");
        assert!(answer.contains(framed) && answer.contains("abc"), "{row}: {answer}");
        assert!(!answer.contains("x-user-id: 9"), "{row}: {answer}");
    }
}

#[tokio::test]
async fn a_backend_that_fails_is_a_502_or_504() {
    let rows = [
        (502, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
        (502, "garbage\r\n\r\n"),
        (502, "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n"),
        (
            502,
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ),
        (504, ""),
    ];
    for (status, said) in rows {
        let backend = Backend::saying(said).await;
        let mut settings = Settings::new(backend.address);
        settings.upstream.response_timeout = Duration::from_millis(300);
        let rig = Rig::start(settings);

        let sent = rig.h1().await.send_request(request("GET", "/", "")).await.unwrap();

        assert_eq!(sent.status(), status, "{said:?}");
    }
    let rig = Rig::start(Settings::new(nowhere()));
    let refused = rig.h2().await.send_request(request("POST", "/", "a")).await.unwrap();
    assert_eq!(refused.status(), 502);
}

#[tokio::test]
async fn a_cut_answer_is_shown_as_far_as_it_came_and_never_completed() {
    let rows = [
        ("length", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
        ("chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ];
    for (row, said) in rows {
        let backend = Backend::start(move |mut stream, number| async move {
            read_head(&mut stream).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            // Now and then the end comes by itself.
            if number % 2 == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let rig = Rig::start(Settings::new(backend.address));

        for _ in 0..10 {
            let one = rig.h1().await.send_request(request("GET", "/", "")).await;
            let two = rig.h2().await.send_request(request("GET", "/", "")).await;

            for response in [one, two] {
                let mut response = response.unwrap_or_else(|error| panic!("{row}: {error}"));
                if response.status() == 200 {
                    let first = response.body_mut().frame().await.unwrap().unwrap();
                    assert_eq!(first.into_data().unwrap(), "abc", "{row}");
                    assert!(response.body_mut().frame().await.unwrap().is_err(), "{row}");
                } else {
                    assert_eq!(response.status(), 502, "{row}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_may_have_as_many_header_lines_as_the_operator_says() {
    for (lines, header_count, status) in [(250, None, 200), (260, None, 502), (260, Some(300), 200)]
    {
        let backend = Backend::start(move |mut stream, _| async move {
            read_head(&mut stream).await;
            let lines: String = (0..lines).map(|line| format!("x-{line}: y\r\n")).collect();
            let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let mut settings = Settings::new(backend.address);
        if let Some(header_count) = header_count {
            settings.upstream.header_count = header_count;
        }
        let rig = Rig::start(settings);

        let answer = rig.talk(b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n").await;

        assert_eq!(
            answer.split(' ').nth(1),
            Some(status.to_string().as_str()),
            "{lines}: {answer}"
        );
        let passed = answer.lines().filter(|line| line.starts_with("x-")).count();
        assert_eq!(passed, if status == 200 { lines } else { 0 });
    }
}

#[tokio::test]
async fn a_head_without_end_is_502() {
    let backend = Backend::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        let line = format!("x: {}\r\n", "y".repeat(4000));
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream.write_all(line.as_bytes()).await.is_ok() {}
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));

    let sent = rig.h1().await.send_request(request("GET", "/", "")).await.unwrap();

    assert_eq!(sent.status(), 502);
}

/// RFC 9112 §4: a phrase may be empty, and is the one that everybody knows otherwise.
#[tokio::test]
async fn a_status_line_has_the_canonical_phrase_or_none() {
    for (said, passed) in [("299 Odd", "299 "), ("200 Fine", "200 OK"), ("599 ", "599 ")] {
        let backend = Backend::start(move |mut stream, _| async move {
            read_head(&mut stream).await;
            let answer = format!("HTTP/1.1 {said}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let rig = Rig::start(Settings::new(backend.address));

        let answer =
            rig.talk(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;

        assert!(answer.starts_with(&format!("HTTP/1.1 {passed}\r\n")), "{said}: {answer}");
    }
}

#[tokio::test]
async fn connections_are_used_again_only_when_nothing_is_left_on_them() {
    let rows = [
        (1, "plain", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        (1, "chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        (1, "no body", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            3,
            "trailers",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\nHTTP/1.1 200 OK\r\n\r\n",
        ),
        (
            1,
            "kept",
            "HTTP/1.1 200 OK\r\nkeep-alive: Timeout = 60, max=9\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            3,
            "not kept",
            "HTTP/1.1 200 OK\r\nkeep-alive: max=9, timeout=4\r\ncontent-length: 2\r\n\r\nok",
        ),
        (3, "close", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
        (3, "extra", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"),
        (
            3,
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
    ];
    for (connections, row, said) in rows {
        let backend = Backend::saying(said).await;
        let rig = Rig::start(Settings::new(backend.address));
        let mut client = rig.h1().await;

        for _ in 0..3 {
            client.ready().await.unwrap();
            let sent = client.send_request(request("GET", "/", "")).await.unwrap();
            let (status, headers, body) = read(sent).await;
            assert!(status.is_success(), "{row}");
            assert!(body == "ok" || row == "no body", "{row}: {body}");
            assert!(!headers.contains_key("connection"), "{row}");
        }

        assert_eq!(backend.connections(), connections, "{row}");
    }
}

#[tokio::test]
async fn the_operator_says_how_long_a_connection_may_idle() {
    for (keep_alive, connections) in [(Duration::ZERO, 2), (Duration::from_secs(60), 1)] {
        let answer = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=4\r\ncontent-length: 2\r\n\r\nok";
        let backend = Backend::saying(answer).await;
        let mut settings = Settings::new(backend.address);
        settings.upstream.keep_alive = Some(keep_alive);
        let rig = Rig::start(settings);
        let mut client = rig.h2().await;

        for _ in 0..2 {
            let sent = client.send_request(request("GET", "/", "")).await.unwrap();
            assert_eq!(read(sent).await.2, "ok");
        }

        assert_eq!(backend.connections(), connections, "{keep_alive:?}");
    }
}

#[tokio::test]
async fn a_pooled_connection_that_fails_is_made_up_for_once() {
    let backend = Backend::start(|mut stream, number| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        // The second request on the first connection is taken and not answered.
        if number == 0 {
            read_head(&mut stream).await;
        }
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));
    let mut client = rig.h2().await;

    for _ in 0..2 {
        let sent = client.send_request(request("GET", "/", "")).await.unwrap();
        assert_eq!(read(sent).await.2, "ok");
    }

    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_request_that_must_not_be_sent_twice_is_not() {
    let backend = Backend::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));
    let mut client = rig.h2().await;

    let first = client.send_request(request("POST", "/", "")).await.unwrap();
    let second = client.send_request(request("POST", "/", "")).await.unwrap();

    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 502));
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn beyond_max_inflight_is_503_with_retry_after() {
    let backend = Backend::saying("").await;
    let mut settings = Settings::new(backend.address);
    settings.upstream.max_inflight = 1;
    settings.upstream.response_timeout = Duration::from_secs(2);
    let rig = Rig::start(settings);
    let mut client = rig.h2().await;

    let first = tokio::spawn(client.clone().send_request(request("GET", "/", "")));
    tokio::time::timeout(DEADLINE, async {
        while backend.connections() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let second = client.send_request(request("GET", "/", "")).await.unwrap();

    assert_eq!(second.status(), 503);
    assert_eq!(first.await.unwrap().unwrap().status(), 504);
}

#[tokio::test]
async fn a_head_answer_keeps_its_length() {
    let backend = Backend::saying("HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n").await;
    let rig = Rig::start(Settings::new(backend.address));

    for response in [
        rig.h1().await.send_request(request("HEAD", "/", "")).await.unwrap(),
        rig.h2().await.send_request(request("HEAD", "/", "")).await.unwrap(),
    ] {
        assert_eq!(read(response).await.1["content-length"], "12345");
    }
}

#[tokio::test]
async fn a_large_answer_streams_whole() {
    const SIZE: usize = 3 << 20;
    let backend = Backend::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; SIZE]).await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let rig = Rig::start(Settings::new(backend.address));

    let one = read(rig.h1().await.send_request(request("GET", "/", "")).await.unwrap()).await;
    let two = read(rig.h2().await.send_request(request("GET", "/", "")).await.unwrap()).await;

    assert_eq!((one.2.len(), two.2.len()), (SIZE, SIZE));
    assert_eq!(one.1["content-length"], SIZE.to_string());
}

#[tokio::test]
async fn an_upstream_that_falls_silent_within_its_answer_is_given_up() {
    let backend =
        Backend::saying("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    let mut settings = Settings::new(backend.address);
    settings.upstream.idle_timeout = Duration::from_millis(200);
    let rig = Rig::start(settings);

    let sent = rig.h1().await.send_request(request("GET", "/", "")).await.unwrap();
    let body = tokio::time::timeout(DEADLINE, sent.into_body().collect()).await;

    assert!(body.unwrap().is_err());
}

#[tokio::test]
async fn a_body_that_stops_on_its_way_is_408() {
    let backend = Backend::start(|mut stream, _| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    let mut settings = Settings::new(backend.address);
    settings.limits.body_idle_timeout = Duration::from_millis(200);
    let rig = Rig::start(settings);

    let answer =
        rig.talk(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc").await;

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn an_https_upstream_needs_a_certificate_that_its_ca_vouches_for() {
    let echo = Backend::echoing_heads().await;
    let backend = Rig::start(Settings::new(echo.address));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &backend.certificate).unwrap();

    for (trusted, status) in [(Some(ca), 200), (None, 502)] {
        let mut settings = Settings::new(backend.address);
        settings.upstream.targets[0].tls = true;
        settings.upstream.targets[0].address.host = "localhost".to_owned();
        settings.upstream.ca = trusted;
        let rig = Rig::start(settings);

        let sent = rig.h1().await.send_request(request("GET", "/", "")).await.unwrap();

        assert_eq!(sent.status(), status);
    }
}
