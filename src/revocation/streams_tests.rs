//! Leases end by exactly what covers them, and leave nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{EndReason, StreamGuard, StreamOwner, Streams};
use crate::clock::Timestamp;
use crate::operation::{
    Generations, Revocation, RevocationKey, Revoked, SessionId, TokenId, UserId,
};
use crate::revocation::RevocationList;
use crate::store::FeedEntry;
use crate::token::RevocationKeys;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "https://api.example.com";

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn session(number: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(number))
}

fn owner(number: u64) -> StreamOwner {
    let keys = RevocationKeys {
        token: RevocationKey::of_token(ISSUER, &TokenId(number.to_string())),
        session: Some(RevocationKey::of_session(ISSUER, session(number.into()))),
        user: Some(RevocationKey::of_user("default", UserId(7))),
        site: RevocationKey::of_site(ISSUER),
        key: RevocationKey::of_key(ISSUER, "k1"),
        generations: Generations { user: 3, site: 2 },
    };
    StreamOwner { keys, issued_at: NOW, expires_at: later(60), ends_with_token: true }
}

fn user(generation: u64) -> Revoked {
    Revoked::User { realm: "default".to_owned(), user: UserId(7), generation }
}

fn entry(revoked: &Revoked, expires_at: Timestamp) -> FeedEntry {
    FeedEntry { key: revoked.key(), floor: revoked.floor(), expires_at }
}

fn ended(guards: &mut [StreamGuard]) -> Vec<Option<EndReason>> {
    guards.iter_mut().map(StreamGuard::has_ended).collect()
}

#[test]
fn a_revocation_ends_exactly_what_it_covers() {
    let issuer = || ISSUER.to_owned();
    let token = |id: &str| Revoked::Token { issuer: issuer(), token: TokenId(id.to_owned()) };
    let both = [Some(EndReason::Revoked); 2];
    let first = [Some(EndReason::Revoked), None];
    let none = [None; 2];
    let rows = [
        ("the token", token("1"), first),
        ("another token", token("9"), none),
        ("the session", Revoked::Session { issuer: issuer(), session: session(1) }, first),
        ("a higher floor of the user", user(4), both),
        ("the user's own generation", user(3), none),
        ("a higher floor of the site", Revoked::Site { issuer: issuer(), generation: 3 }, both),
        ("the site's own generation", Revoked::Site { issuer: issuer(), generation: 2 }, none),
        ("the signing key", Revoked::Key { issuer: issuer(), key: "k1".to_owned() }, both),
        ("another signing key", Revoked::Key { issuer: issuer(), key: "k2".to_owned() }, none),
    ];
    for (name, revoked, expected) in rows {
        let streams = Streams::default();
        let mut guards = [streams.open(owner(1)), streams.open(owner(2))];
        // One that has expired itself: the token it is about may have, and its stream goes on.
        streams.end_revoked(&[entry(&revoked, NOW.minus(Duration::from_secs(9)))]);
        assert_eq!(ended(&mut guards), expected, "{name}");
    }
}

#[test]
fn the_list_says_the_same_as_the_leases() {
    for generation in 0..6 {
        let list = RevocationList::new(10);
        let mut guard = list.register(owner(1), NOW);
        list.record(&[Revocation { revoked: user(generation), expires_at: later(9) }]);
        let is_revoked = list.check(&owner(1).keys, NOW).is_some();
        assert_eq!(guard.has_ended().is_some(), is_revoked, "{generation}");
        assert_eq!(list.register(owner(1), NOW).has_ended().is_some(), is_revoked, "{generation}");
    }
}

#[test]
fn an_entry_that_the_list_has_no_room_for_ends_streams_all_the_same() {
    let list = RevocationList::new(0);
    let mut guard = list.register(owner(1), NOW);

    list.apply(&[entry(&user(4), later(9))]);

    assert_eq!(guard.has_ended(), Some(EndReason::Revoked));
}

#[test]
fn a_stream_ends_with_its_token_where_that_is_wanted() {
    let streams = Streams::default();
    let goes_on = StreamOwner { ends_with_token: false, ..owner(3) };
    let long = StreamOwner { expires_at: later(90), ..owner(2) };
    let mut guards = [streams.open(owner(1)), streams.open(long), streams.open(goes_on)];

    streams.end_expired(later(60).minus(Duration::from_millis(1)));
    assert_eq!(ended(&mut guards), [None; 3]);
    streams.end_expired(later(60));
    assert_eq!(ended(&mut guards), [Some(EndReason::Expired), None, None]);
    streams.end_expired(later(90));
    assert_eq!(ended(&mut guards), [Some(EndReason::Expired), Some(EndReason::Expired), None]);
    streams.end_revoked(&[entry(&user(4), later(9))]);
    assert_eq!(guards[2].has_ended(), Some(EndReason::Revoked), "long after its token expired");
}

#[test]
fn after_a_silence_only_what_may_have_been_missed_ends() {
    let goes_on = |expires: u64| StreamOwner {
        expires_at: later(expires),
        ends_with_token: false,
        ..owner(expires)
    };
    let rows = [
        ("its token has not expired", 130, 100, 120, false),
        ("its token expired meanwhile", 110, 100, 120, true),
        ("a revocation lasts longer than the silence", 60, 100, 120, false),
        ("a revocation can have come and gone", 60, 100, 161, true),
    ];
    for (name, expires, since, now, expected) in rows {
        let streams = Streams::default();
        let mut guard = streams.open(goes_on(expires));
        streams.end_unknown(later(since), later(now));
        assert_eq!(guard.has_ended(), expected.then_some(EndReason::Unknown), "{name}");
    }
}

#[test]
fn what_has_ended_by_itself_is_forgotten() {
    let streams = Streams::default();
    let guards: Vec<_> = (0..1000).map(|number| streams.open(owner(number))).collect();
    assert_eq!(streams.len(), 1000);
    streams.end_revoked(&[entry(&user(4), later(9))]);

    drop(guards);

    assert_eq!(streams.len(), 0);
    for shard in &streams.shards {
        let register = shard.lock();
        assert!(register.streams.is_empty() && register.keys.is_empty(), "{register:?}");
    }
}

#[tokio::test]
async fn who_waits_is_woken_once_and_told_again() {
    let streams = Arc::new(Streams::default());
    let mut guard = streams.open(owner(1));
    let waiting = tokio::spawn(async move { (guard.ended().await, guard.ended().await) });
    tokio::task::yield_now().await;

    streams.end_revoked(&[entry(&user(4), later(9))]);

    assert_eq!(waiting.await.unwrap(), (EndReason::Revoked, EndReason::Revoked));
}

#[test]
fn no_revocation_falls_between_the_list_and_a_lease() {
    for _ in 0..300 {
        let list = RevocationList::new(10);
        let go = AtomicBool::new(false);
        let wait = || {
            while !go.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        let mut guard = std::thread::scope(|scope| {
            let leasing = scope.spawn(|| {
                wait();
                list.register(owner(1), NOW)
            });
            scope.spawn(|| {
                wait();
                list.apply(&[entry(&user(4), later(9))]);
            });
            go.store(true, Ordering::Relaxed);
            leasing.join().unwrap()
        });
        assert_eq!(guard.has_ended(), Some(EndReason::Revoked));
    }
}
