//! Access tokens that may have expired, where they only tell whose they were.

use std::time::Duration;

use super::forge::{FAMILIES, NOW, forge, policy};
use crate::token::{KeyRing, SiteTokens, TokenError, TokenPolicy};

const YEAR: Duration = Duration::from_hours(365 * 24);

#[test]
fn an_access_token_is_taken_however_long_it_is_over() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let token = forge.good();
        for age in [Duration::ZERO, Duration::from_secs(900), 100 * YEAR] {
            let verified = forge.tokens.verify_expired(&token, NOW.plus(age)).unwrap();

            assert_eq!(verified.principal.subject, "42", "{algorithm} {age:?}");
        }
    }
}

#[test]
fn nothing_else_is_forgiven() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let rows = [
            ("iss", "\"https://b.example.com\""),
            ("aud", "\"https://b.example.com\""),
            ("token_use", "\"refresh\""),
            ("token_use", ""),
            ("sub", ""),
            ("sid", ""),
            ("sid", "\"1\""),
            ("jti", ""),
            ("gen", "[3]"),
            ("iat", ""),
            ("iat", "1800000031"),
            ("nbf", "1800000031"),
            ("exp", ""),
            ("exp", "\"1800000900\""),
            ("email", "\"a\\u0000b\""),
        ];
        for (claim, value) in rows {
            let result = forge.tokens.verify_expired(&forge.with(&[(claim, value)]), NOW);
            assert!(result.is_err(), "{algorithm}: {claim} {value} passed");
        }
        let good = forge.good();
        let unsigned = good.rsplit_once('.').unwrap().0;
        for (name, token) in [("unsigned", format!("{unsigned}.")), ("cut", good[1..].to_owned())] {
            assert!(forge.tokens.verify_expired(&token, NOW).is_err(), "{algorithm}: {name}");
        }
        let long = "a".repeat(8_193);
        let result = forge.tokens.verify_expired(&long, NOW);
        assert_eq!(result.err(), Some(TokenError::TooLong { limit: 8_192 }));
    }
}

#[test]
fn what_was_read_so_is_not_remembered_as_good() {
    let algorithm = FAMILIES[0];
    let forge = forge(algorithm);
    let ring = KeyRing::from_stored(std::slice::from_ref(&forge.stored)).unwrap();
    let policy = TokenPolicy { verify_cache: 128, ..policy(algorithm) };
    let tokens = SiteTokens::new(policy, ring).unwrap();
    let (token, after) = (forge.good(), NOW.plus(YEAR));

    assert!(tokens.verify_expired(&token, after).is_ok());

    assert!(matches!(tokens.verify(&token, after), Err(TokenError::Expired { .. })));
}
