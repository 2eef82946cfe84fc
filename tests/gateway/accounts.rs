//! The fields of accounts and sessions that a client may set, and those that only the gateway sets.

use serde_json::{Value, json};

use crate::harness::process::munjigi;
use crate::harness::{Client, Gateway, Reply, Setup, Upstream, Version, request};

const PASSWORD: &str = "correct horse 1";

async fn post(client: &mut Client, path: &str, body: &Value) -> Reply {
    request("POST", path).json(&body.to_string()).send(client).await
}

fn account(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

async fn login(client: &mut Client, email: &str, password: &str) -> Reply {
    post(client, "/auth/login", &account(email, password)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_grants_nothing_that_its_body_asks_for() {
    let site = "signup = { roles = [\"editor\"] }".to_owned();
    let gateway = Gateway::start(Setup { site, ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    let body = json!({
        "email": "you@example.com", "password": PASSWORD,
        "id": 999, "user_id": 999, "role": "admin", "roles": ["admin"], "permissions": ["ALL"],
        "verified": true, "email_verified": true, "enabled": true, "generation": 9,
        "realm": "other", "user": { "roles": ["admin"] }, "verifier": "x", "__proto__": { "a": 1 },
    });
    let reply = post(&mut client, "/auth/signup", &body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_ne!(reply.json()["id"], 999);

    let tokens = login(&mut client, "you@example.com", PASSWORD).await.json();
    let token = tokens["access_token"].as_str().unwrap();
    let me = request("GET", "/auth/me").bearer(token).send(&mut client).await.json();
    assert_eq!(me["roles"], json!([]));
    assert_eq!(me["permissions"], json!([]));
    assert_eq!(me["email_verified"], false);
    let seen = request("GET", "/api/x").bearer(token).send(&mut client).await.json();
    assert_eq!(seen["headers"].get("x-user-roles"), None);
    assert_eq!(seen["headers"].get("x-user-permissions"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_taken_whole_up_to_256_bytes() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    let (most, wide) = ("x".repeat(256), "가".repeat(85));
    let rows: [(&str, &str, &[&str]); 4] = [
        ("most@example.com", &most, &[&most[..255]]),
        ("wide@example.com", &wide, &[&"가".repeat(84)]),
        ("nul@example.com", "correct\0horse 1", &["correct", "correct\0horse 2", "correcthorse 1"]),
        ("form@example.com", "caf\u{e9} horse", &["cafe horse", "CAF\u{c9} horse"]),
    ];
    for (email, password, others) in rows {
        let reply = post(&mut client, "/auth/signup", &account(email, password)).await;
        assert_eq!(reply.status, 201, "{email}: {}", reply.text());
        assert_eq!(login(&mut client, email, password).await.status, 200, "{email}");
        for other in others {
            assert_eq!(login(&mut client, email, other).await.status, 401, "{email} {other:?}");
        }
    }
    for long in ["x".repeat(257), "가".repeat(86), "x".repeat(1 << 20)] {
        let reply = post(&mut client, "/auth/signup", &account("long@example.com", &long)).await;
        assert_eq!(reply.json()["code"], "invalid_input", "{} bytes", long.len());
        let reply = login(&mut client, "most@example.com", &long).await;
        assert_eq!(reply.json()["code"], "invalid_input", "{} bytes", long.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_could_break_out_of_its_line_is_refused() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    for email in [
        "you@example.com\r\nBcc: them@example.com",
        "you\r\n@example.com",
        "you@example.com\n",
        "you@example.com\0",
        "\u{1b}[31m@example.com",
        "you@example.com, them@example.com",
        "<you@example.com>",
    ] {
        let reply = post(&mut client, "/auth/signup", &account(email, PASSWORD)).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["field"]),
            (400, &json!("email")),
            "{email:?}"
        );
    }
    for username in ["a\r\nb", "a\0b", "a  b", "\u{1b}[2J", "a\u{9b}b", "root@example.com"] {
        let mut body = account("you@example.com", PASSWORD);
        body["username"] = json!(username);
        let reply = post(&mut client, "/auth/signup", &body).await;
        assert_eq!(reply.status, 400, "{username:?}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_none_of_ours_is_a_client_error() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    let deep = format!("{{\"email\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [(&str, &str, &[u8]); 14] = [
        ("application/json", "empty", b""),
        ("application/json", "null", b"null"),
        ("application/json", "array", b"[]"),
        ("application/json", "cut", b"{\"email\": \"a"),
        ("application/json", "junk after", b"{} x"),
        ("application/json", "not UTF-8", b"{\"email\": \"\xff\", \"password\": \"x\"}"),
        ("application/json", "deep", deep.as_bytes()),
        ("application/json", "gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ("application/json", "sql", b"{\"email\": \"' OR 1=1 --\", \"password\": \"' OR 1=1\"}"),
        (
            "application/json",
            "jndi",
            b"{\"email\": \"${jndi:ldap://x}@b.c\", \"password\": \"*)(uid=*\"}",
        ),
        ("application/json", "object", b"{\"email\": {\"$ne\": 1}, \"password\": {\"$ne\": 1}}"),
        (
            "application/xml",
            "xml",
            b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
        ),
        ("text/plain", "text", b"{\"email\": \"a@b.co\", \"password\": \"x\"}"),
        ("multipart/form-data; boundary=x", "multipart", b"--x\r\n\r\n--x--"),
    ];
    for path in ["/auth/login", "/auth/signup", "/auth/refresh"] {
        for (kind, name, body) in bodies {
            let reply = request("POST", path)
                .header("content-type", kind)
                .body(body.to_vec())
                .send(&mut client)
                .await;
            assert!(reply.status.is_client_error(), "{path} {name}: {}", reply.status);
            assert_eq!(reply.header("content-type"), "application/problem+json", "{path} {name}");
        }
        for method in ["GET", "PUT", "DELETE", "TRACE"] {
            let reply = request(method, path).send(&mut client).await;
            assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "POST"), "{method}");
        }
    }
    assert!(gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_members_of_one_name_the_first_does_not_win() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    for email in ["first@example.com", "last@example.com"] {
        post(&mut client, "/auth/signup", &account(email, PASSWORD)).await;
    }
    let body = format!(
        r#"{{"email":"first@example.com","\u0065mail":"last@example.com","password":"{PASSWORD}"}}"#
    );
    let reply = request("POST", "/auth/login").json(&body).send(&mut client).await;
    if reply.status == 200 {
        let token = reply.json()["access_token"].as_str().unwrap().to_owned();
        let me = request("GET", "/auth/me").bearer(&token).send(&mut client).await.json();
        assert_eq!(me["email"], "last@example.com");
    } else {
        assert_eq!(reply.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_speaks_for_its_own_user_whatever_comes_beside_it() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    let mut tokens = Vec::new();
    for email in ["a@example.com", "b@example.com"] {
        post(&mut client, "/auth/signup", &account(email, PASSWORD)).await;
        tokens.push(login(&mut client, email, PASSWORD).await.json());
    }
    let of = |user: usize, name: &str| tokens[user][name].as_str().unwrap().to_owned();

    let refresh = json!({ "refresh_token": of(0, "refresh_token"), "sub": "2", "user_id": 2 });
    let reply = request("POST", "/auth/refresh")
        .bearer(&of(1, "access_token"))
        .json(&refresh.to_string())
        .send(&mut client)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let me = request("GET", "/auth/me").bearer(&token).send(&mut client).await.json();
    assert_eq!(me["email"], "a@example.com");

    let crossed = json!({ "refresh_token": of(1, "access_token") });
    let reply = post(&mut client, "/auth/refresh", &crossed).await;
    assert_eq!(reply.json()["code"], "invalid_grant", "an access token refreshes nothing");
    let reply = request("GET", "/api/x").bearer(&of(1, "refresh_token")).send(&mut client).await;
    assert_eq!(reply.status, 401, "a refresh token opens nothing");
    let sessions =
        request("GET", "/auth/sessions").bearer(&of(0, "access_token")).send(&mut client).await;
    let session = sessions.json()["sessions"][0]["id"].as_str().unwrap().to_owned();
    let end = request("DELETE", &format!("/auth/sessions/{session}"));
    let reply = end.bearer(&of(1, "access_token")).send(&mut client).await;
    assert_eq!(reply.status, 404, "another user's session is not there");
    let alive = request("GET", "/api/x").bearer(&of(0, "access_token")).send(&mut client).await;
    assert_eq!(alive.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_no_token_can_carry_are_refused_where_they_are_given() {
    let gateway = Gateway::start(Setup::default()).await;
    gateway.add_user(&["--email", "you@example.com"], "correct horse 1").await;
    let names: Vec<String> = (0..300).map(|number| format!("orders:read:{number:08}")).collect();
    let given = |count: usize| names.iter().take(count).flat_map(|name| ["--permission", name]);
    let verb = |begin: &[&'static str], count| [begin, &given(count).collect::<Vec<_>>()].concat();

    let rights = gateway.munjigi(&verb(&["user", "rights", "you@example.com"], 300)).await;
    let add = verb(&["user", "add", "--email", "new@example.com", "--password-stdin"], 300);
    let add = munjigi(&gateway.file(), &add, "correct horse 1").await;
    let line = json!({ "email": "new@example.com", "permissions": names }).to_string();
    let import = ["user", "import", "-", "--format", "jsonl"];
    let import = munjigi(&gateway.file(), &import, &line).await;
    for output in [rights, add, import] {
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("bytes long") && text.contains("token_bytes is 8192"), "{text}");
    }
    let fits = gateway.munjigi(&verb(&["user", "rights", "you@example.com"], 150)).await;
    assert!(fits.status.success(), "{}", String::from_utf8_lossy(&fits.stderr));
    let mut client = gateway.client(Version::H1).await;
    let account = json!({ "email": "you@example.com", "password": "correct horse 1" }).to_string();
    let log_in = || request("POST", "/auth/login").json(&account);
    let reply = log_in().send(&mut client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(request("GET", "/api/x").bearer(&token).send(&mut client).await.status, 200);

    let (folder, text) = (gateway.folder.clone(), std::fs::read_to_string(gateway.file()).unwrap());
    gateway.stop().await;
    let text = format!("{text}\n[limits]\ntoken_bytes = \"2KiB\"\n");
    let gateway = Gateway::start_in(folder, &text, Upstream::start().await).await;
    let mut client = gateway.client(Version::H1).await;
    assert_eq!(log_in().send(&mut client).await.status, 500, "a token that opens nothing");
}
