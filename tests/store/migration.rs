//! SQLite files of earlier schemas: nothing in them is lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use munjigi::clock::Timestamp;
use munjigi::config::Algorithm;
use munjigi::operation::{AuthMethods, Identifier, RefreshHash, SessionId, UserId};
use munjigi::store::{Durability, Lookup, Session, SqliteStore, Store, User, UserChange};
use rusqlite::Connection;
use uuid::Uuid;

use crate::backend::DEADLINES;
use crate::fixture::{
    REALM, at, change, code, mail, new_user, of_token, stands, user, without_attributes,
};

const SCHEMA_1: &str = include_str!("../../src/store/sqlite/schema_1.sql");

/// Rows as the version that knew schema 1 alone wrote them; two accounts, of which one is bare.
const ROWS: &str = r#"
INSERT INTO users VALUES
    (7, 'default', 'ann@example.com', 1, 'ann', '$verifier', '["user"]', '["orders:read"]', 1, 3,
     '{"nickname":"Ж \"x\"","phone":null}', 1000, 2000),
    (8, 'default', NULL, 0, 'bob', NULL, '[]', '[]', 0, 0, '{}', 3000, NULL);
UPDATE sqlite_sequence SET seq = 9 WHERE name = 'users';
INSERT INTO sessions VALUES
    (x'0195d6f0a1b27c3d8e4f5a6b7c8d9e0f', 7, 'default', 'https://api.example.com', 1000, 2000,
     9000000000000, 9100000000000, '192.0.2.7', NULL, zeroblob(32), NULL, NULL, NULL);
INSERT INTO refresh VALUES (zeroblob(32), x'0195d6f0a1b27c3d8e4f5a6b7c8d9e0f');
INSERT INTO sites VALUES ('https://api.example.com', 5);
INSERT INTO keys VALUES (1, 'https://api.example.com', 'k1', 'ES256', x'00ff', 1000);
"#;

fn older_file(path: &Path) {
    let other = Connection::open(path).expect("a connection");
    other.execute_batch(&format!("{SCHEMA_1}{ROWS}PRAGMA user_version = 1;")).expect("a file");
    let token = of_token("a");
    other
        .execute(
            "INSERT INTO revocations VALUES (11, ?1, 0, ?2, 'token', 'x', 'a')",
            (token.revoked.key().0, token.expires_at.as_millis()),
        )
        .expect("a revocation");
}

fn ann() -> User {
    User {
        id: UserId(7),
        realm: REALM.to_owned(),
        email: new_user("ann").email,
        email_verified: true,
        username: new_user("ann").username,
        verifier: Some("$verifier".to_owned()),
        second_factor: None,
        roles: vec!["user".to_owned()],
        permissions: vec!["orders:read".to_owned()],
        enabled: true,
        generation: 3,
        attributes: BTreeMap::from([
            ("nickname".to_owned(), serde_json::json!("Ж \"x\"")),
            ("phone".to_owned(), serde_json::json!(null)),
        ]),
        created_at: Timestamp::from_millis(1000),
        last_login_at: Some(Timestamp::from_millis(2000)),
    }
}

fn session() -> Session {
    Session {
        id: SessionId(Uuid::from_u128(0x0195_d6f0_a1b2_7c3d_8e4f_5a6b_7c8d_9e0f)),
        user: UserId(7),
        realm: REALM.to_owned(),
        issuer: "https://api.example.com".to_owned(),
        created_at: Timestamp::from_millis(1000),
        last_used_at: Timestamp::from_millis(2000),
        expires_at: Timestamp::from_millis(9_000_000_000_000),
        ends_at: Timestamp::from_millis(9_100_000_000_000),
        address: "192.0.2.7".to_owned(),
        agent: None,
        methods: AuthMethods::default(),
    }
}

fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path, Durability::Full, DEADLINES).expect("a store"))
}

#[tokio::test]
async fn a_file_of_schema_1_keeps_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("munjigi.db");
    older_file(&path);

    let store = open(&path);

    let found = store.find_user(REALM, &Identifier::Id(UserId(7)), Lookup::Whole).await;
    assert_eq!(found.expect("a look-up"), Some(ann()));
    let bob = Identifier::Username("bob".parse().expect("a user name"));
    let bob = store.find_user(REALM, &bob, Lookup::Whole).await.expect("a look-up");
    let bob = bob.expect("the other account");
    assert_eq!((bob.id, bob.enabled, bob.attributes.len()), (UserId(8), false, 0));
    let issuer = &session().issuer;
    let found = store.find_session_by_refresh(issuer, &RefreshHash([0; 32]), at(0)).await;
    assert_eq!(found.expect("a look-up"), Some(session()));
    assert_eq!(stands(&store, &of_token("a")).await, Some(0));
    assert_eq!(store.site_generation(issuer).await.expect("a generation"), 5);
    let keys = store.signing_keys(issuer).await.expect("keys");
    assert_eq!(keys.len(), 1);
    assert_eq!((&*keys[0].kid, keys[0].algorithm), ("k1", Algorithm::Es256));
    assert_eq!(keys[0].material.expose(), &[0x00, 0xff]);
    assert_eq!(user(&store, "cid").await.id, UserId(10), "a number was given twice");
}

#[tokio::test]
async fn a_file_of_schema_1_takes_what_is_new_and_opens_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("munjigi.db");
    older_file(&path);
    drop(open(&path));

    let store = open(&path);

    store.put_code(code("ann", "right"), mail(0)).await.expect("a code");
    assert_eq!(store.take_mails(at(0), at(60), 10).await.expect("mails").len(), 1);
    let (removed, _) = change(&store, &ann(), UserChange::Remove).await;
    assert_eq!(removed, without_attributes(&ann()));
    drop(store);
    let other = Connection::open(&path).expect("a connection");
    let left: i64 =
        other.query_row("SELECT count(*) FROM attributes", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 0, "attributes outlive their account");
}

#[tokio::test]
async fn eight_processes_may_bring_an_older_file_up_to_date_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("munjigi.db");
    older_file(&path);

    let openers = (0..8).map(|_| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || open(&path))
    });
    for opened in futures_util::future::join_all(openers).await {
        let store = opened.expect("a store");
        let found = store.find_user(REALM, &Identifier::Id(UserId(7)), Lookup::Whole).await;
        assert_eq!(found.expect("a look-up"), Some(ann()));
    }
}
