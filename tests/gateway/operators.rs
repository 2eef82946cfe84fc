//! Operators' odd cases: records that do not read, names that are numbers, text that is no name.

use serde_json::{Value, json};

use crate::harness::{Backing, Gateway, Setup, Version, request};
use crate::redis::RedisServer;

const PASSWORD: &str = "correct horse 1";

async fn verb(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.munjigi(arguments).await;
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

/// Makes accounts 1 to 3, and lets the third log in.
async fn filled(backing: Backing) -> Gateway {
    let gateway = Gateway::start(Setup { backing, ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;
    for name in ["one", "two", "three"] {
        let body = json!({ "email": format!("{name}@a.kr"), "password": PASSWORD }).to_string();
        let reply = request("POST", "/auth/signup").json(&body).send(&mut client).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        if name == "three" {
            let reply = request("POST", "/auth/login").json(&body).send(&mut client).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    gateway
}

async fn names_what_does_not_read_and_goes_on(gateway: &Gateway) {
    let file = |name: &str| gateway.folder.path().join(name).display().to_string();
    let (saved, copied) = (file("saved.db"), format!("sqlite:{}", file("copied.db")));
    let rows: [(&[&str], &[&str]); 5] = [
        (&["user", "list"], &["one@a.kr", "three@a.kr", "account 2 does not read"]),
        (&["user", "export"], &["one@a.kr", "three@a.kr", "account 2 does not read"]),
        (&["store", "check"], &["account 2 does not read", "session"]),
        (&["store", "backup", &saved], &["account 2 does not read", "session", "✓"]),
        (&["store", "copy", "--to", &copied], &["account 2 does not read", "session", "✓"]),
    ];
    for (arguments, parts) in rows {
        let (code, printed) = verb(gateway, arguments).await;
        assert_eq!(code, Some(1), "{arguments:?}: {printed}");
        for part in parts {
            assert!(printed.contains(part), "{arguments:?} lacks {part}: {printed}");
        }
    }
    let copy = rusqlite::Connection::open(file("copied.db")).unwrap();
    let count = |table: &str| -> i64 {
        copy.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("users"), count("sessions"), count("refresh")), (2, 0, 0));
    assert!(std::fs::metadata(saved).unwrap().len() > 0);

    for remove in ["id:2", "id:3"] {
        let (code, printed) = verb(gateway, &["user", "remove", remove]).await;
        assert_eq!(code, Some(0), "{printed}");
    }
    for arguments in [&["user", "list"][..], &["user", "export"], &["store", "check"]] {
        let (code, printed) = verb(gateway, arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_read_is_named_and_hides_no_other() {
    let gateway = filled(Backing::Sqlite).await;
    let database = rusqlite::Connection::open(gateway.folder.path().join("munjigi.db")).unwrap();
    database
        .execute_batch(
            "UPDATE users SET roles = '[' WHERE id = 2;
             UPDATE sessions SET parent = X'00', rotated_at = 1, sealed = X'' WHERE user = 3;",
        )
        .unwrap();
    drop(database);
    names_what_does_not_read_and_goes_on(&gateway).await;

    let redis = RedisServer::start().await;
    let gateway = filled(Backing::Redis(redis.url())).await;
    redis.ask::<()>("HSET munjigi:{u:default:2}:user roles [").await;
    let sessions: Vec<String> = redis.ask("HKEYS munjigi:{u:default:3}:sessions").await;
    redis.ask::<()>(&format!("HSET munjigi:{{u:default:3}}:sessions {} [", sessions[0])).await;
    names_what_does_not_read_and_goes_on(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_name_is_a_number_is_told_from_that_number() {
    let gateway = Gateway::start(Setup::default()).await;
    for name in ["ann", "1", "bob"] {
        gateway.add_user(&["--username", name], PASSWORD).await;
    }
    for (who, code, part) in [
        ("1", 1, "say id:2 or id:1"),
        ("id:1", 0, "\"ann\""),
        ("id:2", 0, "\"1\""),
        ("3", 0, "\"bob\""),
        ("bob", 0, "\"bob\""),
        ("id:9", 1, "no user"),
        ("9", 1, "no user"),
    ] {
        let (found, printed) = verb(&gateway, &["--json", "user", "disable", who]).await;
        assert_eq!(found, Some(code), "{who}: {printed}");
        assert!(printed.contains(part), "{who}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_terminal_would_obey_is_written_out() {
    let gateway = Gateway::start(Setup::default()).await;
    let evil = "a\u{9b}31m\u{202e}b";
    gateway
        .add_user(&["--email", "ann@a.kr", "--role", &format!("{evil}\u{1b}[2Jx")], PASSWORD)
        .await;
    let mut client = gateway.client(Version::H1).await;
    let body = json!({ "email": "ann@a.kr", "password": PASSWORD }).to_string();
    let login = request("POST", "/auth/login").header("user-agent", evil).json(&body);
    assert_eq!(login.send(&mut client).await.status, 200);

    for arguments in
        [&["user", "list"][..], &["user", "show", "ann@a.kr"], &["session", "list", "ann@a.kr"]]
    {
        let (code, printed) = verb(&gateway, arguments).await;
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("a\\u{9b}31m\\u{202e}b"), "{printed}");
        assert!(
            printed.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'),
            "{printed:?}"
        );
    }
    let (_, printed) = verb(&gateway, &["user", "show", evil]).await;
    assert!(printed.contains("\\u{202e}") && !printed.contains('\u{202e}'), "{printed:?}");
    let (_, exact) = verb(&gateway, &["--json", "session", "list", "ann@a.kr"]).await;
    let exact: Value = serde_json::from_str(&exact).unwrap();
    assert_eq!(exact[0]["agent"], evil);
}
