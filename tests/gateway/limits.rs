//! How often one may try: what a client sees of `[login]`.

use serde_json::json;

use crate::harness::Client;
use crate::harness::Gateway;
use crate::harness::Reply;
use crate::harness::Setup;
use crate::harness::Version;
use crate::harness::assert_literal;
use crate::harness::request;

const EMAIL: &str = "ann@example.com";
const NAME: &str = "ann";
const PASSWORD: &str = "correct horse 1";
const WRONG: &str = "wrong horse 1";

/// A gateway that believes what the test says of its address, with one account.
async fn start(contract: &str, login: &str) -> Gateway {
    let tables = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
         trusted_proxies = [\"127.0.0.1/32\"]\n[login]\n{login}\n"
    );
    let gateway = Gateway::start(Setup { tables, ..Setup::contract(contract) }).await;
    gateway.add_user(&["--email", EMAIL, "--username", NAME], PASSWORD).await;
    gateway
}

async fn post(client: &mut Client, from: &str, path: &str, body: &serde_json::Value) -> Reply {
    let request = request("POST", path).header("x-forwarded-for", from);
    request.json(&body.to_string()).send(client).await
}

async fn login(client: &mut Client, from: &str, who: &str, password: &str) -> Reply {
    let field = if who.contains('@') { "email" } else { "username" };
    let body = json!({ field: who, "password": password });
    post(client, from, "/auth/login", &body).await
}

fn wait(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().expect("whole seconds")
}

fn assert_limited_as_standard(reply: &Reply) {
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let found = assert_literal(
        &reply.body,
        r#"{
          "type": "about:blank",
          "title": "Too Many Requests",
          "status": 429,
          "detail": "too many tries",
          "code": "rate_limited",
          "request_id": "<request>"
        }"#,
    );
    assert_eq!(found["request"], reply.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tries_too_often_is_told_when_to_come_again() {
    let gateway = start("standard", "rate_limit = \"1/h burst 3\"").await;
    for (version, from) in Version::BOTH.into_iter().zip(["2.2.2.2", "2001:db8::1"]) {
        let mut client = gateway.client(version).await;
        let signup = json!({ "email": EMAIL, "password": PASSWORD });
        assert_eq!(post(&mut client, from, "/auth/signup", &signup).await.status, 409);
        assert_eq!(login(&mut client, from, EMAIL, WRONG).await.status, 401);
        let tokens = login(&mut client, from, EMAIL, PASSWORD).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());

        let limited = login(&mut client, from, EMAIL, PASSWORD).await;
        assert_limited_as_standard(&limited);
        assert!((3590..=3600).contains(&wait(&limited)), "{limited:?}");
        assert_eq!(post(&mut client, from, "/auth/signup", &signup).await.status, 429);

        let tokens = tokens.json();
        let access = tokens["access_token"].as_str().unwrap();
        let body = json!({ "refresh_token": tokens["refresh_token"] });
        for _ in 0..5 {
            let refreshed = post(&mut client, from, "/auth/refresh", &body).await;
            assert_eq!(refreshed.status, 200, "{}", refreshed.text());
            let me = request("GET", "/auth/me").header("x-forwarded-for", from).bearer(access);
            assert_eq!(me.send(&mut client).await.status, 200);
        }
        assert_eq!(login(&mut client, "9.9.9.9", EMAIL, PASSWORD).await.status, 200);
    }
    let mut client = gateway.client(Version::H1).await;
    let neighbour = login(&mut client, "2001:db8::ffff", EMAIL, PASSWORD).await;
    assert_eq!(neighbour.status, 429, "of the same /64");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_speaks_the_contracts_language() {
    let gateway = start("zdm", "rate_limit = \"1/h burst 1\"").await;
    for (version, from) in Version::BOTH.into_iter().zip(["2.2.2.2", "2.2.2.3"]) {
        let mut client = gateway.client(version).await;
        let body = json!({ "email": EMAIL, "password": PASSWORD });
        let path = "/api/v1/auth/issue";
        assert_eq!(post(&mut client, from, path, &body).await.status, 201);

        let limited = post(&mut client, from, path, &body).await;

        assert_eq!(limited.status, 429);
        assert!((3590..=3600).contains(&wait(&limited)), "{limited:?}");
        assert_literal(
            &limited.body,
            r#"{
              "success": false,
              "requestID": "<request>",
              "error": { "code": "RATE_LIMITED", "message": "요청 횟수가 허용 한도를 초과했습니다" },
              "timestamp": "<timestamp>"
            }"#,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_lock_one_account_at_one_address() {
    let gateway =
        start("standard", "rate_limit = \"off\"\nlock_after = 3\nlock_for = \"10m\"").await;
    for (version, from) in Version::BOTH.into_iter().zip(["2.2.2.2", "3.3.3.3"]) {
        let mut client = gateway.client(version).await;
        for who in [EMAIL, NAME, EMAIL] {
            assert_eq!(login(&mut client, from, who, WRONG).await.status, 401);
        }
        for _ in 0..3 {
            let unknown = login(&mut client, from, "nobody@example.com", WRONG).await;
            assert_eq!(unknown.status, 401);
        }

        for who in [EMAIL, NAME, "nobody@example.com"] {
            let locked = login(&mut client, from, who, PASSWORD).await;
            assert_limited_as_standard(&locked);
            assert!((590..=600).contains(&wait(&locked)), "{who}: {locked:?}");
        }
        assert_eq!(login(&mut client, from, "nobody", WRONG).await.status, 401);
        assert_eq!(login(&mut client, "9.9.9.9", EMAIL, PASSWORD).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_starts_anew_and_nothing_else_does() {
    let gateway = start("standard", "rate_limit = \"off\"\nlock_after = 3").await;
    let (from, elsewhere) = ("2.2.2.2", "9.9.9.9");
    let mut client = gateway.client(Version::H1).await;
    login(&mut client, from, EMAIL, WRONG).await;
    login(&mut client, from, EMAIL, WRONG).await;
    let tokens = login(&mut client, from, NAME, PASSWORD).await.json();
    login(&mut client, from, EMAIL, WRONG).await;
    login(&mut client, from, EMAIL, WRONG).await;

    let body = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(post(&mut client, from, "/auth/refresh", &body).await.status, 200);
    let other = login(&mut client, elsewhere, EMAIL, PASSWORD).await;
    assert_eq!(other.status, 200);
    let access = tokens["access_token"].as_str().unwrap();
    let change = request("POST", "/auth/password").header("x-forwarded-for", from).bearer(access);
    let body = json!({ "old_password": WRONG, "new_password": "another horse 1" }).to_string();
    let changed = change.json(&body).send(&mut client).await;
    assert_eq!(changed.status, 401, "the third wrong one: {}", changed.text());

    assert_limited_as_standard(&login(&mut client, from, EMAIL, PASSWORD).await);
    let me = request("GET", "/auth/me").header("x-forwarded-for", from).bearer(access);
    assert_eq!(me.send(&mut client).await.status, 200, "sessions live on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_turned_away_is_counted_by_kind() {
    let gateway = start("standard", "rate_limit = \"1/h burst 2\"\nlock_after = 1").await;
    let mut client = gateway.client(Version::H1).await;
    for status in [401, 429, 429] {
        assert_eq!(login(&mut client, "4.4.4.4", EMAIL, WRONG).await.status, status);
    }
    let url = format!("http://{}/metrics", gateway.app().admin().expect("an admin listener"));
    let output = tokio::process::Command::new("curl").args(["-s", &url]).output().await.unwrap();
    let metrics = String::from_utf8(output.stdout).unwrap();
    for kind in ["account", "address"] {
        let line = format!("munjigi_throttled_total{{kind=\"{kind}\"}}");
        assert!(metrics.contains(&line), "{metrics}");
    }
}
