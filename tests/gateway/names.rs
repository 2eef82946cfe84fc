//! Names and passwords beyond ASCII, as phones, browsers and Macs send them.

use serde_json::{Value, json};

use crate::harness::{Client, Gateway, Reply, Setup, SmtpServer, Version, request};

const PASSWORD: &str = "correct horse 1";
/// 한 in the three letters that a Mac sends.
const NFD: &str = "\u{1112}\u{1161}\u{11AB}";

async fn post(client: &mut Client, path: &str, body: &Value) -> Reply {
    request("POST", path).json(&body.to_string()).send(client).await
}

/// Signs up by an address, or by a user name beside an address that nobody has.
async fn sign_up(client: &mut Client, member: &str, name: &str, password: &str) -> u16 {
    let mut body =
        json!({ "email": format!("{}@a.kr", uuid::Uuid::new_v4()), "password": password });
    body[member] = json!(name);
    post(client, "/auth/signup", &body).await.status.as_u16()
}

async fn login(client: &mut Client, member: &str, name: &str, password: &str) -> u16 {
    let body = json!({ member: name, "password": password });
    post(client, "/auth/login", &body).await.status.as_u16()
}

async fn verb(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.munjigi(arguments).await;
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_when_it_is_folded_makes_no_unreadable_account() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    let grows = |letter: &str, count| format!("{}@example.com", letter.repeat(count));
    for (member, name, status) in [
        ("email", "user@İstanbul.com".to_owned(), 201),
        ("email", grows("Ⱥ", 20), 201),
        ("email", grows("İ", 22), 400),
        ("email", grows("Ⱥ", 30), 400),
        ("email", format!("a@{}.com", "Ⱥ".repeat(60)), 400),
        ("username", "İ".repeat(32), 201),
        ("username", "İ".repeat(33), 400),
    ] {
        assert_eq!(sign_up(&mut client, member, &name, PASSWORD).await, status, "{name}");
        let expected = if status == 201 { 200 } else { 401 };
        assert_eq!(login(&mut client, member, &name, PASSWORD).await, expected, "{name}");
    }
    let file = gateway.folder.path().join("users.csv");
    std::fs::write(&file, format!("username\n{}\n", "İ".repeat(64))).unwrap();
    let (code, printed) = verb(&gateway, &["user", "import", file.to_str().unwrap()]).await;
    assert_eq!((code, printed.contains("not a user name")), (Some(1), true), "{printed}");
    for arguments in [&["user", "list"][..], &["user", "export"], &["store", "check"]] {
        let (code, printed) = verb(&gateway, arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_one_name_however_it_is_typed() {
    let smtp = SmtpServer::start(&[]);
    let tables = format!("[mail]\nurl = \"smtp://127.0.0.1:{}\"\n", smtp.port);
    let gateway = Gateway::start(Setup { tables, ..Setup::default() }).await;
    let mut client = gateway.client(Version::H2).await;
    let (nfc, nfd) = ("비밀 카페 열쇠 한", format!("비밀\u{3000}카페\u{A0}열쇠 {NFD}"));
    let idn = "user@도메인.한국";
    let puny = "user@xn--hq1bm8jm9l.xn--3e0b707e";

    assert_eq!(sign_up(&mut client, "username", "한 Lee", nfc).await, 201);
    assert_eq!(sign_up(&mut client, "email", idn, &nfd).await, 201);
    for (member, name) in [
        ("username", format!("{NFD} LEE")),
        ("email", puny.to_owned()),
        ("email", puny.to_uppercase()),
    ] {
        assert_eq!(sign_up(&mut client, member, &name, PASSWORD).await, 409, "{name}");
    }
    for c in "\u{200B}\u{FEFF}\u{202E}\u{2066}\u{9B}\u{1B}\u{AD}".chars() {
        for (member, name) in [("username", format!("a{c}b")), ("email", format!("a{c}@b.kr"))] {
            assert_eq!(sign_up(&mut client, member, &name, PASSWORD).await, 400, "{name:?}");
        }
    }
    for (member, name, password) in [
        ("username", "한 lee", nfc),
        ("username", &format!("{NFD} Lee"), nfd.as_str()),
        ("email", idn, nfc),
        ("email", puny, nfd.as_str()),
    ] {
        assert_eq!(login(&mut client, member, name, password).await, 200, "{name} {password}");
    }
    let reset = post(&mut client, "/auth/password/reset", &json!({ "email": idn })).await;
    assert!(reset.status.is_success(), "{}", reset.text());
    assert_eq!(smtp.mail().await["recipients"], json!([puny]));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_older_rules_keep_working_and_are_told() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    for (member, name) in [("username", "one"), ("username", "two"), ("email", "three@a.kr")] {
        assert_eq!(sign_up(&mut client, member, name, PASSWORD).await, 201);
    }
    // As a version before the rule had stored them, with the digest of the password as typed.
    let database = rusqlite::Connection::open(gateway.folder.path().join("munjigi.db")).unwrap();
    for (id, column, name) in
        [(1, "username", NFD), (2, "username", "a\u{200B}b"), (3, "email", "three@도메인.한국")]
    {
        let update = format!("UPDATE users SET {column} = ?2 WHERE id = ?1");
        database.execute(&update, rusqlite::params![id, name]).unwrap();
    }
    database
        .execute("INSERT INTO users (realm, email, username, verifier, roles, permissions, created_at)
                  SELECT realm, 'three@xn--hq1bm8jm9l.xn--3e0b707e', '한', verifier, roles, permissions, 0
                  FROM users WHERE id = 1", [])
        .unwrap();

    for (member, name) in [
        ("username", NFD),
        ("username", "한"),
        ("username", "A\u{200B}b"),
        ("email", "three@도메인.한국"),
    ] {
        assert_eq!(login(&mut client, member, name, PASSWORD).await, 200, "{name}");
    }
    let (code, printed) = verb(&gateway, &["store", "check"]).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("accounts 1, 4 of realm default share the name 한"), "{printed}");
    assert!(
        printed.contains("accounts 3, 4 of realm default share the name three@xn--"),
        "{printed}"
    );
}
