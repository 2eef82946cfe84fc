//! What the gateway's own tokens say.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::Algorithm;
use crate::operation::{Generations, RefreshHash, RevocationKey, SessionId, UserId};
use crate::token::tests::forge::{ISSUER, NOW, SESSION, forge, grant, policy};
use crate::token::{Grant, KeyRing, RefreshFormat, SiteTokens, TokenPolicy};

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn site(policy: TokenPolicy) -> SiteTokens {
    let stored = &forge(policy.algorithm).stored;
    SiteTokens::new(policy, KeyRing::from_stored(std::slice::from_ref(stored)).unwrap()).unwrap()
}

#[test]
fn an_access_token_says_exactly_this() {
    let forge = forge(Algorithm::Es256);
    let (email, username) = ("a@b.co".parse().unwrap(), "ada".parse().unwrap());
    let (roles, permissions) = (["admin".to_owned()], ["SMS".to_owned(), "FAME".to_owned()]);
    let grant = Grant {
        email: Some(&email),
        username: Some(&username),
        roles: &roles,
        permissions: &permissions,
        not_after: None,
        ..grant()
    };

    let token = forge.tokens.issue_access(grant, NOW.plus(Duration::from_millis(999))).unwrap();

    let text = token.text.expose();
    assert_eq!(part(text, 0), json!({"alg": "ES256", "kid": forge.stored.kid, "typ": "JWT"}));
    let claims = json!({
        "iss": ISSUER, "aud": ISSUER, "sub": "42", "jti": token.id.0, "sid": SESSION.to_string(),
        "gen": [3, 1], "iat": 1_800_000_000, "exp": 1_800_000_900, "email": "a@b.co",
        "username": "ada", "roles": ["admin"], "permissions": ["SMS", "FAME"],
        "token_use": "access",
    });
    assert_eq!(part(text, 1), claims);
    let id = Uuid::try_parse(&token.id.0).unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_800_000_000);
    assert_eq!((token.issued_at, token.expires_at), (NOW, NOW.plus(Duration::from_secs(900))));
}

#[test]
fn a_token_carries_the_short_texts_among_the_attributes_that_are_named() {
    let names = ["short", "long", "line", "picture", "absent"].map(str::to_owned).into();
    let tokens = site(TokenPolicy { attributes: names, ..policy(Algorithm::Hs256) });
    let attributes = [
        ("short", json!("가")),
        ("long", json!("a".repeat(257))),
        ("line", json!("a\nb")),
        ("picture", json!(7)),
        ("unnamed", json!("b")),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();

    let grant = Grant { attributes: Some(&attributes), ..grant() };
    let token = tokens.issue_access(grant, NOW).unwrap();

    let verified = tokens.verify(token.text.expose(), NOW).unwrap();
    assert_eq!(verified.principal.claims["attributes"], json!({ "short": "가" }));
}

#[test]
fn what_is_verified_is_what_was_granted() {
    for algorithm in Algorithm::ALL {
        let forge = forge(algorithm);
        let roles = ["admin".to_owned()];
        let grant = Grant { roles: &roles, ..grant() };
        let token = forge.tokens.issue_access(grant, NOW).unwrap();

        let verified = forge.tokens.verify(token.text.expose(), NOW).unwrap();

        let principal = &verified.principal;
        assert_eq!(principal.subject, "42", "{algorithm}");
        assert_eq!(
            (&principal.token, principal.session_id()),
            (&token.id, Some(SessionId(SESSION)))
        );
        assert_eq!(principal.generations, Generations { user: 3, site: 1 });
        assert_eq!((&principal.issuer, &principal.key), (&ISSUER.to_owned(), &forge.stored.kid));
        assert_eq!((principal.issued_at, principal.expires_at), (NOW, token.expires_at));
        assert_eq!((&principal.roles, principal.permissions.len()), (&roles.to_vec(), 0));
        assert_eq!((&principal.email, &principal.username), (&None, &None));
        assert_eq!(principal.claims.get("token_use"), Some(&json!("access")));
        let keys = verified.revocation;
        assert_eq!(keys.token, RevocationKey::of_token(ISSUER, &token.id));
        assert_eq!(keys.session, Some(RevocationKey::of_session(ISSUER, SessionId(SESSION))));
        assert_eq!(keys.user, Some(RevocationKey::of_user("default", UserId(42))));
        assert_eq!(keys.site, RevocationKey::of_site(ISSUER));
        assert_eq!(keys.key, RevocationKey::of_key(ISSUER, &forge.stored.kid));
        assert_eq!(keys.generations, Generations { user: 3, site: 1 });
    }
}

#[test]
fn several_audiences_are_written_as_an_array() {
    let tokens =
        site(TokenPolicy { audience: vec!["a".into(), "b".into()], ..policy(Algorithm::Hs256) });

    let token = tokens.issue_access(grant(), NOW).unwrap().text;

    assert_eq!(part(token.expose(), 1)["aud"], json!(["a", "b"]));
    assert!(tokens.verify(token.expose(), NOW).is_ok());
}

/// 1.1-24: a token of one site opens no other, even under the same key.
#[test]
fn a_token_of_another_site_is_refused() {
    let other =
        site(TokenPolicy { issuer: "https://b.example.com".into(), ..policy(Algorithm::Hs256) });
    let forge = forge(Algorithm::Hs256);

    assert!(other.verify(&forge.good(), NOW).is_err());
    let token = other.issue_access(grant(), NOW).unwrap().text;
    assert!(forge.tokens.verify(token.expose(), NOW).is_err());
}

#[test]
fn a_refresh_token_has_the_form_that_the_contract_wants() {
    for (format, length) in [
        (RefreshFormat::Opaque, Some(43)),
        (RefreshFormat::Uuid, Some(36)),
        (RefreshFormat::Jwt, None),
    ] {
        let tokens = site(TokenPolicy { refresh_format: format, ..policy(Algorithm::Hs256) });
        let issue = || tokens.issue_refresh(UserId(42), SessionId(SESSION), NOW).unwrap().unwrap();
        let token = issue();
        let text = token.text.expose();

        assert_eq!(token.expires_at, NOW.plus(Duration::from_secs(86_400)));
        assert_eq!(token.hash, RefreshHash::of(text));
        assert_ne!(token.hash, issue().hash, "{format:?} repeats");
        assert_eq!(tokens.verify_refresh(text, NOW), Ok(()));
        assert!(tokens.verify(text, NOW).is_err(), "{format:?} passed as an access token");
        assert!(tokens.verify_refresh("", NOW).is_err());
        match length {
            Some(length) => assert_eq!(text.len(), length),
            None => {
                let claims = part(text, 1);
                assert_eq!(claims["token_use"], "refresh");
                assert_eq!((&claims["sub"], &claims["sid"]), (&json!("42"), &json!(SESSION)));
                assert_eq!(claims["exp"], 1_800_086_400);
                assert!(claims.get("roles").is_none() && claims.get("gen").is_none());
            }
        }
    }
}

#[test]
fn a_contract_without_refresh_has_none() {
    let tokens = site(TokenPolicy { refresh_ttl: None, ..policy(Algorithm::Hs256) });

    assert!(tokens.issue_refresh(UserId(42), SessionId(SESSION), NOW).unwrap().is_none());
    assert!(tokens.verify_refresh(&forge(Algorithm::Hs256).good(), NOW).is_err());
}

#[test]
fn the_key_set_holds_public_halves_alone() {
    let keys: Vec<_> =
        Algorithm::ALL.iter().map(|algorithm| forge(*algorithm).stored.clone()).collect();
    let tokens =
        SiteTokens::new(policy(Algorithm::Es256), KeyRing::from_stored(&keys).unwrap()).unwrap();

    let set = tokens.jwks();

    let set = set["keys"].as_array().unwrap();
    assert_eq!(set.len(), 9, "secrets are listed");
    for jwk in set {
        let alg = jwk["alg"].as_str().unwrap();
        let expected: &[&str] = match alg {
            "ES256" | "ES384" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            "EdDSA" => &["alg", "crv", "kid", "kty", "use", "x"],
            _ => &["alg", "e", "kid", "kty", "n", "use"],
        };
        let mut names: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{alg}");
        let (kty, crv) = match alg {
            "ES256" => ("EC", json!("P-256")),
            "ES384" => ("EC", json!("P-384")),
            "EdDSA" => ("OKP", json!("Ed25519")),
            _ => ("RSA", Value::Null),
        };
        assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["use"]), (&json!(kty), &crv, &json!("sig")));
        let forge = forge(Algorithm::from_name(alg).unwrap());
        assert_eq!(jwk["kid"], forge.stored.kid);
        let read: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(&read).unwrap();
        let mut validation = jsonwebtoken::Validation::new(alg.parse().unwrap());
        validation.set_audience(&[ISSUER]);
        let token = forge.good();
        assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_ok(), "{alg}");
    }
}
