//! Sessions: how they open, are found, are listed and end.

use std::sync::Arc;
use std::time::Duration;

use munjigi::operation::SessionId;
use munjigi::store::{NewSession, Rotation, Session, Store, User, UserChange};
use uuid::Uuid;

use crate::fixture::{
    DAY, HOUR, ISSUER, OTHER_ISSUER, REALM, at, change, hash, login, of_session, of_token, of_user,
    open, open_at, rotate, session_of, sessions, stands, until, user, user_now,
};

async fn by_refresh(store: &Arc<dyn Store>, token: &str) -> Option<Session> {
    store.find_session_by_refresh(ISSUER, &hash(token), at(0)).await.expect("a look-up")
}

async fn opens_nothing(store: &Arc<dyn Store>, user: &User) {
    let new = NewSession {
        replaces_others: true,
        ..login(user, session_of(user, ISSUER), Some("refused"))
    };

    assert_eq!(store.open_session(new, until()).await.expect("an answer"), None);

    assert_eq!(by_refresh(store, "refused").await, None);
}

pub(crate) async fn a_login_of_a_stale_generation_opens_nothing(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    change(store, &ann, UserChange::EndSessions).await;
    let now = user_now(store, ann.id).await;
    let session = open(store, &now, "stays").await;
    let before = user_now(store, ann.id).await;

    opens_nothing(store, &ann).await;

    assert_eq!(sessions(store, &ann).await, [session.id]);
    assert_eq!(user_now(store, ann.id).await, before);
}

pub(crate) async fn a_login_of_a_disabled_account_opens_nothing(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let (disabled, _) = change(store, &ann, UserChange::SetEnabled(false)).await;

    opens_nothing(store, &disabled).await;

    assert_eq!(sessions(store, &ann).await, []);
    assert_eq!(user_now(store, ann.id).await.last_login_at, None);
}

pub(crate) async fn a_login_of_a_removed_account_opens_nothing(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    change(store, &ann, UserChange::Remove).await;

    opens_nothing(store, &ann).await;

    assert_eq!(sessions(store, &ann).await, []);
}

pub(crate) async fn a_login_that_finds_a_floor_above_the_generation_ends_sessions(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    open(store, &ann, "before").await;
    store.revoke(&[of_user(ann.id, ann.generation + 4)]).await.expect("a revocation");

    opens_nothing(store, &ann).await;

    let raised = user_now(store, ann.id).await;
    assert_eq!(raised.generation, ann.generation + 4);
    assert_eq!(by_refresh(store, "before").await, None);
    let session = open(store, &raised, "again").await;
    assert_eq!(sessions(store, &ann).await, [session.id]);
}

pub(crate) async fn a_login_that_races_a_password_change_leaves_no_session(store: &Arc<dyn Store>) {
    for round in 0..10 {
        let ann = user(store, &format!("ann{round}")).await;
        let new = login(&ann, session_of(&ann, ISSUER), Some(&format!("token{round}")));
        let login = tokio::spawn({
            let store = Arc::clone(store);
            async move { store.open_session(new, until()).await }
        });
        let change = UserChange::SetPassword { verifier: "$new".to_owned() };

        let (opened, changed) =
            tokio::join!(login, store.change_user(REALM, ann.id, change, at(0), until()));

        opened.expect("no panic").expect("an answer");
        assert!(changed.expect("an answer").is_some());
        assert_eq!(sessions(store, &ann).await, [], "round {round}");
        assert_eq!(by_refresh(store, &format!("token{round}")).await, None, "round {round}");
    }
}

pub(crate) async fn a_login_is_noted_on_the_account(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = Session { created_at: at(7), last_used_at: at(7), ..session_of(&ann, ISSUER) };

    let opened = store.open_session(login(&ann, session.clone(), Some("first")), until()).await;

    assert_eq!(opened.expect("a login"), Some(Vec::new()));
    assert_eq!(user_now(store, ann.id).await, User { last_login_at: Some(at(7)), ..ann });
    assert_eq!(by_refresh(store, "first").await, Some(session));
}

pub(crate) async fn a_replacing_login_ends_the_others_of_its_site(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let bob = user(store, "bob").await;
    let first = open(store, &ann, "first").await;
    let second = open(store, &ann, "second").await;
    let elsewhere = open_at(store, &ann, "elsewhere", OTHER_ISSUER).await;
    let bobs = open(store, &bob, "bob's").await;

    let third = Session { created_at: at(1), ..session_of(&ann, ISSUER) };
    let new = NewSession { replaces_others: true, ..login(&ann, third.clone(), Some("third")) };
    let mut revoked = store.open_session(new, until()).await.expect("a login").expect("opened");

    let mut expected = vec![of_session(&first), of_session(&second)];
    revoked.sort_by_key(|revocation| revocation.revoked.key());
    expected.sort_by_key(|revocation| revocation.revoked.key());
    assert_eq!(revoked, expected);
    for revocation in &expected {
        assert_eq!(stands(store, revocation).await, Some(0));
    }
    for stays in [&third, &elsewhere, &bobs] {
        assert_eq!(stands(store, &of_session(stays)).await, None);
    }
    assert_eq!(by_refresh(store, "first").await, None);
    assert_eq!(by_refresh(store, "third").await, Some(third.clone()));
    assert_eq!(sessions(store, &ann).await, [third.id, elsewhere.id]);
    assert_eq!(sessions(store, &bob).await, [bobs.id]);
}

pub(crate) async fn a_session_without_refresh_token_is_listed(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = Session { agent: None, ..session_of(&ann, ISSUER) };

    store.open_session(login(&ann, session.clone(), None), until()).await.expect("a login");

    let listed = store.list_sessions(REALM, ann.id, Some(ISSUER), at(0)).await;
    assert_eq!(listed.expect("a list"), [session]);
}

pub(crate) async fn a_session_is_found_by_any_of_its_refresh_tokens(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "grandparent").await;
    rotate(store, &session, "grandparent", "parent", at(10)).await;
    rotate(store, &session, "parent", "newest", at(20)).await;

    for token in ["grandparent", "parent", "newest"] {
        let found = by_refresh(store, token).await.expect(token);
        assert_eq!((found.id, found.last_used_at), (session.id, at(20)), "{token}");
    }
}

pub(crate) async fn a_session_is_not_found_from_another_site_or_after_its_end(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    open(store, &ann, "token").await;

    for (what, issuer, token, now) in [
        ("another site", OTHER_ISSUER, "token", at(0)),
        ("unknown", ISSUER, "other", at(0)),
        ("at its end", ISSUER, "token", at(DAY)),
        ("after its end", ISSUER, "token", at(DAY + 1)),
    ] {
        let found = store.find_session_by_refresh(issuer, &hash(token), now).await;
        assert_eq!(found.expect("a look-up"), None, "{what}");
    }
}

pub(crate) async fn a_list_has_the_newest_first_and_nothing_that_ended(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let bob = user(store, "bob").await;
    let mut made = Vec::new();
    for (number, issuer, expires_at) in [
        (1, ISSUER, at(DAY)),
        (2, OTHER_ISSUER, at(DAY)),
        (3, ISSUER, at(HOUR)),
        (4, ISSUER, at(DAY)),
    ] {
        let session = Session { created_at: at(number), expires_at, ..session_of(&ann, issuer) };
        let new = login(&ann, session.clone(), Some(&format!("token{number}")));
        store.open_session(new, until()).await.expect("a login");
        made.push(session);
    }
    open(store, &bob, "bob's").await;
    let list = async |realm: &str, issuer: Option<&str>, now| {
        let found = store.list_sessions(realm, ann.id, issuer, now).await.expect("a list");
        found.into_iter().map(|session| session.created_at).collect::<Vec<_>>()
    };

    assert_eq!(list(REALM, None, at(0)).await, [at(4), at(3), at(2), at(1)]);
    assert_eq!(list(REALM, Some(ISSUER), at(0)).await, [at(4), at(3), at(1)]);
    assert_eq!(list(REALM, Some(ISSUER), at(HOUR)).await, [at(4), at(1)]);
    assert_eq!(list(REALM, Some("https://none.example"), at(0)).await, []);
    assert_eq!(list("other", None, at(0)).await, []);
    let whole = store.list_sessions(REALM, ann.id, Some(OTHER_ISSUER), at(0)).await;
    assert_eq!(whole.expect("a list"), [made[1].clone()]);
}

pub(crate) async fn an_ended_session_is_gone_and_revoked(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token").await;
    let other = open(store, &ann, "other").await;
    let revocations = [of_session(&session), of_token("access")];

    assert!(store.end_session(session.id, &revocations).await.expect("an answer"));

    assert_eq!(sessions(store, &ann).await, [other.id]);
    assert_eq!(by_refresh(store, "token").await, None);
    for revocation in &revocations {
        assert_eq!(stands(store, revocation).await, Some(0));
    }
    let rotation = rotate(store, &session, "token", "next", at(1)).await;
    assert_eq!(rotation, Rotation::Refused);
    assert!(!store.end_session(session.id, &[]).await.expect("an answer"));
}

pub(crate) async fn ending_an_unknown_session_still_records_the_revocations(
    store: &Arc<dyn Store>,
) {
    let revocation = of_token("access");

    let ended =
        store.end_session(SessionId(Uuid::now_v7()), std::slice::from_ref(&revocation)).await;

    assert!(!ended.expect("an answer"));
    let later = at(0).plus(Duration::from_secs(HOUR));
    let found = store.find_revocation(revocation.revoked.key(), later).await;
    assert_eq!(found.expect("a look-up"), Some(0));
}
