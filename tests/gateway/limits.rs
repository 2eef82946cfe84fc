//! Limits on tries (`[login]`), as a client sees them.

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Backing, Client, Gateway, Reply, Setup, Version, assert_literal, request};
use crate::redis::RedisServer;

const EMAIL: &str = "ann@example.com";
const NAME: &str = "ann";
const PASSWORD: &str = "correct horse 1";
const WRONG: &str = "wrong horse 1";

/// A gateway that believes what the test says of its address, with one account.
async fn start(contract: &str, login: &str) -> Gateway {
    start_on(Backing::Sqlite, contract, login).await
}

async fn start_on(backing: Backing, contract: &str, login: &str) -> Gateway {
    let gateway = beside(backing, contract, login).await;
    gateway.add_user(&["--email", EMAIL, "--username", NAME], PASSWORD).await;
    gateway
}

/// Another gateway, perhaps on the same store.
async fn beside(backing: Backing, contract: &str, login: &str) -> Gateway {
    let tables = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
         trusted_proxies = [\"127.0.0.1/32\"]\n[login]\n{login}\n"
    );
    Gateway::start(Setup { tables, backing, ..Setup::contract(contract) }).await
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
        assert_eq!(login(&mut client, from, EMAIL, WRONG).await.status, 401);

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
        let wrong = json!({ "email": EMAIL, "password": WRONG });
        assert_eq!(post(&mut client, from, path, &wrong).await.status, 404);

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

/// One gateway on a file, and three on one Redis: their counts are one.
async fn fleets(login: &str) -> [(Option<RedisServer>, Vec<Gateway>); 2] {
    let redis = RedisServer::start().await;
    let backing = || Backing::Redis(redis.url());
    let mut three = vec![start_on(backing(), "standard", login).await];
    for _ in 0..2 {
        three.push(beside(backing(), "standard", login).await);
    }
    [(None, vec![start("standard", login).await]), (Some(redis), three)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_gets_no_more_of_three_gateways_than_of_one() {
    for (_redis, gateways) in fleets("rate_limit = \"1/h burst 40\"\nlock_after = 10").await {
        let mut clients = Vec::new();
        for gateway in &gateways {
            clients.push(gateway.client(Version::H2).await);
        }
        // Ten of an account; of an address, forty over all accounts.
        for (from, names, judged) in [("2.2.2.2", 1, 10), ("3.3.3.3", 60, 40)] {
            let mut guesses = JoinSet::new();
            for number in 0..60 {
                let mut client = clients[number % clients.len()].sibling();
                guesses.spawn(async move {
                    let who = if names == 1 { EMAIL.to_owned() } else { format!("n{number}") };
                    login(&mut client, from, &who, WRONG).await.status.as_u16()
                });
            }
            let answers = guesses.join_all().await;
            let count = |status| answers.iter().filter(|found| **found == status).count();
            assert_eq!((count(401), count(429)), (judged, 60 - judged), "{from}: {answers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_right_log_ins_at_once_from_one_address_all_pass() {
    for (_redis, gateways) in fleets("rate_limit = \"1/h burst 30\"\nlock_after = 10").await {
        let client = gateways[0].client(Version::H2).await;
        let mut logins = JoinSet::new();
        for _ in 0..40 {
            let mut client = client.sibling();
            logins.spawn(async move {
                login(&mut client, "2.2.2.2", EMAIL, PASSWORD).await.status.as_u16()
            });
        }
        let answers = logins.join_all().await;
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_shown_and_lifted_by_a_verb_or_a_new_password() {
    let [(_, one), (_redis, three)] = fleets("rate_limit = \"off\"\nlock_after = 3").await;
    for gateways in [one, three] {
        let gateway = gateways.last().expect("a gateway");
        let mut client = gateway.client(Version::H1).await;
        let show = async || {
            let output = gateway.munjigi(&["--json", "user", "show", EMAIL]).await;
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["locks"].clone()
        };
        let verbs: [&[&str]; 2] = [&["user", "unlock", EMAIL], &["user", "passwd", EMAIL]];
        for verb in verbs {
            assert_eq!(show().await, json!([]));
            for _ in 0..3 {
                assert_eq!(login(&mut client, "2.2.2.2", EMAIL, WRONG).await.status, 401);
            }
            assert_eq!(login(&mut client, "2.2.2.2", EMAIL, PASSWORD).await.status, 429);
            assert_eq!(show().await[0]["network"], "2.2.2.2");

            let stdin = if verb[1] == "passwd" { &["--password-stdin"][..] } else { &[] };
            let verb = [verb, stdin].concat();
            let output = crate::harness::process::munjigi(&gateway.file(), &verb, PASSWORD).await;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

            assert_eq!(login(&mut client, "2.2.2.2", EMAIL, PASSWORD).await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_whose_tries_cannot_be_counted_is_503() {
    let redis = RedisServer::start().await;
    let gateway = start_on(Backing::Redis(redis.url()), "standard", "lock_after = 3").await;
    let mut client = gateway.client(Version::H1).await;
    redis_cli(&redis, &["CONFIG", "SET", "maxmemory", "1"]);
    for password in [WRONG, PASSWORD] {
        let reply = login(&mut client, "2.2.2.2", EMAIL, password).await;
        assert_eq!(reply.status, 503, "{}", reply.text());
    }
    redis_cli(&redis, &["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(login(&mut client, "2.2.2.2", EMAIL, WRONG).await.status, 401);
}

fn redis_cli(redis: &RedisServer, arguments: &[&str]) {
    let mut command = std::process::Command::new("redis-cli");
    let output = command.args(["-u", &redis.url()]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
