//! The feed: everything recorded, in order, before contact is reported.

use std::sync::Arc;
use std::time::Duration;

use munjigi::clock::{BootTime, Now};
use munjigi::operation::Revocation;
use munjigi::store::{FeedEntry, FeedEvent, NewSession, Store, UserChange};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::fixture::{
    ISSUER, at, before, change, login, of_session, of_site, of_token, of_user, open, rotate,
    session_of, until, user,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// A follower of a store, and what it was sent.
struct Follower {
    events: mpsc::Receiver<FeedEvent>,
    task: JoinHandle<()>,
    seen: Vec<FeedEntry>,
}

impl Follower {
    fn start(store: &Arc<dyn Store>) -> Self {
        let (sender, events) = mpsc::channel(4);
        let store = Arc::clone(store);
        let task = tokio::spawn(async move { store.follow(sender).await });
        Self { events, task, seen: Vec::new() }
    }

    /// Takes events up to the next contact, and answers when it was asked for.
    async fn contact(&mut self) -> BootTime {
        loop {
            let event = tokio::time::timeout(DEADLINE, self.events.recv()).await;
            match event.expect("an event in time").expect("an open feed") {
                FeedEvent::Revoked(entries) => self.seen.extend(entries),
                FeedEvent::Attached { .. } => {}
                FeedEvent::Contact { asked_at } => return asked_at,
                FeedEvent::Interrupted { cause } => panic!("interrupted: {cause}"),
            }
        }
    }

    /// Takes events up to a contact that was asked for after now; a contact of this very
    /// millisecond may have been asked for before.
    async fn catch_up(&mut self) {
        let now = Now::read().boot;
        while self.contact().await <= now {}
    }
}

fn entries(revocations: &[Revocation]) -> Vec<FeedEntry> {
    revocations.iter().map(FeedEntry::from).collect()
}

async fn revoke(store: &Arc<dyn Store>, revocations: &[Revocation]) {
    store.revoke(revocations).await.expect("a revocation");
}

pub(crate) async fn what_was_recorded_before_is_sent_first(store: &Arc<dyn Store>) {
    let recorded: Vec<_> = (0..5000).map(|number| of_token(&format!("token{number}"))).collect();
    revoke(store, &recorded).await;
    let user = of_user(munjigi::operation::UserId(9), 4);
    revoke(store, std::slice::from_ref(&user)).await;

    let mut follower = Follower::start(store);
    follower.contact().await;

    let mut expected = entries(&recorded);
    expected.push(FeedEntry::from(&user));
    expected.sort_by_key(|entry| entry.key);
    follower.seen.sort_by_key(|entry| entry.key);
    assert_eq!(follower.seen.len(), expected.len());
    assert!(follower.seen == expected, "other entries were sent than recorded");
}

pub(crate) async fn what_expired_is_not_sent(store: &Arc<dyn Store>) {
    let expired = Revocation { expires_at: before(60), ..of_token("expired") };
    revoke(store, &[expired, of_token("stands")]).await;

    let mut follower = Follower::start(store);
    follower.contact().await;

    assert_eq!(follower.seen, entries(&[of_token("stands")]));
}

pub(crate) async fn a_revocation_is_sent_before_the_next_contact(store: &Arc<dyn Store>) {
    let mut follower = Follower::start(store);
    follower.contact().await;
    for number in 0..5 {
        let revocation = of_token(&format!("token{number}"));
        revoke(store, std::slice::from_ref(&revocation)).await;

        follower.catch_up().await;

        assert_eq!(follower.seen.last(), Some(&FeedEntry::from(&revocation)), "{number}");
        assert_eq!(follower.seen.len(), number + 1);
    }
}

pub(crate) async fn revocations_come_in_order(store: &Arc<dyn Store>) {
    let mut follower = Follower::start(store);
    follower.contact().await;
    let all: Vec<_> = (0..60).map(|number| of_token(&format!("token{number}"))).collect();

    for some in all.chunks(7) {
        revoke(store, some).await;
    }
    follower.catch_up().await;

    assert_eq!(follower.seen, entries(&all));
}

pub(crate) async fn a_repeated_revocation_is_sent_again(store: &Arc<dyn Store>) {
    let id = munjigi::operation::UserId(9);
    let mut follower = Follower::start(store);
    revoke(store, &[of_user(id, 1)]).await;
    follower.catch_up().await;

    revoke(store, &[of_user(id, 2)]).await;
    follower.catch_up().await;

    assert_eq!(follower.seen, entries(&[of_user(id, 1), of_user(id, 2)]));
}

pub(crate) async fn what_operations_revoke_is_sent(store: &Arc<dyn Store>) {
    let mut follower = Follower::start(store);
    let ann = user(store, "ann").await;
    let logged_out = open(store, &ann, "logged out").await;
    let stolen = open(store, &ann, "stolen").await;
    let bob = user(store, "bob").await;
    let replaced = open(store, &bob, "replaced").await;

    store.end_session(logged_out.id, &[of_session(&logged_out)]).await.expect("an end");
    rotate(store, &stolen, "stolen", "next", at(1)).await;
    rotate(store, &stolen, "stolen", "more", at(100)).await;
    let new = NewSession { replaces_others: true, ..login(&bob, session_of(&bob, ISSUER), None) };
    store.open_session(new, until()).await.expect("a login");
    let (changed, _) = change(store, &ann, UserChange::EndSessions).await;
    revoke(store, &[of_site(ISSUER, 1)]).await;
    follower.catch_up().await;

    let expected = [
        of_session(&logged_out),
        of_session(&stolen),
        of_session(&replaced),
        of_user(ann.id, changed.generation),
        of_site(ISSUER, 1),
    ];
    assert!(changed.generation > ann.generation);
    assert_eq!(follower.seen, entries(&expected));
}

pub(crate) async fn contact_is_asked_later_each_time(store: &Arc<dyn Store>) {
    let mut follower = Follower::start(store);

    let first = follower.contact().await;
    let second = follower.contact().await;
    let third = follower.contact().await;

    assert!(first < second && second < third, "{first:?}, {second:?}, {third:?}");
    assert!(third <= Now::read().boot);
}

pub(crate) async fn two_followers_see_the_same(store: &Arc<dyn Store>) {
    let mut early = Follower::start(store);
    early.contact().await;
    revoke(store, &[of_token("a")]).await;

    let mut late = Follower::start(store);
    late.contact().await;
    revoke(store, &[of_token("b")]).await;
    early.catch_up().await;
    late.catch_up().await;

    assert_eq!(early.seen, entries(&[of_token("a"), of_token("b")]));
    assert_eq!(late.seen, early.seen);
}

pub(crate) async fn a_feed_ends_with_its_receiver(store: &Arc<dyn Store>) {
    let mut follower = Follower::start(store);
    follower.contact().await;

    drop(follower.events);

    let ended = tokio::time::timeout(DEADLINE, follower.task).await;
    ended.expect("the feed ends in time").expect("no panic");
}

pub(crate) async fn a_revocation_at_one_is_sent_at_the_other(
    one: &Arc<dyn Store>,
    other: &Arc<dyn Store>,
) {
    revoke(other, &[of_token("before")]).await;
    let mut follower = Follower::start(one);
    follower.contact().await;

    revoke(other, &[of_token("after")]).await;
    revoke(one, &[of_token("own")]).await;
    follower.catch_up().await;

    assert_eq!(follower.seen, entries(&[of_token("before"), of_token("after"), of_token("own")]));
}
