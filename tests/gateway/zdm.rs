//! `zdm`, held to the product's own document, over HTTP/1.1 and HTTP/2, on SQLite and on Redis.

use crate::harness::{Backing, Client, Gateway, Setup, Version, assert_literal, request};
use crate::redis::RedisServer;

const PATH: &str = "/api/v1/auth/issue";
const EMAIL: &str = "user@example.com";
const PASSWORD: &str = "your_password";
async fn start(backing: Backing) -> Gateway {
    let gateway = Gateway::start(Setup { backing, ..Setup::contract("zdm") }).await;
    gateway.add_user(&["--email", EMAIL], PASSWORD).await;
    gateway
}

/// Runs a check on every store and every HTTP.
async fn everywhere(check: impl AsyncFn(&Gateway, Client)) {
    let redis = RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let gateway = start(backing).await;
        for version in Version::BOTH {
            let client = gateway.client(version).await;
            check(&gateway, client).await;
        }
    }
}

fn credentials(email: &str, password: &str) -> String {
    format!(r#"{{"email": "{email}", "password": "{password}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn issue_answers_as_the_document_says() {
    everywhere(async |_, mut client| {
        let reply =
            request("POST", PATH).json(&credentials(EMAIL, PASSWORD)).send(&mut client).await;

        assert_eq!(reply.status, 201);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("cache-control"), "no-store");
        let found = assert_literal(
            &reply.body,
            r#"{
              "success": true,
              "requestID": "<request>",
              "data": { "token": "<token>", "expiresAt": "<expires>" },
              "message": "Token issued successfully.",
              "timestamp": "<timestamp>"
            }"#,
        );
        let id = found["request"].strip_prefix("req-").expect("req-");
        assert!(id.len() >= 6 && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
        assert_eq!(reply.header("x-request-id"), found["request"]);
        assert!(found["token"].starts_with("eyJ"));
        for time in [&found["expires"], &found["timestamp"]] {
            assert!(
                time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T',
                "{time}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_may_come_hashed() {
    everywhere(async |_, mut client| {
        let hashed = sha256(PASSWORD);
        for password in [hashed.clone(), hashed.to_uppercase()] {
            let reply =
                request("POST", PATH).json(&credentials(EMAIL, &password)).send(&mut client).await;
            assert_eq!(reply.status, 201, "{password}");
        }
        let wrong = sha256("another password");
        let reply = request("POST", PATH).json(&credentials(EMAIL, &wrong)).send(&mut client).await;
        assert_eq!(reply.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_user_and_wrong_password_are_one_answer() {
    everywhere(async |_, mut client| {
        for (email, password) in [("nobody@example.com", PASSWORD), (EMAIL, "wrong password")] {
            let reply =
                request("POST", PATH).json(&credentials(email, password)).send(&mut client).await;

            assert_eq!(reply.status, 404, "{email}");
            assert_literal(
                &reply.body,
                r#"{
                  "success": false,
                  "requestID": "<request>",
                  "error": {
                    "code": "USER_NOT_FOUND",
                    "message": "등록되지 않은 사용자이거나 비밀번호가 일치하지 않습니다."
                  },
                  "timestamp": "<timestamp>"
                }"#,
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_at_fault_is_a_validation_error() {
    let gateway = start(Backing::Sqlite).await;
    let documented = "유효한 이메일 형식이 아닙니다";
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for (body, message) in [
            (r#"{"email": "no email", "password": "x"}"#, Some(documented)),
            (r#"{"password": "your_password"}"#, Some(documented)),
            (r#"{"email": null, "password": "your_password"}"#, Some(documented)),
            (r#"{"email": 7, "password": "your_password"}"#, Some(documented)),
            (r#"{"email": "user@example.com"}"#, None),
            (r#"{"email": "user@example.com", "password": ""}"#, None),
            (r#"{"email": "user@example.com", "password": 7}"#, None),
            (r#"{"email": "user@example.com", "password": "your_pass"#, None),
            ("[]", None),
            ("", None),
            ("\u{feff}{}", None),
        ] {
            let reply = request("POST", PATH).json(body).send(&mut client).await;

            assert_eq!(reply.status, 400, "{body}");
            let error = &reply.json()["error"];
            assert_eq!(error["code"], "VALIDATION_ERROR", "{body}");
            match message {
                Some(message) => assert_eq!(error["message"], message, "{body}"),
                None => assert!(error["message"].as_str().is_some_and(|text| !text.is_empty())),
            }
        }
        let invalid =
            [br#"{"email": "user@example.com", "password": ""#.as_slice(), b"\xff\"}"].concat();
        let typed = request("POST", PATH).header("content-type", "application/json");
        let reply = typed.body(invalid).send(&mut client).await;
        assert_eq!(reply.status, 400);
    }
    assert!(gateway.upstream.seen().is_empty(), "an endpoint's request reached the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn issuing_again_revokes_the_token_before() {
    everywhere(async |_, mut client| {
        let first = issue(&mut client).await;
        let reply = request("GET", "/hello").bearer(&first).send(&mut client).await;
        assert_eq!(reply.status, 200);

        let second = issue(&mut client).await;

        let reply = request("GET", "/hello").bearer(&first).send(&mut client).await;
        assert_eq!(reply.status, 401);
        assert_literal(
            &reply.body,
            r#"{
              "success": false,
              "requestID": "<request>",
              "error": { "code": "UNAUTHORIZED", "message": "<message>" },
              "timestamp": "<timestamp>"
            }"#,
        );
        let reply = request("GET", "/hello").bearer(&second).send(&mut client).await;
        assert_eq!(reply.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_id_reaches_the_upstream() {
    let gateway = start(Backing::Sqlite).await;
    let mut client = gateway.client(Version::H1).await;
    let token = issue(&mut client).await;

    let forged = request("GET", "/hello").bearer(&token).header("x-request-id", "req-forged");
    let reply = forged.send(&mut client).await;

    let seen = reply.json()["headers"]["x-request-id"].clone();
    assert_eq!(seen, serde_json::json!([reply.header("x-request-id")]));
    assert!(reply.header("x-request-id").starts_with("req-"));
    assert_ne!(reply.header("x-request-id"), "req-forged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_silent_at_the_look_up_is_408() {
    let redis = RedisServer::start().await;
    let store = format!("[store]\nurl = \"{}\"\nlookup_timeout = \"300ms\"\n", redis.url());
    let gateway = Gateway::start(Setup { tables: store, ..Setup::contract("zdm") }).await;
    gateway.add_user(&["--email", EMAIL], PASSWORD).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        redis.pause();

        let reply =
            request("POST", PATH).json(&credentials(EMAIL, PASSWORD)).send(&mut client).await;
        redis.resume();

        assert_eq!(reply.status, 408);
        assert_literal(
            &reply.body,
            r#"{
              "success": false,
              "requestID": "<request>",
              "error": { "code": "TIMEOUT_ERROR", "message": "사용자 조회 시간이 초과되었습니다" },
              "timestamp": "<timestamp>"
            }"#,
        );
        crate::harness::eventually("logins work again", async || {
            let again = request("POST", PATH).json(&credentials(EMAIL, PASSWORD)).build();
            client.try_send(again).await.ok().filter(|reply| reply.status == 201)
        })
        .await;
    }
}

async fn issue(client: &mut Client) -> String {
    let reply = request("POST", PATH).json(&credentials(EMAIL, PASSWORD)).send(client).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["data"]["token"].as_str().unwrap().to_owned()
}

fn sha256(text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
