//! Corrupt records of a store: they are answered with an error, and never let a client in.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, Gateway, Reply, Setup, Version, eventually, request};

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

async fn start(tables: &str) -> (Gateway, Client) {
    let gateway = Gateway::start(Setup { tables: tables.to_owned(), ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    let reply = request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    assert_eq!(reply.status, 201);
    (gateway, client)
}

async fn login(client: &mut Client) -> Reply {
    request("POST", "/auth/login").json(ACCOUNT).send(client).await
}

/// Writes into the running gateway's database, as another process would.
fn write(gateway: &Gateway, sql: &str) {
    let database = rusqlite::Connection::open(gateway.folder.path().join("munjigi.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database.execute_batch(sql).unwrap();
}

/// The part that all refusals of a login share.
fn refusal(reply: &Reply) -> (u16, serde_json::Value) {
    let mut problem = reply.json();
    problem["request_id"] = json!("");
    (reply.status.as_u16(), problem)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_that_is_none_is_a_wrong_password() {
    let (gateway, mut client) = start("").await;
    let stranger = r#"{"email": "nobody@example.com", "password": "correct horse 1"}"#;
    let unknown = request("POST", "/auth/login").json(stranger).send(&mut client).await;
    let salt = "c2FsdHNhbHRzYWx0c2FsdA";
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let absurd = |params: &str| format!("'$argon2id$v=19${params}${salt}${hash}'");
    for verifier in [
        "NULL".to_owned(),
        "''".to_owned(),
        "'junk'".to_owned(),
        "'correct horse 1'".to_owned(),
        absurd("m=4194304,t=1,p=1"),
        absurd("m=65536,t=4000000,p=1"),
        absurd("m=4294967295,t=4294967295,p=16777215"),
        absurd("m=0,t=0,p=0"),
        format!("'$argon2i$v=19$m=64,t=1,p=1${salt}${hash}'"),
        format!("'$argon2id$v=19$m=64,t=1,p=1${salt}$AA'"),
        "'$2b$12$abcdefghijklmnopqrstuv'".to_owned(),
    ] {
        write(&gateway, &format!("UPDATE users SET verifier = {verifier}"));
        let began = Instant::now();
        let reply = login(&mut client).await;
        assert_eq!(refusal(&reply), refusal(&unknown), "{verifier}");
        assert!(began.elapsed() < Duration::from_secs(3), "{verifier}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_a_wrong_password() {
    let (gateway, mut client) = start("").await;
    let stranger = r#"{"email": "nobody@example.com", "password": "correct horse 1"}"#;
    let unknown = request("POST", "/auth/login").json(stranger).send(&mut client).await;
    assert_eq!(login(&mut client).await.status, 200);

    write(&gateway, "UPDATE users SET enabled = 0");

    assert_eq!(refusal(&login(&mut client).await), refusal(&unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_in_an_account_is_a_failure_of_ours_and_lets_nobody_in() {
    let (gateway, mut client) = start("").await;
    let tokens = login(&mut client).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    let refresh = json!({ "refresh_token": tokens["refresh_token"] }).to_string();
    for (column, junk, good) in [
        ("roles", "'{'", "'[]'"),
        ("roles", "'{\"admin\": true}'", "'[]'"),
        ("roles", "'[1]'", "'[]'"),
        ("permissions", "'null'", "'[]'"),
        ("generation", "-1", "0"),
        ("email", "CAST(x'ff' AS TEXT)", "'you@example.com'"),
    ] {
        write(&gateway, &format!("UPDATE users SET {column} = {junk}"));
        let me = request("GET", "/auth/me").bearer(access).send(&mut client).await;
        assert_eq!(me.status, 500, "{column} = {junk}: {}", me.text());
        let renewed = request("POST", "/auth/refresh").json(&refresh).send(&mut client).await;
        assert_eq!(renewed.status, 500, "{column} = {junk}: {}", renewed.text());
        let again = login(&mut client).await;
        let expected = if column == "email" { 401 } else { 500 };
        assert_eq!(again.status, expected, "{column} = {junk}: {}", again.text());
        write(&gateway, &format!("UPDATE users SET {column} = {good}"));
    }
    let renewed = request("POST", "/auth/refresh").json(&refresh).send(&mut client).await;
    assert_eq!(renewed.status, 200, "nothing was used up: {}", renewed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_in_attributes_opens_no_session_and_tells_no_stranger() {
    let (gateway, mut client) = start("").await;
    let access = login(&mut client).await.json()["access_token"].as_str().unwrap().to_owned();
    write(&gateway, "DELETE FROM sessions; INSERT INTO attributes VALUES (1, '[]')");
    let wrong = r#"{"email": "you@example.com", "password": "wrong horse 1"}"#;

    let refused = request("POST", "/auth/login").json(wrong).send(&mut client).await;
    let me = request("GET", "/auth/me").bearer(&access).send(&mut client).await;
    let again = login(&mut client).await;

    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(me.status, 500, "{}", me.text());
    assert_eq!(again.status, 500, "{}", again.text());
    let database = rusqlite::Connection::open(gateway.folder.path().join("munjigi.db")).unwrap();
    let count = "SELECT count(*) FROM sessions";
    let opened: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(opened, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_would_break_out_of_its_header_opens_nothing() {
    let (gateway, mut client) = start("").await;
    write(&gateway, r#"UPDATE users SET roles = '["a\r\nX-User-Id: 1"]'"#);

    let reply = login(&mut client).await;

    if let Some(token) = reply.json()["access_token"].as_str() {
        let used = request("GET", "/api/x").bearer(token).send(&mut client).await;
        assert_eq!(used.status, 401);
    }
    assert!(gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_that_do_not_read_are_no_news() {
    let (gateway, mut client) = start("[revocation]\nmax_staleness = \"1s\"\n").await;
    let tokens = login(&mut client).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(request("GET", "/api/x").bearer(access).send(&mut client).await.status, 200);

    write(
        &gateway,
        "INSERT INTO revocations (key, floor, expires_at, kind, scope, name)
         VALUES (x'00', 0, 9999999999999, 'token', '', '')",
    );

    eventually("the list is stale", async || {
        let reply = request("GET", "/api/x").bearer(access).send(&mut client).await;
        assert!([200, 503].contains(&reply.status.as_u16()), "{}", reply.status);
        (reply.status == 503).then_some(())
    })
    .await;
}
