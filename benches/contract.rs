//! The cost of a contract per request: reading a login, writing its answer, writing a refusal.

#![expect(clippy::expect_used, reason = "a bench that cannot start must stop")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use munjigi::clock::Timestamp;
use munjigi::config::SameSite;
use munjigi::contract::{Contract, EndpointRequest, ReplyContext};
use munjigi::operation::{
    ErrorCode, Operation, Outcome, Rejection, SessionId, TokenSet, UserId, UserView,
};
use munjigi::secret::Secret;

const NOW: Timestamp = Timestamp::from_seconds(1_736_937_000);

fn login(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let outcome = issued();
    let context = ReplyContext {
        now: NOW,
        request_id: "req-0123456789abcdef",
        host: "api.example.com",
        same_site: SameSite::Lax,
    };
    let rejection = Rejection::new(ErrorCode::InvalidToken, "expired");
    for name in Contract::built_in_names() {
        let contract = Contract::built_in(name).expect("a built-in").expect("it loads");
        let mut endpoints = contract.endpoints().iter();
        let endpoint = endpoints.find(|own| own.operation() == Operation::Login).expect("a login");
        criterion.bench_function(&format!("decode_login_{name}"), |bencher| {
            bencher.iter(|| {
                let request = EndpointRequest {
                    headers: &headers,
                    query: None,
                    path: &[],
                    body: black_box(br#"{"email":"user@example.com","password":"your_password"}"#),
                    principal: None,
                };
                contract.decode(endpoint, request)
            });
        });
        criterion.bench_function(&format!("encode_login_{name}"), |bencher| {
            bencher.iter(|| contract.encode(endpoint, black_box(&outcome), context));
        });
        criterion.bench_function(&format!("encode_refusal_{name}"), |bencher| {
            bencher.iter(|| contract.refuse(None, black_box(&rejection), context));
        });
    }
}

fn issued() -> Outcome {
    let expires_at = Timestamp::from_seconds(1_737_023_400);
    Outcome::TokensIssued {
        user: UserView {
            id: UserId(1),
            email: Some("user@example.com".to_owned()),
            email_verified: true,
            username: None,
            roles: vec!["user".to_owned()],
            permissions: Vec::new(),
            attributes: BTreeMap::new(),
            created_at: NOW,
            last_login_at: Some(NOW),
        },
        is_new_user: false,
        tokens: TokenSet {
            access_token: Secret::new("x".repeat(400)),
            issued_at: NOW,
            access_expires_at: expires_at,
            refresh_token: Some(Secret::new("r".repeat(43))),
            refresh_expires_at: Some(expires_at),
            session: SessionId(uuid::Uuid::nil()),
            device: None,
        },
    }
}

criterion_group!(benches, login);
criterion_main!(benches);
