//! `munjigi store copy`, `backup` and `check`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Backing, Client, Gateway, Setup, Upstream, Version, request};
use crate::redis::RedisServer;

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", text(output));
    assert!(text(output).contains(why), "{}", text(output));
}

async fn sign_up(client: &mut Client) {
    assert_eq!(request("POST", "/auth/signup").json(ACCOUNT).send(client).await.status, 201);
}

async fn login(client: &mut Client) -> Value {
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn status(client: &mut Client, tokens: &Value) -> u16 {
    let token = tokens["access_token"].as_str().unwrap();
    request("GET", "/api/hello").bearer(token).send(client).await.status.as_u16()
}

async fn refresh(client: &mut Client, tokens: &Value) -> Value {
    let body = json!({ "refresh_token": tokens["refresh_token"] }).to_string();
    let reply = request("POST", "/auth/refresh").json(&body).send(client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// A gateway in a folder, on another store than before.
async fn start(folder: &Arc<TempDir>, backing: Backing) -> Gateway {
    let upstream = Upstream::start().await;
    let setup = Setup { backing, ..Setup::default() };
    Gateway::start_in(Arc::clone(folder), &setup.text(&upstream), upstream).await
}

async fn munjigi(folder: &TempDir, arguments: &[&str]) -> Output {
    crate::harness::process::munjigi(&folder.path().join("munjigi.toml"), arguments, "").await
}

fn redis_cli(redis: &RedisServer, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-u", &redis.url()]).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_to_redis_and_back() {
    let redis = RedisServer::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let gateway = start(&folder, Backing::Sqlite).await;
    let mut client = gateway.client(Version::H1).await;
    sign_up(&mut client).await;
    let (living, ended) = (login(&mut client).await, login(&mut client).await);
    let token = ended["access_token"].as_str().unwrap();
    assert_eq!(request("POST", "/auth/logout").bearer(token).send(&mut client).await.status, 200);
    gateway.stop().await;

    let there = done(&munjigi(&folder, &["--json", "store", "copy", "--to", &redis.url()]).await);

    let counts = json!({
        "users": 1, "sessions": 1, "refresh_tokens": 1, "revocations": 2, "site_generations": 0,
        "signing_keys": 1, "vault_secrets": 1, "codes": 0, "counts_of_tries": 0, "mails": 0,
        "highest_user_number": 1,
    });
    assert_eq!(there["copied"], counts);
    let gateway = start(&folder, Backing::Redis(redis.url())).await;
    let mut client = gateway.client(Version::H1).await;
    assert_eq!(status(&mut client, &living).await, 200, "signed by the same key");
    assert_eq!(status(&mut client, &ended).await, 401, "what was revoked stays so");
    let living = refresh(&mut client, &living).await;
    login(&mut client).await;
    gateway.stop().await;
    let back = folder.path().join("back.db");
    let url = format!("sqlite:{}", back.display());
    let again = done(&munjigi(&folder, &["--json", "store", "copy", "--to", &url]).await);
    assert_eq!(again["copied"]["sessions"], 2);
    assert_eq!(again["copied"]["refresh_tokens"], 3);
    let upstream = Upstream::start().await;
    let tables = format!("[store]\nurl = \"{url}\"\n");
    let written = Setup { tables, ..Setup::default() }.text(&upstream);
    let gateway = Gateway::start_in(folder, &written, upstream).await;
    let mut client = gateway.client(Version::H1).await;
    assert_eq!(status(&mut client, &living).await, 200);
    assert_eq!(status(&mut client, &ended).await, 401);
    refresh(&mut client, &living).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_into_an_empty_store_alone() {
    let redis = RedisServer::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let gateway = start(&folder, Backing::Sqlite).await;
    sign_up(&mut gateway.client(Version::H1).await).await;
    gateway.stop().await;
    let other = Arc::new(tempfile::tempdir().unwrap());
    start(&other, Backing::Sqlite).await.stop().await;
    let copy = async |arguments: &[&str]| {
        munjigi(&folder, &[&["store", "copy"], arguments].concat()).await
    };
    let file = |folder: &TempDir| format!("sqlite:{}", folder.path().join("munjigi.db").display());

    assert_eq!(copy(&[]).await.status.code(), Some(2));
    refused(&copy(&["--to", &file(&folder)]).await, "the same store");
    refused(&copy(&["--to", &file(&other)]).await, "not empty");
    refused(&copy(&["--from", "sqlite:/nonexistent/x.db", "--to", &redis.url()]).await, "no store");
    refused(&copy(&["--to", "postgres://x"]).await, "sqlite:FILE");
    refused(&copy(&["--to", "sqlite::memory:"]).await, "in memory");
    assert_eq!(redis_cli(&redis, &["DBSIZE"]), "0");
    redis_cli(&redis, &["SET", "munjigi:{u:default:7}:user", "x"]);
    refused(&copy(&["--to", &redis.url()]).await, "not empty");
    redis_cli(&redis, &["FLUSHALL"]);
    redis_cli(&redis, &["SET", "another program's", "x"]);
    assert!(copy(&["--to", &redis.url()]).await.status.success());
    assert_eq!(redis_cli(&redis, &["GET", "another program's"]), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_whole_file_made_beside_a_running_gateway() {
    let redis = RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let gateway = start(&folder, backing).await;
        let mut client = gateway.client(Version::H1).await;
        sign_up(&mut client).await;
        let living = login(&mut client).await;
        let kept = tempfile::tempdir().unwrap();
        let file = kept.path().join("backup.db");
        let path = file.to_str().unwrap();

        let made = done(&munjigi(&folder, &["--json", "store", "backup", path]).await);

        assert_eq!((&made["saved"]["users"], &made["saved"]["sessions"]), (&json!(1), &json!(1)));
        assert_eq!(made["bytes"], std::fs::metadata(&file).unwrap().len());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(kept.path()), ["backup.db"], "nothing lies beside it");
        let before = std::fs::read(&file).unwrap();
        refused(&munjigi(&folder, &["store", "backup", path]).await, "is there already");
        assert_eq!(std::fs::read(&file).unwrap(), before);
        refused(&munjigi(&folder, &["store", "backup", "/nonexistent/x.db"]).await, "nonexistent");
        assert_eq!(status(&mut client, &living).await, 200, "the gateway goes on");
        gateway.stop().await;
        let restored = Arc::new(tempfile::tempdir().unwrap());
        let to = format!("sqlite:{}", restored.path().join("munjigi.db").display());
        let from = format!("sqlite:{path}");
        let copied = munjigi(&folder, &["store", "copy", "--from", &from, "--to", &to]).await;
        assert!(copied.status.success(), "{}", text(&copied));
        let gateway = start(&restored, Backing::Sqlite).await;
        let mut client = gateway.client(Version::H1).await;
        assert_eq!(status(&mut client, &living).await, 401, "a copy keeps the backup's mark");
        login(&mut client).await;
    }
}

async fn account(client: &mut Client, name: &str) -> Value {
    let body = json!({ "email": format!("{name}@example.com"), "password": "correct horse 1" });
    let made = request("POST", "/auth/signup").json(&body.to_string()).send(client).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["id"].clone()
}

async fn login_of(client: &mut Client, name: &str) -> Value {
    let body = json!({ "email": format!("{name}@example.com"), "password": "correct horse 1" });
    let reply = request("POST", "/auth/login").json(&body.to_string()).send(client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn me(client: &mut Client, tokens: &Value) -> u16 {
    let token = tokens["access_token"].as_str().unwrap();
    request("GET", "/auth/me").bearer(token).send(client).await.status.as_u16()
}

async fn refreshes(client: &mut Client, tokens: &Value) -> bool {
    let body = json!({ "refresh_token": tokens["refresh_token"] }).to_string();
    request("POST", "/auth/refresh").json(&body).send(client).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_no_earlier_token_opens_an_account() {
    let redis = RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let gateway = start(&folder, backing.clone()).await;
        let mut client = gateway.client(Version::H1).await;
        account(&mut client, "ann").await;
        let anns = login_of(&mut client, "ann").await;
        let file = folder.path().join("backup.db");
        let path = file.to_str().unwrap();
        done(&munjigi(&folder, &["--json", "store", "backup", path]).await);
        assert_eq!(account(&mut client, "bob").await, 2);
        let bobs = login_of(&mut client, "bob").await;
        if backing_is_file(&backing) {
            refused(&munjigi(&folder, &["store", "restore", path]).await, "stop the gateway");
        }
        gateway.stop().await;
        if backing_is_file(&backing) {
            refused(&munjigi(&folder, &["store", "restore", "/nonexistent"]).await, "no store");
        } else {
            refused(&munjigi(&folder, &["store", "restore", path]).await, "not empty");
            redis_cli(&redis, &["FLUSHALL"]);
            // This node's memory of account numbers and revocations is lost as well.
            for name in names_in(folder.path()).iter().filter(|name| name.contains("journal")) {
                std::fs::remove_file(folder.path().join(name)).unwrap();
            }
        }

        let before = std::fs::read(&file).unwrap();
        let restored = done(&munjigi(&folder, &["--json", "store", "restore", path]).await);

        assert_eq!(restored["restored"]["users"], 1, "{restored}");
        assert_eq!(std::fs::read(&file).unwrap(), before, "the backup was changed");
        let aside = restored["set_aside"].as_str();
        assert_eq!(aside.is_some_and(|it| Path::new(it).exists()), backing_is_file(&backing));
        let gateway = start(&folder, backing.clone()).await;
        let mut client = gateway.client(Version::H2).await;
        assert_eq!(account(&mut client, "carol").await, 2, "the number of an account that is lost");
        for (whose, tokens) in [("ann's", &anns), ("bob's", &bobs)] {
            assert_eq!(status(&mut client, tokens).await, 401, "{whose} token passes");
            assert_eq!(me(&mut client, tokens).await, 401, "{whose} token opens an account");
            assert!(!refreshes(&mut client, tokens).await, "{whose} session lives on");
        }
        let carols = login_of(&mut client, "carol").await;
        let anns = login_of(&mut client, "ann").await;
        gateway.stop().await;
        let gateway = start(&folder, backing).await;
        let mut client = gateway.client(Version::H2).await;
        for tokens in [&carols, &anns] {
            assert_eq!(status(&mut client, tokens).await, 200, "the second start ends nothing");
            assert!(refreshes(&mut client, tokens).await);
        }
    }
}

fn backing_is_file(backing: &Backing) -> bool {
    matches!(backing, Backing::Sqlite)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_file_copied_by_hand_an_account_opens_for_no_token_older_than_itself() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (file, copy) = (folder.path().join("munjigi.db"), folder.path().join("copy.db"));
    let gateway = start(&folder, Backing::Sqlite).await;
    account(&mut gateway.client(Version::H1).await, "ann").await;
    gateway.stop().await;
    std::fs::copy(&file, &copy).unwrap();
    let gateway = start(&folder, Backing::Sqlite).await;
    let mut client = gateway.client(Version::H1).await;
    assert_eq!(account(&mut client, "bob").await, 2);
    let bobs = login_of(&mut client, "bob").await;
    gateway.stop().await;
    std::fs::copy(&copy, &file).unwrap();

    let gateway = start(&folder, Backing::Sqlite).await;
    let mut client = gateway.client(Version::H2).await;
    assert_eq!(account(&mut client, "carol").await, 2);
    let carols = login_of(&mut client, "carol").await;

    assert_eq!(me(&mut client, &carols).await, 200);
    assert_eq!(me(&mut client, &bobs).await, 401);
    let change = json!({ "old_password": "correct horse 1", "new_password": "another horse 1" });
    let token = bobs["access_token"].as_str().unwrap();
    let change = request("POST", "/auth/password").bearer(token).json(&change.to_string());
    assert_eq!(change.send(&mut client).await.status, 401);
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_of_one_instant() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let gateway = start(&folder, Backing::Sqlite).await;
    let mut client = gateway.client(Version::H1).await;
    sign_up(&mut client).await;
    let file = folder.path().join("backup.db");
    let path = file.to_str().unwrap().to_owned();

    let verb = ["store", "backup", path.as_str()];
    let (backup, ()) = tokio::join!(munjigi(&folder, &verb), async {
        for _ in 0..20 {
            let tokens = login(&mut client).await;
            refresh(&mut client, &tokens).await;
        }
    });

    assert!(backup.status.success(), "{}", text(&backup));
    assert!(text(&backup).contains("✓"), "{}", text(&backup));
}

/// A folder whose store has an account with a session, which was found sound while it was served.
async fn sound(backing: Backing) -> Arc<TempDir> {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let gateway = start(&folder, backing).await;
    let mut client = gateway.client(Version::H1).await;
    sign_up(&mut client).await;
    login(&mut client).await;
    let sound = done(&munjigi(&folder, &CHECK).await);
    assert_eq!(sound["faults"], json!([]), "beside a running gateway");
    assert_eq!((&sound["counts"]["users"], &sound["counts"]["sessions"]), (&json!(1), &json!(1)));
    gateway.stop().await;
    folder
}

const CHECK: [&str; 3] = ["--json", "store", "check"];

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong_with_a_file() {
    let folder = sound(Backing::Sqlite).await;
    let check = async || munjigi(&folder, &CHECK).await;
    let file = folder.path().join("munjigi.db");

    let damaged = rusqlite::Connection::open(&file).unwrap();
    damaged
        .execute_batch(
            "PRAGMA foreign_keys = OFF; DELETE FROM refresh; DELETE FROM users;
             DROP INDEX sessions_by_user; CREATE TABLE mine (x);",
        )
        .unwrap();
    drop(damaged);
    let output = check().await;

    assert_eq!(output.status.code(), Some(1));
    for said in [
        "sessions belongs to none of users",
        "newest refresh token",
        "`sessions_by_user` is not as it is made",
        "`mine` is not of this program",
    ] {
        assert!(text(&output).contains(said), "{said}: {}", text(&output));
    }
    let before = std::fs::read(&file).unwrap();
    let mut torn = before.clone();
    let middle = torn.len() / 2;
    torn[middle..].fill(0x5a);
    std::fs::write(&file, torn).unwrap();
    assert_eq!(check().await.status.code(), Some(1));
    std::fs::write(&file, b"no database at all, but text of some length").unwrap();
    assert_eq!(check().await.status.code(), Some(1));
    std::fs::remove_file(&file).unwrap();
    refused(&check().await, "no store");
    assert!(!file.exists(), "a check makes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong_with_a_redis() {
    let redis = RedisServer::start().await;
    let folder = sound(Backing::Redis(redis.url())).await;
    let check = async || munjigi(&folder, &CHECK).await;
    let key = |pattern: &str| redis_cli(&redis, &["KEYS", pattern]);

    let steps: [(&[&str], &str); 6] = [
        (&["DEL", &key("munjigi:{r:*")], "its refresh token does not lead to it"),
        (&["DEL", &key("munjigi:{s:*")], "its id does not lead to it"),
        (&["DEL", &key("munjigi:{x:*")], "nothing would delete it"),
        (&["DEL", "munjigi:{e:default:you@example.com}"], "email does not lead to the account"),
        (&["SET", "munjigi:{ids}", "0"], "will be given again"),
        (&["DEL", "munjigi:{l:default}"], "the list of realm default lacks it"),
    ];
    for (damage, said) in steps {
        redis_cli(&redis, damage);
        let output = check().await;
        assert_eq!(output.status.code(), Some(1), "{damage:?}");
        assert!(text(&output).contains(said), "{said}: {}", text(&output));
    }
    redis_cli(&redis, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    refused(&check().await, "noeviction");
}
