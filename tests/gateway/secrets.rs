//! Canary secrets, planted wherever a client can put them, are in nothing that is printed.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::harness::gateway::trust;
use crate::harness::{Client, DEADLINE, Setup, Upstream, Version, eventually, request};

const CANARY: &str = "canary7f3a";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_log_metric_or_error() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("munjigi.toml");
    let setup = Setup {
        tables: "[log]\nlevel = \"trace\"\nformat = \"json\"\n".to_owned(),
        site: "token_from = [\"bearer\", \"cookie\", \"subprotocol\", \"query:ticket\"]".to_owned(),
        ..Setup::default()
    };
    std::fs::write(&file, setup.text(&upstream).replace("munjigi.db", "m.db")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_munjigi"))
        .arg("--config")
        .arg(&file)
        .arg("run")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.path().join("stderr")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(folder.path().join("stderr")).unwrap();
    let (address, admin) = eventually("it listens", async || {
        let line = log().lines().find(|line| line.contains("\"listening\""))?.to_owned();
        let event: serde_json::Value = serde_json::from_str(&line).ok()?;
        let field = |name: &str| event[name].as_str()?.parse::<std::net::SocketAddr>().ok();
        Some((field("listening")?, field("admin")?))
    })
    .await;
    let ca = trust(&folder.path().join("certs/dev/ca.pem"));
    let mut seen = String::new();
    for version in Version::BOTH {
        let client = Client::connect(address, &ca, version).await;
        seen.push_str(&plant(client, version).await);
    }
    let url = format!("http://{admin}/metrics");
    let metrics = Command::new("curl").args(["-sS", &url]).output().await.unwrap();
    seen.push_str(&String::from_utf8_lossy(&metrics.stdout));

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
    let mut access_log = String::new();
    let mut stdout = child.stdout.take().unwrap();
    let read = stdout.read_to_string(&mut access_log);
    tokio::time::timeout(DEADLINE, read).await.expect("it ends").unwrap();
    assert!(access_log.lines().count() >= 10, "the access log is empty:\n{access_log}");
    for line in access_log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        for field in ["request_id", "status", "method", "path"] {
            assert!(!line[field].is_null(), "{field} is missing: {line}");
        }
    }
    for (name, text) in
        [("answers and metrics", &seen), ("access log", &access_log), ("log", &log())]
    {
        let found = text.lines().find(|line| line.to_lowercase().contains(CANARY));
        assert!(found.is_none(), "a secret is in the {name}: {found:?}");
        let token = text.lines().find(|line| line.contains("eyJ"));
        assert!(
            token.is_none() || name == "answers and metrics",
            "a token is in the {name}: {token:?}"
        );
    }
}

/// Puts canaries into everything that is secret; gives what was answered.
async fn plant(mut client: Client, version: Version) -> String {
    let email = format!("{version:?}@example.com").to_lowercase();
    let account = json!({ "email": email, "password": format!("{CANARY} password") }).to_string();
    let mut answers = String::new();
    let mut send = async |builder: crate::harness::client::RequestBuilder| {
        let reply = client.send(builder.build()).await;
        answers.push_str(&reply.text());
        answers.push('\n');
        reply
    };
    send(request("POST", "/auth/signup").json(&account)).await;
    let wrong = json!({ "email": email, "password": format!("{CANARY} wrong") }).to_string();
    send(request("POST", "/auth/login").json(&wrong)).await;
    let reply = send(request("POST", "/auth/login").json(&account)).await;
    let access = reply.json()["access_token"].as_str().unwrap().to_owned();
    send(
        request("GET", &format!("/api/x?token={CANARY}"))
            .header("cookie", &format!("a={CANARY}"))
            .bearer(&access),
    )
    .await;
    send(request("GET", "/api/x").bearer(&format!("{CANARY}.{CANARY}.{CANARY}"))).await;
    send(request("GET", "/api/x").header("authorization", &format!("Basic {CANARY}"))).await;
    send(
        request("GET", "/api/x").header("proxy-authorization", CANARY).header("x-api-key", CANARY),
    )
    .await;
    send(request("POST", "/auth/refresh").json(&json!({ "refresh_token": CANARY }).to_string()))
        .await;
    send(request("POST", "/auth/login").json(&format!("{{\"password\": \"{CANARY}"))).await;
    let long = json!({ "email": email, "password": CANARY.repeat(40) }).to_string();
    send(request("POST", "/auth/login").json(&long)).await;
    let path = json!({ "path": "/api/x" }).to_string();
    let made = send(request("POST", "/account/ticket").bearer(&access).json(&path)).await;
    for ticket in [made.json()["ticket"].as_str().unwrap(), CANARY, &access] {
        send(request("GET", &format!("/api/x?ticket={ticket}"))).await;
    }
    for token in [&access, CANARY] {
        let cookie = format!("__Host-mj_at={token}; __Host-mj_rt={CANARY}");
        send(request("GET", "/api/x").header("cookie", &cookie)).await;
    }
    if version == Version::H1 {
        for token in [&access, CANARY] {
            let socket = request("GET", "/api/status/204").header("upgrade", "websocket");
            let offered = format!("bearer, {token}");
            send(socket.header("sec-websocket-protocol", &offered)).await;
        }
    }
    let proof = json!({ "challenge": CANARY, "code": CANARY, "recovery_code": CANARY }).to_string();
    send(request("POST", "/auth/second-factor").json(&proof)).await;
    let confirm = json!({ "setup": CANARY, "code": CANARY }).to_string();
    send(request("POST", "/auth/second-factor/confirm").bearer(&access).json(&confirm)).await;
    let device = format!("__Host-mj_device={CANARY}; __Host-mj_login=.{CANARY}");
    send(request("POST", "/auth/login").header("cookie", &device).json(&wrong)).await;
    send(request("POST", "/auth/logout").bearer(&access)).await;
    // The upstream echoes the client's own request.
    answers.lines().filter(|line| !line.contains("body_bytes")).collect::<Vec<_>>().join("\n")
}
