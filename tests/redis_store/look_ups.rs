//! What a look-up asks of the server: the same, whether or not anybody has the name.

use std::collections::BTreeMap;

use munjigi::operation::Identifier;
use munjigi::store::{Lookup, User, UserChange};

use crate::fixture::{REALM, by_email, new_user, now, until};
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

/// How often each command that reads a key was called.
async fn reads(server: &RedisServer) -> BTreeMap<String, u64> {
    let text: String = server.ask("INFO commandstats").await;
    let counted = text.lines().filter_map(|line| {
        let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let (calls, _) = stats.split_once(',')?;
        Some((name.to_owned(), calls.parse().expect("a number")))
    });
    // Others belong to connections, and to the question itself.
    counted.filter(|(name, _)| ["get", "hget", "hmget", "hgetall"].contains(&&**name)).collect()
}

#[tokio::test]
async fn a_name_that_nobody_has_costs_as_many_commands_as_one_that_somebody_has() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let username = Some("ann".parse().expect("a user name"));
    store.create_user(User { username, ..new_user("ann") }).await.expect("an account");
    let gone = store.create_user(new_user("gone")).await.expect("an account");
    store.change_user(REALM, gone.id, UserChange::Remove, now(), until()).await.expect("an answer");
    let by_name = |name: &str| Identifier::Username(name.parse().expect("a user name"));

    for (who, is_known) in [
        (by_email("ann"), true),
        (by_name("ann"), true),
        (by_email("cid"), false),
        (by_name("cid"), false),
        (by_email("gone"), false),
    ] {
        for lookup in [Lookup::Login, Lookup::Routine] {
            server.ask::<()>("CONFIG RESETSTAT").await;

            let found = store.find_user(REALM, &who, lookup).await.expect("an answer");

            assert_eq!(found.is_some(), is_known, "{who:?}");
            let expected = [("get".to_owned(), 1), ("hmget".to_owned(), 1)];
            assert_eq!(reads(&server).await, expected.into(), "{who:?}, {lookup:?}");
        }
    }
}
