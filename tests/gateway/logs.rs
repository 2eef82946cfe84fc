//! One request is one line of the access log, and no line moves the terminal of who reads it.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::harness::gateway::trust;
use crate::harness::{Client, DEADLINE, Setup, Upstream, Version, eventually, raw, request};

/// Raw targets that try to begin a line, to colour, to move the cursor, or to turn the text.
const TARGETS: [&str; 7] = [
    "/public/a%0d%0a%7B%22status%22:200%7D",
    "/public/a%1b%5b2J",
    "/public/a\u{9b}2J",
    "/public/a\u{7f}b",
    "/public/a\u{202e}gpj.exe",
    "/public/\"},{\"status\":200,\"x\":\"",
    "/api/\\n401",
];

async fn start(format: &str) -> (Child, std::net::SocketAddr, tempfile::TempDir, Upstream) {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("munjigi.toml");
    let tables = format!("[log]\nformat = \"{format}\"\n");
    std::fs::write(&file, Setup { tables, ..Setup::default() }.text(&upstream)).unwrap();
    let log = folder.path().join("stderr");
    let child = Command::new(env!("CARGO_BIN_EXE_munjigi"))
        .arg("--config")
        .arg(&file)
        .arg("run")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let address = eventually("it listens", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let line = text.lines().find(|line| line.contains("listening"))?;
        let start = line.find("127.")?;
        let rest = &line[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
        rest[..end.unwrap_or(rest.len())].parse().ok()
    })
    .await;
    (child, address, folder, upstream)
}

async fn lines_of(mut child: Child) -> Vec<String> {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
    let mut text = String::new();
    let mut stdout = child.stdout.take().unwrap();
    let read = stdout.read_to_string(&mut text);
    tokio::time::timeout(DEADLINE, read).await.expect("it ends").unwrap();
    text.split_terminator('\n').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_is_one_line_whatever_it_holds() {
    for format in ["json", "text"] {
        let (child, address, folder, _upstream) = start(format).await;
        let ca = trust(&folder.path().join("certs/dev/ca.pem"));
        let mut sent = 0;
        for target in TARGETS {
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 User-Agent: a\u{9b}31m\u{2028}b\r\nReferer: \u{202e}\r\n\r\n"
            );
            let answer = raw(address, &ca, head.as_bytes()).await.expect("the connection ends");
            // A head that hyper itself refuses has no line: nothing of it was read.
            sent += usize::from(String::from_utf8_lossy(&answer).contains("x-request-id"));
        }
        let mut client = Client::connect(address, &ca, Version::H1).await;
        for email in ["a\u{202e}b@example.com", "a\u{200b}\u{feff}@example.com"] {
            let body = json!({ "email": email, "password": "correct horse 1" }).to_string();
            for path in ["/auth/signup", "/auth/login"] {
                request("POST", path).json(&body).send(&mut client).await;
                sent += 1;
            }
        }
        drop(client);

        let lines = lines_of(child).await;

        assert!(sent >= 8, "hardly anything was read: {sent}");
        assert_eq!(lines.len(), sent, "{format}: {lines:#?}");
        for line in lines {
            let moves = |c: char| {
                c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!line.contains(moves), "{format}: {line:?}");
            if format == "json" {
                let line: serde_json::Value = serde_json::from_str(&line).expect("one object");
                assert!(line["request_id"].is_string(), "{line}");
            }
        }
    }
}
