//! What a server must be, and what is told where it is not.

use munjigi::secret::Secret;
use munjigi::store::{Accounts, Mails, RedisOptions, RedisStore, Revocations, Store, StoreError};

use crate::fixture::{mail, new_user, now, of_token, told, until};
use crate::redis_server::RedisServer;
use crate::server::{CLUSTER_RULES, PATIENT, RULES};

async fn refusal(options: RedisOptions) -> String {
    match RedisStore::connect(options).await {
        Ok(store) => panic!("connected to {store:?}"),
        Err(error) => told(&error),
    }
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = RedisServer::start_with("redis", &["--maxmemory-policy", policy]).await;

        let text = refusal(server.options(PATIENT)).await;

        assert!(text.contains(policy) && text.contains("noeviction"), "{text}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let server = RedisServer::start().await;
    server.ask::<()>("SET munjigi:{schema} 2").await;

    let refused = RedisStore::connect(server.options(PATIENT)).await;

    assert!(matches!(refused, Err(StoreError::Newer { found: 2, known: 1 })), "{refused:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_password() {
    let server = RedisServer::start_with("redis", &["--requirepass", "right"]).await;
    for (what, username, password) in
        [("wrong", "", "canary"), ("wrong user", "canary", "canary"), ("none", "", "")]
    {
        let options = RedisOptions {
            username: username.to_owned(),
            password: Secret::from(password),
            ..server.options(PATIENT)
        };

        let text = refusal(options).await.to_lowercase();

        assert!(text.contains("authenti"), "{what}: {text}");
        assert!(!text.contains("canary"), "{what}: {text}");
    }
}

#[tokio::test]
async fn an_acl_user_needs_no_more_than_the_keys_of_the_prefix() {
    let server = RedisServer::start().await;
    server.ask::<()>(&format!("ACL SETUSER gate on >secret ~munjigi:* {RULES}")).await;
    let options = RedisOptions {
        username: "gate".to_owned(),
        password: Secret::from("secret"),
        ..server.options(PATIENT)
    };

    let store = RedisStore::connect(options.clone()).await.expect("a store");

    let looked = store.check_setup().await.expect("a look");
    assert!(!looked.warnings.iter().any(|it| it.contains("checked")), "{:?}", looked.warnings);
    store.create_user(new_user("ann")).await.expect("an account");
    store.revoke(&[of_token("a")]).await.expect("a revocation");
    store.queue_mail(mail()).await.expect("a mail");
    assert_eq!(store.take_mails(now(), until(), 9).await.expect("mails").len(), 1);
    let elsewhere = RedisOptions { prefix: "other:".to_owned(), ..options };
    let text = refusal(elsewhere).await;
    assert!(text.to_uppercase().contains("NOPERM") || text.contains("permission"), "{text}");
}

#[test]
fn the_documentation_names_the_rules() {
    let page = include_str!("../../docs/redis.md");

    assert!(page.contains(&format!("~munjigi:* {RULES}")), "{RULES}");
    assert!(page.contains(CLUSTER_RULES), "{CLUSTER_RULES}");
}

#[tokio::test]
async fn the_database_of_the_url_and_the_prefix_hold_all_keys() {
    let server = RedisServer::start().await;
    let options = server.options(PATIENT);
    let url = format!("{}3", options.url.trim_end_matches('0'));
    let options = RedisOptions { url, prefix: "gate:".to_owned(), ..options };

    let store = RedisStore::connect(options).await.expect("a store");
    store.create_user(new_user("ann")).await.expect("an account");
    store.revoke(&[of_token("a")]).await.expect("a revocation");
    store.queue_mail(mail()).await.expect("a mail");
    assert_eq!(store.take_mails(now(), until(), 9).await.expect("mails").len(), 1);

    assert_eq!(server.ask::<usize>("DBSIZE").await, 0);
    let names: String = server.ask("INFO keyspace").await;
    assert!(names.contains("db3:"), "{names}");
    let stray: Vec<String> =
        server.ask("EVAL redis.call('SELECT',3)return(redis.call('KEYS','[^g]*')) 0").await;
    assert_eq!(stray, Vec::<String>::new());
}

#[tokio::test]
async fn a_url_must_not_loosen_tls_or_carry_a_password() {
    let server = RedisServer::start().await;
    for (url, told_of) in [
        ("rediss://127.0.0.1:1/0#insecure", "expected rediss://HOST:PORT"),
        ("redis://user:canary@127.0.0.1:1/0", "expected redis://HOST:PORT"),
        ("redis://127.0.0.1:1/many", "/DATABASE"),
        ("http://127.0.0.1:1/", "URL"),
    ] {
        let options = RedisOptions { url: url.to_owned(), ..server.options(PATIENT) };

        let text = refusal(options).await;

        assert!(text.contains(told_of), "{url}: {text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn the_address_is_described_without_credentials() {
    let server = RedisServer::start().await;
    let options = RedisOptions { password: Secret::from("canary"), ..server.options(PATIENT) };
    let url = options.url.clone();

    // A server without a password refuses one; the store without one describes itself.
    let text = refusal(options).await;
    let store = RedisStore::connect(server.options(PATIENT)).await.expect("a store");

    assert!(!text.contains("canary"), "{text}");
    assert_eq!(store.describe(), url);
    assert!(format!("{store:?}").contains(&url));
}
