//! Acknowledged changes survive `kill -9` (SQLite).

use std::sync::Arc;

use serde_json::json;

use crate::harness::gateway::trust;
use crate::harness::{Client, Process, Setup, Upstream, Version, request};

const ROUNDS: usize = 50;

/// A folder with a configuration, and the upstream that it names.
async fn prepare() -> (Arc<tempfile::TempDir>, Upstream) {
    let upstream = Upstream::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let text = Setup::default().text(&upstream);
    std::fs::write(folder.path().join("munjigi.toml"), text).unwrap();
    (folder, upstream)
}

async fn start(folder: &tempfile::TempDir) -> (Process, Client) {
    let process = Process::run(&folder.path().join("munjigi.toml")).await;
    let trust = trust(&folder.path().join("certs/dev/ca.pem"));
    let client = Client::connect(process.address, &trust, Version::H1).await;
    (process, client)
}

/// Waits out the moment after the start in which revocations are still being read.
async fn when_ready(client: &mut Client, token: &str) -> u16 {
    crate::harness::eventually("the gateway decides", async || {
        let reply = request("GET", "/api/hello").bearer(token).send(client).await;
        (reply.status != 503).then_some(reply.status.as_u16())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_no_acknowledged_sign_up_and_no_logout() {
    let (folder, _upstream) = prepare().await;
    let mut revoked: Vec<String> = Vec::new();
    let (mut process, mut client) = start(&folder).await;
    for round in 0..ROUNDS {
        let account =
            json!({ "email": format!("u{round}@example.com"), "password": "correct horse 1" });
        let account = account.to_string();

        let reply = request("POST", "/auth/signup").json(&account).send(&mut client).await;
        assert_eq!(reply.status, 201);
        process.kill().await;

        (process, client) = start(&folder).await;
        let reply = request("POST", "/auth/login").json(&account).send(&mut client).await;
        assert_eq!(reply.status, 200, "round {round}: an acknowledged sign-up is gone");
        let token = reply.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(when_ready(&mut client, &token).await, 200);

        let reply = request("POST", "/auth/logout").bearer(&token).send(&mut client).await;
        assert_eq!(reply.status, 200);
        process.kill().await;

        (process, client) = start(&folder).await;
        revoked.push(token);
        let token = revoked.last().unwrap();
        assert_eq!(when_ready(&mut client, token).await, 401, "round {round}: a logout is gone");
    }
    for token in &revoked {
        let reply = request("GET", "/api/hello").bearer(token).send(&mut client).await;
        assert_eq!(reply.status, 401);
    }
}
