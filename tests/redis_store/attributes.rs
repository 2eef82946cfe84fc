//! Attributes of megabytes: which operations move them over the wire.

use std::collections::BTreeMap;

use munjigi::operation::RefreshHash;
use munjigi::store::{Lookup, Rotation, User, UserChange};

use crate::fixture::{HOUR, REALM, by_email, login, new_user, now, successor, until};
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

/// Bytes that the server has read and written in all.
async fn traffic(server: &RedisServer) -> u64 {
    let text: String = server.ask("INFO stats").await;
    let counted = text.lines().filter_map(|line| line.split_once(':'));
    counted
        .filter(|(name, _)| ["total_net_input_bytes", "total_net_output_bytes"].contains(name))
        .map(|(_, count)| count.parse::<u64>().expect("a number"))
        .sum()
}

#[tokio::test]
async fn only_a_whole_look_up_moves_them() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let attributes = BTreeMap::from([("profile_image".to_owned(), "i".repeat(7_000_000).into())]);
    let new = User { attributes, ..new_user("ann") };
    let ann = store.create_user(new).await.expect("an account");
    let made = traffic(&server).await;

    for lookup in [Lookup::Login, Lookup::Routine] {
        let found = store.find_user(REALM, &by_email("ann"), lookup).await.expect("an answer");
        assert_eq!(found.map(|user| user.attributes.len()), Some(0), "{lookup:?}");
    }
    let rights =
        UserChange::SetRights { roles: vec!["editor".to_owned()], permissions: Vec::new() };
    let changed =
        store.change_user(REALM, ann.id, rights, now(), until()).await.expect("an answer");
    assert_eq!(changed.map(|(user, _)| user.roles), Some(vec!["editor".to_owned()]));
    let new = login(&ann, 1);
    let session = new.session.id;
    store.open_session(new, until()).await.expect("a login");
    let presented = RefreshHash([1; 32]);
    let rotation = store.rotate(session, &presented, successor(2, now()), HOUR, until()).await;
    let listed = store.list_users(REALM, None, 10).await.expect("a list").users;

    assert!(matches!(rotation, Ok(Rotation::Rotated(_))), "{rotation:?}");
    assert_eq!(listed.iter().map(|user| user.attributes.len()).collect::<Vec<_>>(), [0]);
    let moved = traffic(&server).await - made;
    assert!(moved < 100_000, "{moved} bytes");
    let found = store.find_user(REALM, &by_email("ann"), Lookup::Whole).await;
    let found = found.expect("an answer").expect("the account");
    assert!(found.attributes == ann.attributes, "other attributes are found");
}
