//! A bad credential is 401 with a challenge, and nothing reaches the upstream.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::{Client, Gateway, Setup, Version, request};

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

async fn start(site: &str) -> (Gateway, String, String) {
    let gateway = Gateway::start(Setup { site: site.to_owned(), ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await.json();
    let text = |name: &str| reply[name].as_str().unwrap().to_owned();
    (gateway, text("access_token"), text("refresh_token"))
}

async fn status(client: &mut Client, lines: &[&str]) -> u16 {
    let mut builder = request("GET", "/api/x");
    for line in lines {
        builder = builder.header("authorization", line);
    }
    builder.send(client).await.status.as_u16()
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_no_good_token_are_refused() {
    let (gateway, token, refresh) = start("").await;
    let [head, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let none = encode(r#"{"alg":"none","typ":"JWT"}"#);
    let bad = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {token}"),
        format!("Token {token}"),
        format!("BearerX {token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer {token},{token}"),
        format!("Bearer {token}="),
        format!("Bearer {token}."),
        format!("Bearer .{token}"),
        format!("Bearer {head}.{claims}"),
        format!("Bearer {head}.{claims}."),
        format!("Bearer {head}.{claims}.{signature}.{signature}"),
        format!("Bearer {none}.{claims}."),
        format!("Bearer {none}.{claims}.{signature}"),
        format!("Bearer {head}.{}.{signature}", encode(r#"{"sub":"1"}"#)),
        format!("Bearer {refresh}"),
        token.clone(),
        format!("Bearer {}", "x".repeat(9000)),
    ];
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for line in &bad {
            // HTTP/2 takes no value that ends with a blank (RFC 9113 §8.2.1); HTTP/1.1 cuts it off.
            let malformed = version == Version::H2 && line.ends_with(' ');
            let expected = if malformed { 400 } else { 401 };
            assert_eq!(status(&mut client, &[line]).await, expected, "{line}");
        }
        let both = [format!("Bearer {token}"), "Bearer x".to_owned()];
        for lines in [[&both[0], &both[1]], [&both[1], &both[0]], [&both[0], &both[0]]] {
            let lines = lines.map(String::as_str);
            // A head with two readings may end the connection.
            let mut client = gateway.client(version).await;
            assert!([400, 401].contains(&status(&mut client, &lines).await), "{lines:?}");
        }
    }
    let mut client = gateway.client(Version::H1).await;
    let elsewhere = request("GET", &format!("/api/x?access_token={token}"))
        .header("cookie", &format!("access_token={token}"))
        .header("proxy-authorization", &format!("Bearer {token}"))
        .header("x-access-token", &token);
    assert_eq!(elsewhere.send(&mut client).await.status, 401);
    assert!(gateway.upstream.seen().is_empty());
    for scheme in ["bearer ", "Bearer  "] {
        assert_eq!(status(&mut client, &[&format!("{scheme}{token}")]).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_signs_verifies_and_shows_its_public_key() {
    for algorithm in ["HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let setup = Setup {
            tables: format!("[site.\"localhost\".tokens]\nalgorithm = \"{algorithm}\"\n"),
            ..Setup::default()
        };
        let gateway = Gateway::start(setup).await;
        let mut client = gateway.client(Version::H1).await;
        request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
        let reply = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await.json();
        let token = reply["access_token"].as_str().unwrap();

        for _ in 0..2 {
            assert_eq!(
                status(&mut client, &[&format!("Bearer {token}")]).await,
                200,
                "{algorithm}"
            );
        }
        let jwks = request("GET", "/.well-known/jwks.json").send(&mut client).await;
        assert_eq!(jwks.status, 200);
        let keys = jwks.json()["keys"].as_array().unwrap().clone();
        if algorithm.starts_with("HS") {
            assert!(keys.is_empty(), "a secret is published: {keys:?}");
        } else {
            assert_eq!(keys.len(), 1);
            assert_eq!(keys[0]["alg"], algorithm);
            assert_eq!(keys[0].get("d"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_site_opens_no_other() {
    let other = "[site.\"other.localhost\"]\ncontract = \"standard\"\n\
                 routes = [{ path = \"/*\", upstream = \"{upstream}\" }]\n";
    let gateway = Gateway::start(Setup { tables: other.to_owned(), ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await.json();
    let token = reply["access_token"].as_str().unwrap();

    let there = request("GET", "/x").header("host", "other.localhost").bearer(token);
    assert_eq!(there.send(&mut client).await.status, 401);
    assert_eq!(request("GET", "/x").bearer(token).send(&mut client).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_permissions_and_claims_are_required_by_routes() {
    let routes = "{ path = \"/admin/*\", upstream = \"{upstream}\", roles = [\"admin\", \"root\"] },\n\
                  { path = \"/sms/*\", upstream = \"{upstream}\", permissions = [\"SMS\", \"FAME\"] },\n\
                  { path = \"/mine/*\", upstream = \"{upstream}\", claims = { email = \"you@example.com\" } },\n\
                  { path = \"/*\", upstream = \"{upstream}\" },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    let people: [(&str, &[&str], [u16; 3]); 3] = [
        ("you@example.com", &[], [403, 403, 200]),
        ("root@example.com", &["--role", "root", "--permission", "SMS"], [200, 403, 403]),
        ("sms@example.com", &["--permission", "SMS", "--permission", "FAME"], [403, 200, 403]),
    ];
    for (email, rights, statuses) in people {
        gateway.add_user(&[&["--email", email], rights].concat(), "correct horse 1").await;
        let issued = gateway.munjigi(&["token", "issue", "--user", email]).await;
        let token = String::from_utf8(issued.stdout).unwrap().trim().to_owned();
        for (path, status) in ["/admin/x", "/sms/x", "/mine/x"].into_iter().zip(statuses) {
            let reply = request("GET", path).bearer(&token).send(&mut client).await;
            assert_eq!(reply.status, status, "{email} {path}");
        }
        assert_eq!(request("GET", "/admin/x").send(&mut client).await.status, 401);
    }
}
