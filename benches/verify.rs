//! The cost of verifying an access token: each algorithm, with the token in the cache and not.
//!
//! `verify_ALG_cached` is the same token again; `verify_ALG_uncached` has the cache off, so that
//! every round parses, checks the signature and the claims.

#![expect(clippy::expect_used, reason = "a failed step ends the benchmark")]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use munjigi::clock::Timestamp;
use munjigi::config::Algorithm;
use munjigi::operation::{Generations, SessionId, UserId};
use munjigi::token::{
    ForeignClaims, Grant, KeyRing, RefreshFormat, SiteTokens, StoredKey, TokenPolicy,
};
use uuid::Uuid;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for algorithm in Algorithm::ALL {
        bench(&mut criterion, algorithm);
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, algorithm: Algorithm) {
    let now = Timestamp::from_seconds(1_800_000_000);
    let key = StoredKey::generate(algorithm, now).expect("a key");
    let cached = tokens(&key, 16_384);
    let uncached = tokens(&key, 0);
    let roles = ["admin".to_owned(), "user".to_owned()];
    let grant = Grant {
        user: UserId(42),
        session: SessionId(Uuid::from_u128(7)),
        generations: Generations::default(),
        email: None,
        username: None,
        roles: &roles,
        permissions: &[],
        authentication: None,
        attributes: None,
        not_after: None,
    };
    let token = cached.issue_access(grant, now).expect("a token").text;
    let name = algorithm.name().to_lowercase();
    for (tokens, kind) in [(&cached, "cached"), (&uncached, "uncached")] {
        criterion.bench_function(&format!("verify_{name}_{kind}"), |bencher| {
            bencher.iter(|| tokens.verify(black_box(token.expose()), now).expect("a good token"));
        });
    }
}

fn tokens(key: &StoredKey, verify_cache: usize) -> SiteTokens {
    let policy = TokenPolicy {
        issuer: "https://api.example.com".to_owned(),
        audience: Vec::new(),
        realm: "default".to_owned(),
        algorithm: key.algorithm,
        access_ttl: Duration::from_secs(900),
        refresh_ttl: None,
        refresh_format: RefreshFormat::Opaque,
        session_ttl: Duration::from_secs(90 * 86_400),
        refresh_grace: Duration::from_secs(10),
        tells_authentication: false,
        attributes: Vec::new(),
        leeway: Duration::from_secs(30),
        verify_cache,
        foreign: ForeignClaims::default(),
        token_bytes: 8192,
        issued_bytes: 8192,
    };
    let ring = KeyRing::from_stored(std::slice::from_ref(key)).expect("a key ring");
    SiteTokens::new(policy, ring).expect("a site's tokens")
}
