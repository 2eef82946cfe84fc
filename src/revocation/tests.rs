//! The list against a model, its size, and its freshness.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::{Strategy, any};
use proptest::{prop_oneof, proptest};
use tokio::sync::mpsc;

use super::{Freshness, RevocationList, RevokedBy};
use crate::clock::{BootTime, Now, Timestamp};
use crate::drain::Drain;
use crate::operation::{
    Generations, Revocation, RevocationKey, Revoked, SessionId, TokenId, UserId,
};
use crate::store::{FeedEntry, FeedEvent, FeedInterruption};
use crate::token::RevocationKeys;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "https://api.example.com";

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn key(number: u64) -> RevocationKey {
    RevocationKey::of_token(ISSUER, &TokenId(number.to_string()))
}

fn entry(number: u64, expires_at: Timestamp) -> FeedEntry {
    FeedEntry { key: key(number), floor: 0, expires_at }
}

fn keys() -> RevocationKeys {
    RevocationKeys {
        token: key(1),
        session: Some(RevocationKey::of_session(ISSUER, session())),
        user: Some(RevocationKey::of_user("default", UserId(7))),
        site: RevocationKey::of_site(ISSUER),
        key: RevocationKey::of_key(ISSUER, "k1"),
        generations: Generations { user: 3, site: 2 },
    }
}

fn session() -> SessionId {
    SessionId(uuid::Uuid::from_u128(5))
}

fn user(generation: u64) -> Revoked {
    Revoked::User { realm: "default".to_owned(), user: UserId(7), generation }
}

fn site(generation: u64) -> Revoked {
    Revoked::Site { issuer: ISSUER.to_owned(), generation }
}

fn revocation(revoked: Revoked) -> Revocation {
    Revocation { revoked, expires_at: later(60) }
}

#[test]
fn each_kind_refuses_exactly_what_it_names() {
    let issuer = || ISSUER.to_owned();
    let other = SessionId(uuid::Uuid::from_u128(6));
    let rows = [
        (
            "the token",
            Revoked::Token { issuer: issuer(), token: TokenId("1".to_owned()) },
            Some(RevokedBy::Token),
        ),
        (
            "another token",
            Revoked::Token { issuer: issuer(), token: TokenId("2".to_owned()) },
            None,
        ),
        (
            "the same id of another issuer",
            Revoked::Token { issuer: "https://b".to_owned(), token: TokenId("1".to_owned()) },
            None,
        ),
        (
            "the session",
            Revoked::Session { issuer: issuer(), session: session() },
            Some(RevokedBy::Session),
        ),
        ("another session", Revoked::Session { issuer: issuer(), session: other }, None),
        ("a higher floor of the user", user(4), Some(RevokedBy::User)),
        ("the user's own generation", user(3), None),
        ("a higher floor of the site", site(3), Some(RevokedBy::Site)),
        ("the site's own generation", site(2), None),
        (
            "the signing key",
            Revoked::Key { issuer: issuer(), key: "k1".to_owned() },
            Some(RevokedBy::Key),
        ),
        ("another signing key", Revoked::Key { issuer: issuer(), key: "k2".to_owned() }, None),
    ];
    for (name, revoked, expected) in rows {
        let list = RevocationList::new(10);

        list.record(&[revocation(revoked)]);

        assert_eq!(list.check(&keys(), NOW), expected, "{name}");
        assert_eq!(list.check(&keys(), later(60)), expected, "{name}, at its expiry");
        assert_eq!(list.check(&keys(), later(61)), None, "{name}, after its expiry");
    }
}

#[test]
fn a_repeated_floor_keeps_the_higher_floor_and_the_later_expiry() {
    let list = RevocationList::new(10);

    list.record(&[Revocation { revoked: user(4), expires_at: later(10) }]);
    list.record(&[Revocation { revoked: user(2), expires_at: later(60) }]);

    assert_eq!(list.check(&keys(), later(30)), Some(RevokedBy::User));
    assert_eq!(list.len(), 1);
}

#[test]
fn what_is_purged_has_expired() {
    let list = RevocationList::new(10);
    list.apply(&[entry(1, later(10))]);
    let purge = |now| (0..=u8::MAX).for_each(|shard| list.purge_shard(shard, now));

    purge(later(10));
    assert_eq!(list.check(&keys(), later(10)), Some(RevokedBy::Token));

    purge(later(11));
    assert!(list.is_empty());
}

#[test]
fn memory_stays_under_40_bytes_an_entry_at_every_size() {
    let list = RevocationList::new(usize::MAX);
    let fixed = list.bytes();
    assert!(fixed < 64 * 1024, "{fixed} bytes with no entries");
    for number in 0..150_000_u64 {
        list.apply(&[entry(number, later(60))]);
        let size = list.len();
        if size >= 10_000 && size.is_multiple_of(2_500) {
            let each = list.bytes() as f64 / size as f64;
            assert!(each <= 40.0, "{each} bytes an entry at {size}");
        }
    }
}

#[test]
fn a_full_list_is_stale_until_what_was_left_out_has_expired() {
    let list = RevocationList::new(2);
    let boot = BootTime::from_millis(1_000);
    let max = Duration::from_secs(5);
    list.note_contact(boot);
    list.apply(&[entry(1, later(600)), entry(2, later(600))]);
    assert_eq!(list.freshness(boot, max), Freshness::Fresh);

    list.apply(&[entry(1, later(700)), entry(3, later(30))]);

    assert_eq!(list.len(), 2);
    assert_eq!(list.freshness(boot, max), Freshness::Stale { age: Duration::ZERO });
    list.forget_left_out(later(30));
    assert_eq!(list.freshness(boot, max), Freshness::Stale { age: Duration::ZERO });
    list.forget_left_out(later(31));
    assert_eq!(list.freshness(boot, max), Freshness::Fresh);
}

#[test]
fn a_full_list_still_takes_what_was_revoked_here() {
    let list = RevocationList::new(0);

    list.record(&[revocation(user(4))]);

    assert_eq!(list.check(&keys(), NOW), Some(RevokedBy::User));
}

#[test]
fn freshness_follows_the_last_contact() {
    let list = RevocationList::new(2);
    let max = Duration::from_secs(5);
    let at = BootTime::from_millis;
    assert_eq!(list.freshness(at(1), max), Freshness::Unread);

    list.note_contact(at(10_000));
    list.note_contact(at(9_000));

    let stale = Freshness::Stale { age: Duration::from_millis(5_001) };
    assert_eq!(list.freshness(at(9_000), max), Freshness::Fresh);
    assert_eq!(list.freshness(at(15_000), max), Freshness::Fresh);
    assert_eq!(list.freshness(at(15_001), max), stale);
}

#[tokio::test]
async fn ready_comes_after_everything_sent_before_the_first_contact() {
    let list = std::sync::Arc::new(RevocationList::new(100_000));
    let drain = Drain::new();
    let (events, feed) = mpsc::channel(8);
    let task = tokio::spawn({
        let (list, guard) = (list.clone(), drain.guard());
        async move { list.run(feed, guard).await }
    });
    let expires_at = Now::read().wall.plus(Duration::from_secs(60));

    for batch in 0..5 {
        let entries = (batch * 1_000..(batch + 1) * 1_000).map(|number| entry(number, expires_at));
        events.send(FeedEvent::Revoked(entries.collect())).await.unwrap();
    }
    let cause = FeedInterruption::Gap { after: 4 };
    events.send(FeedEvent::Interrupted { cause }).await.unwrap();
    assert_eq!(list.freshness(BootTime::from_millis(7), Duration::MAX), Freshness::Unread);
    let asked_at = BootTime::from_millis(7);
    events.send(FeedEvent::Contact { asked_at }).await.unwrap();

    tokio::time::timeout(Duration::from_secs(10), list.ready()).await.unwrap();
    assert_eq!(list.len(), 5_000);
    assert_eq!(list.freshness(asked_at, Duration::ZERO), Freshness::Fresh);
    drain.finish(Duration::from_secs(5)).await;
    task.await.unwrap();
}

#[tokio::test]
async fn following_ends_with_the_feed() {
    let list = RevocationList::new(1);
    let drain = Drain::new();
    let (events, feed) = mpsc::channel(1);
    drop(events);

    let end = list.run(feed, drain.guard());

    tokio::time::timeout(Duration::from_secs(10), end).await.unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert { key: u64, expires: u64 },
    Floor { key: u64, floor: u64, expires: u64 },
    Purge { shard: u8 },
    Pass { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..200_u64;
    prop_oneof![
        6 => (key.clone(), 0..400_u64).prop_map(|(key, expires)| Step::Insert { key, expires }),
        2 => (key, 1..9_u64, 0..400_u64)
            .prop_map(|(key, floor, expires)| Step::Floor { key, floor, expires }),
        2 => any::<u8>().prop_map(|shard| Step::Purge { shard }),
        1 => (1..60_u64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

proptest! {
    #[test]
    fn the_list_answers_as_a_map_would(steps in proptest::collection::vec(step(), 1..400)) {
        let list = RevocationList::new(usize::MAX);
        let keys: Vec<_> = (0..200).map(key).collect();
        let mut revoked = HashMap::<u64, u64>::new();
        let mut floors = HashMap::<u64, (u64, u64)>::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Insert { key, expires } => {
                    list.apply(&[entry(key, later(expires))]);
                    let known = revoked.entry(key).or_default();
                    *known = expires.max(*known);
                }
                Step::Floor { key: number, floor, expires } => {
                    list.apply(&[FeedEntry { key: key(number), floor, expires_at: later(expires) }]);
                    let known = floors.entry(number).or_default();
                    *known = (floor.max(known.0), expires.max(known.1));
                }
                Step::Purge { shard } => {
                    list.purge_shard(shard, later(now));
                    let gone = now;
                    let purged = |number: &u64| keys[*number as usize].0[0] == shard;
                    revoked.retain(|key, expires| !purged(key) || *expires >= gone);
                    floors.retain(|key, floor| !purged(key) || floor.1 >= gone);
                }
                Step::Pass { seconds } => now += seconds,
            }
        }
        assert_eq!(list.len(), revoked.len() + floors.len());
        let none = RevocationKeys { token: key(1_000), ..self::keys() };
        for (number, key) in (0..).zip(&keys) {
            let stands = revoked.get(&number).is_some_and(|expires| *expires >= now);
            assert_eq!(list.holds(key, later(now)), stands, "key {number}");
            let floor = floors.get(&number).filter(|floor| floor.1 >= now).map_or(0, |floor| floor.0);
            let asked = RevocationKeys { user: Some(*key), session: None, ..none };
            for generation in [floor.saturating_sub(1), floor] {
                let generations = Generations { user: generation, site: u64::MAX };
                let expected = (generation < floor).then_some(RevokedBy::User);
                let found = list.check(&RevocationKeys { generations, ..asked }, later(now));
                assert_eq!(found, expected, "floor {number}");
            }
        }
    }
}
