//! Without news of revocations each route does what its `when_stale` says: never silently open.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use munjigi::operation::{RevocationKey, SessionId};
use rusqlite::params;

use crate::harness::gateway::trust;
use crate::harness::{Client, Gateway, Process, Setup, Upstream, Version, eventually, request};
use crate::redis::RedisServer;

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

fn setup(tables: String) -> Setup {
    let routes = "{ path = \"/reject/*\", upstream = \"{upstream}\", when_stale = \"reject\" },\n\
                  { path = \"/accept/*\", upstream = \"{upstream}\", when_stale = \"accept\" },\n\
                  { path = \"/ask/*\", upstream = \"{upstream}\", when_stale = \"ask\" },\n\
                  { path = \"/public/*\", upstream = \"{upstream}\", auth = \"none\" },";
    Setup { routes: routes.to_owned(), tables, ..Setup::default() }
}

async fn login(client: &mut Client) -> String {
    request("POST", "/auth/signup").json(ACCOUNT).send(client).await;
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(client).await;
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

async fn status(client: &mut Client, path: &str, token: &str) -> u16 {
    request("GET", path).bearer(token).send(client).await.status.as_u16()
}

async fn metrics(process: &Process) -> String {
    let url = format!("http://{}/metrics", process.admin);
    let output = tokio::process::Command::new("curl").args(["-sS", &url]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_silent_each_route_does_as_it_says() {
    let redis = RedisServer::start().await;
    let (upstream, folder) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let url = redis.url();
    let tables = format!("[store]\nurl = \"{url}\"\n[revocation]\nmax_staleness = \"1s\"\n");
    let file = folder.path().join("munjigi.toml");
    std::fs::write(&file, setup(tables).text(&upstream)).unwrap();
    let process = Process::run(&file).await;
    let ca = trust(&folder.path().join("certs/dev/ca.pem"));
    let mut client = Client::connect(process.address, &ca, Version::H1).await;
    let (good, revoked) = (login(&mut client).await, login(&mut client).await);
    eventually("the gateway decides", async || {
        (status(&mut client, "/reject/x", &good).await == 200).then_some(())
    })
    .await;
    request("POST", "/auth/logout").bearer(&revoked).send(&mut client).await;

    redis.pause();
    eventually("the list is stale", async || {
        (status(&mut client, "/reject/x", &good).await == 503).then_some(())
    })
    .await;
    let began = Instant::now();
    let rows = [
        ("/reject/x", &good, 503),
        ("/reject/x", &revoked, 503),
        ("/accept/x", &good, 200),
        ("/accept/x", &revoked, 401),
        ("/ask/x", &good, 503),
        ("/ask/x", &revoked, 401),
    ];
    for (path, token, expected) in rows {
        assert_eq!(status(&mut client, path, token).await, expected, "{path}");
    }
    for path in ["/reject/x", "/accept/x", "/ask/x"] {
        assert_eq!(status(&mut client, path, "a.b.c").await, 401, "{path}");
        let nobody = request("GET", path).send(&mut client).await;
        assert_eq!(nobody.status, 401, "{path}");
    }
    assert_eq!(request("GET", "/public/x").send(&mut client).await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let metrics = metrics(&process).await;
    for action in ["reject", "accept", "ask"] {
        let counted = format!("munjigi_stale_decisions_total{{action=\"{action}\"}} ");
        assert!(metrics.contains(&counted), "{action} is not counted:\n{metrics}");
    }

    redis.resume();
    eventually("the list is fresh again", async || {
        (status(&mut client, "/reject/x", &good).await == 200).then_some(())
    })
    .await;
    for path in ["/reject/x", "/accept/x", "/ask/x"] {
        assert_eq!(status(&mut client, path, &revoked).await, 401, "{path}");
    }
}

/// Records a revocation where the feed does not look again.
fn revoke_behind_the_feed(folder: &Path, token: &str) {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let session = SessionId(claims["sid"].as_str().unwrap().parse().unwrap());
    let key = RevocationKey::of_session("https://localhost", session);
    let database = rusqlite::Connection::open(folder.join("munjigi.db")).unwrap();
    database
        .execute(
            "INSERT INTO revocations (seq, key, floor, expires_at, kind, scope, name)
             VALUES (-1, ?1, 0, ?2, 'session', '', '')",
            params![key.0, i64::MAX],
        )
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ask_looks_up_what_the_list_does_not_know() {
    // The database is asked five times a second: at any moment the list is older than this.
    let tables = "[revocation]\nmax_staleness = \"1ms\"\n".to_owned();
    let gateway = Gateway::start(setup(tables)).await;
    let mut client = gateway.client(Version::H1).await;
    let (good, revoked) = (login(&mut client).await, login(&mut client).await);

    revoke_behind_the_feed(gateway.folder.path(), &revoked);

    // Right after a contact the list is fresh, and decides alone.
    eventually("the store is asked", async || {
        (status(&mut client, "/ask/x", &revoked).await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&mut client, "/accept/x", &revoked).await, 200, "the list does not know");
    assert_eq!(status(&mut client, "/ask/x", &good).await, 200);
}
