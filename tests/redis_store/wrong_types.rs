//! Keys that somebody has overwritten with another type: the store is damaged there, which is
//! neither "not found" nor an outage, and whoever reads the error learns which key it is.

use std::sync::Arc;
use std::time::Duration;

use munjigi::config::Algorithm;
use munjigi::operation::{Identifier, RefreshHash, RevocationKey, SessionId};
use munjigi::secret::Secret;
use munjigi::store::{
    Accounts, Archive, CodePurpose, Events, FeedEvent, FeedInterruption, Lookup, Mails, NewSession,
    Page, Record, RedisOptions, RedisStore, Revocations, Sessions, SigningKeys, Store, StoreError,
    User, UserChange, WaitingEvent,
};
use munjigi::token::StoredKey;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::fixture::{
    ISSUER, REALM, by_email, login, mail, new_user, now, of_session, of_token, successor, until,
};
use crate::follower::Follower;
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

/// The refresh token of the session that there is.
const TOKEN: RefreshHash = RefreshHash([1; 32]);

/// What may be asked of a store with one account and one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    SignUp,
    Find,
    FindByNumber,
    Login,
    FindByRefresh,
    Refresh,
    Sessions,
    LogOut,
    Change,
    Revoke,
    LookUp,
    SiteGeneration,
    Keys,
    AddKey,
    TryCode,
    QueueMail,
    TakeMails,
    RecordEvent,
    TakeEvents,
    Purge,
    Export,
}

impl Operation {
    async fn run(self, store: &RedisStore, ann: &User, session: SessionId) -> Outcome {
        let key = || StoredKey {
            kid: "kid".to_owned(),
            algorithm: Algorithm::EdDsa,
            material: Secret::new(vec![1]),
            created_at: now(),
        };
        let email = ann.email.as_ref().expect("an email");
        match self {
            Self::SignUp => done(store.create_user(new_user("bob")).await),
            Self::Find => done(store.find_user(REALM, &by_email("ann"), Lookup::Login).await),
            Self::FindByNumber => {
                done(store.find_user(REALM, &Identifier::Id(ann.id), Lookup::Whole).await)
            }
            Self::Login => {
                let new = NewSession { replaces_others: true, ..login(ann, 2) };
                done(store.open_session(new, until()).await)
            }
            Self::FindByRefresh => done(store.find_session_by_refresh(ISSUER, &TOKEN, now()).await),
            Self::Refresh => {
                let grace = Duration::from_secs(10);
                done(store.rotate(session, &TOKEN, successor(3, now()), grace, until()).await)
            }
            Self::Sessions => done(store.list_sessions(REALM, ann.id, None, now()).await),
            Self::LogOut => done(store.end_session(session, &[of_session(session)]).await),
            Self::Change => done(
                store.change_user(REALM, ann.id, UserChange::EndSessions, now(), until()).await,
            ),
            Self::Revoke => done(store.revoke(&[of_token("a")]).await),
            Self::LookUp => {
                let key = RevocationKey::of_user(REALM, ann.id);
                done(store.find_revocation(key, now()).await)
            }
            Self::SiteGeneration => done(store.site_generation(ISSUER).await),
            Self::Keys => done(store.signing_keys(ISSUER).await),
            Self::AddKey => done(store.add_signing_key(ISSUER, key()).await),
            Self::TryCode => {
                let purpose = CodePurpose::Reset;
                done(store.try_code(purpose, REALM, email, &[0; 32], now()).await)
            }
            Self::QueueMail => done(store.queue_mail(mail()).await),
            Self::TakeMails => done(store.take_mails(now(), until(), 1).await),
            Self::RecordEvent => {
                let event = WaitingEvent { id: Uuid::now_v7(), text: String::new() };
                done(store.record_event(event).await)
            }
            Self::TakeEvents => done(store.take_events(now(), until(), 1).await),
            Self::Purge => done(store.purge(until()).await),
            Self::Export => {
                let (pages, mut read) = mpsc::channel::<Page>(1);
                let mut named = None;
                let reading = async {
                    while let Some(page) = read.recv().await {
                        named = named.take().or_else(|| page.into_iter().find_map(unreadable));
                    }
                };
                let (exported, ()) = tokio::join!(store.export(now(), pages), reading);
                // One record is named in its place, and hides no other.
                let named = named.map_or(Ok(()), |what| Err(StoreError::Corrupt(what)));
                done(exported.and(named))
            }
        }
    }
}

/// What of a record does not read.
fn unreadable(record: Record) -> Option<String> {
    let Record::Unreadable(text) = record else { return None };
    text.split_once(" does not read: ").map(|(_, what)| what.to_owned())
}

/// The answer as text, for a failure of the test to show.
type Outcome = Result<String, StoreError>;

fn done<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Outcome {
    answer.map(|answer| format!("{answer:?}"))
}

/// Puts a list in the place of whatever a key holds.
async fn overwrite(server: &RedisServer, key: &str) {
    server.ask::<()>(&format!("DEL {key}")).await;
    server.ask::<()>(&format!("RPUSH {key} junk")).await;
}

/// Keys, what they should be, and who comes across them.
#[rustfmt::skip]
fn cases(session: SessionId) -> Vec<(String, &'static str, Vec<Operation>)> {
    use Operation::*;
    let hex = "01".repeat(32);
    vec![
        ("{e:default:ann@example.com}".to_owned(), "string", vec![Find]),
        ("{e:default:bob@example.com}".to_owned(), "string", vec![SignUp]),
        ("{ids}".to_owned(), "string", vec![SignUp, Export]),
        ("{l:default}".to_owned(), "zset", vec![SignUp, Export]),
        ("{u:default:1}:user".to_owned(), "hash",
            vec![Find, FindByNumber, Login, Refresh, Change, Export]),
        ("{u:default:1}:sessions".to_owned(), "hash",
            vec![Login, FindByRefresh, Refresh, Sessions, LogOut, Export]),
        (format!("{{s:{session}}}"), "string", vec![FindByRefresh, Refresh, LogOut]),
        (format!("{{r:{hex}}}"), "string", vec![FindByRefresh, Refresh, Export]),
        ("{rev}:set".to_owned(), "zset",
            vec![FindByRefresh, Refresh, Sessions, LogOut, Change, Revoke, LookUp, Purge, Export]),
        ("{rev}:floors".to_owned(), "hash",
            vec![Login, FindByRefresh, Refresh, Sessions, Change, LookUp]),
        ("{rev}:seq".to_owned(), "string", vec![LogOut, Change, Revoke]),
        ("{rev}:log".to_owned(), "stream", vec![LogOut, Change, Revoke]),
        ("{rev}:sites".to_owned(), "hash", vec![SiteGeneration, Export]),
        ("{k:https%3A%2F%2Fapi.example.com}".to_owned(), "hash", vec![Keys, AddKey, Export]),
        ("{mail}:codes:reset:default:ann@example.com".to_owned(), "hash", vec![TryCode, Export]),
        ("{t:codes%3A7%3Adefault%3Aann@example.com}".to_owned(), "hash", vec![Export]),
        ("{mail}:sealed".to_owned(), "hash", vec![QueueMail, Export]),
        ("{mail}:due".to_owned(), "zset", vec![QueueMail, TakeMails, Export]),
        ("{audit}:events".to_owned(), "hash", vec![RecordEvent]),
        ("{audit}:due".to_owned(), "zset", vec![RecordEvent, TakeEvents]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_is_damage_that_is_named_and_never_nothing() {
    let server = RedisServer::start().await;
    for number in 0..cases(SessionId(Uuid::nil())).len() {
        let prefix = format!("{number}:");
        let options = RedisOptions { prefix: prefix.clone(), ..server.options(PATIENT) };
        let store = RedisStore::connect(options).await.expect("a store");
        let ann = store.create_user(new_user("ann")).await.expect("an account");
        let new = login(&ann, 1);
        let session = new.session.id;
        store.open_session(new, until()).await.expect("a login");
        store.queue_mail(mail()).await.expect("a mail");
        store.revoke(&[of_token("before")]).await.expect("a revocation");
        let (key, wanted, operations) = cases(session).swap_remove(number);
        let key = format!("{prefix}{key}");
        overwrite(&server, &key).await;

        for operation in operations {
            let answer = operation.run(&store, &ann, session).await;

            let case = format!("{operation:?} with {key}: {answer:?}");
            let Err(error) = answer else { panic!("{case}") };
            assert!(!error.is_outage(), "{case}");
            let StoreError::Corrupt(text) = error else { panic!("{case}") };
            assert_eq!(text, format!("key `{key}` is a list, not a {wanted}"), "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_on_a_key_of_another_type_says_so_and_has_no_contact() {
    let server = RedisServer::start().await;
    for (key, wanted) in [
        ("set", "zset"),
        ("floors", "hash"),
        ("log", "stream"),
        ("seq", "string"),
        ("gen", "string"),
    ] {
        let prefix = format!("{key}:");
        let options = RedisOptions { prefix: prefix.clone(), ..server.options(PATIENT) };
        let store: Arc<dyn Store> = Arc::new(RedisStore::connect(options).await.expect("a store"));
        store.revoke(&[of_token("a")]).await.expect("a revocation");
        let name = format!("{prefix}{{rev}}:{key}");
        overwrite(&server, &name).await;

        let mut follower = Follower::start(&store);
        let cause = loop {
            match follower.next().await {
                FeedEvent::Interrupted { cause } => break cause,
                FeedEvent::Contact { .. } => panic!("contact with a damaged {name}"),
                FeedEvent::Attached { .. } | FeedEvent::Revoked(_) => {}
            }
        };

        let expected = format!("key `{name}` is a list, not a {wanted}");
        assert_eq!(cause, FeedInterruption::Damaged(expected));
        server.ask::<()>(&format!("DEL {name}")).await;
        follower.news().await;
    }
}
