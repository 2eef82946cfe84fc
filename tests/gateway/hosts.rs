//! A site is chosen by one spelling of its host, and its tokens name the site, never the request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::harness::{Client, Gateway, Setup, Version, raw, request};

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

/// `localhost`, `*.example.test`, `*`: each with its own contract and keys, in one realm.
async fn start() -> (Gateway, Client) {
    let site = |host: &str| {
        format!(
            "[site.\"{host}\"]\ncontract = \"standard\"\n\
             routes = [{{ path = \"/*\", upstream = \"{{upstream}}\" }}]\n"
        )
    };
    let tables = format!("{}{}", site("*.example.test"), site("*"));
    let gateway = Gateway::start(Setup { tables, ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    let reply = request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    assert_eq!(reply.status, 201);
    (gateway, client)
}

async fn login(client: &mut Client, host: &str) -> (String, Value) {
    let login = request("POST", "/auth/login").header("host", host).json(ACCOUNT);
    let reply = login.header("x-forwarded-host", "evil.example").send(client).await;
    assert_eq!(reply.status, 200, "{host}: {}", reply.text());
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    (token, serde_json::from_slice(&claims).unwrap())
}

async fn status(client: &mut Client, host: &str, path: &str, token: &str) -> u16 {
    request("GET", path).header("host", host).bearer(token).send(client).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_names_its_site_and_opens_all_of_its_hosts_and_no_other() {
    let (_gateway, mut client) = start().await;
    let rows = [
        (
            "a.example.test",
            "urn:munjigi:site:*.example.test",
            ["b.example.test", "A.B.EXAMPLE.test:8443", "c.example.test."],
            ["localhost", "example.test", "badexample.test"],
        ),
        (
            "anything.invalid",
            "urn:munjigi:site:*",
            ["other.invalid", "example.test", "127.0.0.1:1"],
            ["localhost", "a.example.test", "localhost."],
        ),
        (
            "LOCALHOST:8443",
            "https://localhost",
            ["localhost", "localhost.", "LocalHost.:443"],
            ["a.example.test", "other.invalid", "localhost.invalid"],
        ),
    ];
    for (host, issuer, opens, refuses) in rows {
        let (token, claims) = login(&mut client, host).await;
        assert_eq!(claims["iss"], issuer, "{host}");
        assert_eq!(claims["aud"], issuer, "{host}");
        for other in opens {
            assert_eq!(status(&mut client, other, "/x", &token).await, 200, "{host} → {other}");
        }
        for other in refuses {
            assert_eq!(status(&mut client, other, "/x", &token).await, 401, "{host} → {other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_a_host_does_not_fall_to_a_wider_site() {
    // The wider site is public: whatever of the narrow one fell to it would be open.
    let public = "[site.\"*\"]\ncontract = \"none\"\n\
                  routes = [{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\" }]\n\
                  [site.\"[::1]\"]\ncontract = \"none\"\n\
                  routes = [{ path = \"/*\", upstream = \"{upstream}\" }]\n";
    let gateway = Gateway::start(Setup { tables: public.to_owned(), ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    let rows = [
        ("localhost", 401),
        ("localhost:1", 401),
        ("LOCALHOST", 401),
        ("localhost.", 401),
        ("localhost.:8443", 401),
        ("[::1]", 401),
        ("[0:0:0:0:0:0:0:1]:8443", 401),
        ("[::0001]", 401),
        ("elsewhere", 200),
    ];
    for (host, expected) in rows {
        let reply = request("GET", "/api/x").header("host", host).send(&mut client).await;
        assert_eq!(reply.status, expected, "{host}");
    }
}

/// HTTP/1.0 has no `Host` (RFC 9112 §3.2); a health check may still speak it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_no_host_is_served_by_the_site_of_every_host() {
    let route = "routes = [{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\" }]\n";
    for (host, status) in [("*", "200"), ("*.example.test", "421")] {
        let tables = format!("[site.\"{host}\"]\ncontract = \"none\"\n{route}");
        let gateway = Gateway::start(Setup { tables, ..Setup::default() }).await;

        let answer = raw(gateway.address(), &gateway.trust(), b"GET /x HTTP/1.0\r\n\r\n").await;

        let answer = String::from_utf8_lossy(&answer.unwrap()).into_owned();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{host}: {answer}");
        for seen in gateway.upstream.seen() {
            let backend = gateway.upstream.url();
            let named = backend.strip_prefix("http://").unwrap();
            assert_eq!(seen["headers"]["host"], serde_json::json!([named]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_good_at_its_own_site_alone() {
    let (_gateway, mut client) = start().await;
    let login = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await.json();
    let body = serde_json::json!({ "refresh_token": login["refresh_token"] }).to_string();
    for host in ["a.example.test", "other.invalid"] {
        let there = request("POST", "/auth/refresh").header("host", host).json(&body);
        let reply = there.send(&mut client).await;
        assert_eq!(reply.json()["code"], "invalid_grant", "{host}");
    }
    let own = request("POST", "/auth/refresh").json(&body).send(&mut client).await;
    assert_eq!(own.status, 200, "tries elsewhere cost nothing: {}", own.text());
}
