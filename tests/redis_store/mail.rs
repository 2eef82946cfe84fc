//! Mails and codes on Redis: what expires by its clock, what a repeated step leaves, what is damaged.

use std::sync::Arc;

use munjigi::operation::Email;
use munjigi::store::{CodePurpose, NewCode, NewMail, Store};
use uuid::Uuid;

use crate::fixture::{HOUR, REALM, mail, now};
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

fn ann() -> Email {
    "ann@example.com".parse().expect("an email")
}

/// A code of ten minutes that may be guessed twice.
fn code(hash: u8) -> NewCode {
    NewCode {
        purpose: CodePurpose::Reset,
        realm: REALM.to_owned(),
        email: ann(),
        hash: [hash; 32],
        expires_at: now().plus(HOUR / 6),
        guesses: 2,
    }
}

async fn guess(store: &Arc<dyn Store>, hash: u8) -> bool {
    let guessed = store.try_code(CodePurpose::Reset, REALM, &ann(), &[hash; 32], now()).await;
    guessed.expect("an answer")
}

async fn take(store: &Arc<dyn Store>) -> Vec<Uuid> {
    let taken = store.take_mails(now(), now().plus(HOUR), 10).await.expect("mails");
    taken.into_iter().map(|mail| mail.id).collect()
}

#[tokio::test]
async fn codes_expire_by_the_servers_clock_and_mails_do_not() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    store.put_code(code(1), mail()).await.expect("a code");
    take(&store).await;

    let keys: Vec<String> = server.ask("KEYS munjigi:{mail}:*").await;

    assert_eq!(keys.len(), 5, "{keys:?}");
    for key in keys {
        let left: i64 = server.ask(&format!("PTTL {key}")).await;
        if key == "munjigi:{mail}:codes:reset:default:ann@example.com" {
            // A minute longer than the code itself, in case the clocks differ.
            assert!((600_000..=660_000).contains(&left), "{key}: {left}");
        } else {
            assert_eq!(left, -1, "{key}");
        }
    }
}

#[tokio::test]
async fn a_dropped_mail_leaves_no_key() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let sent = mail();
    let before: usize = server.ask("DBSIZE").await;
    store.queue_mail(sent.clone()).await.expect("a mail");
    assert_eq!(take(&store).await, [sent.id]);

    store.drop_mail(sent.id).await.expect("an answer");

    assert_eq!(server.ask::<usize>("DBSIZE").await, before);
}

#[tokio::test]
async fn a_step_that_is_repeated_gives_back_no_guess_and_no_mail() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let (code, mail) = (code(1), mail());
    store.put_code(code.clone(), mail.clone()).await.expect("a code");
    assert_eq!(take(&store).await, [mail.id]);
    store.drop_mail(mail.id).await.expect("an answer");
    for _ in 0..2 {
        assert!(!guess(&store, 9).await);
    }

    store.put_code(code, mail).await.expect("a code");

    assert!(!guess(&store, 1).await);
    assert!(take(&store).await.is_empty());
}

#[tokio::test]
async fn a_damaged_mail_does_not_hold_up_the_others() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let mails: Vec<NewMail> = (0..3).map(|_| mail()).collect();
    for mail in &mails {
        store.queue_mail(mail.clone()).await.expect("a mail");
    }
    server.ask::<()>(&format!("HDEL munjigi:{{mail}}:sealed {}", mails[0].id)).await;
    server.ask::<()>(&format!("ZREM munjigi:{{mail}}:ends {}", mails[1].id)).await;

    assert_eq!(take(&store).await, [mails[2].id]);
}

#[tokio::test]
async fn thousands_of_expired_mails_are_purged() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let queued = (0..1200).map(|_| store.queue_mail(mail()));
    for outcome in futures_util::future::join_all(queued).await {
        outcome.expect("a mail");
    }
    let stays = NewMail { expires_at: now().plus(3 * HOUR), ..mail() };
    store.queue_mail(stays.clone()).await.expect("a mail");

    store.purge(now().plus(2 * HOUR)).await.expect("a purge");

    assert_eq!(take(&store).await, [stays.id]);
    assert_eq!(server.ask::<usize>("HLEN munjigi:{mail}:sealed").await, 1);
}
