//! Accounts, sessions and revocations, and the wait for a condition.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use munjigi::clock::{Now, Timestamp};
use munjigi::operation::{
    AuthMethods, Identifier, RefreshHash, Revocation, Revoked, SessionId, TokenId,
};
use munjigi::store::{NewMail, NewSession, Session, Store, StoreError, Successor, User};
use uuid::Uuid;

use crate::redis_server::IN_TIME;

pub(crate) const REALM: &str = "default";
pub(crate) const ISSUER: &str = "https://api.example.com";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn now() -> Timestamp {
    Now::read().wall
}

pub(crate) fn until() -> Timestamp {
    now().plus(HOUR)
}

pub(crate) fn new_user(name: &str) -> User {
    let email = Some(format!("{name}@example.com").parse().expect("an email"));
    User { email, ..User::new(REALM, now()) }
}

pub(crate) async fn user(store: &Arc<dyn Store>, name: &str) -> User {
    store.create_user(new_user(name)).await.expect("an account")
}

pub(crate) fn by_email(name: &str) -> Identifier {
    Identifier::Email(format!("{name}@example.com").parse().expect("an email"))
}

pub(crate) fn login(user: &User, token: u8) -> NewSession {
    let now = now();
    let session = Session {
        id: SessionId(Uuid::now_v7()),
        user: user.id,
        realm: REALM.to_owned(),
        issuer: ISSUER.to_owned(),
        created_at: now,
        last_used_at: now,
        expires_at: now.plus(24 * HOUR),
        ends_at: now.plus(240 * HOUR),
        address: "192.0.2.7".to_owned(),
        agent: None,
        methods: AuthMethods::PASSWORD,
    };
    NewSession {
        session,
        refresh: Some(RefreshHash([token; 32])),
        generation: user.generation,
        replaces_others: false,
    }
}

pub(crate) fn successor(token: u8, now: Timestamp) -> Successor {
    Successor {
        hash: RefreshHash([token; 32]),
        sealed: vec![token],
        now,
        expires_at: now.plus(24 * HOUR),
    }
}

/// A mail that is due, and expires after an hour.
pub(crate) fn mail() -> NewMail {
    let now = now();
    NewMail {
        id: Uuid::now_v7(),
        sealed: b"\0sealed\xff".to_vec(),
        created_at: now,
        expires_at: now.plus(HOUR),
    }
}

pub(crate) fn of_token(name: &str) -> Revocation {
    let revoked = Revoked::Token { issuer: ISSUER.to_owned(), token: TokenId(name.to_owned()) };
    Revocation { revoked, expires_at: until() }
}

pub(crate) fn of_session(session: SessionId) -> Revocation {
    let revoked = Revoked::Session { issuer: ISSUER.to_owned(), session };
    Revocation { revoked, expires_at: until() }
}

/// Everything that an operator would read of an error.
pub(crate) fn told(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Waits until an operation succeeds.
pub(crate) async fn eventually<T>(mut operation: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    let waited = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Ok(answer) = operation().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(IN_TIME, waited).await.expect("success in time")
}
