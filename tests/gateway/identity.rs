//! Identity headers are the gateway's alone, in whatever spelling a client sends them.

use serde_json::{Value, json};

use crate::harness::{Client, Gateway, Setup, Version, raw, request};

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

const IDENTITY: [&str; 6] = [
    "x-user-id",
    "x-user-email",
    "x-user-name",
    "x-user-roles",
    "x-user-permissions",
    "x-session-id",
];

async fn start() -> (Gateway, String) {
    let gateway = Gateway::start(Setup::default()).await;
    gateway.add_user(&["--email", "you@example.com", "--role", "staff"], "correct horse 1").await;
    let mut client = gateway.client(Version::H1).await;
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await;
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    (gateway, token)
}

/// Every header that reached the upstream and that a backend could take for an identity header.
fn identity_seen(reply: &Value) -> Vec<(String, Value)> {
    let fold = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
    };
    let names: Vec<String> = IDENTITY.iter().map(|name| fold(name)).collect();
    let headers = reply["headers"].as_object().unwrap();
    let seen = headers.iter().filter(|(name, _)| names.contains(&fold(name)));
    seen.map(|(name, values)| (name.clone(), values.clone())).collect()
}

fn spoofs() -> Vec<Vec<(&'static str, &'static str)>> {
    vec![
        vec![("x-user-id", "1")],
        vec![("x-user-id", "1"), ("x-user-id", "2")],
        vec![("x_user_id", "1"), ("x-user_id", "1"), ("x.user.id", "1")],
        vec![("x-user-email", "root@example.com"), ("x-user-roles", "admin")],
        vec![("x-user-permissions", "ALL"), ("x_user_permissions", "ALL")],
        vec![("x-session-id", "s"), ("x-user-name", "root")],
    ]
}

async fn seen(
    client: &mut Client,
    path: &str,
    token: Option<&str>,
    spoof: &[(&str, &str)],
) -> Value {
    let mut builder = request("GET", path);
    for (name, value) in spoof {
        builder = builder.header(name, value);
    }
    if let Some(token) = token {
        builder = builder.bearer(token);
    }
    let reply = builder.send(client).await;
    assert_eq!(reply.status, 200, "{path} {spoof:?}: {}", reply.text());
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticated_request_carries_the_tokens_values_once_each() {
    let (gateway, token) = start().await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let honest = identity_seen(&seen(&mut client, "/api/x", Some(&token), &[]).await);
        let names: Vec<&str> = honest.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["x-user-id", "x-user-email", "x-user-roles", "x-session-id"] {
            assert!(names.contains(&name), "{name} is missing: {honest:?}");
        }
        assert!(honest.iter().all(|(_, values)| values.as_array().unwrap().len() == 1));
        for spoof in spoofs() {
            let spoofed = seen(&mut client, "/api/x", Some(&token), &spoof).await;
            assert_eq!(identity_seen(&spoofed), honest, "{spoof:?}");
            let maybe = seen(&mut client, "/maybe/x", Some(&token), &spoof).await;
            assert_eq!(identity_seen(&maybe), honest, "{spoof:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_request_carries_none() {
    let (gateway, token) = start().await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for spoof in spoofs() {
            for path in ["/public/x", "/maybe/x"] {
                let spoofed = seen(&mut client, path, None, &spoof).await;
                assert_eq!(identity_seen(&spoofed), [], "{path} {spoof:?}");
            }
            let with_token = seen(&mut client, "/public/x", Some(&token), &spoof).await;
            assert_eq!(identity_seen(&with_token), [], "a public route looks at no token");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_cannot_name_identity_headers_away() {
    let (gateway, token) = start().await;
    for connection in [
        "x-user-id",
        "keep-alive, x-user-roles, x-user-id",
        "close, X-User-Email, authorization, host",
    ] {
        let head = format!(
            "GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\
             Authorization: Bearer {token}\r\nX-User-Id: 999\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(gateway.address(), &gateway.trust(), head.as_bytes()).await;
        let answer = String::from_utf8(answer.expect("the connection ends")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{connection}: {answer}");
        let seen = gateway.upstream.seen().pop().unwrap();
        let names: Vec<String> = identity_seen(&seen).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"x-user-id".to_owned()), "{connection}: {names:?}");
        assert!(names.contains(&"x-user-roles".to_owned()), "{connection}: {names:?}");
        assert_ne!(seen["headers"]["x-user-id"], json!(["999"]), "{connection}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_do_not_reach_the_upstream() {
    let (gateway, token) = start().await;
    let request = format!(
        "POST /api/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\nTrailer: X-User-Id\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\nX-User-Id: 999\r\nAuthorization: Bearer x\r\n\r\n"
    );

    let answer = raw(gateway.address(), &gateway.trust(), request.as_bytes()).await;

    let answer = String::from_utf8(answer.expect("the connection ends")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"body_bytes\":5"), "{answer}");
    let seen = gateway.upstream.seen().pop().unwrap();
    assert_ne!(seen["headers"]["x-user-id"], json!(["999"]));
    assert_eq!(seen["headers"].get("trailer"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_headers_are_the_sockets_truth() {
    let (gateway, token) = start().await;
    let spoof = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/evil"),
        ("x-original-url", "/public/x"),
        ("x-rewrite-url", "/public/x"),
        ("x-real-ip", "6.6.6.6"),
        ("true-client-ip", "6.6.6.6"),
        ("x-client-ip", "6.6.6.6"),
        ("cf-connecting-ip", "6.6.6.6"),
        ("fastly-client-ip", "6.6.6.6"),
        ("x_client_ip", "6.6.6.6"),
        ("x-forwarded", "for=6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x-request-id", "forged"),
    ];
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let reply = seen(&mut client, "/api/x", Some(&token), &spoof).await;
        let headers = &reply["headers"];
        assert_eq!(headers["x-forwarded-for"], json!(["127.0.0.1"]));
        assert_eq!(headers["x-forwarded-proto"], json!(["https"]));
        assert_eq!(headers["x-forwarded-host"], json!(["localhost"]));
        assert_eq!(headers["host"], json!(["localhost"]));
        assert_ne!(headers["x-request-id"], json!(["forged"]));
        for gone in
            ["x-forwarded-prefix", "x-original-url", "x-rewrite-url", "forwarded", "authorization"]
        {
            assert_eq!(headers.get(gone), None, "{gone}");
        }
        assert!(!reply.to_string().contains("6.6.6.6"), "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_on_one_connection_are_never_mixed() {
    let (gateway, token) = start().await;
    gateway.add_user(&["--email", "other@example.com"], "correct horse 2").await;
    let other = r#"{"email": "other@example.com", "password": "correct horse 2"}"#;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let reply = request("POST", "/auth/login").json(other).send(&mut client).await;
        let other = reply.json()["access_token"].as_str().unwrap().to_owned();
        for _ in 0..20 {
            for (token, email) in [(&token, "you@example.com"), (&other, "other@example.com")] {
                let reply = seen(&mut client, "/api/x", Some(token), &[]).await;
                assert_eq!(reply["headers"]["x-user-email"], json!([email]));
            }
            let anonymous = seen(&mut client, "/public/x", None, &[]).await;
            assert_eq!(identity_seen(&anonymous), []);
        }
    }
}
