//! A store that takes no writes: the operator is told why, and no traffic comes until it does.

use std::fs;
use std::fs::{File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::disk::{powerless, told};
use crate::harness::gateway::trust;
use crate::harness::process::munjigi;
use crate::harness::{
    Client, Disk, Gateway, Process, Setup, Upstream, Version, eventually, request,
};
use crate::lifecycle::plain_get;
use crate::redis::RedisServer;

/// The verbs that must find that nothing can be written.
const VERBS: [&[&str]; 3] =
    [&["check", "--deep"], &["run"], &["revoke", "site", "localhost", "--reason", "x"]];

const FULL: &str = "the disk is full";

/// A folder with a configuration whose store lies in a folder of its own, `disk`.
async fn prepare() -> (tempfile::TempDir, Upstream) {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    let store = "[store]\nurl = \"sqlite:disk/munjigi.db\"\ntimeout = \"10s\"\n".to_owned();
    let text = Setup { tables: store, ..Setup::default() }.text(&upstream);
    fs::write(folder.path().join("munjigi.toml"), text).unwrap();
    (folder, upstream)
}

/// Starts a gateway on a disk; its log goes to the file `log` and its access log to `lines`.
async fn start(disk: &Disk, folder: &Path) -> (Process, Client) {
    let mut command = disk.shell("exec \"$0\" --config \"$1\" run >> \"$2\"");
    command.args([folder.join("munjigi.toml"), folder.join("lines")]);
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let process = Process::listening(command, Some(log)).await;
    let trust = trust(&folder.join("certs/dev/ca.pem"));
    let client = Client::connect(process.address, &trust, Version::H1).await;
    (process, client)
}

async fn readyz(admin: SocketAddr) -> String {
    plain_get(&format!("http://{admin}/readyz")).await
}

async fn when_ready(admin: SocketAddr) {
    eventually("it is ready", async || {
        readyz(admin).await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

async fn when_unready(admin: SocketAddr, cause: &str) {
    eventually(cause, async || {
        let answer = readyz(admin).await;
        (answer.starts_with("HTTP/1.1 503") && answer.contains(cause)).then_some(())
    })
    .await;
}

fn account(name: usize) -> String {
    format!(r#"{{"email": "u{name}@example.com", "password": "correct horse 1"}}"#)
}

async fn sign_up(client: &mut Client, name: usize) -> u16 {
    request("POST", "/auth/signup").json(&account(name)).send(client).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_everywhere_until_there_is_room_again() {
    let (folder, _upstream) = prepare().await;
    let (folder, file) = (folder.path(), folder.path().join("munjigi.toml"));
    let disk = Disk::mount(&folder.join("disk"), 4096).await;
    let (process, mut client) = start(&disk, folder).await;
    assert_eq!(sign_up(&mut client, 0).await, 201);
    let login = request("POST", "/auth/login").json(&account(0)).send(&mut client).await;
    let token = login.json()["access_token"].as_str().unwrap().to_owned();
    when_ready(process.admin).await;

    disk.fill();
    let mut names = 1..100;
    // The room in the write-ahead log is used up first.
    while sign_up(&mut client, names.next().expect("a full disk")).await == 201 {}

    for _ in 0..5 {
        let answer = readyz(process.admin).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(FULL), "{answer}");
    }
    let verified = request("GET", "/api/x").bearer(&token).send(&mut client).await;
    assert_eq!(verified.status, 200, "what asks the store nothing goes on");
    eventually("the access log says it", async || {
        let lines = fs::read_to_string(folder.join("lines")).unwrap();
        lines.lines().any(|line| line.contains("503") && line.contains(FULL)).then_some(())
    })
    .await;
    let (is_well, printed) = told(disk.munjigi(), &file, &["check", "--deep"]).await;
    assert!(!is_well && printed.contains("No space left on device"), "{printed}");
    process.kill().await;
    let (process, mut client) = start(&disk, folder).await;
    when_unready(process.admin, FULL).await;

    disk.make_room();

    when_ready(process.admin).await;
    assert_eq!(sign_up(&mut client, 100).await, 201);
    let (is_well, printed) = told(disk.munjigi(), &file, &["check", "--deep"]).await;
    assert!(is_well && printed.contains("is nearly full: 3 MiB are left"), "{printed}");
    let log = fs::read_to_string(folder.join("log")).unwrap();
    let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let of_both = (count("takes no writes"), count("takes writes again"));
    assert_eq!(of_both, (2, 1), "once where it begins and ends:\n{log}");
    assert!(log.contains(FULL), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_start_find_what_may_not_be_written() {
    let (folder, _upstream) = prepare().await;
    let (place, file) = (folder.path().join("disk"), folder.path().join("munjigi.toml"));
    let made = munjigi(&file, &["user", "list"], "").await;
    assert!(made.status.success(), "{made:?}");
    let database = place.join("munjigi.db");
    let rows = [(&database, 0o400, 0o600), (&database, 0o000, 0o600), (&place, 0o500, 0o700)];

    for (path, mode, usual) in rows {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let expected = format!("{}` cannot be written: Permission denied", path.display());
        for verb in VERBS {
            let (is_well, printed) = told(powerless(), &file, verb).await;
            assert!(!is_well && printed.contains(&expected), "{mode:o} {verb:?}: {printed}");
        }
        fs::set_permissions(path, Permissions::from_mode(usual)).unwrap();
    }
    let (is_well, printed) = told(powerless(), &file, &["check", "--deep"]).await;
    assert!(is_well, "{printed}");

    let disk = Disk::mount(&place, 4096).await;
    let (is_well, printed) = told(disk.munjigi(), &file, &["user", "list"]).await;
    assert!(is_well, "{printed}");
    disk.make_read_only().await;
    for verb in VERBS {
        let (is_well, printed) = told(disk.munjigi(), &file, verb).await;
        assert!(!is_well && printed.contains("Read-only file system"), "{verb:?}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_process_has_locked_is_named_until_it_lets_go() {
    let store = "[store]\nurl = \"sqlite:munjigi.db\"\ntimeout = \"400ms\"\n".to_owned();
    let gateway = Gateway::start(Setup { tables: store, ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    let admin = gateway.app().admin().unwrap();
    when_ready(admin).await;
    let other = rusqlite::Connection::open(gateway.folder.path().join("munjigi.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    assert_eq!(sign_up(&mut client, 0).await, 503);

    when_unready(admin, "another process has the database locked").await;
    let checked = gateway.munjigi(&["check", "--deep"]).await;
    let printed = String::from_utf8(checked.stderr).unwrap();
    assert!(printed.contains("another process has the database locked"), "{printed}");
    other.execute_batch("COMMIT").unwrap();
    when_ready(admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_writes_is_named_by_readyz_and_check() {
    tokio::join!(
        refuses("maxmemory", ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"]),
        refuses("MISCONF", ["BGSAVE", "CONFIG SET stop-writes-on-bgsave-error no"]),
    );
}

/// Breaks a gateway's Redis by one command, expects the cause to be named, and mends it by another.
async fn refuses(cause: &str, [breaks, mends]: [&str; 2]) {
    // A folder where it is to save.
    let saving = ["--save", "900 1", "--dbfilename", "taken"];
    let redis = RedisServer::start_with("redis", &saving).await;
    fs::create_dir(redis.folder().join("taken")).unwrap();
    let url = redis.url();
    let tables = format!("[store]\nurl = \"{url}\"\n[revocation]\nmax_staleness = \"1s\"\n");
    let gateway = Gateway::start(Setup { tables, ..Setup::default() }).await;
    let admin = gateway.app().admin().unwrap();
    when_ready(admin).await;

    redis.ask::<()>(breaks).await;

    when_unready(admin, cause).await;
    let checked = gateway.munjigi(&["check", "--deep"]).await;
    let printed = String::from_utf8(checked.stderr).unwrap();
    assert!(!checked.status.success() && printed.contains(cause), "{printed}");
    redis.ask::<()>(mends).await;
    when_ready(admin).await;
}
