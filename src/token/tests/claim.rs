//! Claims: every type that is wrong, and every value that is another's.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::token::tests::forge::{FAMILIES, NOW, forge, policy};
use crate::token::{KeyRing, SiteTokens, TokenError};

/// Values of a type that no time is.
const NO_NUMBER: [&str; 8] =
    ["null", "true", "\"1800000900\"", "\"never\"", "[]", "{}", "[1800000900]", "\"\""];
/// Values of a type that no text is.
const NO_TEXT: [&str; 6] = ["null", "1", "true", "[]", "{}", "\"\""];

/// 1.1-13 to 1.1-17.
#[test]
fn a_claim_of_another_type_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let mut rows: Vec<(&str, &str)> = Vec::new();
        for claim in ["exp", "nbf", "iat"] {
            rows.extend(NO_NUMBER.map(|value| (claim, value)));
        }
        for claim in ["iss", "aud", "sub", "jti", "sid", "email", "username", "token_use"] {
            rows.extend(NO_TEXT.map(|value| (claim, value)));
        }
        rows.extend([
            ("aud", "[1]"),
            ("aud", "[\"https://api.example.com\",1]"),
            ("aud", "[[\"https://api.example.com\"]]"),
            ("iss", "[\"https://api.example.com\"]"),
            ("sub", "[\"42\"]"),
            ("sub", "42"),
            ("roles", "\"admin\""),
            ("roles", "null"),
            ("roles", "{}"),
            ("roles", "[1]"),
            ("roles", "[null]"),
            ("roles", "[\"\"]"),
            ("permissions", "\"a b\""),
            ("permissions", "[[\"a\"]]"),
            ("gen", "null"),
            ("gen", "3"),
            ("gen", "[3]"),
            ("gen", "[3,1,0]"),
            ("gen", "[\"3\",\"1\"]"),
            ("gen", "[-1,0]"),
            ("gen", "[1.5,0]"),
            ("gen", "[18446744073709551616,0]"),
            ("gen", "{\"user\":3}"),
            ("sid", "\"x\""),
            ("sid", "\"12345678 9abc 4def 8123 456789abcdef\""),
            ("sid", "\"123456789abc4def8123456789abcdef\""),
            ("sid", "\"{12345678-9abc-4def-8123-456789abcdef}\""),
        ]);

        for (claim, value) in rows {
            let result = forge.tokens.verify(&forge.with(&[(claim, value)]), NOW);
            assert!(
                matches!(result, Err(TokenError::Claim { .. })),
                "{algorithm}: {claim} {value}: {result:?}"
            );
        }
    }
}

#[test]
fn a_claim_that_is_missing_from_an_own_token_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        for claim in ["iss", "aud", "sub", "jti", "sid", "gen", "iat", "exp", "token_use"] {
            let result = forge.tokens.verify(&forge.with(&[(claim, "")]), NOW);
            let missing =
                matches!(result, Err(TokenError::Claim { claim: found, .. }) if found == claim);
            assert!(missing, "{algorithm}: {claim}: {result:?}");
        }
    }
}

/// 1.1-13, 1.1-14, 1.1-15, 1.1-25.
#[test]
fn a_token_out_of_its_time_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        for (claim, value) in [
            ("exp", "1800000000"),
            ("exp", "1799999999"),
            ("exp", "0"),
            ("exp", "-1"),
            ("exp", "-0.0"),
            ("exp", "-9223372036854775808"),
            ("exp", "1799999999.999"),
            ("exp", "1e3"),
            ("exp", "1e400"),
            ("exp", "9223372036854775807"),
            ("exp", "9223372036854775808"),
            ("exp", "18446744073709551615"),
            ("exp", "18446744073709551616"),
            ("exp", "253402300800"),
            ("exp", "1e300"),
            ("exp", "-1e300"),
            ("exp", "999999999999999999999999999999999999999999999999999999999999"),
            ("nbf", "1800000031"),
            ("nbf", "1800086400"),
            ("nbf", "1800000030.5"),
            ("nbf", "1e11"),
            ("nbf", "9223372036854775807"),
            ("nbf", "1e400"),
            ("iat", "1800000031"),
            ("iat", "1800086400"),
            ("iat", "1e300"),
        ] {
            let result = forge.tokens.verify(&forge.with(&[(claim, value)]), NOW);
            assert!(result.is_err(), "{algorithm}: {claim} {value} passed");
        }
    }
}

#[test]
fn leeway_is_for_nbf_and_iat_and_never_for_exp() {
    let forge = forge(Algorithm::Es256);
    let ahead = forge.with(&[("iat", "1800000030"), ("nbf", "1800000030")]);
    let token = forge.with(&[("exp", "1800000000.5")]);
    let half = NOW.plus(Duration::from_millis(500));

    assert!(forge.tokens.verify(&ahead, NOW).is_ok());
    let early = forge.tokens.verify(&ahead, NOW.minus(Duration::from_millis(1)));
    assert_eq!(early.err(), Some(TokenError::NotYetValid));
    assert!(forge.tokens.verify(&token, half.minus(Duration::from_millis(1))).is_ok());
    let expired = forge.tokens.verify(&token, half);
    assert_eq!(expired.err(), Some(TokenError::Expired { ago: Duration::ZERO }));
}

/// 1.1-16.
#[test]
fn another_issuer_or_audience_is_refused_however_alike() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        for value in [
            "\"https://api.example.com/\"",
            "\"https://api.example.co\"",
            "\"https://api.example.com.evil\"",
            "\"https://API.example.com\"",
            "\"HTTPS://api.example.com\"",
            "\"http://api.example.com\"",
            "\"api.example.com\"",
            "\" https://api.example.com\"",
            "\"https://api.example.com \"",
            "\"https://other.example https://api.example.com\"",
            "\"https://other.example,https://api.example.com\"",
            "\"*\"",
            "\"https://ap%69.example.com\"",
        ] {
            for claim in ["iss", "aud"] {
                let result = forge.tokens.verify(&forge.with(&[(claim, value)]), NOW);
                assert!(result.is_err(), "{algorithm}: {claim} {value} passed");
            }
            let result = forge.tokens.verify(&forge.with(&[("aud", &format!("[{value}]"))]), NOW);
            assert!(result.is_err(), "{algorithm}: aud [{value}] passed");
        }
    }
}

#[test]
fn one_audience_of_several_is_enough() {
    let forge = forge(Algorithm::EdDsa);
    let mut policy = policy(Algorithm::EdDsa);
    policy.audience = vec!["orders".to_owned(), "stock".to_owned()];
    let ring = KeyRing::from_stored(std::slice::from_ref(&forge.stored)).unwrap();
    let tokens = SiteTokens::new(policy, ring).unwrap();

    for (value, accepted) in [
        ("\"stock\"", true),
        ("[\"mail\",\"orders\"]", true),
        ("[\"mail\"]", false),
        ("[]", false),
        ("\"\"", false),
        ("\"https://api.example.com\"", false),
    ] {
        let result = tokens.verify(&forge.with(&[("aud", value)]), NOW);
        assert_eq!(result.is_ok(), accepted, "{value}: {result:?}");
    }
}

/// 1.1-18.
#[test]
fn a_control_character_in_any_text_refuses_the_token() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        for byte in
            ["\\r", "\\n", "\\u0000", "\\t", "\\u001b", "\\u007f", "\\u0085", "\\r\\nX-User-Id: 1"]
        {
            for claim in ["sub", "email", "username", "iss", "jti", "sid", "token_use", "plan"] {
                let result =
                    forge.tokens.verify(&forge.with(&[(claim, &format!("\"a{byte}b\""))]), NOW);
                assert!(result.is_err(), "{algorithm}: {claim} with {byte} passed");
            }
            for claim in ["roles", "permissions", "aud", "groups"] {
                let value = format!("[\"https://api.example.com\",\"a{byte}\"]");
                let result = forge.tokens.verify(&forge.with(&[(claim, &value)]), NOW);
                assert!(result.is_err(), "{algorithm}: {claim} with {byte} passed");
            }
            let nested = format!("{{\"a\":[{{\"b{byte}\":\"c\"}},\"d{byte}\"]}}");
            assert!(forge.tokens.verify(&forge.with(&[("more", &nested)]), NOW).is_err());
        }
    }
}

/// 1.1-24.
#[test]
fn a_token_of_another_use_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        for (value, error) in [
            ("\"refresh\"", TokenError::Use),
            ("\"reset\"", TokenError::Use),
            ("\"Access\"", TokenError::Use),
        ] {
            let result = forge.tokens.verify(&forge.with(&[("token_use", value)]), NOW);
            assert_eq!(result.err(), Some(error), "{algorithm}: {value}");
        }
        let refresh = forge.tokens.issue_refresh(
            crate::operation::UserId(42),
            crate::operation::SessionId(uuid::Uuid::nil()),
            NOW,
        );
        let refresh = refresh.unwrap().unwrap();
        assert_eq!(forge.tokens.verify(refresh.text.expose(), NOW).err(), Some(TokenError::Use));
        assert_eq!(forge.tokens.verify_refresh(refresh.text.expose(), NOW), Ok(()));
        assert_eq!(forge.tokens.verify_refresh(&forge.good(), NOW), Err(TokenError::Use));
        assert!(forge.tokens.verify_refresh(refresh.text.expose(), refresh.expires_at).is_err());
    }
}

#[test]
fn times_may_have_parts_of_a_second() {
    let forge = forge(Algorithm::Hs256);
    let token = forge.with(&[("iat", "1799999999.25"), ("exp", "1.8000008e9")]);

    let verified = forge.tokens.verify(&token, NOW).unwrap();

    assert_eq!(verified.principal.issued_at, Timestamp::from_millis(1_799_999_999_250));
    assert_eq!(verified.principal.expires_at, Timestamp::from_seconds(1_800_000_800));
}

#[test]
fn an_own_token_ends_with_the_sites_access_ttl_whatever_its_exp() {
    let forge = forge(Algorithm::Hs256);
    let issued = NOW.minus(forge.tokens.policy().access_ttl);
    let token = forge.with(&[("iat", &issued.as_seconds().to_string()), ("exp", "1900000000")]);

    let verdict = forge.tokens.verify(&token, NOW);

    assert_eq!(verdict.unwrap_err(), TokenError::Expired { ago: Duration::ZERO });
}
