//! What the checks are made of: accounts, sessions, tokens, and a fixed point in time.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::digest;
use munjigi::clock::{Now, Timestamp};
use munjigi::operation::{
    AuthMethods, Identifier, RefreshHash, Revocation, Revoked, SessionId, TokenId, UserId,
};
use munjigi::store::{
    CodePurpose, KeyedHash, Lookup, NewCode, NewMail, NewSession, RememberedDevice, Rotation,
    SecondFactor, Session, Store, Successor, User, UserChange,
};
use uuid::Uuid;

pub(crate) const REALM: &str = "default";
pub(crate) const ISSUER: &str = "https://api.example.com";
pub(crate) const OTHER_ISSUER: &str = "https://shop.example.com";
pub(crate) const GRACE: Duration = Duration::from_secs(10);
pub(crate) const HOUR: u64 = 3600;
pub(crate) const DAY: u64 = 24 * HOUR;

/// The instant that all others are counted from: the present, so that a backend which lets records
/// expire by its own clock keeps what the checks need.
static START: LazyLock<Timestamp> = LazyLock::new(|| Now::read().wall);

pub(crate) fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

pub(crate) fn before(seconds: u64) -> Timestamp {
    START.minus(Duration::from_secs(seconds))
}

/// Until when what a check ends is revoked.
/// A whole second, for a feed may tell others rounded up to one.
pub(crate) fn until() -> Timestamp {
    Timestamp::from_seconds(at(DAY).as_seconds())
}

pub(crate) fn new_user(name: &str) -> User {
    User {
        email: Some(format!("{name}@example.com").parse().expect("an email")),
        username: Some(name.parse().expect("a user name")),
        verifier: Some(format!("$verifier${name}")),
        roles: vec!["user".to_owned(), "editor".to_owned()],
        permissions: vec!["orders:read".to_owned()],
        attributes: BTreeMap::from([("nickname".to_owned(), serde_json::json!("Ж \"x\""))]),
        ..User::new(REALM, at(0))
    }
}

/// Some 7 MB in one attribute, as a profile image of 5 MiB takes in base64.
pub(crate) fn new_user_with_image(name: &str) -> User {
    let image: String = ('A'..='Z').chain('a'..='z').cycle().take(7_000_000).collect();
    let attributes = BTreeMap::from([("profile_image".to_owned(), image.into())]);
    User { attributes, ..new_user(name) }
}

/// A code for a reset of NAME's password: ten minutes, five guesses.
pub(crate) fn code(name: &str, text: &str) -> NewCode {
    NewCode {
        purpose: CodePurpose::Reset,
        realm: REALM.to_owned(),
        email: format!("{name}@example.com").parse().expect("an email"),
        hash: hash(text).0,
        expires_at: at(600),
        guesses: 5,
    }
}

/// A mail that is due after `seconds`, and expires after an hour.
pub(crate) fn mail(seconds: u64) -> NewMail {
    NewMail {
        id: Uuid::now_v7(),
        sealed: b"\0sealed\xff".to_vec(),
        created_at: at(seconds),
        expires_at: at(HOUR),
    }
}

pub(crate) async fn user(store: &Arc<dyn Store>, name: &str) -> User {
    store.create_user(new_user(name)).await.expect("an account")
}

pub(crate) async fn user_now(store: &Arc<dyn Store>, user: UserId) -> User {
    store
        .find_user(REALM, &Identifier::Id(user), Lookup::Whole)
        .await
        .expect("a look-up")
        .expect("the account")
}

/// As all but a whole look-up answer an account.
pub(crate) fn without_attributes(user: &User) -> User {
    User { attributes: BTreeMap::new(), ..user.clone() }
}

pub(crate) async fn change(
    store: &Arc<dyn Store>,
    user: &User,
    change: UserChange,
) -> (User, Vec<Revocation>) {
    store
        .change_user(REALM, user.id, change, at(0), until())
        .await
        .expect("a change")
        .expect("an account")
}

/// A second factor with a device that is remembered.
pub(crate) fn second_factor() -> SecondFactor {
    SecondFactor {
        revision: Uuid::new_v4(),
        secret: b"\0sealed\xff".to_vec(),
        since: at(0),
        last_step: u64::MAX,
        recovery_codes: vec![KeyedHash([1; 32]), KeyedHash([255; 32])],
        devices: vec![RememberedDevice {
            id: Uuid::new_v4(),
            hash: KeyedHash([7; 32]),
            agent: Some("Ж \"x\"".to_owned()),
            since: at(0),
            until: at(DAY),
        }],
    }
}

pub(crate) fn session_of(user: &User, issuer: &str) -> Session {
    Session {
        id: SessionId(Uuid::now_v7()),
        user: user.id,
        realm: user.realm.clone(),
        issuer: issuer.to_owned(),
        created_at: at(0),
        last_used_at: at(0),
        expires_at: at(DAY),
        ends_at: at(90 * DAY),
        address: "192.0.2.7".to_owned(),
        agent: Some("check/1".to_owned()),
        methods: AuthMethods::PASSWORD,
    }
}

pub(crate) fn login(user: &User, session: Session, refresh: Option<&str>) -> NewSession {
    NewSession {
        session,
        refresh: refresh.map(hash),
        generation: user.generation,
        replaces_others: false,
    }
}

/// Opens a session with a refresh token at [`ISSUER`].
pub(crate) async fn open(store: &Arc<dyn Store>, user: &User, refresh: &str) -> Session {
    open_at(store, user, refresh, ISSUER).await
}

pub(crate) async fn open_at(
    store: &Arc<dyn Store>,
    user: &User,
    refresh: &str,
    issuer: &str,
) -> Session {
    let session = session_of(user, issuer);
    let opened = store.open_session(login(user, session.clone(), Some(refresh)), until()).await;
    assert_eq!(opened.expect("a login"), Some(Vec::new()));
    session
}

pub(crate) fn hash(token: &str) -> RefreshHash {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    RefreshHash(hash.as_ref().try_into().expect("32 bytes"))
}

pub(crate) fn successor(token: &str, now: Timestamp) -> Successor {
    Successor {
        hash: hash(token),
        sealed: sealed(token),
        now,
        expires_at: now.plus(Duration::from_secs(DAY)),
    }
}

pub(crate) fn sealed(token: &str) -> Vec<u8> {
    [b"\0sealed\xff".as_slice(), token.as_bytes()].concat()
}

/// Presents `token` and offers `next` in its place.
pub(crate) async fn rotate(
    store: &Arc<dyn Store>,
    session: &Session,
    token: &str,
    next: &str,
    now: Timestamp,
) -> Rotation {
    store
        .rotate(session.id, &hash(token), successor(next, now), GRACE, until())
        .await
        .expect("a rotation")
}

pub(crate) async fn sessions(store: &Arc<dyn Store>, user: &User) -> Vec<SessionId> {
    let found = store.list_sessions(REALM, user.id, None, at(0)).await.expect("a list");
    found.into_iter().map(|session| session.id).collect()
}

pub(crate) fn of_token(name: &str) -> Revocation {
    let revoked = Revoked::Token { issuer: ISSUER.to_owned(), token: TokenId(name.to_owned()) };
    Revocation { revoked, expires_at: until() }
}

pub(crate) fn of_session(session: &Session) -> Revocation {
    let revoked = Revoked::Session { issuer: session.issuer.clone(), session: session.id };
    Revocation { revoked, expires_at: until() }
}

pub(crate) fn of_user(user: UserId, generation: u64) -> Revocation {
    Revocation {
        revoked: Revoked::User { realm: REALM.to_owned(), user, generation },
        expires_at: until(),
    }
}

pub(crate) fn of_site(issuer: &str, generation: u64) -> Revocation {
    Revocation {
        revoked: Revoked::Site { issuer: issuer.to_owned(), generation },
        expires_at: until(),
    }
}

/// The floor under which a revocation stands in the store.
pub(crate) async fn stands(store: &Arc<dyn Store>, revocation: &Revocation) -> Option<u64> {
    store.find_revocation(revocation.revoked.key(), at(0)).await.expect("a look-up")
}
