//! Signing keys: one first key of an algorithm, whoever comes first.

use std::sync::Arc;

use munjigi::config::Algorithm;
use munjigi::operation::{Revocation, Revoked};
use munjigi::secret::Secret;
use munjigi::store::Store;
use munjigi::token::StoredKey;

use crate::fixture::{DAY, ISSUER, OTHER_ISSUER, at};

fn key(kid: &str, algorithm: Algorithm, seconds: u64) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        algorithm,
        material: Secret::new([kid.as_bytes(), b"\0\xff material"].concat()),
        created_at: at(seconds),
    }
}

async fn kids(store: &Arc<dyn Store>, issuer: &str) -> Vec<String> {
    let keys = store.signing_keys(issuer).await.expect("keys");
    keys.into_iter().map(|key| key.kid).collect()
}

pub(crate) async fn a_site_has_no_keys_at_first(store: &Arc<dyn Store>) {
    assert_eq!(store.signing_keys(ISSUER).await.expect("keys"), []);
}

pub(crate) async fn a_key_reads_back_as_it_was_made(store: &Arc<dyn Store>) {
    let made = key("k1", Algorithm::Es256, 1);

    let answered = store.add_signing_key(ISSUER, made.clone()).await.expect("keys");

    assert_eq!(answered, std::slice::from_ref(&made));
    assert_eq!(store.signing_keys(ISSUER).await.expect("keys"), [made]);
}

pub(crate) async fn the_first_key_of_an_algorithm_stays(store: &Arc<dyn Store>) {
    let first = key("first", Algorithm::Hs256, 2);
    store.add_signing_key(ISSUER, first.clone()).await.expect("keys");

    let answered = store.add_signing_key(ISSUER, key("late", Algorithm::Hs256, 1)).await;

    assert_eq!(answered.expect("keys"), [first]);
    assert_eq!(kids(store, ISSUER).await, ["first"]);
}

pub(crate) async fn keys_of_two_algorithms_stand_side_by_side(store: &Arc<dyn Store>) {
    store.add_signing_key(ISSUER, key("newer", Algorithm::EdDsa, 2)).await.expect("keys");

    let answered = store.add_signing_key(ISSUER, key("older", Algorithm::Rs256, 1)).await;

    let answered: Vec<_> = answered.expect("keys").into_iter().map(|key| key.kid).collect();
    assert_eq!(answered, ["older", "newer"]);
    assert_eq!(kids(store, ISSUER).await, ["older", "newer"]);
}

pub(crate) async fn keys_of_two_sites_are_apart(store: &Arc<dyn Store>) {
    store.add_signing_key(ISSUER, key("here", Algorithm::Hs256, 1)).await.expect("keys");
    store.add_signing_key(OTHER_ISSUER, key("there", Algorithm::Hs256, 1)).await.expect("keys");

    assert_eq!(kids(store, ISSUER).await, ["here"]);
    assert_eq!(kids(store, OTHER_ISSUER).await, ["there"]);
}

pub(crate) async fn a_revoked_key_leaves_its_site_and_makes_room_for_another(
    store: &Arc<dyn Store>,
) {
    store.add_signing_key(ISSUER, key("leaked", Algorithm::Es256, 1)).await.expect("keys");
    store.add_signing_key(ISSUER, key("beside", Algorithm::Hs256, 1)).await.expect("keys");
    store.add_signing_key(OTHER_ISSUER, key("leaked", Algorithm::Es256, 1)).await.expect("keys");
    let revoked = Revoked::Key { issuer: ISSUER.to_owned(), key: "leaked".to_owned() };
    let revocation = Revocation { revoked, expires_at: Revocation::NEVER_ENDS };

    for _ in 0..2 {
        store.revoke(std::slice::from_ref(&revocation)).await.expect("a revocation");

        assert_eq!(kids(store, ISSUER).await, ["beside"]);
        assert_eq!(kids(store, OTHER_ISSUER).await, ["leaked"]);
    }
    store.add_signing_key(ISSUER, key("new", Algorithm::Es256, 2)).await.expect("keys");
    assert_eq!(kids(store, ISSUER).await, ["beside", "new"]);
    let centuries = at(200 * 366 * DAY);
    store.purge(centuries).await.expect("a purge");
    let found = store.find_revocation(revocation.revoked.key(), centuries).await;
    assert_eq!(found.expect("a look-up"), Some(0), "it is never forgotten");
}

async fn race(stores: &[&Arc<dyn Store>]) {
    let racers = stores.iter().cycle().take(8).enumerate().map(|(number, store)| {
        let store = Arc::clone(store);
        let made = key(&format!("k{number}"), Algorithm::Es256, 1);
        tokio::spawn(async move { store.add_signing_key(ISSUER, made).await })
    });
    let answers = futures_util::future::join_all(racers).await;

    let stored = stores[0].signing_keys(ISSUER).await.expect("keys");
    assert_eq!(stored.len(), 1);
    for answer in answers {
        assert_eq!(answer.expect("no panic").expect("keys"), stored);
    }
}

pub(crate) async fn concurrent_first_keys_end_as_one(store: &Arc<dyn Store>) {
    race(&[store]).await;
}

pub(crate) async fn two_gateways_end_with_the_same_key(
    one: &Arc<dyn Store>,
    other: &Arc<dyn Store>,
) {
    race(&[one, other]).await;
}
