//! Operators' changes by verbs, in the audit trail of a gateway that runs, or starts next.

use std::fs::File;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::process::{run, verb};
use crate::harness::{Backing, Process, Setup, Upstream, eventually};
use crate::redis::RedisServer;

const PASSWORD: &str = "correct horse 1";

/// A gateway of its own process in a folder of its own, and its audit trail.
struct Node {
    folder: TempDir,
    process: Option<Process>,
}

impl Node {
    async fn start(backing: Backing, audit: &str) -> Self {
        let node = Self::prepare(backing, audit).await;
        Self { process: Some(node.run().await), ..node }
    }

    /// Writes the configuration; nothing runs.
    async fn prepare(backing: Backing, audit: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = format!("[log]\naudit = \"{audit}\"\n");
        let setup = Setup { backing, tables, ..Setup::default() };
        std::fs::write(folder.path().join("munjigi.toml"), setup.text(&Upstream::start().await))
            .unwrap();
        Self { folder, process: None }
    }

    /// Runs the gateway; its log goes to the end of a file.
    async fn run(&self) -> Process {
        let log = File::options().append(true).create(true).open(self.path("gateway.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_munjigi"));
        command.arg("--config").arg(self.path("munjigi.toml")).arg("run");
        Process::listening(command, Some(log.unwrap())).await
    }

    async fn stop(&mut self) {
        let process = self.process.take().unwrap();
        process.signal("TERM").await;
        process.wait().await;
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The events of operators that the trail has, in a file or in the log.
    fn events(&self) -> Vec<Value> {
        let of_file = lines(&self.path("audit.jsonl"));
        let of_log = lines(&self.path("gateway.log")).into_iter();
        let of_log = of_log.filter(|line| line["target"] == "munjigi::audit");
        let all = of_file.into_iter().chain(of_log);
        all.filter(|event| event["by"].is_string() && event["event"] != "key_made").collect()
    }

    /// The events, once there are so many.
    async fn told(&self, count: usize) -> Vec<Value> {
        let told = async || Some(self.events()).filter(|told| told.len() == count);
        eventually("they are told", told).await
    }

    /// Types a verb; `variables` are the only ones that say who became this user.
    async fn verb(&self, arguments: &[&str], stdin: &str, variables: &[(&str, &str)]) -> Output {
        let mut verb = verb(&self.path("munjigi.toml"), arguments);
        verb.env_remove("SUDO_USER").env_remove("DOAS_USER").envs(variables.iter().copied());
        run(&mut verb, stdin).await
    }

    /// Types a verb that does what it should and says no word about it; answers what it printed.
    async fn done(&self, arguments: &[&str]) -> String {
        let output = self.verb(arguments, PASSWORD, &[]).await;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && printed.is_empty(), "{arguments:?}: {printed}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The last line may be half written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The waiting events of a SQLite store.
fn waiting(store: &Path) -> Vec<Value> {
    let database = rusqlite::Connection::open(store).unwrap();
    let mut select = database.prepare("SELECT text FROM events ORDER BY id").unwrap();
    let texts = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
    texts.map(|text| serde_json::from_str(&text.unwrap()).unwrap()).collect()
}

fn user() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A verb, and what of its event is known beforehand; `None`: it changes nothing.
type Row<'a> = (Vec<&'a str>, Option<Value>);

#[rustfmt::skip]
fn rows<'a>([file, ids, backup, copy]: [&'a str; 4], kid: &'a str) -> Vec<Row<'a>> {
    const SESSION: &str = "6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5";
    let account = |kind: &str| json!({ "event": "account_change", "realm": "default", "user": "1", "kind": kind });
    let with = |mut event: Value, name: &str, value: Value| { event[name] = value; event };
    vec![
        (vec!["user", "add", "--username", "ann", "--role", "user", "--permission", "p", "--password-stdin"],
            Some(with(account("added"), "detail", json!("roles +user, permissions +p")))),
        (vec!["user", "passwd", "ann", "--password-stdin"], Some(account("password"))),
        (vec!["user", "unlock", "ann"], Some(account("unlocked"))),
        (vec!["user", "mfa", "reset", "ann"], Some(account("second_factor_reset"))),
        (vec!["user", "disable", "id:1"], Some(account("disabled"))),
        (vec!["user", "enable", "ann"], Some(account("enabled"))),
        (vec!["user", "rights", "ann", "--role", "admin", "--permission", "p"],
            Some(with(account("rights"), "detail", json!("roles +admin -user")))),
        (vec!["user", "import", file],
            Some(json!({ "event": "account_import", "realm": "default", "name": file, "count": 2, "detail": "0 skipped, 0 failed" }))),
        (vec!["user", "import", file, "--skip-existing", "--dry-run"], None),
        (vec!["user", "export"], None),
        (vec!["user", "export", "--with-hashes"],
            Some(json!({ "event": "account_export", "realm": "default", "detail": "with hashes" }))),
        (vec!["token", "issue", "--user", "ann", "--ttl", "5m"],
            Some(json!({ "event": "token_issue", "site": "localhost", "user": "1" }))),
        (vec!["token", "inspect", "{token}"], None),
        (vec!["revoke", "token", "{token}"],
            Some(json!({ "event": "revocation", "site": "localhost", "kind": "token" }))),
        (vec!["revoke", "session", SESSION],
            Some(json!({ "event": "revocation", "kind": "session", "name": SESSION }))),
        (vec!["revoke", "user", "ann"],
            Some(json!({ "event": "revocation", "realm": "default", "kind": "user", "user": "1" }))),
        (vec!["revoke", "import", ids, "--until", "2099-01-01T00:00:00Z"],
            Some(json!({ "event": "revocation", "kind": "tokens", "count": 3, "detail": "until 2099-01-01T00:00:00Z" }))),
        (vec!["revoke", "site", "localhost"],
            Some(json!({ "event": "revocation", "site": "localhost", "kind": "site", "name": "localhost", "count": 0 }))),
        (vec!["revoke", "key", kid],
            Some(json!({ "event": "revocation", "site": "localhost", "kind": "key", "name": kid }))),
        (vec!["user", "remove", "ann"], Some(account("removed"))),
        (vec!["store", "backup", backup], Some(json!({ "event": "store_backup", "name": backup }))),
        (vec!["store", "copy", "--to", copy], Some(json!({ "event": "store_copy", "name": copy }))),
        (vec!["user", "list"], None),
        (vec!["user", "show", "id:2"], None),
        (vec!["session", "list", "id:2"], None),
        (vec!["store", "check"], None),
    ]
}

/// Types these verbs at the first node, each with a reason of its own; every event is told once in
/// the trails of all nodes together.
async fn are_told_once(nodes: &[Node], rows: &[Row<'_>]) {
    let at = &nodes[0];
    let (mut token, mut expected, mut begun) = (String::new(), Vec::new(), 0);
    for (number, (arguments, event)) in rows.iter().enumerate() {
        let reason = format!("row {number}: \"why\" → 왜");
        let placed = |argument: &&str| argument.replace("{token}", &token);
        let mut arguments: Vec<String> = arguments.iter().map(placed).collect();
        if let Some(mut event) = event.clone() {
            arguments.extend(["--reason".to_owned(), reason.clone()]);
            event["reason"] = json!(reason);
            expected.push(event);
            begun +=
                usize::from(arguments.contains(&"import".to_owned()) || arguments[1] == "site");
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = at.done(&arguments).await;
        assert!(!printed.contains("\"by\""), "{printed}");
        if arguments.starts_with(&["token", "issue"]) {
            token = printed.trim().to_owned();
        }
    }
    let all = || -> Vec<Value> { nodes.iter().flat_map(Node::events).collect() };
    let count = expected.len() + begun;
    eventually("every event is told", async || (all().len() >= count).then_some(())).await;

    // A long change is recorded twice: its begin and its end.
    let (first, told): (Vec<_>, Vec<_>) =
        all().into_iter().partition(|event| event["detail"] == "begun");
    assert_eq!((first.len(), told.len()), (begun, expected.len()), "{told:#?}");
    for event in first {
        let mut same = told.iter().filter(|told| told["reason"] == event["reason"]);
        assert!(
            same.any(|last| last["event"] == event["event"] && last["count"].is_u64()),
            "{event}"
        );
    }
    for event in expected {
        let found: Vec<_> = told.iter().filter(|told| told["reason"] == event["reason"]).collect();
        assert_eq!(found.len(), 1, "{event}: {told:#?}");
        for (name, value) in event.as_object().unwrap() {
            assert_eq!(&found[0][name], value, "{}", found[0]);
        }
        assert_eq!(found[0]["by"], user());
        assert!(found[0]["sudo_by"].is_null(), "{}", found[0]);
        assert!(found[0]["at"].as_str().unwrap().ends_with('Z'), "{}", found[0]);
        assert!(!found[0].to_string().contains(PASSWORD) && !found[0].to_string().contains("@"));
    }
    if !token.is_empty() {
        assert!(!told.iter().any(|event| event.to_string().contains(&token)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_by_a_verb_is_told_once_in_the_gateways_log() {
    let node = Node::start(Backing::Sqlite, "log").await;
    let users = "{\"username\": \"bob\", \"email\": \"bob@a.kr\"}\n{\"username\": \"cid\"}\n";
    std::fs::write(node.path("users.jsonl"), users).unwrap();
    std::fs::write(node.path("ids.txt"), "a\nb\nc\n").unwrap();
    let names = ["users.jsonl", "ids.txt", "saved.db", "copied.db"].map(|name| node.text(name));
    let [file, ids, backup, copy] = &names;
    let copy = format!("sqlite:{copy}");
    let log = lines(&node.path("gateway.log"));
    let made = log.iter().find(|line| line["event"] == "key_made").unwrap();
    let kid = made["name"].as_str().unwrap();

    are_told_once(&[node], &rows([file, ids, backup, &copy], kid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gateways_of_a_redis_one_tells() {
    let redis = RedisServer::start().await;
    let backing = Backing::Redis(redis.url());
    let nodes = [
        Node::start(backing.clone(), "file:audit.jsonl").await,
        Node::start(backing, "file:audit.jsonl").await,
    ];
    let backup = nodes[0].text("saved.db");
    let rows = rows(["", "", &backup, ""], "");
    let is_wanted = |row: &Row<'_>| {
        let (arguments, event) = row;
        let words: &[&str] = &["add", "rights", "issue", "backup", "remove"];
        event.is_some() && arguments.iter().any(|argument| words.contains(argument))
    };

    let rows: Vec<_> = rows.into_iter().filter(is_wanted).collect();

    assert_eq!(rows.len(), 5);
    are_told_once(&nodes, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_while_no_gateway_ran_is_told_by_the_next() {
    let mut node = Node::start(Backing::Sqlite, "file:audit.jsonl").await;
    node.done(&["user", "add", "--username", "ann", "--password-stdin"]).await;
    node.told(1).await;
    let backup = node.text("saved.db");
    node.done(&["store", "backup", &backup]).await;
    node.told(2).await;
    node.stop().await;

    // It waits in the file that is set aside.
    let sudo = [("SUDO_USER", "carol"), ("DOAS_USER", "dave")];
    let disabled = node.verb(&["user", "disable", "ann"], "", &sudo).await;
    assert!(disabled.status.success());
    let copy = format!("sqlite:{}", node.text("copied.db"));
    node.done(&["store", "copy", "--to", &copy]).await;
    let waiting: Vec<_> = waiting(&node.path("copied.db"));
    let kinds: Vec<_> = waiting.iter().map(|event| (&event["event"], &event["kind"])).collect();
    let (change, null) = (&json!("account_change"), &Value::Null);
    assert_eq!(kinds, [(change, &json!("disabled")), (&json!("store_copy"), null)]);
    node.done(&["store", "restore", &backup, "--reason", "wrong disk"]).await;
    let me = user();
    node.verb(&["user", "unlock", "ann"], "", &[("SUDO_USER", &me)]).await;
    node.verb(&["user", "unlock", "ann"], "", &[("DOAS_USER", "dave")]).await;
    assert_eq!(node.events().len(), 2, "nobody tells it yet");
    let before = munjigi::clock::Now::read().wall;
    node.process = Some(node.run().await);

    let told = node.told(7).await;
    let what: Vec<_> =
        told.iter().map(|told| (&told["event"], &told["kind"], &told["sudo_by"])).collect();
    assert_eq!(
        what,
        [
            (change, &json!("added"), null),
            (&json!("store_backup"), null, null),
            (change, &json!("disabled"), &json!("carol")),
            (&json!("store_copy"), null, null),
            (&json!("store_restore"), null, null),
            (change, &json!("unlocked"), null),
            (change, &json!("unlocked"), &json!("dave")),
        ]
    );
    assert_eq!(told[4]["reason"], "wrong disk");
    assert!(told[4]["detail"].as_str().unwrap().starts_with("set aside "), "{}", told[4]);
    let format = &time::format_description::well_known::Rfc3339;
    for told in &told {
        let at = time::OffsetDateTime::parse(told["at"].as_str().unwrap(), format).unwrap();
        let millis = at.unix_timestamp_nanos() / 1_000_000;
        assert!(millis <= before.as_millis().into(), "{told}: it happened before the gateway ran");
    }
    node.stop().await;
    assert_eq!(node.events().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_said_and_what_nobody_wants_is_not_recorded() {
    let node = Node::prepare(Backing::Sqlite, "off").await;
    node.done(&["user", "add", "--username", "ann", "--password-stdin"]).await;
    let database = rusqlite::Connection::open(node.path("munjigi.db")).unwrap();
    let store = node.path("munjigi.db");
    assert!(waiting(&store).is_empty());
    let file = node.path("munjigi.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("audit = \"off\"", "audit = \"log\"")).unwrap();
    database
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT 10000)
             INSERT INTO events SELECT randomblob(16), 0, '{}' FROM numbers",
        )
        .unwrap();

    let warned = async |arguments: &[&str], why: &str| -> Value {
        let output = node.verb(arguments, "", &[]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let warning = format!("warning: not in the audit trail ({why}): ");
        serde_json::from_str(said.strip_prefix(&warning).expect(&said)).unwrap()
    };
    let event = warned(&["user", "disable", "ann", "--reason", "left"], "the queue is full").await;

    assert_eq!((&event["kind"], &event["reason"]), (&json!("disabled"), &json!("left")));
    assert_eq!(event["by"], user());
    assert_eq!(waiting(&store).len(), 10_000);

    // A backup before an upgrade leaves the file to the older gateway that runs on it.
    let older = "DROP TABLE events; ALTER TABLE users DROP COLUMN second_factor;
                 ALTER TABLE sessions DROP COLUMN methods; PRAGMA user_version = 3";
    database.execute_batch(older).unwrap();
    let (saved, store) = (node.text("saved.db"), store.display());
    let event = warned(&["store", "backup", &saved], &format!("{store} has another schema")).await;
    assert_eq!(event["event"], "store_backup");
    let version = database.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    assert_eq!(version.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_disk_does_not_take_waits_in_the_store() {
    let mut node = Node::start(Backing::Sqlite, "file:/dev/full").await;
    node.done(&["user", "add", "--username", "ann", "--password-stdin"]).await;
    node.done(&["user", "disable", "ann"]).await;
    let database = rusqlite::Connection::open(node.path("munjigi.db")).unwrap();
    eventually("one was taken", async || {
        let taken = "SELECT count(*) FROM events WHERE due_at > 0";
        let taken: i64 = database.query_row(taken, [], |row| row.get(0)).unwrap();
        (taken > 0).then_some(())
    })
    .await;
    node.stop().await;
    assert_eq!(waiting(&node.path("munjigi.db")).len(), 2);

    // The lease of whoever took them is over.
    database.execute("UPDATE events SET due_at = 0", []).unwrap();
    let file = node.path("munjigi.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("/dev/full", "audit.jsonl")).unwrap();
    node.process = Some(node.run().await);

    let told = node.told(2).await;
    let kinds: Vec<_> = told.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["added", "disabled"]);
    let is_empty = async || waiting(&node.path("munjigi.db")).is_empty().then_some(());
    eventually("they are dropped", is_empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_that_changes_something_takes_a_reason() {
    let node = Node::prepare(Backing::Sqlite, "log").await;
    let rows = rows(["f.csv", "f", "f", "f"], "k");
    let changing = rows.into_iter().filter(|(_, event)| event.is_some()).map(|(verb, _)| verb);
    for verb in changing.chain([vec!["store", "restore"]]) {
        let words = if verb[1] == "mfa" { 3 } else { 2 };
        let help = node.done(&[&verb[..words], &["--help"]].concat()).await;
        assert!(help.contains("--reason <TEXT>"), "{verb:?}: {help}");
    }
    for reason in ["", "a\nb", "\u{1b}[2J", &"x".repeat(501)] {
        let output = node.verb(&["user", "remove", "ann", "--reason", reason], "", &[]).await;
        assert_eq!(output.status.code(), Some(2), "{reason:?}");
    }
    for verb in [["revoke", "key", "k"], ["revoke", "site", "localhost"]] {
        assert_eq!(node.verb(&verb, "", &[]).await.status.code(), Some(2), "{verb:?}");
    }
}
