//! Tokens as other issuers make them, under keys that an operator brought: what is relied on is
//! held to, what only informs is left out where it does not fit.

use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::harness::{Client, Gateway, Setup, Upstream, Version, eventually, request};

/// 40 bytes, as a text of any format.
const SECRET: &[u8] = b"\x8f\x02\xe1q3Zr7Vt1xK9mPz2LcN8bYw5HsJ4dGf6A01Xt";
const OLDER: &[u8] = b"0bWm2QxT7uYc4RzKpN6sLd8VhF3gJe9A";

/// A gateway with a site of each issuer, and the private half of its RS256 keys.
struct Sites {
    gateway: Gateway,
    private: EncodingKey,
}

/// An issuer's token, and the backend's headers for it.
struct Row {
    host: &'static str,
    /// JSON without `alg`.
    header: Value,
    claims: Value,
    told: &'static [(&'static str, Option<&'static str>)],
    left_out: &'static [&'static str],
}

impl Sites {
    async fn start() -> Self {
        munjigi::token::install_crypto();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let openssl = |arguments: &[&str]| {
            let done = Command::new("openssl").args(arguments).current_dir(folder.path()).output();
            assert!(done.unwrap().status.success(), "{arguments:?}");
        };
        openssl(&["genpkey", "-algorithm", "RSA", "-out", "private.pem"]);
        openssl(&["pkey", "-in", "private.pem", "-pubout", "-out", "public.pem"]);
        std::fs::write(folder.path().join("raw.secret"), SECRET).unwrap();
        let private = std::fs::read(folder.path().join("private.pem")).unwrap();
        let upstream = Upstream::start().await;
        let text = Setup { tables: tables(), ..Setup::contract("none") }.text(&upstream);
        let gateway = Gateway::start_in(folder, &text, upstream).await;
        Self { gateway, private: EncodingKey::from_rsa_pem(&private).unwrap() }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        match header["alg"].as_str().unwrap() {
            "RS256" => signed(Algorithm::RS256, &self.private, header, claims),
            _ => hs(SECRET, header, claims),
        }
    }

    async fn status(&self, client: &mut Client, host: &str, token: &str) -> u16 {
        let host = format!("{host}.localhost");
        let reply = request("GET", "/api/x").header("host", &host).bearer(token).send(client).await;
        reply.status.as_u16()
    }
}

fn hs(secret: &[u8], header: &Value, claims: &Value) -> String {
    signed(Algorithm::HS256, &EncodingKey::from_secret(secret).unwrap(), header, claims)
}

fn signed(algorithm: Algorithm, key: &EncodingKey, header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// A site of each issuer. Each format of a secret is written once.
fn tables() -> String {
    let hex: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
    let public = "algorithm = \"RS256\", public = \"public.pem\"";
    let older = format!("secret = \"{}\"", str::from_utf8(OLDER).unwrap());
    let sites = [
        (
            "keycloak",
            "https://id.example.com/realms/shop",
            "audience = [\"account\"]",
            public.to_owned(),
        ),
        (
            "auth0",
            "https://tenant.eu.auth0.com/",
            "audience = [\"https://api.example.com\"]",
            public.to_owned(),
        ),
        (
            "cognito",
            "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab12",
            "audience = \"any\"\nrequire = [\"exp\", \"client_id\"]",
            public.to_owned(),
        ),
        (
            "supabase",
            "https://ref.supabase.co/auth/v1",
            "audience = [\"authenticated\"]",
            format!(
                "algorithm = \"HS256\", secret_format = \"base64\", secret = \"{}\"",
                STANDARD.encode(SECRET)
            ),
        ),
        (
            "dotnet",
            "MyApp",
            "audience = [\"MyApp\"]",
            format!(
                "algorithm = \"HS256\", {older} }}, {{ kid = \"new\", algorithm = \"HS256\", \
                 secret_format = \"hex\", secret = \"{hex}\""
            ),
        ),
        ("duende", "https://login.example.com", "audience = [\"orders\"]", public.to_owned()),
        (
            "xsuaa",
            "https://sub.authentication.eu10.hana.ondemand.com/oauth/token",
            "audience = [\"sb-shop!t1\"]\nrequire = []",
            format!(
                "algorithm = \"HS256\", secret_format = \"base64url\", secret = \"{}\" }}, \
                     {{ kid = \"raw\", algorithm = \"HS256\", secret_format = \"raw\", secret = \"file:raw.secret\"",
                URL_SAFE_NO_PAD.encode(OLDER)
            ),
        ),
    ];
    let site = |(name, issuer, settings, key): (&str, &str, &str, String)| {
        format!(
            "[site.\"{name}.localhost\"]\ncontract = \"none\"\n\
             identity = {{ claims = {{ X-Address = \"address\", X-Login = \"preferred_username\" }} }}\n\
             routes = [{{ path = \"/*\", upstream = \"{{upstream}}\" }}]\n\
             [site.\"{name}.localhost\".tokens]\nissuer = \"{issuer}\"\n{settings}\n\
             keys = [{{ kid = \"old\", {key} }}]\n"
        )
    };
    sites.map(site).concat()
}

/// Tokens as each issuer is known to write them, an hour old.
#[expect(clippy::too_many_lines, reason = "a table, a row an issuer")]
fn rows() -> Vec<Row> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (made, end) = (now - 3600, now + 3600);
    let id = "6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5";
    vec![
        Row {
            host: "keycloak",
            header: json!({ "alg": "RS256", "typ": "JWT", "kid": "old" }),
            claims: json!({
                "exp": end, "iat": made, "auth_time": made, "jti": format!("onrtro:{id}"),
                "iss": "https://id.example.com/realms/shop", "aud": "account", "sub": id,
                "typ": "Bearer", "azp": "web", "sid": id, "acr": "1",
                "allowed-origins": ["https://shop.example.com"],
                "realm_access": { "roles": ["offline_access", "uma_authorization"] },
                "resource_access": { "account": { "roles": ["view-profile"] } },
                "roles": ["editor", 7, null], "scope": "openid email profile",
                "email_verified": true, "preferred_username": "ann", "email": "ann@example.com",
                "address": { "formatted": "1 Main St\nSpringfield" },
            }),
            told: &[
                ("x-user-id", Some("6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5")),
                ("x-session-id", Some("6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5")),
                ("x-user-roles", Some("editor,7")),
                ("x-user-email", Some("ann@example.com")),
                ("x-login", Some("ann")),
                ("x-address", None),
            ],
            left_out: &["`roles` is no string", "`address` holds a control character"],
        },
        Row {
            host: "auth0",
            header: json!({ "alg": "RS256", "typ": "at+jwt", "kid": "old" }),
            claims: json!({
                "iss": "https://tenant.eu.auth0.com/", "sub": "auth0|6627d1", "iat": made,
                "aud": ["https://api.example.com", "https://tenant.eu.auth0.com/userinfo"],
                "exp": end, "scope": "openid profile", "azp": "Ab12", "email": null,
                "permissions": ["read:orders"], "https://example.com/roles": ["editor"],
            }),
            told: &[
                ("x-user-id", Some("auth0|6627d1")),
                ("x-user-permissions", Some("read:orders")),
                ("x-user-email", None),
            ],
            left_out: &["`email` is no string"],
        },
        Row {
            host: "cognito",
            header: json!({ "kid": "old", "alg": "RS256" }),
            claims: json!({
                "sub": id, "cognito:groups": ["admin"], "client_id": "4k9", "origin_jti": id,
                "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab12",
                "event_id": id, "token_use": "access", "scope": "aws.cognito.signin.user.admin",
                "auth_time": made, "exp": end, "iat": made, "jti": id, "username": "ann",
            }),
            told: &[("x-user-name", Some("ann")), ("x-session-id", None)],
            left_out: &[],
        },
        Row {
            host: "supabase",
            header: json!({ "alg": "HS256", "typ": "JWT" }),
            claims: json!({
                "iss": "https://ref.supabase.co/auth/v1", "sub": id, "aud": "authenticated",
                "exp": end, "iat": made, "email": "", "phone": "49151", "role": "authenticated",
                "app_metadata": { "provider": "phone", "providers": ["phone"] },
                "user_metadata": { "bio": "two\nlines" }, "aal": "aal1", "session_id": id,
                "amr": [{ "method": "otp", "timestamp": made }], "is_anonymous": false,
            }),
            told: &[
                ("x-user-id", Some("6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5")),
                ("x-user-email", None),
            ],
            left_out: &["`email` is empty", "`user_metadata` holds a control character"],
        },
        Row {
            host: "dotnet",
            header: json!({ "alg": "HS256", "typ": "JWT" }),
            claims: json!({
                "sub": 42, "unique_name": "ann", "roles": "Admin", "nbf": made, "exp": end,
                "iat": null, "iss": "MyApp", "aud": "MyApp", "jti": 17, "gen": "2", "email": 7,
                "http://schemas.microsoft.com/ws/2008/06/identity/claims/role": "Admin",
            }),
            told: &[
                ("x-user-id", Some("42")),
                ("x-user-roles", Some("Admin")),
                ("x-user-email", Some("7")),
            ],
            left_out: &["`gen` is not two whole numbers"],
        },
        Row {
            host: "duende",
            header: json!({
                "alg": "RS256", "kid": "old", "x5t": "cZ", "typ": "application/at+jwt",
                "x5c": ["MIIB"], "x5u": "http://127.0.0.1:1/x", "jwk": { "kty": "oct", "k": "AAAA" },
            }),
            claims: json!({
                "iss": "https://login.example.com", "nbf": made, "iat": made, "exp": end,
                "aud": ["orders", 7], "scope": ["openid", "orders"], "client_id": "web",
                "sub": "818727", "idp": "local", "sid": "A1B2C3D4E5F60718293A4B5C6D7E8F90",
                "jti": "C3D4E5F60718293A4B5C6D7E8F90A1B2", "token_use": null,
            }),
            told: &[
                ("x-user-id", Some("818727")),
                ("x-session-id", Some("A1B2C3D4E5F60718293A4B5C6D7E8F90")),
            ],
            left_out: &["`token_use` is no string"],
        },
        Row {
            host: "xsuaa",
            header: json!({ "alg": "HS256", "jku": "http://127.0.0.1:1/token_keys", "typ": "JWT" }),
            claims: json!({
                "jti": "c9", "sub": "sb-shop!t1", "authorities": ["uaa.resource"], "zid": id,
                "iss": "https://sub.authentication.eu10.hana.ondemand.com/oauth/token",
                "aud": ["sb-shop!t1"], "sid": 12, "iat": made,
            }),
            told: &[("x-user-id", Some("sb-shop!t1")), ("x-session-id", Some("12"))],
            left_out: &[],
        },
    ]
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut changed = object.clone();
    changed[name] = value;
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_other_issuers_are_taken_as_they_make_them() {
    let sites = Sites::start().await;
    let mut client = sites.gateway.client(Version::H1).await;
    for row in rows() {
        let (host, token) =
            (format!("{}.localhost", row.host), sites.sign(&row.header, &row.claims));
        // Once verified, and once remembered.
        for _ in 0..2 {
            let get = request("GET", "/api/x").header("host", &host);
            let reply =
                get.header("authorization", &format!("Bearer  {token}")).send(&mut client).await;
            assert_eq!(reply.status, 200, "{host}: {}", reply.text());
            for (name, value) in row.told {
                let seen = &reply.json()["headers"][name];
                assert_eq!(
                    *seen,
                    value.map_or(Value::Null, |value| json!([value])),
                    "{host} {name}"
                );
            }
        }
        let url = format!("https://{host}/api/x");
        let explained = sites.gateway.munjigi(&["explain", "GET", &url, "--token", &token]).await;
        let text = String::from_utf8(explained.stdout).unwrap();
        let left_out = text.lines().filter(|line| line.starts_with("left out"));
        let found: Vec<_> = left_out.collect();
        assert_eq!(found.len(), row.left_out.len(), "{host}: {text}");
        assert!(row.left_out.iter().all(|part| text.contains(part)), "{host}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_relied_on_of_other_issuers_is_held_to() {
    let sites = Sites::start().await;
    let mut client = sites.gateway.client(Version::H1).await;
    let rows = rows();
    for row in &rows {
        for name in ["iss", "sub"] {
            for value in [json!(null), json!("other"), json!("a\nb")] {
                if (name, &value) == ("sub", &json!("other")) {
                    continue;
                }
                let token = sites.sign(&row.header, &with(&row.claims, name, value));
                let status = sites.status(&mut client, row.host, &token).await;
                assert_eq!(status, 401, "{}: {name}", row.host);
            }
        }
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("typ", json!("logout+jwt")),
            ("typ", json!("application/logout+jwt")),
            ("typ", json!("text/jwt")),
            ("kid", json!("unknown")),
        ] {
            let token = sites.sign(&with(&row.header, name, value), &row.claims);
            assert_eq!(
                sites.status(&mut client, row.host, &token).await,
                401,
                "{}: {name}",
                row.host
            );
        }
        let cut = sites.sign(&row.header, &row.claims);
        let other = sites.sign(&row.header, &with(&row.claims, "sub", json!("1")));
        let mixed =
            format!("{}.{}", cut.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
        assert_eq!(
            sites.status(&mut client, row.host, &mixed).await,
            401,
            "{}: signature",
            row.host
        );
    }
    let cognito = rows.iter().find(|row| row.host == "cognito").unwrap();
    for (name, value) in [
        ("client_id", json!(null)),
        ("token_use", json!("id")),
        ("token_use", json!("refresh")),
        ("exp", json!(null)),
        ("exp", json!("9999999999")),
    ] {
        let token = sites.sign(&cognito.header, &with(&cognito.claims, name, value));
        assert_eq!(sites.status(&mut client, "cognito", &token).await, 401, "{name}");
    }
    for (host, name) in [("keycloak", "aud"), ("supabase", "exp"), ("xsuaa", "aud")] {
        let row = rows.iter().find(|row| row.host == host).unwrap();
        let token = sites.sign(&row.header, &with(&row.claims, name, json!(null)));
        assert_eq!(sites.status(&mut client, host, &token).await, 401, "{host} without {name}");
    }
    assert!(sites.gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_keys_of_other_issuers_can_be_revoked() {
    let sites = Sites::start().await;
    let mut client = sites.gateway.client(Version::H1).await;
    let rows = rows();
    let row = |host: &str| rows.iter().find(|row| row.host == host).unwrap();
    let session = sites.sign(&row("duende").header, &row("duende").claims);
    let old = hs(OLDER, &row("dotnet").header, &row("dotnet").claims);
    let new = sites.sign(&row("dotnet").header, &row("dotnet").claims);
    let older_of_two = hs(OLDER, &row("xsuaa").header, &row("xsuaa").claims);
    for (host, token) in
        [("duende", &session), ("dotnet", &old), ("dotnet", &new), ("xsuaa", &older_of_two)]
    {
        assert_eq!(sites.status(&mut client, host, token).await, 200, "{host}");
    }

    for verb in [
        &["revoke", "session", "A1B2C3D4E5F60718293A4B5C6D7E8F90"][..],
        &["revoke", "key", "new", "--site", "dotnet.localhost", "--reason", "leaked"],
    ] {
        let output = sites.gateway.munjigi(verb).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    for (host, token) in [("duende", &session), ("dotnet", &new)] {
        eventually("the token is refused", async || {
            (sites.status(&mut client, host, token).await == 401).then_some(())
        })
        .await;
    }
    assert_eq!(sites.status(&mut client, "dotnet", &old).await, 200, "the other key's");
}
