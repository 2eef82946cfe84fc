//! The mail queue: each mail is given out once, until it is sent, given up or expired.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use munjigi::store::{CodePurpose, MOST_MAILS, NewMail, QueuedMail, Store, StoreError};
use uuid::Uuid;

use crate::fixture::{HOUR, REALM, at, code, hash, mail};

async fn queue(store: &Arc<dyn Store>, mail: &NewMail) {
    store.queue_mail(mail.clone()).await.expect("a mail");
}

/// Takes what is due at `now`, and hides it for a minute.
async fn take(store: &Arc<dyn Store>, now: u64, limit: usize) -> Vec<QueuedMail> {
    store.take_mails(at(now), at(now + 60), limit).await.expect("mails")
}

fn ids(mails: &[QueuedMail]) -> Vec<Uuid> {
    mails.iter().map(|mail| mail.id).collect()
}

pub(crate) async fn a_mail_is_taken_as_it_was_queued(store: &Arc<dyn Store>) {
    let queued = NewMail { sealed: (0..=255).collect(), ..mail(0) };
    queue(store, &queued).await;

    let taken = take(store, 0, 10).await;

    let NewMail { id, sealed, expires_at, .. } = queued;
    assert_eq!(taken, [QueuedMail { id, sealed, attempts: 0, expires_at }]);
}

pub(crate) async fn an_empty_queue_gives_nothing(store: &Arc<dyn Store>) {
    assert_eq!(take(store, 0, 10).await, []);
    queue(store, &mail(0)).await;
    assert_eq!(take(store, 0, 0).await, []);
}

pub(crate) async fn a_taken_mail_is_hidden_for_a_while(store: &Arc<dyn Store>) {
    queue(store, &mail(0)).await;

    for attempts in 0..3 {
        let now = u64::from(attempts) * 60;
        let taken = take(store, now, 10).await;
        assert_eq!(taken.iter().map(|mail| mail.attempts).collect::<Vec<_>>(), [attempts]);
        assert_eq!(take(store, now + 59, 10).await, []);
    }
}

pub(crate) async fn the_longest_due_are_taken_first(store: &Arc<dyn Store>) {
    let (first, second, third, later) = (mail(1), mail(2), mail(3), mail(9));
    for mail in [&third, &later, &first, &second] {
        queue(store, mail).await;
    }

    assert_eq!(take(store, 0, 10).await, []);
    assert_eq!(ids(&take(store, 5, 2).await), [first.id, second.id]);
    assert_eq!(ids(&take(store, 5, 2).await), [third.id]);
}

pub(crate) async fn a_postponed_mail_is_due_again_then(store: &Arc<dyn Store>) {
    let (soon, late) = (mail(0), mail(0));
    queue(store, &soon).await;
    queue(store, &late).await;
    take(store, 0, 10).await;

    store.postpone_mail(soon.id, at(10)).await.expect("an answer");
    store.postpone_mail(late.id, at(HOUR / 2)).await.expect("an answer");

    assert_eq!(take(store, 9, 10).await, []);
    assert_eq!(ids(&take(store, 10, 10).await), [soon.id]);
    store.drop_mail(soon.id).await.expect("an answer");
    assert_eq!(take(store, HOUR / 2 - 1, 10).await, []);
    let taken = take(store, HOUR / 2, 10).await;
    assert_eq!(ids(&taken), [late.id]);
    assert_eq!(taken[0].attempts, 1);
}

pub(crate) async fn a_dropped_mail_is_gone(store: &Arc<dyn Store>) {
    let (sent, stays) = (mail(0), mail(1));
    queue(store, &sent).await;
    queue(store, &stays).await;

    store.drop_mail(sent.id).await.expect("an answer");

    store.drop_mail(sent.id).await.expect("a second time");
    store.postpone_mail(sent.id, at(1)).await.expect("an answer");
    assert_eq!(ids(&take(store, 1, 10).await), [stays.id]);
}

pub(crate) async fn an_expired_mail_is_never_given_out(store: &Arc<dyn Store>) {
    let ends = NewMail { expires_at: at(10), ..mail(0) };
    let stays = mail(1);
    queue(store, &ends).await;
    queue(store, &stays).await;

    assert_eq!(ids(&take(store, 10, 10).await), [stays.id]);

    // It is gone, whatever the clock says next.
    store.postpone_mail(ends.id, at(5)).await.expect("an answer");
    assert_eq!(take(store, 5, 10).await, []);
}

pub(crate) async fn a_mail_queued_twice_waits_once(store: &Arc<dyn Store>) {
    let mail = mail(0);
    queue(store, &mail).await;
    queue(store, &mail).await;

    assert_eq!(ids(&take(store, 0, 10).await), [mail.id]);
}

pub(crate) async fn a_full_queue_takes_no_more(store: &Arc<dyn Store>) {
    store.put_code(code("ann", "older"), mail(0)).await.expect("a code");
    let ann = "ann@example.com".parse().expect("an email");
    let mut queued = futures_util::stream::iter((1..MOST_MAILS).map(|_| {
        let store = Arc::clone(store);
        async move { store.queue_mail(NewMail { sealed: Vec::new(), ..mail(1) }).await }
    }))
    .buffer_unordered(256);
    while let Some(outcome) = queued.next().await {
        outcome.expect("room");
    }

    let mailed = store.queue_mail(mail(2)).await;
    let coded = store.put_code(code("ann", "newer"), mail(2)).await;

    assert!(matches!(mailed, Err(StoreError::Full)), "{mailed:?}");
    assert!(matches!(coded, Err(StoreError::Full)), "{coded:?}");
    for (text, expected) in [("newer", false), ("older", true)] {
        let guessed = store.try_code(CodePurpose::Reset, REALM, &ann, &hash(text).0, at(1)).await;
        assert_eq!(guessed.expect("an answer"), expected, "{text}");
    }
    let first = take(store, 0, 1).await;
    store.drop_mail(first[0].id).await.expect("an answer");
    queue(store, &mail(2)).await;
}

pub(crate) async fn purging_removes_expired_mails_alone(store: &Arc<dyn Store>) {
    let (ends, stays) = (NewMail { expires_at: at(HOUR), ..mail(0) }, mail(1));
    let stays = NewMail { expires_at: at(3 * HOUR), ..stays };
    queue(store, &ends).await;
    queue(store, &stays).await;

    store.purge(at(2 * HOUR)).await.expect("a purge");

    assert_eq!(ids(&take(store, 1, 10).await), [stays.id]);
}

pub(crate) async fn two_gateways_take_each_mail_once(one: &Arc<dyn Store>, other: &Arc<dyn Store>) {
    let mails: Vec<_> = (0..200).map(mail).collect();
    for mail in &mails {
        queue(one, mail).await;
    }

    let takers = [one, other].into_iter().cycle().take(8).map(|store| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while taken.len() <= 200 {
                let page = store.take_mails(at(200), at(HOUR), 3).await.expect("mails");
                if page.is_empty() {
                    break;
                }
                taken.extend(ids(&page));
            }
            taken
        })
    });
    let taken = futures_util::future::join_all(takers).await;

    let taken: Vec<_> = taken.into_iter().flat_map(|taken| taken.expect("no panic")).collect();
    assert_eq!(taken.len(), mails.len());
    let distinct: BTreeSet<_> = taken.into_iter().collect();
    assert_eq!(distinct, mails.into_iter().map(|mail| mail.id).collect());
}
