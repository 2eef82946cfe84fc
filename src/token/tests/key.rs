//! Keys: which one a token is held to, and what is no key at all.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;

use crate::clock::Timestamp;
use crate::config::{Algorithm, KeyConfig, KeyUse, Spot};
use crate::operation::{Generations, RevocationKey, UserId};
use crate::secret::Secret;
use crate::token::key::MOST_TRIED;
use crate::token::tests::forge::{ISSUER, NOW, claims, forge, grant, policy};
use crate::token::{KeyError, KeyRing, SiteTokens, StoredKey, TokenError};

fn configured(kid: &str, algorithm: Algorithm, material: KeyUse) -> KeyConfig {
    KeyConfig {
        kid: kid.to_owned(),
        algorithm,
        material,
        secret_format: None,
        spot: Spot::default(),
    }
}

fn private_pem(algorithm: Algorithm) -> String {
    let der = STANDARD.encode(forge(algorithm).stored.material.expose());
    format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
}

/// Runs the system's `openssl`, another implementation of the same formats.
fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("this test needs the openssl command");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn public_pem(algorithm: Algorithm) -> String {
    openssl(&["pkey", "-pubout"], &private_pem(algorithm))
}

/// 1.1-02: what is public is no secret.
#[test]
fn a_token_under_a_public_key_taken_for_a_secret_is_refused() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let forge = forge(algorithm);
        let pem = public_pem(algorithm);
        let jwk = forge.tokens.jwks()["keys"][0].to_string();
        // HMAC pads with zeroes: one zero byte signs as the empty secret does (RFC 2104 §2).
        for secret in
            [pem.as_bytes(), pem.trim().as_bytes(), jwk.as_bytes(), b"\0", b"secret", &[0; 32]]
        {
            for (name, alg) in [
                ("HS256", jsonwebtoken::Algorithm::HS256),
                ("HS512", jsonwebtoken::Algorithm::HS512),
            ] {
                for kid in [format!(",\"kid\":\"{}\"", forge.stored.kid), String::new()] {
                    let header = format!(r#"{{"alg":"{name}"{kid}}}"#);
                    let unsigned = forge.sign(header, claims(&[]));
                    let (message, _) = unsigned.rsplit_once('.').unwrap();
                    let key = EncodingKey::from_secret(secret).unwrap();
                    let signature =
                        jsonwebtoken::crypto::sign(message.as_bytes(), &key, alg).unwrap();
                    let result = forge.tokens.verify(&format!("{message}.{signature}"), NOW);
                    assert!(result.is_err(), "{algorithm} taken for {name} passed");
                }
            }
        }
    }
}

/// 1.1-02, 1.1-03: every algorithm under every other key of one ring.
#[test]
fn a_token_is_held_to_the_algorithm_of_the_key_it_names() {
    let keys: Vec<StoredKey> =
        Algorithm::ALL.iter().map(|algorithm| forge(*algorithm).stored.clone()).collect();
    let ring = KeyRing::from_stored(&keys).unwrap();
    let tokens = SiteTokens::new(policy(Algorithm::Es256), ring).unwrap();

    for signs in Algorithm::ALL {
        for named in Algorithm::ALL {
            for alg in Algorithm::ALL {
                let kid = &forge(named).stored.kid;
                let token =
                    forge(signs).sign(format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#), claims(&[]));
                let result = tokens.verify(&token, NOW);
                let right = signs == named && named == alg;
                assert_eq!(
                    result.is_ok(),
                    right,
                    "signed {signs}, kid of {named}, alg {alg}: {result:?}"
                );
            }
        }
    }
}

#[test]
fn a_token_without_kid_is_tried_under_the_first_keys_of_its_algorithm() {
    let signer = forge(Algorithm::Hs256);
    let token = signer.sign(r#"{"alg":"HS256"}"#, claims(&[]));
    let es = forge(Algorithm::Es256).stored.clone();
    let others: Vec<_> = (1..=MOST_TRIED)
        .map(|age| {
            let made_at = NOW.plus(std::time::Duration::from_secs(age as u64));
            StoredKey::generate(Algorithm::Hs256, made_at).unwrap()
        })
        .collect();
    let verify = |newer: &[StoredKey], revoked: &[&str]| {
        let keys = [&[signer.stored.clone(), es.clone()], newer].concat();
        let revoked = revoked.iter().map(|kid| (*kid).to_owned()).collect();
        let ring = KeyRing::from_stored(&keys).unwrap().with_revoked(revoked);
        let tokens = SiteTokens::new(policy(Algorithm::Hs256), ring).unwrap();
        tokens.verify(&token, NOW).map(|verified| {
            let kid = &verified.principal.key;
            assert_eq!(verified.revocation.key, RevocationKey::of_key(ISSUER, kid));
            kid.clone()
        })
    };
    let kid = signer.stored.kid.as_str();

    assert_eq!(verify(&[], &[]).as_deref(), Ok(kid));
    assert_eq!(verify(&others[1..], &[]).as_deref(), Ok(kid), "the eighth");
    assert_eq!(verify(&others, &[]), Err(TokenError::Signature), "the ninth");
    assert_eq!(verify(&others, &[&others[0].kid]).as_deref(), Ok(kid), "a revoked one is none");
    assert_eq!(verify(&others[1..], &[kid]), Err(TokenError::Signature), "nor is its own");
}

#[test]
fn the_newest_stored_key_signs_and_older_ones_still_verify() {
    let older = forge(Algorithm::EdDsa);
    let newer =
        StoredKey::generate(Algorithm::EdDsa, NOW.plus(std::time::Duration::from_secs(1))).unwrap();
    let ring = KeyRing::from_stored(&[older.stored.clone(), newer.clone()]).unwrap();
    let tokens = SiteTokens::new(policy(Algorithm::EdDsa), ring).unwrap();

    let made = tokens.issue_access(grant(), NOW).unwrap();

    assert_eq!(tokens.verify(made.text.expose(), NOW).unwrap().principal.key, newer.kid);
    assert!(tokens.verify(&older.good(), NOW).is_ok());
    assert_eq!(older.tokens.verify(made.text.expose(), NOW).err(), Some(TokenError::UnknownKey));
}

#[test]
fn a_site_that_cannot_sign_is_refused_at_start() {
    let stored = &forge(Algorithm::Es256).stored;
    let ring = || KeyRing::from_stored(std::slice::from_ref(stored)).unwrap();
    let error = SiteTokens::new(policy(Algorithm::EdDsa), ring()).unwrap_err();
    assert!(matches!(error, KeyError::NoSigner(Algorithm::EdDsa)), "{error}");

    let verifying = SiteTokens::verifying_only(policy(Algorithm::EdDsa), ring()).unwrap();
    assert!(verifying.verify(&forge(Algorithm::Es256).good(), NOW).is_ok());
    assert!(matches!(verifying.issue_access(grant(), NOW), Err(KeyError::NoSigner(_))));

    let twice = KeyRing::from_stored(&[stored.clone(), stored.clone()]);
    assert!(matches!(twice, Err(KeyError::Duplicate(_))));
}

/// 1.1-08.
#[test]
fn what_is_no_key_of_its_algorithm_is_refused_at_start() {
    let secret = |text: &str| KeyUse::Secret(Secret::new(text.as_bytes().to_vec()));
    let private = |text: &str| KeyUse::Private(Secret::from(text));
    let small = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "");
    let rows = [
        ("short", Algorithm::Hs256, secret(&"ab".repeat(15))),
        ("short for HS512", Algorithm::Hs512, secret(&"ab".repeat(31))),
        ("empty", Algorithm::Hs256, secret("")),
        ("zeroes", Algorithm::Hs256, secret(&"\0".repeat(64))),
        ("one letter", Algorithm::Hs256, secret(&"x".repeat(64))),
        ("secret for ES256", Algorithm::Es256, secret(&"ab".repeat(32))),
        ("PEM as HS256 private", Algorithm::Hs256, private(&private_pem(Algorithm::Es256))),
        ("P-256 for ES384", Algorithm::Es384, private(&private_pem(Algorithm::Es256))),
        ("P-384 for ES256", Algorithm::Es256, private(&private_pem(Algorithm::Es384))),
        ("Ed25519 for ES256", Algorithm::Es256, private(&private_pem(Algorithm::EdDsa))),
        ("EC for EdDSA", Algorithm::EdDsa, private(&private_pem(Algorithm::Es256))),
        ("EC for RS256", Algorithm::Rs256, private(&private_pem(Algorithm::Es256))),
        ("RSA for ES256", Algorithm::Es256, private(&private_pem(Algorithm::Rs256))),
        ("RSA of 1024 bits", Algorithm::Rs256, private(&small)),
        (
            "RSA of 1024 bits, public",
            Algorithm::Ps256,
            KeyUse::Public(openssl(&["pkey", "-pubout"], &small)),
        ),
        ("public as private", Algorithm::Rs256, private(&public_pem(Algorithm::Rs256))),
        ("private as public", Algorithm::Rs256, KeyUse::Public(private_pem(Algorithm::Rs256))),
        ("public EC for ES384", Algorithm::Es384, KeyUse::Public(public_pem(Algorithm::Es256))),
        (
            "public Ed25519 for ES256",
            Algorithm::Es256,
            KeyUse::Public(public_pem(Algorithm::EdDsa)),
        ),
        ("public for HS256", Algorithm::Hs256, KeyUse::Public(public_pem(Algorithm::Rs256))),
        ("no PEM", Algorithm::Es256, private("hello")),
        ("cut", Algorithm::Es256, private(&private_pem(Algorithm::Es256).replace("MIG", ""))),
    ];

    for (name, algorithm, material) in rows {
        let result = KeyRing::from_configured(&[configured("k", algorithm, material)]);
        assert!(matches!(result, Err(KeyError::Unreadable { .. })), "{name}: {result:?}");
    }
}

#[test]
fn an_operators_key_is_taken_in_every_usual_form() {
    let rsa = private_pem(Algorithm::Rs256);
    let ec = private_pem(Algorithm::Es256);
    let pkcs1 = openssl(&["rsa", "-traditional"], &rsa);
    let sec1 = openssl(&["ec"], &ec);
    assert!(pkcs1.contains("BEGIN RSA PRIVATE KEY") && sec1.contains("BEGIN EC PRIVATE KEY"));
    let with_parameters = openssl(&["ecparam", "-name", "prime256v1"], "") + &sec1;
    let rows = [
        ("HS256", Algorithm::Hs256, "0123456789abcdef0123456789abcdef".to_owned()),
        ("RS256 PKCS #8", Algorithm::Rs256, rsa.clone()),
        ("RS512 PKCS #1", Algorithm::Rs512, pkcs1),
        ("PS384 PKCS #8", Algorithm::Ps384, rsa),
        ("ES256 PKCS #8", Algorithm::Es256, ec),
        ("ES256 SEC 1", Algorithm::Es256, sec1),
        ("ES256 SEC 1 after its parameters", Algorithm::Es256, with_parameters),
        (
            "ES384 of openssl",
            Algorithm::Es384,
            openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], ""),
        ),
        ("EdDSA of openssl", Algorithm::EdDsa, openssl(&["genpkey", "-algorithm", "ED25519"], "")),
    ];

    for (name, algorithm, text) in rows {
        let material = if algorithm.is_symmetric() {
            KeyUse::Secret(Secret::new(text.clone().into_bytes()))
        } else {
            KeyUse::Private(Secret::new(text.clone()))
        };
        let ring = KeyRing::from_configured(&[configured("mine", algorithm, material)]).unwrap();
        let tokens = SiteTokens::new(policy(algorithm), ring).unwrap();
        let token = tokens.issue_access(grant(), NOW).unwrap().text;
        assert_eq!(tokens.verify(token.expose(), NOW).unwrap().principal.key, "mine", "{name}");
        if !algorithm.is_symmetric() {
            let public = KeyUse::Public(openssl(&["pkey", "-pubout"], &text));
            let ring = KeyRing::from_configured(&[configured("mine", algorithm, public)]).unwrap();
            let tokens = SiteTokens::verifying_only(policy(algorithm), ring).unwrap();
            assert!(tokens.verify(token.expose(), NOW).is_ok(), "{name}");
        }
    }
}

#[test]
fn a_token_under_an_operators_key_may_lack_what_only_the_gateway_writes() {
    let text = "0123456789abcdef0123456789abcdef";
    let secret = KeyUse::Secret(Secret::new(text.as_bytes().to_vec()));
    let ring = KeyRing::from_configured(&[configured("mine", Algorithm::Hs256, secret)]).unwrap();
    let tokens = SiteTokens::new(policy(Algorithm::Hs256), ring).unwrap();
    let bare = |changes: &[(&str, &str)]| {
        let mut all = vec![("jti", ""), ("sid", ""), ("gen", ""), ("iat", ""), ("token_use", "")];
        all.extend_from_slice(changes);
        let message = forge(Algorithm::Hs256).sign(r#"{"alg":"HS256","kid":"mine"}"#, claims(&all));
        let (message, _) = message.rsplit_once('.').unwrap();
        let key = EncodingKey::from_secret(text.as_bytes()).unwrap();
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        format!("{message}.{signature}")
    };

    let one = tokens.verify(&bare(&[("sub", "\"corp|7\"")]), NOW).unwrap();
    let other = tokens.verify(&bare(&[("sub", "\"8\"")]), NOW).unwrap();

    assert_eq!(one.principal.token.0.len(), 64);
    assert_ne!(one.revocation.token, other.revocation.token);
    assert_eq!(one.revocation.token, RevocationKey::of_token(ISSUER, &one.principal.token));
    assert_eq!((one.revocation.user, one.revocation.session), (None, None));
    assert_eq!(one.revocation.generations, Generations::default());
    assert_eq!(one.principal.issued_at, Timestamp::default());
    assert_eq!(other.revocation.user, Some(RevocationKey::of_user("default", UserId(8))));
    for (name, claim, value) in [
        ("refresh", "token_use", "\"refresh\""),
        ("exp", "exp", ""),
        ("sub", "sub", ""),
        ("iss", "iss", ""),
        ("aud", "aud", ""),
        ("bad iat", "iat", "\"1\""),
    ] {
        assert!(tokens.verify(&bare(&[(claim, value)]), NOW).is_err(), "{name} passed");
    }
    assert!(tokens.verify_refresh(&bare(&[]), NOW).is_err(), "no token_use passed as refresh");
}
