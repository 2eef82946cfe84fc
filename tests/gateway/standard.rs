//! `standard`: every endpoint and every refusal that its document names.

use serde_json::json;

use crate::harness::{Backing, Client, Gateway, Reply, Setup, Version, assert_literal, request};
use crate::redis::RedisServer;

const EMAIL: &str = "you@example.com";
const PASSWORD: &str = "correct horse 1";

/// Runs a check on a fresh gateway of every store, over every HTTP.
async fn everywhere(check: impl AsyncFn(&Gateway, Client)) {
    let redis = RedisServer::start().await;
    for version in Version::BOTH {
        let prefix = format!(
            "[store]\nurl = \"{}\"\nprefix = \"{version:?}:\"\ntimeout = \"10s\"\n",
            redis.url()
        );
        for tables in [String::new(), prefix] {
            let setup = Setup { tables, backing: Backing::Sqlite, ..Setup::default() };
            let gateway = Gateway::start(setup).await;
            let client = gateway.client(version).await;
            check(&gateway, client).await;
        }
    }
}

async fn sign_up(client: &mut Client) -> Reply {
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    request("POST", "/auth/signup").json(&body).send(client).await
}

/// Logs in; gives the access and the refresh token.
async fn login(client: &mut Client) -> (String, String) {
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let reply = request("POST", "/auth/login").json(&body).send(client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    tokens(&reply)
}

/// Holds an answer to RFC 6749 §5.1; gives the access and the refresh token.
fn tokens(reply: &Reply) -> (String, String) {
    let found = assert_literal(
        &reply.body,
        r#"{
          "access_token": "<access>",
          "token_type": "Bearer",
          "expires_in": 900,
          "refresh_token": "<refresh>"
        }"#,
    );
    assert_eq!(reply.header("cache-control"), "no-store");
    (found["access"].clone(), found["refresh"].clone())
}

async fn refresh(client: &mut Client, token: &str) -> Reply {
    let body = json!({ "refresh_token": token }).to_string();
    request("POST", "/auth/refresh").json(&body).send(client).await
}

async fn passes(client: &mut Client, token: &str) -> u16 {
    request("GET", "/api/hello").bearer(token).send(client).await.status.as_u16()
}

/// Holds a refusal to RFC 9457 with our members.
fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let problem = reply.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["code"], code);
    assert_eq!(problem["request_id"], reply.header("x-request-id"));
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_once() {
    everywhere(async |_, mut client| {
        let reply = sign_up(&mut client).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let id = reply.json()["id"].clone();
        assert!(id.is_i64(), "{id}");
        assert_eq!(reply.json(), json!({ "id": id, "email": EMAIL, "username": null }));

        let again = sign_up(&mut client).await;
        assert_problem(&again, 409, "account_exists");
        let body = json!({ "email": "YOU@Example.com", "password": PASSWORD }).to_string();
        let other_case = request("POST", "/auth/signup").json(&body).send(&mut client).await;
        assert_problem(&other_case, 409, "account_exists");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_at_fault_names_the_field() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H2).await;
    let long = "x".repeat(257);
    for (path, body, field) in [
        ("/auth/signup", json!({ "email": "nobody", "password": PASSWORD }), "email"),
        ("/auth/signup", json!({ "email": EMAIL, "password": "short" }), "password"),
        ("/auth/signup", json!({ "email": EMAIL, "password": long }), "password"),
        ("/auth/signup", json!({ "email": EMAIL, "password": ["a"] }), "password"),
        ("/auth/signup", json!({ "email": EMAIL }), "password"),
        ("/auth/login", json!({ "email": EMAIL }), "password"),
        ("/auth/login", json!({ "email": 1, "password": PASSWORD }), "email"),
        ("/auth/refresh", json!({}), "refresh_token"),
    ] {
        let reply = request("POST", path).json(&body.to_string()).send(&mut client).await;

        assert_problem(&reply, 400, "invalid_input");
        assert_eq!(reply.json()["field"], field, "{path} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_one_answer() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    sign_up(&mut client).await;
    let mut bodies = Vec::new();
    for (email, password) in [(EMAIL, "wrong horse 1"), ("nobody@example.com", PASSWORD)] {
        let body = json!({ "email": email, "password": password }).to_string();
        let reply = request("POST", "/auth/login").json(&body).send(&mut client).await;

        assert_problem(&reply, 401, "invalid_credentials");
        let mut problem = reply.json();
        problem["request_id"] = json!(null);
        bodies.push(problem);
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_through_login_me_refresh_and_logout() {
    everywhere(async |gateway, mut client| {
        assert_eq!(sign_up(&mut client).await.status, 201);
        let (access, refresh_token) = login(&mut client).await;

        let me = request("GET", "/auth/me").bearer(&access).send(&mut client).await;
        assert_eq!(me.status, 200);
        let id = me.json()["id"].clone();
        assert_eq!(
            me.json(),
            json!({
                "id": id, "email": EMAIL, "email_verified": false, "username": null,
                "roles": me.json()["roles"], "permissions": []
            })
        );
        let hello = request("GET", "/api/hello").bearer(&access).send(&mut client).await;
        assert_eq!(hello.json()["headers"]["x-user-id"], json!([id.to_string()]));
        assert_eq!(hello.json()["headers"]["x-user-email"], json!([EMAIL]));

        let reply = refresh(&mut client, &refresh_token).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let (second_access, second_refresh) = tokens(&reply);
        assert_ne!(refresh_token, second_refresh);

        let logout = request("POST", "/auth/logout").bearer(&second_access).send(&mut client).await;
        assert_eq!((logout.status.as_u16(), logout.text().as_str()), (200, "{}"));
        assert_eq!(passes(&mut client, &second_access).await, 401, "the presented token");
        assert_eq!(passes(&mut client, &access).await, 401, "the session's other token");
        let reply = refresh(&mut client, &second_refresh).await;
        assert_problem(&reply, 400, "invalid_grant");
        let again = request("POST", "/auth/logout").bearer(&second_access).send(&mut client).await;
        assert_problem(&again, 401, "invalid_token");
        assert_eq!(gateway.upstream.seen().len(), 1, "only the one good request went through");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_successor_comes_again_and_a_grandparent_ends_the_session() {
    everywhere(async |_, mut client| {
        sign_up(&mut client).await;
        let (_, first) = login(&mut client).await;

        let (access_a, second) = tokens(&refresh(&mut client, &first).await);
        let (access_b, repeated) = tokens(&refresh(&mut client, &first).await);
        assert_eq!(second, repeated, "a retry gets the same successor");
        assert_eq!(passes(&mut client, &access_a).await, 200);
        assert_eq!(passes(&mut client, &access_b).await, 200);

        let (access_c, third) = tokens(&refresh(&mut client, &second).await);
        assert_problem(&refresh(&mut client, &first).await, 400, "invalid_grant");
        assert_problem(&refresh(&mut client, &third).await, 400, "invalid_grant");
        for access in [access_a, access_b, access_c] {
            assert_eq!(passes(&mut client, &access).await, 401, "theft ends the access tokens too");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_everywhere_ends_every_session() {
    everywhere(async |_, mut client| {
        sign_up(&mut client).await;
        let (phone, phone_refresh) = login(&mut client).await;
        let (laptop, _) = login(&mut client).await;

        let everywhere = request("POST", "/auth/logout?scope=global").bearer(&laptop);
        assert_eq!(everywhere.send(&mut client).await.status, 200);

        assert_eq!(passes(&mut client, &phone).await, 401);
        assert_eq!(passes(&mut client, &laptop).await, 401);
        assert_problem(&refresh(&mut client, &phone_refresh).await, 400, "invalid_grant");
        let (fresh, _) = login(&mut client).await;
        assert_eq!(passes(&mut client, &fresh).await, 200, "a later login is not touched");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_and_ends_sessions() {
    everywhere(async |_, mut client| {
        sign_up(&mut client).await;
        let (phone, _) = login(&mut client).await;
        let (laptop, _) = login(&mut client).await;

        let list = request("GET", "/auth/sessions").bearer(&laptop).send(&mut client).await;
        assert_eq!(list.status, 200);
        let list = list.json();
        let sessions = list.as_array().or_else(|| list["sessions"].as_array()).unwrap();
        assert_eq!(sessions.len(), 2, "{list}");
        let other = sessions.iter().find(|session| session["current"] == false).unwrap();
        let path = format!("/auth/sessions/{}", other["id"].as_str().unwrap());

        let ended = request("DELETE", &path).bearer(&laptop).send(&mut client).await;
        assert_eq!((ended.status.as_u16(), ended.body.len()), (204, 0));
        assert_eq!(passes(&mut client, &phone).await, 401);
        assert_eq!(passes(&mut client, &laptop).await, 200);
        let again = request("DELETE", &path).bearer(&laptop).send(&mut client).await;
        assert_problem(&again, 404, "session_not_found");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_earlier_sessions() {
    everywhere(async |_, mut client| {
        sign_up(&mut client).await;
        let (access, _) = login(&mut client).await;
        let (other, other_refresh) = login(&mut client).await;
        let change = |old: &str| {
            let body = json!({ "old_password": old, "new_password": "battery staple 2" });
            request("POST", "/auth/password").bearer(&access).json(&body.to_string())
        };
        let wrong = change("wrong horse 1").send(&mut client).await;
        assert_problem(&wrong, 401, "invalid_credentials");

        let changed = change(PASSWORD).send(&mut client).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        let (fresh, _) = tokens(&changed);

        assert_eq!(passes(&mut client, &fresh).await, 200);
        assert_eq!(passes(&mut client, &access).await, 401);
        assert_eq!(passes(&mut client, &other).await, 401);
        assert_problem(&refresh(&mut client, &other_refresh).await, 400, "invalid_grant");
        let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
        let old = request("POST", "/auth/login").json(&body).send(&mut client).await;
        assert_problem(&old, 401, "invalid_credentials");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_proxy_are_problems_too() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;

    let none = request("GET", "/api/hello").send(&mut client).await;
    assert_problem(&none, 401, "missing_token");
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"localhost\"");
    let bad = request("GET", "/api/hello").bearer("x.y.z").send(&mut client).await;
    assert_problem(&bad, 401, "invalid_token");
    assert_eq!(
        bad.header("www-authenticate"),
        "Bearer realm=\"localhost\", error=\"invalid_token\""
    );
    let method = request("GET", "/auth/login").send(&mut client).await;
    assert_problem(&method, 405, "method_not_allowed");
    assert_eq!(method.header("allow"), "POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_at_once_give_one_successor() {
    everywhere(async |gateway, mut client| {
        sign_up(&mut client).await;
        let (_, first) = login(&mut client).await;
        let mut racers = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let mut client = gateway.client(Version::H2).await;
            let first = first.clone();
            racers.spawn(async move { tokens(&refresh(&mut client, &first).await) });
        }
        let successors: std::collections::BTreeSet<String> =
            racers.join_all().await.into_iter().map(|(_, refresh)| refresh).collect();

        assert_eq!(successors.len(), 1, "{} successors", successors.len());
        let successor = successors.first().unwrap();
        assert_eq!(refresh(&mut client, successor).await.status, 200, "the session lives");
    })
    .await;
}
