//! Gateways with files of their own on a Redis that goes away, loses data, or cannot be believed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::harness::disk::{powerless, told};
use crate::harness::gateway::trust;
use crate::harness::process::munjigi;
use crate::harness::{Client, Gateway, Process, Setup, Upstream, Version, eventually, request};
use crate::lifecycle::plain_get;
use crate::redis::RedisServer;

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;

/// A gateway's folder with its configuration, and the upstream that it names.
struct Place {
    folder: Arc<tempfile::TempDir>,
    text: String,
    upstream: Upstream,
}

impl Place {
    async fn on(redis: &RedisServer, revocation: &str) -> Self {
        let upstream = Upstream::start().await;
        let routes = "{ path = \"/reject/*\", upstream = \"{upstream}\" },\n\
                      { path = \"/accept/*\", upstream = \"{upstream}\", when_stale = \"accept\" },\n\
                      { path = \"/ask/*\", upstream = \"{upstream}\", when_stale = \"ask\" },";
        let tables = format!("[store]\nurl = \"{}\"\n[revocation]\n{revocation}\n", redis.url());
        let setup = Setup { routes: routes.to_owned(), tables, ..Setup::default() };
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let text = setup.text(&upstream);
        std::fs::write(folder.path().join("munjigi.toml"), &text).unwrap();
        Self { folder, text, upstream }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("munjigi.toml")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("munjigi.journal")
    }

    /// A gateway in this process; its upstream goes with it.
    async fn gateway(self) -> Gateway {
        Gateway::start_in(self.folder, &self.text, self.upstream).await
    }

    async fn process(&self) -> (Process, Client) {
        let process = Process::run(&self.file()).await;
        let client = self.client(&process).await;
        (process, client)
    }

    async fn client(&self, process: &Process) -> Client {
        let trust = trust(&self.folder.path().join("certs/dev/ca.pem"));
        Client::connect(process.address, &trust, Version::H1).await
    }
}

async fn login(client: &mut Client) -> String {
    request("POST", "/auth/signup").json(ACCOUNT).send(client).await;
    eventually("a login", async || {
        let reply = request("POST", "/auth/login").json(ACCOUNT).send(client).await;
        reply.json()["access_token"].as_str().map(str::to_owned)
    })
    .await
}

async fn logout(client: &mut Client, token: &str) -> u16 {
    request("POST", "/auth/logout").bearer(token).send(client).await.status.as_u16()
}

async fn status(client: &mut Client, path: &str, token: &str) -> u16 {
    request("GET", path).bearer(token).send(client).await.status.as_u16()
}

async fn answers(client: &mut Client, path: &str, token: &str, expected: u16) {
    eventually("the gateway decides", async || {
        (status(client, path, token).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_redis_and_knows_what_was_revoked() {
    let mut redis = RedisServer::start().await;
    let place = Place::on(&redis, "max_staleness = \"1s\"").await;
    let (process, mut client) = place.process().await;
    let (good, revoked) = (login(&mut client).await, login(&mut client).await);
    answers(&mut client, "/reject/x", &good, 200).await;
    assert_eq!(logout(&mut client, &revoked).await, 200);
    process.kill().await;
    redis.kill();

    let (_process, mut client) = place.process().await;

    answers(&mut client, "/reject/x", &good, 503).await;
    for (path, token, expected) in [
        ("/reject/x", &revoked, 503),
        ("/accept/x", &good, 200),
        ("/accept/x", &revoked, 401),
        ("/ask/x", &good, 503),
        ("/ask/x", &revoked, 401),
    ] {
        assert_eq!(status(&mut client, path, token).await, expected, "{path}");
    }
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(&mut client).await;
    assert_eq!(reply.status, 503, "an outage is no wrong password");
    assert!(reply.headers.contains_key("retry-after"));

    redis.start_again().await;
    answers(&mut client, "/reject/x", &good, 200).await;
    assert_eq!(status(&mut client, "/reject/x", &revoked).await, 401);
    login(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_comes_new_to_a_wiped_redis_knows_what_the_others_knew() {
    let redis = RedisServer::start().await;
    let old = Place::on(&redis, "").await.gateway().await;
    let mut client = old.client(Version::H1).await;
    let (good, revoked) = (login(&mut client).await, login(&mut client).await);
    assert_eq!(logout(&mut client, &revoked).await, 200);

    let port = redis.url().rsplit(':').next().unwrap().trim_end_matches("/0").to_owned();
    let wipe = Command::new("redis-cli").args(["-p", &port, "FLUSHALL"]).output().unwrap();
    assert!(wipe.status.success(), "{wipe:?}");
    eventually("the old gateway has put back what it knew", async || {
        let count = ["-p", &port, "ZCARD", "munjigi:{rev}:set"];
        let count = Command::new("redis-cli").args(count).output().unwrap();
        (String::from_utf8_lossy(&count.stdout).trim() != "0").then_some(())
    })
    .await;
    let new = Place::on(&redis, "").await.gateway().await;

    let mut client = new.client(Version::H1).await;
    answers(&mut client, "/reject/x", &good, 200).await;
    assert_eq!(status(&mut client, "/reject/x", &revoked).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_gateway_and_redis_together_lose_no_acknowledged_logout() {
    let mut redis = RedisServer::start().await;
    let place = Place::on(&redis, "").await;
    let (mut process, mut client) = place.process().await;
    let mut revoked: Vec<String> = Vec::new();
    for round in 0..5 {
        let (good, token) = (login(&mut client).await, login(&mut client).await);
        answers(&mut client, "/reject/x", &token, 200).await;
        assert_eq!(logout(&mut client, &token).await, 200, "round {round}");
        process.kill().await;
        redis.kill();
        redis.start_again().await;

        (process, client) = place.process().await;
        revoked.push(token);
        answers(&mut client, "/reject/x", &good, 200).await;
        for token in &revoked {
            assert_eq!(status(&mut client, "/reject/x", token).await, 401, "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_503_until_there_is_room_again() {
    let redis = RedisServer::start().await;
    let place = Place::on(&redis, "").await;
    let process = Process::run_ignoring(&place.file(), "XFSZ").await;
    let mut client = place.client(&process).await;
    let (good, revoked) = (login(&mut client).await, login(&mut client).await);
    answers(&mut client, "/reject/x", &good, 200).await;
    let ready = format!("http://{}/readyz", process.admin);
    assert!(plain_get(&ready).await.starts_with("HTTP/1.1 200"));

    limit_files(&process, "1");
    assert_eq!(logout(&mut client, &revoked).await, 503, "it is not in the journal");
    assert_eq!(status(&mut client, "/reject/x", &revoked).await, 401, "it is refused here");
    assert_eq!(status(&mut client, "/reject/x", &good).await, 200, "others go on");
    let answer = plain_get(&ready).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("munjigi.journal: File too large"), "{answer}");
    limit_files(&process, "unlimited");

    eventually("it is acknowledged again", async || {
        let token = login(&mut client).await;
        (logout(&mut client, &token).await == 200).then_some(())
    })
    .await;
    assert!(plain_get(&ready).await.starts_with("HTTP/1.1 200"));
    process.kill().await;
    let (_process, mut client) = place.process().await;
    answers(&mut client, "/reject/x", &good, 200).await;
    assert_eq!(status(&mut client, "/reject/x", &revoked).await, 401);
}

/// Sets how large a file of a process may become.
fn limit_files(process: &Process, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &process.pid(), &limit]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit {limit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_start_find_a_journal_that_may_not_be_written() {
    let redis = RedisServer::start().await;
    let place = Place::on(&redis, "").await;
    std::fs::write(place.journal(), "").unwrap();
    std::fs::set_permissions(place.journal(), Permissions::from_mode(0o400)).unwrap();

    for verb in [&["check", "--deep"][..], &["run"]] {
        let (is_well, printed) = told(powerless(), &place.file(), verb).await;
        assert!(!is_well && printed.contains("munjigi.journal: Permission denied"), "{printed}");
    }

    std::fs::remove_file(place.journal()).unwrap();
    let (is_well, printed) = told(powerless(), &place.file(), &["check", "--deep"]).await;
    assert!(is_well && printed.contains("munjigi.journal  a start makes it"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_one_journal_is_refused() {
    let redis = RedisServer::start().await;
    let place = Place::on(&redis, "").await;
    let (_process, _client) = place.process().await;

    let output = munjigi(&place.file(), &["run"], "").await;

    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("in use by another process"), "{text}");
    assert!(text.contains("[revocation] journal"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_work_beside_a_gateway_that_has_the_journal() {
    let redis = RedisServer::start().await;
    let place = Place::on(&redis, "").await;
    let (_process, mut client) = place.process().await;
    let token = login(&mut client).await;

    let output = munjigi(&place.file(), &["revoke", "token", &token], "").await;

    assert!(output.status.success(), "{output:?}");
    answers(&mut client, "/reject/x", &token, 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_is_refused_until_its_loss_is_accepted() {
    let redis = RedisServer::start().await;
    let place = Place::on(&redis, "").await;
    let (process, mut client) = place.process().await;
    let revoked = login(&mut client).await;
    answers(&mut client, "/reject/x", &revoked, 200).await;
    assert_eq!(logout(&mut client, &revoked).await, 200);
    process.kill().await;
    let middle = flip_the_middle(&place.journal());

    let output = munjigi(&place.file(), &["run"], "").await;

    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("damaged at byte ") && text.contains("--accept-loss"), "{text}");
    let place_told: usize = text
        .split("damaged at byte ")
        .nth(1)
        .and_then(|rest| rest.split(|digit: char| !digit.is_ascii_digit()).next())
        .unwrap()
        .parse()
        .unwrap();
    assert!(place_told <= middle && middle - place_told < 4096, "{place_told} of {middle}");
    let process = Process::run_with(&place.file(), &["run", "--accept-loss"]).await;
    let mut client = place.client(&process).await;
    answers(&mut client, "/reject/x", &revoked, 401).await;
}

fn flip_the_middle(path: &Path) -> usize {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
    middle
}
