//! What a gateway that dies between two steps leaves behind, and how it is taken.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use munjigi::operation::{RefreshHash, Revocation, Revoked, UserId};
use munjigi::store::{Accounts, Lookup, RedisStore, Rotation, StoreError, User, UserChange};

use crate::fixture::{
    HOUR, ISSUER, REALM, by_email, login, new_user, now, of_session, successor, until, user,
};
use crate::link::{Link, Mode};
use crate::node::holds;
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

const GRACE: Duration = Duration::from_secs(10);

async fn claim(server: &RedisServer, age: Duration) {
    let claimed_at = now().minus(age).as_millis();
    server.ask::<()>(&format!("SET munjigi:{{e:default:ann@example.com}} 99:{claimed_at}")).await;
}

#[tokio::test]
async fn a_claim_whose_account_never_came_to_be_is_replaced_after_a_while() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    claim(&server, Duration::from_secs(61)).await;

    let found = store.find_user(REALM, &by_email("ann"), Lookup::Login).await;
    assert_eq!(found.expect("an answer"), None);
    let ann = user(&store, "ann").await;

    let found = store.find_user(REALM, &by_email("ann"), Lookup::Login).await;
    assert_eq!(found.expect("an answer"), Some(ann));
}

#[tokio::test]
async fn a_claim_whose_account_may_still_be_made_is_respected() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    claim(&server, Duration::from_secs(30)).await;

    let refused = store.create_user(new_user("ann")).await;

    assert!(matches!(refused, Err(StoreError::Taken)), "{refused:?}");
}

#[tokio::test]
async fn a_listed_number_without_account_is_skipped() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let ann = user(&store, "ann").await;
    server.ask::<()>("INCRBY munjigi:{ids} 2").await;
    server.ask::<()>("ZADD munjigi:{l:default} 2 2 3 3").await;
    let bob = user(&store, "bob").await;

    let listed = store.list_users(REALM, None, 2).await;

    assert_eq!(listed.expect("a list").users, [ann, bob]);
}

#[tokio::test]
async fn a_log_out_cut_short_is_finished_by_the_next_refresh() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let ann = user(&store, "ann").await;
    let new = login(&ann, 1);
    let session = new.session.clone();
    store.open_session(new, until()).await.expect("a login");
    store.revoke(&[of_session(session.id)]).await.expect("a revocation");

    let presented = RefreshHash([1; 32]);
    let found = store.find_session_by_refresh(ISSUER, &presented, now()).await;
    assert_eq!(found.expect("an answer"), None);
    let listed = store.list_sessions(REALM, ann.id, None, now()).await;
    assert_eq!(listed.expect("a list"), []);
    // The later one comes when the revocation need not be remembered any more.
    for at in [now(), now().plus(2 * HOUR)] {
        let rotation = store.rotate(session.id, &presented, successor(2, at), GRACE, until()).await;
        assert_eq!(rotation.expect("an answer"), Rotation::Refused);
    }
}

#[tokio::test]
async fn a_change_cut_short_locks_nobody_out() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let ann = user(&store, "ann").await;
    let revoked =
        Revoked::User { realm: REALM.to_owned(), user: ann.id, generation: ann.generation + 1 };
    store.revoke(&[Revocation { revoked, expires_at: until() }]).await.expect("a revocation");

    let first = store.open_session(login(&ann, 1), until()).await.expect("an answer");
    let raised = store.find_user(REALM, &by_email("ann"), Lookup::Login).await;
    let raised = raised.expect("an answer").expect("the account");
    let second = store.open_session(login(&raised, 2), until()).await.expect("an answer");

    assert_eq!(first, None);
    assert_eq!(raised.generation, ann.generation + 1);
    assert_eq!(second, Some(Vec::new()));
}

#[tokio::test]
async fn a_change_after_one_cut_short_raises_above_its_floor() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let ann = user(&store, "ann").await;
    let floor = |above| Revoked::User {
        realm: REALM.to_owned(),
        user: ann.id,
        generation: ann.generation + above,
    };
    // Above the clock as well, from which generations come.
    let cut_short = Revocation { revoked: floor(1_000_000), expires_at: until() };
    store.revoke(&[cut_short]).await.expect("a revocation");

    let changed = store.change_user(REALM, ann.id, UserChange::EndSessions, now(), until()).await;

    let (changed, revocations) = changed.expect("an answer").expect("the account");
    assert_eq!(changed.generation, ann.generation + 1_000_001);
    assert_eq!(
        revocations.iter().map(|it| it.revoked.clone()).collect::<Vec<_>>(),
        [floor(1_000_001)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_begun_again_does_not_take_its_own_floor_for_anothers() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let ann = User { roles: vec!["admin".to_owned()], ..new_user("ann") };
    let ann = store.create_user(ann).await.expect("an account");
    let new = login(&ann, 1);
    let session = new.session.clone();
    store.open_session(new, until()).await.expect("a login");
    let link = Link::before(&server).await;
    let other = RedisStore::connect(link.options()).await.expect("a store");

    // Between the floor and the change comes another change.
    link.set(Mode::Hold { bytes: b"$4\r\nkeep\r\n" });
    let fewer = UserChange::SetRights { roles: Vec::new(), permissions: Vec::new() };
    let changed =
        tokio::spawn(async move { other.change_user(REALM, ann.id, fewer, now(), until()).await });
    holds(async || link.held() > 0).await;
    let proven = UserChange::ProveEmail { email: ann.email.clone().expect("an email") };
    store.change_user(REALM, ann.id, proven, now(), until()).await.expect("a change");
    link.set(Mode::Pass);
    let (changed, _) = changed.await.expect("an end").expect("an answer").expect("an account");

    assert!(changed.email_verified);
    assert_eq!(store.list_sessions(REALM, ann.id, None, now()).await.expect("a list"), [session]);
}

/// How often accounts and sessions were looked at, by whomever.
async fn looks(server: &RedisServer) -> u64 {
    let stats: String = server.ask("INFO commandstats").await;
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_hget:calls="));
    let calls = calls.and_then(|calls| calls.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meets_a_change_in_progress_waits_for_it_and_ends_no_session() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let link = Link::before(&server).await;
    let other = Arc::new(RedisStore::connect(link.options()).await.expect("a store"));
    let rights = |roles: &[&str]| UserChange::SetRights {
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        permissions: Vec::new(),
    };
    for (number, what) in (1..).zip(["refresh", "login", "change"]) {
        let ann = User { roles: vec!["a".into(), "b".into()], ..new_user(what) };
        let ann = store.create_user(ann).await.expect("an account");
        let new = login(&ann, number);
        let session = new.session.clone();
        store.open_session(new, until()).await.expect("a login");

        // Its floor is recorded, and its account not changed yet.
        link.set(Mode::Hold { bytes: b"$4\r\nkeep\r\n" });
        let (changing, fewer) = (Arc::clone(&other), rights(&["a"]));
        let changed = tokio::spawn(async move {
            changing.change_user(REALM, ann.id, fewer, now(), until()).await
        });
        holds(async || link.held() > 0).await;
        let before = looks(&server).await;
        let beside = async {
            match what {
                "refresh" => {
                    let (presented, next) = (RefreshHash([number; 32]), successor(9, now()));
                    let rotated = store.rotate(session.id, &presented, next, GRACE, until()).await;
                    matches!(rotated, Ok(Rotation::Rotated(_)))
                }
                // Its user is looked up once more.
                "login" => matches!(store.open_session(login(&ann, 8), until()).await, Ok(None)),
                _ => store.change_user(REALM, ann.id, rights(&[]), now(), until()).await.is_ok(),
            }
        };
        let (is_right, ()) = join(beside, async {
            // It has found the account behind, and looks at it again.
            holds(async || looks(&server).await > before + 6).await;
            link.set(Mode::Pass);
        })
        .await;

        assert!(is_right, "{what}");
        changed.await.expect("an end").expect("an answer").expect("an account");
        let sessions = store.list_sessions(REALM, ann.id, None, now()).await.expect("a list");
        assert_eq!(sessions.iter().map(|it| it.id).collect::<Vec<_>>(), [session.id], "{what}");
    }
}

#[tokio::test]
async fn a_removal_cut_short_frees_the_names_after_a_while() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let ann = user(&store, "ann").await;
    server.ask::<()>(&format!("DEL munjigi:{{u:default:{}}}:user", ann.id)).await;
    let claimed_at = now().minus(Duration::from_secs(61)).as_millis();
    let index = "munjigi:{e:default:ann@example.com}";
    server.ask::<()>(&format!("SET {index} {}:{claimed_at}", ann.id)).await;

    let again = user(&store, "ann").await;

    assert!(again.id > ann.id);
    let found = store.find_user(REALM, &by_email("ann"), Lookup::Login).await;
    assert_eq!(found.expect("an answer").map(|user| user.id), Some(again.id));
    let unknown = store.list_sessions(REALM, UserId(77), None, now()).await;
    assert_eq!(unknown.expect("a list"), []);
}

#[tokio::test]
async fn a_purge_leaves_no_key_of_a_session_that_expired() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let ann = user(&store, "ann").await;
    let before: usize = server.ask("DBSIZE").await;
    for token in 1..=3 {
        let mut new = login(&ann, token);
        new.refresh = None;
        store.open_session(new, until()).await.expect("a login");
    }
    store.revoke(&[of_session(login(&ann, 9).session.id)]).await.expect("a revocation");

    store.purge(now().plus(25 * HOUR)).await.expect("a purge");

    // The log and its number stay.
    assert_eq!(server.ask::<usize>("DBSIZE").await, before + 2);
}
