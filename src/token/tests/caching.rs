//! The cache of verified tokens: what it answers, and what it never does.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Algorithm;
use crate::token::cache::{Cache, CachedToken};
use crate::token::tests::forge::{FAMILIES, NOW, forge, policy};
use crate::token::{KeyRing, SiteTokens, TokenError, TokenPolicy};

fn cached(algorithm: Algorithm, entries: usize) -> SiteTokens {
    let policy = TokenPolicy { verify_cache: entries, ..policy(algorithm) };
    let stored = &forge(algorithm).stored;
    SiteTokens::new(policy, KeyRing::from_stored(std::slice::from_ref(stored)).unwrap()).unwrap()
}

#[test]
fn a_verified_token_is_answered_from_the_cache() {
    for algorithm in FAMILIES {
        let tokens = cached(algorithm, 16);
        let token = forge(algorithm).good();

        let first = tokens.verify(&token, NOW).unwrap();
        let second = tokens.verify(&token, NOW).unwrap();

        assert!(Arc::ptr_eq(&first, &second), "{algorithm}");
        let uncached = &forge(algorithm).tokens;
        assert_eq!(uncached.verify(&token, NOW).unwrap().principal, first.principal);
    }
}

#[test]
fn a_cached_token_ends_at_its_exp() {
    let tokens = cached(Algorithm::Hs256, 16);
    let token = forge(Algorithm::Hs256).good();
    let end = NOW.plus(Duration::from_secs(900));
    tokens.verify(&token, NOW).unwrap();

    assert!(tokens.verify(&token, end.minus(Duration::from_millis(1))).is_ok());
    let result = tokens.verify(&token, end);

    assert_eq!(result.err(), Some(TokenError::Expired { ago: Duration::ZERO }));
}

/// 1.1-25: a clock that steps back.
#[test]
fn a_cached_token_is_not_valid_before_its_time() {
    let tokens = cached(Algorithm::Hs256, 16);
    let token = forge(Algorithm::Hs256).good();
    tokens.verify(&token, NOW).unwrap();

    let result = tokens.verify(&token, NOW.minus(Duration::from_secs(31)));

    assert_eq!(result.err(), Some(TokenError::NotYetValid));
}

#[test]
fn the_cache_never_answers_for_a_changed_token() {
    for algorithm in FAMILIES {
        let tokens = cached(algorithm, 16);
        let token = forge(algorithm).good();
        tokens.verify(&token, NOW).unwrap();

        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(tokens.verify(&changed, NOW).is_err(), "{algorithm}: byte {at}");
        }
        assert!(tokens.verify(&token[..token.len() - 1], NOW).is_err());
        assert!(tokens.verify(&format!("{token}A"), NOW).is_err());
    }
}

#[test]
fn a_cache_belongs_to_one_site() {
    let token = forge(Algorithm::Hs256).good();
    cached(Algorithm::Hs256, 16).verify(&token, NOW).unwrap();
    let policy =
        TokenPolicy { issuer: "https://b".into(), verify_cache: 16, ..policy(Algorithm::Hs256) };
    let stored = &forge(Algorithm::Hs256).stored;
    let ring = KeyRing::from_stored(std::slice::from_ref(stored)).unwrap();

    assert!(SiteTokens::new(policy, ring).unwrap().verify(&token, NOW).is_err());
}

fn entry() -> CachedToken {
    let forge = forge(Algorithm::Hs256);
    let verified = forge.tokens.verify(&forge.good(), NOW).unwrap();
    CachedToken { verified, valid_from: NOW, expires_at: NOW.plus(Duration::from_secs(9)) }
}

#[test]
fn the_cache_holds_no_more_than_it_may() {
    for capacity in [1, 2, 7, 300, 1000] {
        let cache = Cache::new(capacity).unwrap().unwrap();
        let entry = entry();
        let before = Arc::strong_count(&entry.verified);

        for number in 0..3000 {
            let fingerprint = cache.fingerprint(&number.to_string()).unwrap();
            cache.insert(fingerprint, entry.clone(), NOW);
            assert!(cache.get(fingerprint, NOW).is_some(), "{number} of {capacity}");
        }

        let held = Arc::strong_count(&entry.verified) - before;
        assert!(held <= capacity && held * 2 >= capacity, "{held} of {capacity}");
    }
}

#[test]
fn a_token_in_use_outlives_those_asked_for_once() {
    let cache = Cache::new(16).unwrap().unwrap();
    let busy = cache.fingerprint("busy").unwrap();
    cache.insert(busy, entry(), NOW);

    for number in 0..200 {
        assert!(cache.get(busy, NOW).is_some(), "driven out after {number}");
        cache.insert(cache.fingerprint(&number.to_string()).unwrap(), entry(), NOW);
    }
}

#[test]
fn fingerprints_differ_by_text_and_by_cache() {
    let cache = Cache::new(1).unwrap().unwrap();
    let other = Cache::new(1).unwrap().unwrap();

    assert_eq!(cache.fingerprint("a"), cache.fingerprint("a"));
    assert_ne!(cache.fingerprint("a"), cache.fingerprint("b"));
    assert_ne!(cache.fingerprint("a"), cache.fingerprint("a\0"));
    assert_ne!(cache.fingerprint("a"), other.fingerprint("a"));
    assert!(Cache::new(0).unwrap().is_none());
}
