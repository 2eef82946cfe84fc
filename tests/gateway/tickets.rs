//! Tickets: one path, once, for thirty seconds, as long as their session lives.

use serde_json::{Value, json};

use crate::harness::{Backing, Gateway, Reply, Setup, Version, request};
use crate::redis::RedisServer;

fn setup(backing: Backing) -> Setup {
    Setup {
        routes:
            "{ path = \"/files/*\", upstream = \"{upstream}\", token_from = [\"query:ticket\"] },\n\
                 { path = \"/either/*\", upstream = \"{upstream}\", token_from = [\"bearer\", \
                   \"query:ticket\"], strip_prefix = \"/either\" },\n\
                 { path = \"/*\", upstream = \"{upstream}\" },"
                .to_owned(),
        backing,
        ..Setup::default()
    }
}

async fn log_in(gateway: &Gateway) -> String {
    let account = json!({ "email": "ann@example.com", "password": "correct horse 1" }).to_string();
    let mut client = gateway.client(Version::H1).await;
    request("POST", "/auth/signup").json(&account).send(&mut client).await;
    let reply = request("POST", "/auth/login").json(&account).send(&mut client).await;
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

async fn ticket(gateway: &Gateway, token: &str, path: &str) -> String {
    let body = json!({ "path": path }).to_string();
    let request = request("POST", "/account/ticket").bearer(token).json(&body);
    let reply = request.send(&mut gateway.client(Version::H1).await).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["expires_in"], 30);
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.json()["ticket"].as_str().unwrap().to_owned()
}

async fn get(gateway: &Gateway, target: &str) -> Reply {
    request("GET", target).send(&mut gateway.client(Version::H1).await).await
}

async fn opens_its_path_once(backing: Backing) {
    let gateway = Gateway::start(setup(backing)).await;
    let token = log_in(&gateway).await;

    let one = ticket(&gateway, &token, "/files/a").await;
    let shown = get(&gateway, &format!("/files/a?size=2&ticket={one}")).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert_eq!(shown.json()["target"], "/files/a?size=2");
    assert_eq!(shown.json()["headers"]["x-user-email"], json!(["ann@example.com"]));
    assert_eq!(shown.header("referrer-policy"), "no-referrer");
    assert!(!shown.text().contains(&one));
    assert_eq!(get(&gateway, &format!("/files/a?ticket={one}")).await.status, 401);

    let other = ticket(&gateway, &token, "/files/a?size=2").await;
    for target in ["/files/b?size=2", "/files/a?size=3", "/files/a", "/files/a/"] {
        let sign = if target.contains('?') { '&' } else { '?' };
        let refused = get(&gateway, &format!("{target}{sign}ticket={other}")).await;
        assert_eq!(refused.status, 401, "{target}");
    }
    let posted = request("POST", &format!("/files/a?size=2&ticket={other}"));
    assert_eq!(posted.send(&mut gateway.client(Version::H1).await).await.status, 401);
    // None of them used it up.
    assert_eq!(get(&gateway, &format!("/files/a?size=2&ticket={other}")).await.status, 200);

    let late = ticket(&gateway, &token, "/files/a").await;
    let logout = request("POST", "/auth/logout").bearer(&token);
    assert_eq!(logout.send(&mut gateway.client(Version::H1).await).await.status, 200);
    assert_eq!(get(&gateway, &format!("/files/a?ticket={late}")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_its_path_once() {
    opens_its_path_once(Backing::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_its_path_once_on_redis() {
    let redis = RedisServer::start().await;
    opens_its_path_once(Backing::Redis(redis.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_uses_at_once_one_succeeds() {
    let gateway = Gateway::start(setup(Backing::Sqlite)).await;
    let token = log_in(&gateway).await;
    let target = format!("/files/a?ticket={}", ticket(&gateway, &token, "/files/a").await);

    let mut uses = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (mut client, target) = (gateway.client(Version::H1).await, target.clone());
        uses.spawn(async move { request("GET", &target).send(&mut client).await.status.as_u16() });
    }

    let mut statuses = uses.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[..2], [200, 401], "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_ticket_stands_in_an_address_and_only_where_it_is_named() {
    let gateway = Gateway::start(setup(Backing::Sqlite)).await;
    let token = log_in(&gateway).await;
    let fresh = async |path| ticket(&gateway, &token, path).await;
    let rows = [
        ("a token", format!("/files/a?ticket={token}"), "", 401),
        ("nothing", "/files/a?ticket=".to_owned(), "", 401),
        ("nonsense", "/files/a?ticket=%zz".to_owned(), "", 401),
        ("two", format!("/files/a?ticket={0}&ticket={0}", fresh("/files/a").await), "", 400),
        ("no such place", format!("/x?ticket={}", fresh("/x").await), "", 401),
        ("beside a token", format!("/either/a?ticket={}", fresh("/either/a").await), &*token, 400),
        ("alone", format!("/either/a?ticket={}", fresh("/either/a").await), "", 200),
        ("the token alone", "/either/a".to_owned(), &*token, 200),
        ("a token in its place", "/files/a".to_owned(), &*token, 401),
    ];
    for (name, target, bearer, status) in rows {
        let request = request("GET", &target);
        let request = if bearer.is_empty() { request } else { request.bearer(bearer) };
        let reply = request.send(&mut gateway.client(Version::H1).await).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        if status == 200 {
            assert_eq!(reply.json()["target"], "/a", "{name}");
            assert_eq!(reply.json()["headers"]["cookie"], Value::Null);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_made_for_a_path_of_the_site_by_who_may() {
    let gateway = Gateway::start(setup(Backing::Sqlite)).await;
    let token = log_in(&gateway).await;
    let rows = [
        ("", "{\"path\": \"/a\"}", 401),
        (&*token, "", 400),
        (&*token, "{}", 400),
        (&*token, "{\"path\": 1}", 400),
        (&*token, "{\"path\": \"\"}", 400),
        (&*token, "{\"path\": \"https://evil.example/\"}", 400),
        (&*token, "{\"path\": \"/%zz\"}", 400),
        (&*token, "{\"path\": \"/a/../b\"}", 200),
        (&*token, "path=%2Ffiles%2Fa", 200),
    ];
    for (bearer, body, status) in rows {
        let request = request("POST", "/account/ticket").json(body);
        let request = if bearer.is_empty() { request } else { request.bearer(bearer) };
        let reply = request.send(&mut gateway.client(Version::H1).await).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
    }
}
