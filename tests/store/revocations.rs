//! Revocations: their floors and ends, site generations, and purging.

use std::sync::Arc;

use munjigi::operation::{Revocation, Revoked, UserId};
use munjigi::store::{Session, Store};

use crate::fixture::{
    DAY, HOUR, ISSUER, OTHER_ISSUER, REALM, at, before, hash, login, of_session, of_site, of_token,
    of_user, open, rotate, session_of, sessions, stands, until, user,
};

pub(crate) async fn what_was_not_revoked_is_not_found(store: &Arc<dyn Store>) {
    store.revoke(&[of_token("a")]).await.expect("a revocation");

    assert_eq!(stands(store, &of_token("b")).await, None);
    assert_eq!(stands(store, &of_site(ISSUER, 0)).await, None);
    let elsewhere = Revocation {
        revoked: Revoked::Token {
            issuer: OTHER_ISSUER.to_owned(),
            token: munjigi::operation::TokenId("a".to_owned()),
        },
        expires_at: until(),
    };
    assert_eq!(stands(store, &elsewhere).await, None);
}

pub(crate) async fn every_kind_is_found_until_it_expires(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token").await;
    let key = Revocation {
        revoked: Revoked::Key { issuer: ISSUER.to_owned(), key: "k1".to_owned() },
        expires_at: until(),
    };
    let all = [
        (of_token("a"), 0),
        (of_session(&session), 0),
        (of_user(UserId(77), 3), 3),
        (of_site(ISSUER, 2), 2),
        (key, 0),
    ];
    let revocations: Vec<_> = all.iter().map(|(revocation, _)| revocation.clone()).collect();

    store.revoke(&revocations).await.expect("a revocation");

    for (revocation, floor) in all {
        let key = revocation.revoked.key();
        for (now, expected) in
            [(at(0), Some(floor)), (at(DAY - 1), Some(floor)), (at(DAY), None), (at(2 * DAY), None)]
        {
            let found = store.find_revocation(key, now).await.expect("a look-up");
            assert_eq!(found, expected, "{revocation:?} at {now:?}");
        }
    }
}

pub(crate) async fn a_repeated_revocation_keeps_the_higher_floor_and_the_later_end(
    store: &Arc<dyn Store>,
) {
    let id = UserId(5);
    let ends =
        |generation, seconds| Revocation { expires_at: at(seconds), ..of_user(id, generation) };
    for (generation, seconds, floor, end) in
        [(4, HOUR, 4, HOUR), (2, 2 * HOUR, 4, 2 * HOUR), (6, HOUR, 6, 2 * HOUR)]
    {
        let revocation = ends(generation, seconds);
        store.revoke(std::slice::from_ref(&revocation)).await.expect("a revocation");

        let key = revocation.revoked.key();
        let found = store.find_revocation(key, at(end - 1)).await.expect("a look-up");
        assert_eq!(found, Some(floor), "after generation {generation}");
        let found = store.find_revocation(key, at(end)).await.expect("a look-up");
        assert_eq!(found, None, "after generation {generation}");
    }
}

pub(crate) async fn a_site_revocation_raises_the_sites_generation(store: &Arc<dyn Store>) {
    assert_eq!(store.site_generation(ISSUER).await.expect("a generation"), 0);

    store.revoke(&[of_token("a"), of_site(ISSUER, 3)]).await.expect("a revocation");

    assert_eq!(store.site_generation(ISSUER).await.expect("a generation"), 3);
    assert_eq!(store.site_generation(OTHER_ISSUER).await.expect("a generation"), 0);
    assert_eq!(stands(store, &of_site(ISSUER, 0)).await, Some(3));
}

pub(crate) async fn a_site_generation_never_falls(store: &Arc<dyn Store>) {
    store.revoke(&[of_site(ISSUER, 3)]).await.expect("a revocation");
    store.revoke(&[of_site(ISSUER, 2)]).await.expect("a revocation");
    assert_eq!(store.site_generation(ISSUER).await.expect("a generation"), 3);

    store.purge(at(2 * DAY)).await.expect("a purge");

    assert_eq!(store.site_generation(ISSUER).await.expect("a generation"), 3);
}

pub(crate) async fn purging_removes_only_what_expired(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let stays = open(store, &ann, "stays").await;
    rotate(store, &stays, "stays", "newest", at(1)).await;
    let ends = Session { expires_at: at(HOUR), ..session_of(&ann, ISSUER) };
    store.open_session(login(&ann, ends, Some("ends")), until()).await.expect("a login");
    let long = Revocation { expires_at: at(3 * HOUR), ..of_token("long") };
    let short = Revocation { expires_at: at(HOUR), ..of_token("short") };
    let gone = Revocation { expires_at: before(HOUR), ..of_token("gone") };
    store.revoke(&[long.clone(), short.clone(), gone.clone()]).await.expect("a revocation");

    store.purge(at(2 * HOUR)).await.expect("a purge");

    assert_eq!(stands(store, &long).await, Some(0));
    assert_eq!(stands(store, &short).await, None);
    assert_eq!(stands(store, &gone).await, None);
    assert_eq!(sessions(store, &ann).await, [stays.id]);
    for (token, expected) in [("stays", Some(stays.id)), ("newest", Some(stays.id)), ("ends", None)]
    {
        let found = store.find_session_by_refresh(ISSUER, &hash(token), at(0)).await;
        assert_eq!(found.expect("a look-up").map(|session| session.id), expected, "{token}");
    }
    assert_eq!(store.list_users(REALM, None, 10).await.expect("a list").users.len(), 1);
}
