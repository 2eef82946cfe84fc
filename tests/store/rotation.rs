//! Refresh tokens: rotation, the grace, theft, and races.

use std::sync::Arc;
use std::time::Duration;

use munjigi::operation::SessionId;
use munjigi::store::{Rotation, Session, Store, Successor, UserChange};
use uuid::Uuid;

use crate::fixture::{
    DAY, GRACE, ISSUER, at, change, hash, login, of_session, of_user, open, rotate, sealed,
    session_of, sessions, stands, successor, until, user, user_now,
};

/// `session` as it is after a rotation at `seconds`.
fn rotated(session: &Session, seconds: u64) -> Session {
    Session {
        last_used_at: at(seconds),
        expires_at: at(seconds + DAY).min(session.ends_at),
        ..session.clone()
    }
}

fn repeated(session: &Session, seconds: u64, token: &str) -> Rotation {
    Rotation::Repeated { session: rotated(session, seconds), sealed: sealed(token) }
}

pub(crate) async fn an_unknown_token_is_refused(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token").await;
    let nowhere = Session { id: SessionId(Uuid::now_v7()), ..session.clone() };

    assert_eq!(rotate(store, &session, "other", "next", at(1)).await, Rotation::Refused);
    assert_eq!(rotate(store, &nowhere, "token", "next", at(1)).await, Rotation::Refused);

    let found = rotate(store, &session, "token", "next", at(1)).await;
    assert_eq!(found, Rotation::Rotated(rotated(&session, 1)), "a refusal ends nothing");
}

pub(crate) async fn a_token_of_another_session_is_refused(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let mine = open(store, &ann, "mine").await;
    let other = open(store, &ann, "other").await;

    assert_eq!(rotate(store, &mine, "other", "next", at(1)).await, Rotation::Refused);

    assert_eq!(sessions(store, &ann).await.len(), 2);
    let found = rotate(store, &other, "other", "next", at(1)).await;
    assert_eq!(found, Rotation::Rotated(rotated(&other, 1)));
}

pub(crate) async fn an_expired_token_is_refused(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token").await;

    for seconds in [DAY, DAY + 1] {
        let rotation = rotate(store, &session, "token", "next", at(seconds)).await;
        assert_eq!(rotation, Rotation::Refused, "{seconds} s");
    }
}

pub(crate) async fn a_session_past_its_end_is_refused(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = Session { expires_at: at(DAY), ends_at: at(DAY / 2), ..session_of(&ann, ISSUER) };
    store.open_session(login(&ann, session.clone(), Some("token")), until()).await.expect("login");

    let rotation = rotate(store, &session, "token", "next", at(DAY / 2)).await;

    assert_eq!(rotation, Rotation::Refused);
}

pub(crate) async fn a_token_of_an_ended_session_is_refused(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "first").await;
    rotate(store, &session, "first", "second", at(1)).await;
    store.end_session(session.id, &[of_session(&session)]).await.expect("an end");

    for token in ["first", "second"] {
        let rotation = rotate(store, &session, token, "next", at(2)).await;
        assert_eq!(rotation, Rotation::Refused, "{token}");
    }
}

pub(crate) async fn a_token_of_a_revoked_session_is_refused(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "first").await;
    rotate(store, &session, "first", "second", at(1)).await;
    store.revoke(&[of_session(&session)]).await.expect("a revocation");

    for token in ["first", "second"] {
        let rotation = rotate(store, &session, token, "next", at(2)).await;
        assert_eq!(rotation, Rotation::Refused, "{token}");
    }
}

pub(crate) async fn a_token_after_a_password_change_is_refused(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token").await;
    change(store, &ann, UserChange::SetPassword { verifier: "$new".to_owned() }).await;

    assert_eq!(rotate(store, &session, "token", "next", at(1)).await, Rotation::Refused);
}

pub(crate) async fn a_refresh_that_finds_a_floor_above_the_generation_ends_sessions(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token").await;
    open(store, &ann, "another").await;
    store.revoke(&[of_user(ann.id, ann.generation + 4)]).await.expect("a revocation");

    assert_eq!(rotate(store, &session, "token", "next", at(1)).await, Rotation::Refused);

    assert_eq!(user_now(store, ann.id).await.generation, ann.generation + 4);
    assert_eq!(sessions(store, &ann).await, []);
}

pub(crate) async fn the_newest_token_is_rotated(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token0").await;

    let is_newest = async |token: &str| {
        store.is_newest_refresh(session.id, &hash(token)).await.expect("a look-up")
    };
    for (number, seconds) in [(0, 100), (1, 200), (2, DAY)] {
        let (token, next) = (format!("token{number}"), format!("token{}", number + 1));
        let rotation = rotate(store, &session, &token, &next, at(seconds)).await;
        assert_eq!(rotation, Rotation::Rotated(rotated(&session, seconds)), "{token}");
        assert_eq!((is_newest(&token).await, is_newest(&next).await), (false, true), "{token}");
    }

    let found = store.find_session_by_refresh(ISSUER, &hash("token3"), at(DAY)).await;
    assert_eq!(found.expect("a look-up"), Some(rotated(&session, DAY)));
}

pub(crate) async fn a_successor_does_not_outlive_the_session(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = Session { ends_at: at(DAY + 100), ..session_of(&ann, ISSUER) };
    store.open_session(login(&ann, session.clone(), Some("first")), until()).await.expect("login");

    let rotation = rotate(store, &session, "first", "second", at(200)).await;

    let expected = Session { last_used_at: at(200), expires_at: session.ends_at, ..session };
    assert_eq!(rotation, Rotation::Rotated(expected.clone()));
    let late = rotate(store, &expected, "second", "third", at(DAY + 100)).await;
    assert_eq!(late, Rotation::Refused);
}

pub(crate) async fn the_parent_gets_the_same_successor_within_the_grace(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "first").await;
    rotate(store, &session, "first", "second", at(100)).await;

    // A gateway whose clock is behind sees the rotation in the future: that is within as well.
    for (seconds, offered) in [(100, "a"), (105, "b"), (109, "c"), (90, "d")] {
        let rotation = rotate(store, &session, "first", offered, at(seconds)).await;
        assert_eq!(rotation, repeated(&session, 100, "second"), "at {seconds} s");
    }

    let unused = rotate(store, &session, "a", "next", at(110)).await;
    assert_eq!(unused, Rotation::Refused, "what was offered and not taken is unknown");
    let next = rotate(store, &session, "second", "third", at(110)).await;
    assert_eq!(next, Rotation::Rotated(rotated(&session, 110)));
}

pub(crate) async fn the_parent_after_the_grace_ends_the_session(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "first").await;
    rotate(store, &session, "first", "second", at(100)).await;

    let late = at(100).plus(GRACE).plus(Duration::from_millis(1));
    let rotation = rotate(store, &session, "first", "next", late).await;

    assert_eq!(rotation, Rotation::Reused(vec![of_session(&session)]));
    assert_eq!(stands(store, &of_session(&session)).await, Some(0));
    assert_eq!(sessions(store, &ann).await, []);
    for token in ["first", "second", "next"] {
        let rotation = rotate(store, &session, token, "more", at(111)).await;
        assert_eq!(rotation, Rotation::Refused, "{token}");
    }
}

pub(crate) async fn the_grace_counts_from_the_rotation_and_not_from_a_repeat(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "first").await;
    rotate(store, &session, "first", "second", at(100)).await;
    rotate(store, &session, "first", "second", at(109)).await;

    let rotation = rotate(store, &session, "first", "next", at(118)).await;

    assert_eq!(rotation, Rotation::Reused(vec![of_session(&session)]));
}

pub(crate) async fn a_grandparent_ends_the_session_even_within_the_grace(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "first").await;
    rotate(store, &session, "first", "second", at(100)).await;
    rotate(store, &session, "second", "third", at(101)).await;

    let rotation = rotate(store, &session, "first", "next", at(102)).await;

    assert_eq!(rotation, Rotation::Reused(vec![of_session(&session)]));
    assert_eq!(stands(store, &of_session(&session)).await, Some(0));
    assert_eq!(rotate(store, &session, "third", "next", at(103)).await, Rotation::Refused);
}

pub(crate) async fn reuse_ends_only_the_stolen_session(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let stolen = open(store, &ann, "first").await;
    let other = open(store, &ann, "other").await;
    rotate(store, &stolen, "first", "second", at(100)).await;

    rotate(store, &stolen, "first", "next", at(200)).await;

    assert_eq!(sessions(store, &ann).await, [other.id]);
    assert_eq!(stands(store, &of_session(&other)).await, None);
    let rotation = rotate(store, &other, "other", "more", at(200)).await;
    assert_eq!(rotation, Rotation::Rotated(rotated(&other, 200)));
}

/// Fifty requests present one token, each with a successor of its own, over `stores` in turn.
async fn race(stores: &[&Arc<dyn Store>], session: &Session) {
    let racers = stores.iter().cycle().take(50).enumerate().map(|(number, store)| {
        let (store, id) = (Arc::clone(store), session.id);
        let offered = successor(&format!("offered{number}"), at(100));
        tokio::spawn(async move { store.rotate(id, &hash("token"), offered, GRACE, until()).await })
    });
    let outcomes = futures_util::future::join_all(racers).await;

    let mut winner = None;
    let mut seals = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome.expect("no panic").expect("an answer") {
            Rotation::Rotated(answered) => {
                assert_eq!(answered, rotated(session, 100));
                assert_eq!(winner.replace(format!("offered{number}")), None, "two winners");
            }
            Rotation::Repeated { sealed, .. } => seals.push(sealed),
            other => panic!("request {number} got {other:?}"),
        }
    }

    let winner = winner.expect("a winner");
    assert_eq!(seals, vec![sealed(&winner); 49]);
    let next = rotate(stores[0], session, &winner, "next", at(101)).await;
    assert_eq!(next, Rotation::Rotated(rotated(session, 101)));
}

pub(crate) async fn of_fifty_racing_rotations_one_wins_and_all_get_its_successor(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "token").await;

    race(&[store], &session).await;
}

pub(crate) async fn two_gateways_cannot_both_rotate(one: &Arc<dyn Store>, other: &Arc<dyn Store>) {
    let ann = user(one, "ann").await;
    let session = open(one, &ann, "token").await;

    race(&[one, other], &session).await;
}

pub(crate) async fn a_logout_beats_a_concurrent_refresh(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    for round in 0..10 {
        let token = format!("token{round}");
        let session = open(store, &ann, &token).await;
        let next = format!("next{round}");
        let offered: Successor = successor(&next, at(1));
        let refresh = tokio::spawn({
            let (store, id, presented) = (Arc::clone(store), session.id, hash(&token));
            async move { store.rotate(id, &presented, offered, GRACE, until()).await }
        });
        let revocations = [of_session(&session)];

        let (refreshed, ended) = tokio::join!(refresh, store.end_session(session.id, &revocations));

        refreshed.expect("no panic").expect("an answer");
        assert!(ended.expect("an answer"));
        assert_eq!(sessions(store, &ann).await, [], "round {round}");
        assert_eq!(stands(store, &revocations[0]).await, Some(0));
        for presented in [&token, &next] {
            let rotation = rotate(store, &session, presented, "late", at(2)).await;
            assert_eq!(rotation, Rotation::Refused, "{presented}");
        }
    }
}
