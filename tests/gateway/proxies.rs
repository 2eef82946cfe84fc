//! A trusted proxy's claims about its client: read from the right, up to the first untrusted
//! address.

use serde_json::json;

use crate::harness::{Gateway, Setup, Version, request};

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

async fn start() -> Gateway {
    let tables = "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
                  trusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]\n";
    Gateway::start(Setup { tables: tables.to_owned(), ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_address_is_the_last_one_that_no_trusted_proxy_has() {
    let gateway = start().await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let rows: [(&[&str], &str, &str); 6] = [
            (&[], "127.0.0.1", "127.0.0.1"),
            (&["2.2.2.2"], "2.2.2.2", "2.2.2.2, 127.0.0.1"),
            (&["9.9.9.9, 2.2.2.2"], "2.2.2.2", "9.9.9.9, 2.2.2.2, 127.0.0.1"),
            (&["2.2.2.2, 10.0.0.7"], "2.2.2.2", "2.2.2.2, 10.0.0.7, 127.0.0.1"),
            (&["9.9.9.9", "2.2.2.2"], "2.2.2.2", "9.9.9.9, 2.2.2.2, 127.0.0.1"),
            (&["9.9.9.9, what"], "127.0.0.1", "9.9.9.9, what, 127.0.0.1"),
        ];
        for (lines, address, chain) in rows {
            let mut builder = request("GET", "/public/x");
            for line in lines {
                builder = builder.header("x-forwarded-for", line);
            }
            let seen = builder.send(&mut client).await.json();
            assert_eq!(seen["headers"]["x-real-ip"], json!([address]), "{lines:?}");
            assert_eq!(seen["headers"]["x-forwarded-for"], json!([chain]), "{lines:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_remembers_the_clients_address_not_the_proxys() {
    let gateway = start().await;
    let mut client = gateway.client(Version::H1).await;
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    let login = request("POST", "/auth/login").json(ACCOUNT);
    let reply = login.header("x-forwarded-for", "9.9.9.9, 2.2.2.2").send(&mut client).await;
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();

    let sessions = request("GET", "/auth/sessions").bearer(&token).send(&mut client).await.json();

    assert_eq!(sessions["sessions"][0]["address"], "2.2.2.2");
}

#[tokio::test(flavor = "multi_thread")]
async fn scheme_host_address_and_request_id_are_believed_and_nothing_else() {
    let gateway = start().await;
    let mut client = gateway.client(Version::H1).await;
    let reply = request("GET", "/public/x")
        .header("x-forwarded-proto", "http")
        .header("x-forwarded-host", "front.example")
        .header("x-request-id", "front-1")
        .header("cf-connecting-ip", "2.2.2.2")
        .header("true_client_ip", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6")
        .header("x-forwarded-user", "root")
        .header("x-forwarded-email", "root@example.com")
        .header("x-forwarded-groups", "admin")
        .header("x_forwarded_for", "6.6.6.6")
        .header("x-real-ip", "6.6.6.6")
        .header("x-original-url", "/admin")
        .header("x-user-id", "1")
        .send(&mut client)
        .await;

    assert_eq!(reply.header("x-request-id"), "front-1");
    let seen = reply.json();
    let headers = &seen["headers"];
    assert_eq!(headers["x-request-id"], json!(["front-1"]));
    assert_eq!(headers["x-forwarded-proto"], json!(["http"]));
    assert_eq!(headers["x-forwarded-host"], json!(["front.example"]));
    assert_eq!(headers["cf-connecting-ip"], json!(["2.2.2.2"]));
    let text = seen.to_string();
    for gone in ["6.6.6.6", "root", "admin", "x-user-id"] {
        assert!(!text.contains(gone), "{gone} reached the backend: {text}");
    }
    for id in ["", "a b", "a\"b", "a<b>", &"a".repeat(129)] {
        let reply = request("GET", "/public/x").header("x-request-id", id).send(&mut client).await;
        assert_ne!(reply.header("x-request-id"), id);
        assert_eq!(reply.json()["headers"]["x-request-id"], json!([reply.header("x-request-id")]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_host_chooses_no_site() {
    let gateway = start().await;
    let mut client = gateway.client(Version::H1).await;
    let spoofed = request("GET", "/api/x").header("x-forwarded-host", "elsewhere.example");
    assert_eq!(spoofed.send(&mut client).await.status, 401);
    let stranger = request("GET", "/public/x")
        .header("host", "elsewhere.example")
        .header("x-forwarded-host", "localhost");
    assert_eq!(stranger.send(&mut client).await.status, 421);
}
