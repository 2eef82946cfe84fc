//! Sessions of browsers: cookies that open routes, are renewed on the way, and end at once.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::harness::client::connect;
use crate::harness::{
    Backing, Client, DEADLINE, Gateway, Reply, Setup, Version, eventually, request,
};
use crate::redis::RedisServer;

/// Close, two bytes long, 1008.
const POLICY_VIOLATION: [u8; 4] = [0x88, 2, 0x03, 0xf0];

fn setup(site: &str, tables: &str) -> Setup {
    let site = format!("token_from = [\"bearer\", \"cookie\", \"subprotocol\"]\n{site}");
    Setup { site, tables: tables.to_owned(), ..Setup::default() }
}

/// The origin of the gateway's own pages: its clients send `Host: localhost`.
const OWN: &str = "https://localhost";

fn account(name: &str) -> String {
    json!({ "email": format!("{name}@example.com"), "password": "correct horse 1" }).to_string()
}

async fn client(gateway: &Gateway) -> Client {
    gateway.client(Version::H1).await
}

/// Signs in from a page; the account is made where it is not there.
async fn sign_in(gateway: &Gateway, name: &str, origin: &str) -> Reply {
    let mut client = client(gateway).await;
    request("POST", "/auth/signup").json(&account(name)).send(&mut client).await;
    let login = request("POST", "/auth/login").json(&account(name));
    let login = if origin.is_empty() { login } else { login.header("origin", origin) };
    let reply = login.send(&mut client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

/// `Set-Cookie` lines of the session.
fn set(reply: &Reply) -> Vec<String> {
    let lines = reply.headers.get_all("set-cookie").iter();
    let lines = lines.map(|line| line.to_str().unwrap().to_owned());
    lines.filter(|line| line.contains("mj_")).collect()
}

/// The `Cookie` line that a browser sends after an answer; empty after none.
fn jar(reply: &Reply) -> String {
    let pairs: Vec<String> =
        set(reply).iter().map(|line| line.split(';').next().unwrap().to_owned()).collect();
    pairs.join("; ")
}

fn refresh_cookie(jar: &str) -> &str {
    jar.split("; ").find(|pair| pair.starts_with("__Host-mj_rt=")).unwrap()
}

async fn get(gateway: &Gateway, path: &str, cookie: &str) -> Reply {
    request("GET", path).header("cookie", cookie).send(&mut client(gateway).await).await
}

async fn expired(gateway: &Gateway, jar: &str) {
    let token = jar.split("; ").find_map(|pair| pair.strip_prefix("__Host-mj_at=")).unwrap();
    eventually("the access token expires", async || {
        let mut client = client(gateway).await;
        let reply = request("GET", "/api/x").bearer(token).send(&mut client).await;
        (reply.status == 401).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_signs_in_gets_cookies_which_open_routes_and_reach_no_backend() {
    let gateway = Gateway::start(setup("", "")).await;
    let reply = sign_in(&gateway, "ann", OWN).await;

    let lines = set(&reply);
    let [access, refresh] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(access.starts_with("__Host-mj_at=ey"), "{access}");
    assert!(refresh.starts_with("__Host-mj_rt=keep."), "{refresh}");
    for line in [access, refresh] {
        assert!(line.contains("; Max-Age="), "{line}");
        assert!(line.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{line}");
    }
    assert_eq!(reply.header("cache-control"), "no-store");

    let cookie = format!("theme=dark; {}; lang=ko", jar(&reply));
    let shown = get(&gateway, "/api/hello", &cookie).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.json()["headers"]["cookie"], json!(["theme=dark; lang=ko"]));
    assert_eq!(shown.json()["headers"]["x-user-email"], json!(["ann@example.com"]));
    assert_eq!(shown.json()["headers"]["authorization"], Value::Null);
    assert!(set(&shown).is_empty());
    assert_eq!(get(&gateway, "/auth/me", &cookie).await.json()["email"], "ann@example.com");
    // Neither where tokens are ignored.
    let open = get(&gateway, "/public/x", &cookie).await;
    assert_eq!(open.json()["headers"]["cookie"], json!(["theme=dark; lang=ko"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_page_of_the_site_or_of_a_configured_origin_gets_cookies() {
    let cors = "cors = { origins = [\"https://app.example\"] }";
    let gateway = Gateway::start(setup(cors, "")).await;
    let rows = [
        ("", false),
        ("https://app.example", true),
        ("https://evil.example", false),
        ("null", false),
    ];
    for (origin, expected) in rows {
        let reply = sign_in(&gateway, "ann", origin).await;
        assert_eq!(!set(&reply).is_empty(), expected, "{origin}");
        if expected {
            assert_eq!(reply.header("access-control-allow-credentials"), "true");
        }
    }
    let bearer_only = Gateway::start(Setup::default()).await;
    let reply = sign_in(&bearer_only, "ann", OWN).await;
    assert!(set(&reply).is_empty());
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let cookie = format!("__Host-mj_at={token}");
    assert_eq!(get(&bearer_only, "/api/x", &cookie).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_changes_nothing_with_the_cookie() {
    let cors = "cors = { origins = [\"https://app.example\"] }";
    let gateway = Gateway::start(setup(cors, "")).await;
    let cookie = jar(&sign_in(&gateway, "ann", OWN).await);
    let socket = ("upgrade", "websocket");
    let events = ("accept", "text/event-stream");
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);
    let rows: [Row<'_>; 14] = [
        ("GET", "/api/x", &[], 200),
        ("GET", "/api/x", &[("origin", "https://evil.example")], 200),
        ("POST", "/api/x", &[], 403),
        ("POST", "/api/x", &[("origin", OWN)], 200),
        ("POST", "/api/x", &[("origin", "https://app.example")], 200),
        ("POST", "/api/x", &[("origin", "https://evil.example")], 403),
        ("POST", "/api/x", &[("origin", "null")], 403),
        ("DELETE", "/api/x", &[("sec-fetch-site", "same-origin")], 200),
        ("PUT", "/api/x", &[("sec-fetch-site", "same-site")], 403),
        ("GET", "/api/ws", &[socket, ("connection", "upgrade")], 403),
        ("GET", "/api/sse", &[events, ("origin", "https://evil.example")], 403),
        ("POST", "/auth/logout", &[("origin", "https://evil.example")], 403),
        ("POST", "/auth/logout", &[], 403),
        ("GET", "/auth/me", &[], 200),
    ];
    for (method, path, lines, status) in rows {
        let mut request = request(method, path).header("cookie", &cookie);
        for (name, value) in lines {
            request = request.header(name, value);
        }
        let reply = request.send(&mut client(&gateway).await).await;
        assert_eq!(reply.status, status, "{method} {path} {lines:?}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_renewed_once_by_whatever_comes_and_what_was_typed_arrives() {
    let tokens = "[site.\"localhost\".tokens]\naccess_ttl = \"1s\"\n";
    let gateway = Gateway::start(setup("", tokens)).await;
    let before = jar(&sign_in(&gateway, "ann", OWN).await);
    expired(&gateway, &before).await;
    let seen = gateway.upstream.seen().len();

    let mut requests = JoinSet::new();
    for number in 0..20 {
        let mut client = client(&gateway).await;
        let before = before.clone();
        requests.spawn(async move {
            let method = if number == 0 { "POST" } else { "GET" };
            let request = request(method, "/api/x").header("cookie", &before);
            let request = request.header("origin", OWN).body(vec![b'x'; 20_000 * (number / 10)]);
            request.send(&mut client).await
        });
    }
    let replies = requests.join_all().await;

    let jars: Vec<String> = replies.iter().map(jar).collect();
    for (reply, jar) in replies.iter().zip(&jars) {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["headers"]["x-user-email"], json!(["ann@example.com"]));
        assert_eq!(refresh_cookie(jar), refresh_cookie(&jars[0]));
        assert_ne!(refresh_cookie(jar), refresh_cookie(&before));
    }
    assert_eq!(gateway.upstream.seen().len(), seen + 20);
    let after = get(&gateway, "/api/x", &jars[0]).await;
    assert_eq!((after.status.as_u16(), set(&after).len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_answer_was_lost_comes_again_and_one_that_was_used_is_theft() {
    let tokens = "[site.\"localhost\".tokens]\naccess_ttl = \"1s\"\nrefresh_grace = \"1ms\"\n";
    let gateway = Gateway::start(setup("", tokens)).await;
    let before = jar(&sign_in(&gateway, "ann", OWN).await);
    expired(&gateway, &before).await;
    let lost = jar(&get(&gateway, "/api/x", &before).await);

    let again = get(&gateway, "/api/x", &before).await;

    assert_eq!(again.status, 200);
    assert_eq!(refresh_cookie(&jar(&again)), refresh_cookie(&lost));
    assert_eq!(get(&gateway, "/api/x", &jar(&again)).await.status, 200);
    let stolen = get(&gateway, "/api/x", &before).await;
    assert_eq!(stolen.status, 401);
    assert_eq!(get(&gateway, "/api/x", &jar(&again)).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_session_is_nobody_where_nobody_may_come_and_ends_for_the_browser() {
    let gateway = Gateway::start(setup("", "")).await;
    let cookie = jar(&sign_in(&gateway, "ann", OWN).await);
    let request = request("POST", "/auth/logout").header("cookie", &cookie).header("origin", OWN);
    let reply = request.send(&mut client(&gateway).await).await;
    assert_eq!(reply.status, 200);
    assert_eq!(jar(&reply), "__Host-mj_at=; __Host-mj_rt=");

    let shown = get(&gateway, "/maybe/x", &cookie).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.json()["headers"]["x-user-email"], Value::Null);
    let refused = get(&gateway, "/api/x", &cookie).await;
    assert_eq!(refused.status, 401);
    // An image's answer may arrive after the next sign-in: it takes nothing away.
    assert!(set(&refused).is_empty());
    let navigation = crate::harness::request("GET", "/api/x").header("cookie", &cookie);
    let navigation = navigation.header("sec-fetch-mode", "navigate");
    let navigation = navigation.send(&mut client(&gateway).await).await;
    assert_eq!(jar(&navigation), "__Host-mj_at=; __Host-mj_rt=");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_ends_no_session() {
    let redis = RedisServer::start().await;
    let tokens = "[site.\"localhost\".tokens]\naccess_ttl = \"1s\"\n";
    let backing = Backing::Redis(redis.url());
    let gateway = Gateway::start(Setup { backing, ..setup("", tokens) }).await;
    let cookie = jar(&sign_in(&gateway, "ann", OWN).await);
    expired(&gateway, &cookie).await;
    drop(redis);

    for path in ["/api/x", "/maybe/x"] {
        let navigation = request("GET", path).header("cookie", &cookie);
        let navigation = navigation.header("sec-fetch-mode", "navigate");
        let reply = navigation.send(&mut client(&gateway).await).await;
        assert_eq!(reply.status, 503, "{path}: {}", reply.text());
        assert!(set(&reply).is_empty(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_two_sessions_in_one_request_are_refused() {
    let gateway = Gateway::start(setup("", "")).await;
    let (one, other) = (sign_in(&gateway, "ann", OWN).await, sign_in(&gateway, "bob", OWN).await);
    let again = sign_in(&gateway, "ann", OWN).await;
    let token = |reply: &Reply| reply.json()["access_token"].as_str().unwrap().to_owned();
    let refreshed = json!({ "refresh_token": one.json()["refresh_token"] }).to_string();
    let refreshed =
        request("POST", "/auth/refresh").json(&refreshed).send(&mut client(&gateway).await).await;
    let rows = [
        ("one", &token(&one), jar(&one), 200),
        ("the same session's next", &token(&refreshed), jar(&one), 200),
        ("another user", &token(&one), jar(&other), 400),
        ("another session", &token(&one), jar(&again), 400),
        ("no token in the cookie", &token(&one), "__Host-mj_at=nonsense".to_owned(), 200),
        ("two cookies", &token(&one), "__Host-mj_at=a; __Host-mj_at=b".to_owned(), 400),
        ("a bad token beside a good cookie", &"a.b.c".to_owned(), jar(&one), 401),
    ];
    for (name, bearer, cookie, status) in rows {
        let request = request("GET", "/api/x").bearer(bearer).header("cookie", &cookie);
        let reply = request.send(&mut client(&gateway).await).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
    }
}

/// Opens a WebSocket; gives the head of the answer, and the stream.
async fn websocket(
    gateway: &Gateway,
    lines: &str,
) -> (String, tokio_rustls::client::TlsStream<tokio::net::TcpStream>) {
    let mut stream = connect(gateway.address(), &gateway.trust(), b"http/1.1").await;
    let head = format!(
        "GET /api/ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZQ==\r\n{lines}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
    }
    (String::from_utf8(answer).unwrap().to_lowercase(), stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_takes_its_token_from_the_subprotocols_and_ends_with_it() {
    let gateway = Gateway::start(setup("", "")).await;
    let reply = sign_in(&gateway, "ann", "").await;
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let rows = [
        (format!("sec-websocket-protocol: bearer, {token}\r\n"), Value::Null),
        (format!("sec-websocket-protocol: bearer, {token}, chat, v2\r\n"), json!(["chat, v2"])),
    ];
    for (lines, left) in &rows {
        let (head, _stream) = websocket(&gateway, lines).await;
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains("sec-websocket-protocol: bearer\r\n"), "{head}");
        let seen = gateway.upstream.seen().pop().unwrap();
        assert_eq!(&seen["headers"]["sec-websocket-protocol"], left);
        assert!(!seen.to_string().contains(&token));
    }
    let (head, _stream) = websocket(&gateway, "sec-websocket-protocol: bearer, a.b.c\r\n").await;
    assert!(head.starts_with("http/1.1 401"), "{head}");

    let (_, mut open) = websocket(&gateway, &rows[0].0).await;
    let logout = request("POST", "/auth/logout").bearer(&token);
    assert_eq!(logout.send(&mut client(&gateway).await).await.status, 200);
    let mut told = [0; 4];
    tokio::time::timeout(DEADLINE, open.read_exact(&mut told)).await.unwrap().unwrap();
    assert_eq!(told, POLICY_VIOLATION);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_a_cookie_ends_with_its_session() {
    let gateway = Gateway::start(setup("", "")).await;
    let cookie = jar(&sign_in(&gateway, "ann", OWN).await);
    let (head, mut open) =
        websocket(&gateway, &format!("cookie: {cookie}\r\norigin: {OWN}\r\n")).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");

    let logout = request("POST", "/auth/logout").header("cookie", &cookie).header("origin", OWN);
    assert_eq!(logout.send(&mut client(&gateway).await).await.status, 200);

    let mut told = [0; 4];
    tokio::time::timeout(DEADLINE, open.read_exact(&mut told)).await.unwrap().unwrap();
    assert_eq!(told, POLICY_VIOLATION);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_gets_the_token_gets_it_wherever_it_came_from() {
    let gateway = Gateway::start(setup("forward_authorization = true", "")).await;
    let reply = sign_in(&gateway, "ann", OWN).await;
    let bearer = format!("Bearer {}", reply.json()["access_token"].as_str().unwrap());

    let shown = get(&gateway, "/api/x", &jar(&reply)).await;

    assert_eq!(shown.json()["headers"]["authorization"], json!([bearer]));
    assert_eq!(shown.json()["headers"]["cookie"], Value::Null);
}
