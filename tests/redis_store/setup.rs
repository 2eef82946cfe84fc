//! What a look at the servers tells of them, and of what they leave open.

use munjigi::secret::Secret;
use munjigi::store::{RedisOptions, RedisStore, SetupReport};

use crate::fixture::told;
use crate::redis_server::RedisServer;
use crate::redis_sets::{shared_cluster, shared_sentinels};
use crate::server::PATIENT;

async fn report(options: RedisOptions) -> SetupReport {
    let store = RedisStore::connect(options).await.expect("a store");
    store.check_setup().await.expect("a look")
}

fn facts(found: &SetupReport) -> String {
    let lines = found.facts.iter().map(|fact| format!("{}: {}\n", fact.about, fact.found));
    lines.collect()
}

#[tokio::test]
async fn a_server_is_told_with_version_role_policy_and_persistence() {
    for (arguments, persistence, warning) in [
        (&[][..], "appendonly no", Some("append-only file")),
        (&["--appendonly", "yes"], "appendonly yes", None),
    ] {
        let server = RedisServer::start_with("redis", arguments).await;

        let found = report(server.options(PATIENT)).await;

        let text = facts(&found);
        for part in ["one server", "Redis 7", "master", "maxmemory-policy noeviction", persistence]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        match warning {
            Some(warning) => {
                assert!(found.warnings[0].contains(warning), "{:?}", found.warnings);
                assert_eq!(found.warnings.len(), 1);
            }
            None => assert_eq!(found.warnings, Vec::<String>::new()),
        }
    }
}

#[tokio::test]
async fn a_server_that_must_not_be_asked_is_told_as_not_checked() {
    let server = RedisServer::start().await;
    server.ask::<()>("ACL SETUSER gate on >secret ~* +@all -info").await;
    let options = RedisOptions {
        username: "gate".to_owned(),
        password: Secret::from("secret"),
        ..server.options(PATIENT)
    };

    let found = report(options).await;

    assert_eq!(found.warnings.len(), 1);
    assert!(found.warnings[0].contains("nothing could be checked"), "{:?}", found.warnings);
}

#[tokio::test]
async fn replicas_that_a_master_does_not_need_are_told() {
    let server = RedisServer::start_with("redis", &["--repl-diskless-sync-delay", "0"]).await;
    let place = format!("127.0.0.1 {}", server.port());
    let replica = RedisServer::start_with("redis", &["--replicaof", &place]).await;
    server.is_followed_by(1).await;
    let told_of = |found: &SetupReport, what: &str| {
        found.warnings.iter().any(|warning| warning.contains(what))
    };

    let options = RedisOptions { wait_replicas: 2, ..server.options(PATIENT) };
    let found = report(options).await;
    assert!(told_of(&found, "min-replicas-to-write"), "{:?}", found.warnings);
    assert!(told_of(&found, "wait_replicas is 2, but a master has 1"), "{:?}", found.warnings);

    server.ask::<()>("CONFIG SET min-replicas-to-write 1").await;
    let found = report(server.options(PATIENT)).await;
    assert!(!told_of(&found, "replicas"), "{:?}", found.warnings);
    assert!(facts(&found).contains("1 replica,"), "{}", facts(&found));

    let refused = RedisStore::connect(replica.options(PATIENT)).await;
    let text = told(&refused.expect_err("a refusal"));
    assert!(text.contains("the server is a replica"), "{text}");
}

#[tokio::test]
async fn sentinels_and_their_master_are_told() {
    let set = shared_sentinels().await;

    let found = report(RedisOptions::new(set.url(), PATIENT)).await;

    let text = facts(&found);
    for part in ["sentinels, 3 of 3 answer", "master, 2 replicas"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let sentinel = RedisOptions::new(set.sentinels[0].url(), PATIENT);
    let text = told(&RedisStore::connect(sentinel).await.expect_err("a refusal"));
    assert!(text.contains("redis+sentinel://"), "{text}");
}

#[tokio::test]
async fn every_master_of_a_cluster_is_told() {
    let set = shared_cluster().await;

    let found = report(RedisOptions::new(set.url(), PATIENT)).await;

    let text = facts(&found);
    assert!(text.contains("cluster, 3 masters"), "{text}");
    for node in &set.nodes[..3] {
        assert!(text.contains(&format!("127.0.0.1:{}: Redis", node.port())), "{text}");
    }
    // Once, although three say it.
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
}
