//! An answer that does not wait for the request's body arrives all the same.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::edge::test_rig::{Backend, DEADLINE, Rig, Settings, nowhere, read, read_head, request};

const SIZES: [usize; 4] = [10 << 10, 200 << 10, 2 << 20, 20 << 20];

/// Sends a body of each size by each protocol; the whole of it is on offer at once.
async fn statuses(rig: &Rig, path: &str, expect: bool) -> Vec<(usize, StatusCode, StatusCode)> {
    let mut rows = Vec::new();
    for size in SIZES {
        let make = || {
            let mut request = request("POST", path, Bytes::from(vec![b'a'; size]));
            if expect {
                request.headers_mut().insert("expect", "100-continue".parse().unwrap());
            }
            request
        };
        let one = tokio::time::timeout(DEADLINE, rig.h1().await.send_request(make()));
        let two = tokio::time::timeout(DEADLINE, rig.h2().await.send_request(make()));
        let (one, two) = (one.await.unwrap().unwrap(), two.await.unwrap().unwrap());
        rows.push((size, read(one).await.0, read(two).await.0));
    }
    rows
}

fn all(status: u16) -> Vec<(usize, StatusCode, StatusCode)> {
    let status = StatusCode::from_u16(status).unwrap();
    SIZES.into_iter().map(|size| (size, status, status)).collect()
}

#[tokio::test]
async fn a_refusal_keeps_its_status_whatever_the_bodys_size() {
    let rig = Rig::start(Settings::new(nowhere()));

    assert_eq!(statuses(&rig, "/refuse", false).await, all(401));
}

#[tokio::test]
async fn a_refusal_keeps_its_status_when_continue_was_expected() {
    let rig = Rig::start(Settings::new(nowhere()));

    assert_eq!(statuses(&rig, "/refuse", true).await, all(401));
}

#[tokio::test]
async fn an_upstream_that_is_away_is_502_whatever_the_bodys_size() {
    let mut settings = Settings::new(nowhere());
    settings.limits.body.0 = 64 << 20;
    let rig = Rig::start(settings);

    assert_eq!(statuses(&rig, "/", false).await, all(502));
}

#[tokio::test]
async fn an_upstreams_early_answer_keeps_its_status() {
    let backend = Backend::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 422 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
            .await
            .unwrap();
    })
    .await;
    let mut settings = Settings::new(backend.address);
    settings.limits.body.0 = 64 << 20;
    let rig = Rig::start(settings);

    let rows = statuses(&rig, "/", false).await;

    // The backend resets its connection, which may overtake its own answer: that is a 502.
    for (size, one, two) in rows {
        for status in [one, two] {
            assert!(matches!(status.as_u16(), 422 | 502), "{size}: {status}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_answers_early_and_reads_no_more_keeps_its_status() {
    let backend = Backend::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 422 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
            .await
            .unwrap();
        // Stays open, without reading, until the gateway gives the connection up.
        std::future::pending::<()>().await;
    })
    .await;
    let mut settings = Settings::new(backend.address);
    settings.limits.body.0 = 64 << 20;
    let rig = Rig::start(settings);

    assert_eq!(statuses(&rig, "/", false).await, all(422));
    assert_eq!(backend.connections(), 2 * SIZES.len());
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_by_length_and_by_count() {
    let backend = Backend::start(|mut stream, _| async move {
        let mut sink = Vec::new();
        drop(stream.read_to_end(&mut sink).await);
    })
    .await;
    let mut settings = Settings::new(backend.address);
    settings.limits.body.0 = 1000;
    let rig = Rig::start(settings);

    let by_length = rig.h1().await.send_request(request("POST", "/", vec![b'a'; 1001]));
    let by_count = rig
        .talk(
            format!(
                "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n\
                 3e9\r\n{}\r\n0\r\n\r\n",
                "a".repeat(1001)
            )
            .as_bytes(),
        )
        .await;

    assert_eq!(by_length.await.unwrap().status(), 413);
    assert!(by_count.starts_with("HTTP/1.1 413 "), "{by_count}");
}

#[tokio::test]
async fn a_refusal_to_an_unanswered_expect_says_close_and_never_continue() {
    let rig = Rig::start(Settings::new(nowhere()));

    let answer = rig
        .talk(
            b"POST /refuse HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\
              expect: 100-continue\r\n\r\n",
        )
        .await;

    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_refusal_to_a_body_that_came_with_the_head_keeps_the_connection() {
    let rig = Rig::start(Settings::new(nowhere()));

    let answer = rig
        .talk(
            b"POST /refuse HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc\
              GET /refuse HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .await;

    assert_eq!(answer.matches("HTTP/1.1 401 ").count(), 2, "{answer}");
}

#[tokio::test]
async fn what_is_left_of_a_refused_body_is_never_read_as_a_request() {
    let rig = Rig::start(Settings::new(nowhere()));
    let mut stream = rig.tls("http/1.1").await;
    stream
        .write_all(b"POST /refuse HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();

    let hidden = "GET /refuse HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(20);
    drop(stream.write_all(hidden.as_bytes()).await);
    let rest = crate::edge::test_rig::read_to_end(&mut stream).await;

    assert_eq!(&first, b"HTTP/1.1 401");
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408() {
    let mut settings = Settings::new(nowhere());
    settings.limits.body_idle_timeout = Duration::from_millis(200);
    let rig = Rig::start(settings);

    let answer =
        rig.talk(b"POST /whole HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc").await;

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn an_endpoints_body_is_read_whole_up_to_its_limit() {
    let mut settings = Settings::new(nowhere());
    settings.limits.auth_body.0 = 100_000;
    let rig = Rig::start(settings);
    let mut client = rig.h2().await;

    let rows = [(0, 200, "0"), (100_000, 200, "100000"), (100_001, 400, "")];
    for (size, status, said) in rows {
        let sent = client.send_request(request("POST", "/whole", vec![b'a'; size])).await.unwrap();
        let (got, _, body) = read(sent).await;
        assert_eq!(got, status, "{size}");
        assert!(said.is_empty() || body == said, "{size}: {body}");
    }
}
