//! A refusal keeps its status whatever body is still on its way, as curl sees it.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::harness::{DEADLINE, Gateway, Setup};

/// Uploads a file with curl; gives its exit code and the status that it saw.
async fn upload(
    gateway: &Gateway,
    path: &str,
    body: &Path,
    options: &[&str],
) -> (Option<i32>, String) {
    let port = gateway.address().port();
    let output = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20"])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg("--cacert")
        .arg(gateway.folder.path().join("certs/dev/ca.pem"))
        .args(options)
        .arg("--data-binary")
        .arg(format!("@{}", body.display()))
        .arg(format!("https://localhost:{port}{path}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("curl ends").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_arrive_for_every_size_protocol_and_expectation() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut lost = Vec::new();
    for size in [10_000, 200_000, 2_000_000, 20_000_000] {
        let body = gateway.folder.path().join("body");
        std::fs::write(&body, vec![b'x'; size]).unwrap();
        for protocol in ["--http1.1", "--http2"] {
            for expect in ["Expect:", "Expect: 100-continue"] {
                let options = [protocol, "-H", expect];
                let seen = upload(&gateway, "/api/x", &body, &options).await;
                if seen != (Some(0), "401".to_owned()) {
                    lost.push(format!("{size} {protocol} {expect:?}: {seen:?}"));
                }
            }
        }
    }
    assert!(lost.is_empty(), "the 401 was lost:\n{}", lost.join("\n"));
    assert!(gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_of_the_upstream_arrives_too() {
    let gateway = Gateway::start(Setup::default()).await;
    let body = gateway.folder.path().join("body");
    std::fs::write(&body, vec![b'x'; 2_000_000]).unwrap();
    for protocol in ["--http1.1", "--http2"] {
        for expect in ["Expect:", "Expect: 100-continue"] {
            let seen = upload(&gateway, "/public/early", &body, &[protocol, "-H", expect]).await;
            assert_eq!(seen, (Some(0), "413".to_owned()), "{protocol} {expect:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_announced_or_not() {
    let tables = "[limits]\nbody = \"1MiB\"\n".to_owned();
    let gateway = Gateway::start(Setup { tables, ..Setup::default() }).await;
    let body = gateway.folder.path().join("body");
    std::fs::write(&body, vec![b'x'; 3 << 20]).unwrap();
    for protocol in ["--http1.1", "--http2"] {
        for framing in ["Expect:", "Transfer-Encoding: chunked"] {
            if protocol == "--http2" && framing != "Expect:" {
                continue;
            }
            let seen = upload(&gateway, "/public/x", &body, &[protocol, "-H", framing]).await;
            assert_eq!(seen, (Some(0), "413".to_owned()), "{protocol} {framing}");
        }
    }
}
