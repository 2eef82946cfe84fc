//! Accounts that come with the hashes of another product, and what becomes of those.

use serde_json::{Value, json};

use crate::harness::process::munjigi;
use crate::harness::{Backing, Client, Gateway, Reply, Setup, Version, request};
use crate::redis::RedisServer;

const PASSWORD: &str = "correct horse";
/// `printf 'correct horse' | sha256sum`
const SHA256: &str = "4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631";
const BCRYPT: &str = "$2b$04$xtDYl31Wtd8.g6Il7m8p.umyUEfAqlEt9W5UlsGwaoWtF7a001aDG";
/// Each of [`PASSWORD`].
const HASHES: [(&str, &str); 6] = [
    ("bcrypt", BCRYPT),
    (
        "argon2",
        "$argon2id$v=19$m=64,t=2,p=1$Vx01LbRXaldPtILXDt7xYA$kWaxUooYfVn9wuYEtd/m3jh6enqM6ODGjugjNwtU/pg",
    ),
    (
        "scrypt",
        "$scrypt$ln=10,r=8,p=1$3BvD+P//f08JIQTg3Ntbyw$cLD3QRMD2YTzpd10CO5F2X5Any7D2c5l2JZdmNhwhF8",
    ),
    (
        "pbkdf2",
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M",
    ),
    (
        "django",
        "pbkdf2_sha256$1000$seasalt1234567890abcde$WRCDrV/lUfwiwZ6E4g0pAfVZ/NbQbI7F/emyw9mTLBM=",
    ),
    ("spring", "{bcrypt}$2a$10$gf89UoMzdjQdOfOobpdUDuhsoIcQ9Hy35QWRDONUadbzaX3t.yHNu"),
];

/// A CSV file with the account `NAME@example.com` for each of [`HASHES`].
fn hashes_as_csv() -> String {
    let lines = HASHES.map(|(name, hash)| format!("{name}@example.com,\"{hash}\"\n"));
    format!("email,password_hash\n{}", lines.concat())
}

/// Runs `user import`; gives its exit status, its summary and what it says of lines.
async fn import(gateway: &Gateway, arguments: &[&str], text: &str) -> (Option<i32>, Value, String) {
    let verb = [&["--json", "user", "import", "-"], arguments].concat();
    let output = munjigi(&gateway.file(), &verb, text).await;
    let faults = String::from_utf8(output.stderr).unwrap();
    let summary = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), summary, faults)
}

fn summary(rows: u64, imported: u64, skipped: u64, failed: u64) -> Value {
    json!({
        "rows": rows, "imported": imported, "skipped": skipped, "failed": failed, "dry_run": false,
    })
}

async fn export(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = gateway.munjigi(&[&["user", "export"], arguments].concat()).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The verifier that `export --with-hashes` shows of an account.
async fn verifier(gateway: &Gateway, email: &str) -> String {
    let exported = export(gateway, &["--with-hashes"]).await;
    let mut accounts = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let account = accounts.find(|account| account["email"] == email).expect(email);
    account["verifier"].as_str().unwrap_or_default().to_owned()
}

async fn login(client: &mut Client, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password }).to_string();
    request("POST", "/auth/login").json(&body).send(client).await
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_hashes_log_in_and_become_ours() {
    let redis = RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let gateway = Gateway::start(Setup { backing, ..Setup::default() }).await;
        let done = import(&gateway, &["--format", "csv"], &hashes_as_csv()).await;
        assert_eq!(done, (Some(0), summary(6, 6, 0, 0), String::new()));
        let mut client = gateway.client(Version::H1).await;
        for (name, _) in HASHES {
            let email = format!("{name}@example.com");
            assert!(verifier(&gateway, &email).await.starts_with("imported:"), "{name}");
            assert_eq!(login(&mut client, &email, "wrong horse").await.status, 401, "{name}");
            assert!(verifier(&gateway, &email).await.starts_with("imported:"), "{name}");

            let reply = login(&mut client, &email, PASSWORD).await;

            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            let renewed = verifier(&gateway, &email).await;
            assert!(renewed.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{name}: {renewed}");
            assert_eq!(login(&mut client, &email, "wrong horse").await.status, 401, "{name}");
            assert_eq!(login(&mut client, &email, PASSWORD).await.status, 200, "{name}");
            assert_eq!(verifier(&gateway, &email).await, renewed, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_a_password_is_worth_nothing_until_a_plain_login() {
    let gateway = Gateway::start(Setup::contract("zdm")).await;
    let csv = format!("email,password_hash\nyou@example.com,{BCRYPT}\n");
    assert_eq!(import(&gateway, &["--format", "csv"], &csv).await.0, Some(0));
    let mut client = gateway.client(Version::H1).await;
    let mut rows = Vec::new();
    for password in [SHA256, PASSWORD, SHA256] {
        let body = json!({ "email": "you@example.com", "password": password }).to_string();
        let path = "/api/v1/auth/issue";
        rows.push(request("POST", path).json(&body).send(&mut client).await.status.as_u16());
    }

    assert_eq!(rows, [404, 201, 201]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_at_fault_is_named_and_the_others_are_imported() {
    let gateway = Gateway::start(Setup::default()).await;
    gateway.add_user(&["--email", "old@example.com"], PASSWORD).await;
    let text = format!(
        "email,username,password_hash,roles,enabled,attributes,created_at\n\
         ann@example.com,ann,\"{BCRYPT}\",editor; user,true,\"{{\"\"phone\"\": \"\"+82\"\"}}\",2024-02-03T04:05:06Z\n\
         no-address,,{BCRYPT},,,,\n\
         md5@example.com,,5f4dcc3b5aa765d61d8327deb882cf99,,,,\n\
         costly@example.com,,{},,,,\n\
         short@example.com\n\
         old@example.com,,{BCRYPT},,,,\n\
         ,off,{BCRYPT},,f,,\n\
         \n\
         bad@example.com,,,,perhaps,,\n",
        BCRYPT.replace("$04$", "$31$")
    );

    let (code, dry, _) = import(&gateway, &["--format", "csv", "--dry-run"], &text).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        (&dry["imported"], &dry["failed"], &dry["dry_run"]),
        (&json!(2), &json!(6), &json!(true))
    );
    assert_eq!(export(&gateway, &[]).await.lines().count(), 1, "a dry run changes nothing");

    let (code, done, faults) = import(&gateway, &["--format", "csv"], &text).await;

    assert_eq!((code, done), (Some(1), summary(8, 2, 0, 6)), "{faults}");
    for part in [
        "line 3: email: not an email address",
        "line 4: password_hash: plain text and fast hashes",
        "line 5: password_hash: it costs too much to check",
        "line 6: ",
        "line 10: enabled: expected true or false",
    ] {
        assert!(faults.contains(part), "{part} is missing:\n{faults}");
    }
    assert!(!faults.contains("$2b$") && !faults.contains("5f4dcc"), "{faults}");
    let exported = export(&gateway, &[]).await;
    let accounts: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        accounts[1],
        json!({
            "id": accounts[1]["id"], "email": "ann@example.com", "username": "ann",
            "roles": ["editor", "user"], "permissions": [], "email_verified": false,
            "enabled": true, "attributes": { "phone": "+82" }, "created_at": "2024-02-03T04:05:06Z",
        })
    );
    assert_eq!((&accounts[2]["username"], &accounts[2]["enabled"]), (&json!("off"), &json!(false)));
    let (code, again, _) = import(&gateway, &["--format", "csv"], &text).await;
    assert_eq!((code, again), (Some(1), summary(8, 0, 0, 8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lines_of_one_account_are_both_named() {
    let gateway = Gateway::start(Setup::default()).await;
    let text = "email,username\nAnn@a.kr,ann\nbob@a.kr,bob\nann@A.kr,\n,ＢＯＢ\n";
    for (flags, expected) in [
        (&["--dry-run"][..], (Some(1), 2, 0, 2)),
        (&["--dry-run", "--skip-existing"], (Some(0), 2, 2, 0)),
        (&[], (Some(1), 2, 0, 2)),
        (&["--skip-existing"], (Some(0), 0, 4, 0)),
    ] {
        let arguments = [&["--format", "csv"], flags].concat();
        let (code, done, faults) = import(&gateway, &arguments, text).await;

        let count = |kind: &str| done[kind].as_u64().unwrap();
        let found = (code, count("imported"), count("skipped"), count("failed"));
        assert_eq!(found, expected, "{flags:?}: {faults}");
        for line in ["line 4: line 2 has this", "line 5: line 3 has this"] {
            assert_eq!(faults.contains(line), code == Some(1), "{flags:?}: {faults}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_exported_is_imported_as_the_same() {
    let from = Gateway::start(Setup::default()).await;
    import(&from, &["--format", "csv"], &hashes_as_csv()).await;
    from.add_user(&["--username", "own", "--role", "admin", "--permission", "SMS"], PASSWORD).await;
    let off = "{\"username\": \"off\", \"enabled\": false, \"attributes\": {\"a\": [1]}}\n";
    assert_eq!(import(&from, &["--format", "jsonl"], off).await.0, Some(0));
    for format in ["jsonl", "csv"] {
        let arguments = ["--format", format, "--with-hashes"];
        let exported = export(&from, &arguments).await;
        let to = Gateway::start(Setup::default()).await;

        let done = import(&to, &["--format", format], &exported).await;

        assert_eq!(done, (Some(0), summary(8, 8, 0, 0), String::new()), "{format}");
        assert_eq!(export(&to, &arguments).await, exported, "{format}");
        let mut client = to.client(Version::H1).await;
        let body = json!({ "username": "own", "password": PASSWORD }).to_string();
        let reply = request("POST", "/auth/login").json(&body).send(&mut client).await;
        assert_eq!(reply.status, 200, "{format}: {}", reply.text());
        assert_eq!(
            login(&mut client, "django@example.com", PASSWORD).await.status,
            200,
            "{format}"
        );
    }
    assert!(!export(&from, &[]).await.contains("$argon2"), "hashes only on request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_none_of_accounts_is_refused() {
    let gateway = Gateway::start(Setup::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.csv");
    std::fs::write(&file, "email,pasword_hash\nyou@example.com,x\n").unwrap();
    let missing = folder.path().join("none.csv");
    let rows = [
        (file.to_str().unwrap(), "did you mean `password_hash`?"),
        (missing.to_str().unwrap(), "none.csv"),
        ("-", "--format"),
    ];
    for (file, expected) in rows {
        let output = gateway.munjigi(&["user", "import", file]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(export(&gateway, &[]).await, "");
}
