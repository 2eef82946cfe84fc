//! Keys that the operator brought: each verifies by its own algorithm, and a site may only verify.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::harness::{Client, Gateway, Setup, Upstream, Version, eventually, request};

const SECRET: &str = "q3Zr7Vt1xK9mPz2LcN8bYw5HsJ4dGf6A";

/// A site without a contract, one HS256 secret and one RS256 public key, both from files.
struct Site {
    gateway: Gateway,
    private: EncodingKey,
    public_pem: String,
}

fn openssl(arguments: &[&str], folder: &Path) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Site {
    async fn start() -> Self {
        munjigi::token::install_crypto();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let path = folder.path();
        openssl(&["genpkey", "-algorithm", "RSA", "-out", "private.pem"], path);
        openssl(&["pkey", "-in", "private.pem", "-pubout", "-out", "public.pem"], path);
        std::fs::write(path.join("hs.secret"), format!("{SECRET}\n")).unwrap();
        let private = std::fs::read(path.join("private.pem")).unwrap();
        let public_pem = std::fs::read_to_string(path.join("public.pem")).unwrap();
        let tables = "[site.\"localhost\".tokens]\nissuer = \"https://idp.example\"\n\
                      audience = [\"api\"]\n\
                      [[site.\"localhost\".tokens.keys]]\nkid = \"hs\"\nalgorithm = \"HS256\"\n\
                      secret = \"file:hs.secret\"\n\
                      [[site.\"localhost\".tokens.keys]]\nkid = \"rs\"\nalgorithm = \"RS256\"\n\
                      public = \"public.pem\"\n";
        let setup = Setup { tables: tables.to_owned(), ..Setup::contract("none") };
        let upstream = Upstream::start().await;
        let text = setup.text(&upstream);
        let gateway = Gateway::start_in(folder, &text, upstream).await;
        let private = EncodingKey::from_rsa_pem(&private).unwrap();
        Self { gateway, private, public_pem }
    }

    fn hs(&self, claims: &Value) -> String {
        sign(
            Algorithm::HS256,
            Some("hs"),
            &EncodingKey::from_secret(SECRET.as_bytes()).unwrap(),
            claims,
        )
    }

    fn rs(&self, claims: &Value) -> String {
        sign(Algorithm::RS256, Some("rs"), &self.private, claims)
    }
}

fn sign(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

/// Claims as a foreign issuer signs them.
fn claims() -> Value {
    json!({ "iss": "https://idp.example", "aud": "api", "sub": "corp|7", "exp": 9_999_999_999_u64 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

async fn status(client: &mut Client, token: &str) -> u16 {
    request("GET", "/api/x").bearer(token).send(client).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_only_verifies_serves_no_endpoint_and_refuses_as_standard() {
    let site = Site::start().await;
    let mut client = site.gateway.client(Version::H1).await;
    for path in ["/auth/login", "/auth/signup", "/auth/refresh", "/auth/logout"] {
        let reply = request("POST", path).json("{}").send(&mut client).await;
        assert_eq!(reply.status, 401, "{path}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.json()["code"], "missing_token");
        let reply = request("POST", path).bearer(&site.rs(&claims())).send(&mut client).await;
        assert_eq!(reply.json()["target"], path, "it is the backend's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_verifies_by_its_own_algorithm_alone() {
    let site = Site::start().await;
    let mut client = site.gateway.client(Version::H1).await;
    for token in [site.hs(&claims()), site.rs(&claims())] {
        let reply = request("GET", "/api/x").bearer(&token).send(&mut client).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["headers"]["x-user-id"], json!(["corp|7"]));
    }
    let secret = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let pem = EncodingKey::from_secret(site.public_pem.as_bytes()).unwrap();
    let trimmed = EncodingKey::from_secret(site.public_pem.trim_end().as_bytes()).unwrap();
    // HMAC pads with zeroes: one zero byte signs as the empty secret does (RFC 2104 §2).
    let empty = EncodingKey::from_secret(b"\0").unwrap();
    let line = EncodingKey::from_secret(format!("{SECRET}\n").as_bytes()).unwrap();
    let confused = [
        ("public key as a secret, kid rs", Algorithm::HS256, Some("rs"), &pem),
        ("public key as a secret, kid hs", Algorithm::HS256, Some("hs"), &pem),
        ("public key as a secret, no kid", Algorithm::HS256, None, &pem),
        ("public key without line end", Algorithm::HS256, None, &trimmed),
        ("secret, other size", Algorithm::HS512, Some("hs"), &secret),
        ("secret under the public key's kid", Algorithm::HS256, Some("rs"), &secret),
        ("private key under the secret's kid", Algorithm::RS256, Some("hs"), &site.private),
        ("private key, other padding", Algorithm::PS256, Some("rs"), &site.private),
        ("unknown kid", Algorithm::HS256, Some("../hs"), &secret),
        ("empty secret", Algorithm::HS256, Some("hs"), &empty),
        ("secret with the file's line end", Algorithm::HS256, Some("hs"), &line),
    ];
    for (name, algorithm, kid, key) in confused {
        let token = sign(algorithm, kid, key, &claims());
        assert_eq!(status(&mut client, &token).await, 401, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_token_is_held_to_what_is_relied_on() {
    let site = Site::start().await;
    let mut client = site.gateway.client(Version::H1).await;
    let day_ahead = json!(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 86_400);
    for (claim, value) in [
        ("iss", json!("https://idp.example/")),
        ("aud", json!("other")),
        ("aud", json!("api api")),
        ("sub", json!("")),
        ("sub", json!("7\r\nX-User-Roles: admin")),
        ("exp", json!("9999999999")),
        ("exp", json!(1)),
        ("nbf", json!(day_ahead.to_string())),
        ("nbf", day_ahead.clone()),
        ("iat", day_ahead.clone()),
        ("token_use", json!("refresh")),
        ("token_use", json!("reset")),
    ] {
        let token = site.rs(&with(claim, value.clone()));
        assert_eq!(status(&mut client, &token).await, 401, "{claim} = {value}");
    }
    for claim in ["iss", "aud", "sub", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(claim);
        assert_eq!(status(&mut client, &site.rs(&claims)).await, 401, "without {claim}");
    }
    assert!(site.gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_token_without_a_name_can_be_revoked() {
    let site = Site::start().await;
    let mut client = site.gateway.client(Version::H1).await;
    let (token, twin) = (site.rs(&claims()), site.rs(&with("sub", json!("corp|8"))));
    let resigned = site.hs(&claims());
    assert_eq!(status(&mut client, &token).await, 200);

    let output = site.gateway.munjigi(&["revoke", "token", &token]).await;

    assert!(output.status.success(), "{output:?}");
    eventually("the token is refused", async || {
        (status(&mut client, &token).await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&mut client, &resigned).await, 401, "the same claims are the same token");
    assert_eq!(status(&mut client, &twin).await, 200, "another token lives on");
    let bad = site.gateway.munjigi(&["revoke", "token", "a.b.c"]).await;
    assert!(!bad.status.success(), "there is nothing to revoke");
}

/// The HS256 key that a gateway made for itself.
fn stolen_key(gateway: &Gateway) -> (String, EncodingKey) {
    munjigi::token::install_crypto();
    let database = rusqlite::Connection::open(gateway.folder.path().join("munjigi.db")).unwrap();
    let (kid, secret): (String, Vec<u8>) = database
        .query_row("SELECT kid, material FROM keys WHERE issuer = 'https://localhost'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    (kid, EncodingKey::from_secret(&secret).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_takes_an_own_token_that_has_expired() {
    let tables = "[mail]\nurl = \"dir:mail\"\n\
                  [site.\"localhost\".tokens]\nalgorithm = \"HS256\"\n";
    let setup = Setup { tables: tables.to_owned(), ..Setup::contract("zipcheck") };
    let gateway = Gateway::start(setup).await;
    gateway.add_user(&["--email", "you@example.com"], "correct horse 1").await;
    let (kid, key) = stolen_key(&gateway);
    let mut client = gateway.client(Version::H1).await;
    let account = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;
    let reply = request("POST", "/auth/login").json(account).send(&mut client).await;
    let token = reply.header("authorization").strip_prefix("Bearer ").unwrap().to_owned();
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    let mut claims = jsonwebtoken::dangerous::insecure_decode::<Value>(&token).unwrap().claims;
    for name in ["iat", "exp"] {
        claims[name] = json!(claims[name].as_u64().unwrap() - 86_400);
    }
    let expired = sign(Algorithm::HS256, Some(&kid), &key, &claims);
    let forged = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let forged = sign(Algorithm::HS256, Some(&kid), &forged, &claims);
    let log_out = |token: &str| request("POST", "/auth/logout").bearer(token);
    assert_eq!(status(&mut client, &expired).await, 401, "it opens nothing");
    assert_eq!(log_out(&forged).send(&mut client).await.status, 401, "it is genuine");
    assert_eq!(status(&mut client, &token).await, 200, "nothing has ended yet");

    let reply = log_out(&expired).send(&mut client).await;

    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("set-cookie").starts_with("refresh=; Max-Age=0"), "{reply:?}");
    assert_eq!(status(&mut client, &token).await, 401, "the session's other token");
    let reissue = request("POST", "/auth/reissue").header("cookie", &cookie);
    assert_eq!(reissue.send(&mut client).await.status, 401, "its refresh token");
    assert_eq!(log_out(&expired).send(&mut client).await.status, 401, "the session is revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_use_is_refused_under_keys_of_the_gateways_own() {
    let setup = Setup {
        tables: "[site.\"localhost\".tokens]\nalgorithm = \"HS256\"\n".to_owned(),
        ..Setup::default()
    };
    let gateway = Gateway::start(setup).await;
    gateway.add_user(&["--email", "you@example.com"], "correct horse 1").await;
    let (kid, key) = stolen_key(&gateway);
    let issued = gateway.munjigi(&["token", "issue", "--user", "you@example.com"]).await;
    let token = String::from_utf8(issued.stdout).unwrap().trim().to_owned();
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(&token).unwrap().claims;
    let mut client = gateway.client(Version::H1).await;
    let whole = sign(Algorithm::HS256, Some(&kid), &key, &claims);
    assert_eq!(status(&mut client, &whole).await, 200, "the forged key works");
    for claim in ["token_use", "jti", "sid", "gen", "iat"] {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(claim);
        let token = sign(Algorithm::HS256, Some(&kid), &key, &claims);
        assert_eq!(status(&mut client, &token).await, 401, "without {claim}");
    }
}
