//! Several gateways, and the command line, on one store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Gateway, Setup, Upstream, Version, eventually, request};
use crate::redis::RedisServer;

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

async fn login(client: &mut Client) -> String {
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

async fn status(client: &mut Client, token: &str) -> u16 {
    request("GET", "/api/hello").bearer(token).send(client).await.status.as_u16()
}

async fn refused(client: &mut Client, token: &str) {
    eventually("the token is refused", async || (status(client, token).await == 401).then_some(()))
        .await;
}

/// Two gateways on one Redis, whose keys and accounts they share.
async fn pair(redis: &RedisServer) -> (Gateway, Gateway) {
    let tables = format!("[store]\nurl = \"{}\"\ntimeout = \"10s\"\n", redis.url());
    let setup = Setup { tables, ..Setup::default() };
    (Gateway::start(setup.clone()).await, Gateway::start(setup).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_one_gateway_is_refused_at_the_other() {
    let redis = RedisServer::start().await;
    let (a, b) = pair(&redis).await;
    let (mut at_a, mut at_b) = (a.client(Version::H1).await, b.client(Version::H2).await);
    assert_eq!(request("POST", "/auth/signup").json(ACCOUNT).send(&mut at_a).await.status, 201);
    for _ in 0..10 {
        let token = login(&mut at_a).await;
        assert_eq!(status(&mut at_b, &token).await, 200, "a token of one opens the other");

        let logout = request("POST", "/auth/logout").bearer(&token).send(&mut at_a).await;
        assert_eq!(logout.status, 200);

        assert_eq!(status(&mut at_a, &token).await, 401, "at once where it was acknowledged");
        refused(&mut at_b, &token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_later_knows_earlier_revocations() {
    let redis = RedisServer::start().await;
    let tables = format!("[store]\nurl = \"{}\"\ntimeout = \"10s\"\n", redis.url());
    let setup = Setup { tables, ..Setup::default() };
    let first = Gateway::start(setup.clone()).await;
    let mut client = first.client(Version::H1).await;
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    let token = login(&mut client).await;
    request("POST", "/auth/logout").bearer(&token).send(&mut client).await;

    let second = Gateway::start(setup).await;

    assert_eq!(status(&mut second.client(Version::H1).await, &token).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_wiped_revives_nothing() {
    let redis = RedisServer::start().await;
    let (a, b) = pair(&redis).await;
    let (mut at_a, mut at_b) = (a.client(Version::H1).await, b.client(Version::H2).await);
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut at_a).await;
    let (token, living) = (login(&mut at_a).await, login(&mut at_a).await);
    request("POST", "/auth/logout").bearer(&token).send(&mut at_a).await;
    refused(&mut at_b, &token).await;

    let port = redis.url().rsplit(':').next().unwrap().trim_end_matches("/0").to_owned();
    let wipe = ["-p", port.as_str(), "FLUSHALL"];
    let output = tokio::process::Command::new("redis-cli").args(wipe).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");

    for _ in 0..20 {
        for client in [&mut at_a, &mut at_b] {
            let gone = status(client, &token).await;
            assert!([401, 503].contains(&gone), "a revoked token passed: {gone}");
            tokio::task::yield_now().await;
        }
    }
    eventually("both decide again", async || {
        let both = (status(&mut at_a, &living).await, status(&mut at_b, &living).await);
        (both == (200, 200)).then_some(())
    })
    .await;
    for client in [&mut at_a, &mut at_b] {
        assert_eq!(status(client, &token).await, 401, "a revoked token passed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_is_503_never_an_invalid_token() {
    let redis = RedisServer::start().await;
    let tables =
        format!("[store]\nurl = \"{}\"\n[revocation]\nmax_staleness = \"1s\"\n", redis.url());
    let gateway = Gateway::start(Setup { tables, ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    let token = login(&mut client).await;

    redis.pause();
    let before = std::time::Instant::now();
    let logout = request("POST", "/auth/logout").bearer(&token).send(&mut client).await;
    assert_eq!(logout.status, 503, "a logout that could not be stored says so");
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    let fresh = eventually("the list is stale", async || {
        let reply = request("GET", "/api/other").bearer(&token).send(&mut client).await;
        assert!([200, 401, 503].contains(&reply.status.as_u16()), "{}", reply.status);
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert_eq!(fresh.json()["code"], "service_unavailable");
    redis.resume();

    let again = login_when_back(&mut client).await;
    eventually("the token passes again", async || {
        (status(&mut client, &again).await == 200).then_some(())
    })
    .await;
}

async fn login_when_back(client: &mut Client) -> String {
    eventually("logins work again", async || {
        let reply = request("POST", "/auth/login").json(ACCOUNT).send(client).await;
        let token = reply.json()["access_token"].as_str()?.to_owned();
        Some(token)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_revokes_on_a_running_gateway() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;

    let token = login(&mut client).await;
    let output = gateway.munjigi(&["revoke", "token", &token]).await;
    assert!(output.status.success(), "{output:?}");
    refused(&mut client, &token).await;

    let token = login(&mut client).await;
    let list = gateway.munjigi(&["--json", "session", "list", "you@example.com"]).await;
    let sessions: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    for session in sessions.as_array().unwrap() {
        let id = session["id"].as_str().unwrap();
        assert!(gateway.munjigi(&["revoke", "session", id]).await.status.success());
    }
    refused(&mut client, &token).await;

    let token = login(&mut client).await;
    assert!(gateway.munjigi(&["revoke", "user", "you@example.com"]).await.status.success());
    refused(&mut client, &token).await;

    let token = login(&mut client).await;
    assert!(gateway.munjigi(&["user", "disable", "you@example.com"]).await.status.success());
    refused(&mut client, &token).await;
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_taken_away_end_access_tokens_but_not_the_session() {
    let gateway = Gateway::start(Setup::default()).await;
    gateway.add_user(&["--email", "you@example.com", "--role", "admin"], "correct horse 1").await;
    let mut client = gateway.client(Version::H1).await;
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await.json();
    let access = reply["access_token"].as_str().unwrap().to_owned();

    assert!(
        gateway.munjigi(&["user", "rights", "you@example.com", "--none"]).await.status.success()
    );
    refused(&mut client, &access).await;

    let body = json!({ "refresh_token": reply["refresh_token"] }).to_string();
    let reply = request("POST", "/auth/refresh").json(&body).send(&mut client).await;
    assert_eq!(reply.status, 200);
    let access = reply.json()["access_token"].as_str().unwrap().to_owned();
    let seen = request("GET", "/api/hello").bearer(&access).send(&mut client).await.json();
    assert_eq!(seen["headers"].get("x-user-roles"), None, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_keys_outlive_the_process() {
    let upstream = Upstream::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let text = Setup::default().text(&upstream);
    let first = Gateway::start_in(Arc::clone(&folder), &text, upstream).await;
    let mut client = first.client(Version::H1).await;
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    let token = login(&mut client).await;
    drop(client);
    first.stop().await;

    let upstream = Upstream::start().await;
    let text = Setup::default().text(&upstream);
    let second = Gateway::start_in(folder, &text, upstream).await;

    let mut client = second.client(Version::H1).await;
    assert_eq!(status(&mut client, &token).await, 200, "the signing key was kept");
    login(&mut client).await;
}
