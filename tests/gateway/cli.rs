//! The command line from outside: what it prints, and how it exits.

use std::path::Path;

use crate::harness::process::munjigi;
use crate::harness::{Gateway, Setup, Version, request};
use crate::redis::RedisServer;

async fn check(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    check_in(folder.path(), text, &["check"]).await
}

async fn check_in(folder: &Path, text: &str, words: &[&str]) -> (Option<i32>, String) {
    let file = folder.join("munjigi.toml");
    std::fs::write(&file, text).unwrap();
    let output = munjigi(&file, words, "").await;
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_everything_at_once_and_exits_78() {
    let (code, printed) = check(
        "[server]\nlisten = [\"127.0.0.1:8443\"]\nshutdown_grase = \"5s\"\n\
         [upstream.orders]\ntargets = [\"http://127.0.0.1:3000\"]\n\
         [site.\"localhost\"]\ncontract = \"zmd\"\n\
         routes = [{ path = \"/*\", upstream = \"order\" }]\n\
         [site.\"localhost\".tokens]\naccess_tl = \"15m\"\n",
    )
    .await;

    assert_eq!(code, Some(78), "{printed}");
    for part in [
        "shutdown_grase",
        "shutdown_grace",
        "munjigi.toml:3",
        "no contract is named `zmd`",
        "names an upstream that does not exist",
        "orders",
        "access_tl",
        "access_ttl",
    ] {
        assert!(printed.contains(part), "{part} is missing:\n{printed}");
    }
}

const SITE: &str = "[site.\"localhost\"]\ncontract = \"zdm\"\n\
                    routes = [{ path = \"/*\", upstream = \"http://127.0.0.1:1\" }]\n";

#[tokio::test(flavor = "multi_thread")]
async fn check_deep_looks_at_the_file_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let deep = ["check", "--deep"];

    let (code, printed) = check_in(folder.path(), SITE, &deep).await;
    assert_eq!(code, Some(0), "{printed}");
    for part in ["munjigi.db  a start makes it", "fsync  at most"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let (_, printed) = check_in(folder.path(), SITE, &["check", "--deep", "--json"]).await;
    assert!(printed.contains("\"warnings\": []"), "{printed}");
    std::fs::write(folder.path().join("munjigi.db"), "nothing that SQLite has written").unwrap();
    let (code, printed) = check_in(folder.path(), SITE, &deep).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("not a database"), "{printed}");
    let (code, printed) = check_in(folder.path(), SITE, &["check"]).await;
    assert_eq!(code, Some(0), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_seldom_meant_and_exits_0() {
    let (code, printed) = check(&format!("{SITE}[social.google]\n")).await;

    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("\n! [social.google] names no application"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_deep_looks_at_redis_and_refuses_what_a_start_would() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start_with("redis", &["--maxmemory-policy", "allkeys-lru"]).await;
    let text = format!("[store]\nurl = \"{}\"\n{SITE}", server.url());
    let deep = ["check", "--deep"];

    let (code, printed) = check_in(folder.path(), &text, &deep).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("allkeys-lru") && printed.contains("noeviction"), "{printed}");

    server.ask::<()>("CONFIG SET maxmemory-policy noeviction").await;
    let (code, printed) = check_in(folder.path(), &text, &deep).await;
    assert_eq!(code, Some(0), "{printed}");
    for part in ["✓ Redis  one server", "maxmemory-policy noeviction", "! it keeps no append-only"]
    {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

/// A fault that shows only when a value is used is reported as one that shows when it is read.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_run_refuse_a_configuration_alike_whoever_finds_the_fault() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mails")).unwrap();
    std::fs::write(folder.path().join("mails/reset_code.en.txt"), "{% if %}").unwrap();
    let secret = "042f33cc236d9ae64df94b7c96d030c97dee06b32c257cd5ce77adec23ec5805";
    let key = format!("{{ kid = \"a\", algorithm = \"HS256\", secret = \"{secret}\" }}");
    let tokens = format!("[site.\"localhost\".tokens]\nalgorithm = \"ES256\"\nkeys = [{key}]");
    let at = |url: &str| format!("[upstream.a]\ntargets = [\"{url}\"]\n");
    let rows = [
        ("a slip in an address", at("https://1270.0.1:3000"), 9),
        ("an upstream's CA", at("https://a.example") + "tls = { ca = \"no.pem\" }", 10),
        ("Argon2", "[password]\nparallelism = 64\nmemory = \"64KiB\"".to_owned(), 10),
        ("a CA for mails", "[mail]\nurl = \"smtp://a\"\nca = \"no.pem\"".to_owned(), 10),
        ("a mail's template", "[ui]\ntemplates = \"mails\"".to_owned(), 9),
        ("a CA for providers", "[social]\nca = \"no.pem\"\n[social.google]".to_owned(), 9),
        ("no key that signs", tokens, 10),
        ("a certificate", "[tls]\ncerts = [{ cert = \"a.pem\", key = \"a.pem\" }]".to_owned(), 9),
    ];
    for (name, more, line) in rows {
        let upstream = if more.contains("[upstream.a]") { "a" } else { "http://127.0.0.1:1" };
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"\"\n[site.\"localhost\"]\n\
             contract = \"standard\"\nroutes = [{{ path = \"/*\", upstream = \"{upstream}\" }}]\n\n{more}\n"
        );
        for verb in ["check", "run"] {
            let (code, printed) = check_in(folder.path(), &text, &[verb]).await;
            assert_eq!(code, Some(78), "{name}: {printed}");
            assert!(printed.contains(&format!("munjigi.toml:{line}")), "{name}, {verb}: {printed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_knows_contracts_and_routes() {
    let site = |rest: &str| format!("[site.\"localhost\"]\n{rest}\n");
    let route = "routes = [{ path = \"/*\", upstream = \"http://127.0.0.1:1\" }]";
    for (name, text, code, part) in [
        ("good", site(&format!("contract = \"zdm\"\n{route}")), 0, "1 site, 1 route, contract zdm"),
        ("no such contract", site(&format!("contract = \"zmd\"\n{route}")), 78, "zdm"),
        ("no such file", site(&format!("contract = \"./own.toml\"\n{route}")), 78, "own.toml"),
        (
            "no such certificate and no such contract",
            format!(
                "[tls]\ncerts = [{{ cert = \"no.pem\", key = \"no.key\" }}]\n{}",
                site(&format!("contract = \"zmd\"\n{route}"))
            ),
            78,
            "munjigi.toml:2:10",
        ),
        ("empty", String::new(), 78, "site"),
        ("no TOML", "[[[".to_owned(), 78, "munjigi.toml"),
    ] {
        let (exit, printed) = check(&text).await;
        assert_eq!(exit, Some(code), "{name}: {printed}");
        assert!(printed.contains(part), "{name}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_usage_configuration_and_failure_apart() {
    let missing = Path::new("/nonexistent/munjigi.toml");
    for (arguments, code) in [
        (vec!["frobnicate"], 2),
        (vec!["run", "--no-such-option"], 2),
        (vec!["explain", "GET"], 2),
        (vec!["--help"], 0),
        (vec!["--version"], 0),
        (vec!["check"], 78),
    ] {
        let output = munjigi(missing, &arguments, "").await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
    let text = "[store]\nurl = \"redis://127.0.0.1:1\"\n[site.\"localhost\"]\ncontract = \"zdm\"\n\
                routes = [{ path = \"/*\", upstream = \"http://127.0.0.1:1\" }]\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("munjigi.toml");
    std::fs::write(&file, text).unwrap();
    let output = munjigi(&file, &["user", "list"], "").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_live_their_life_by_the_command_line() {
    let gateway = Gateway::start(Setup::default()).await;
    let add = [
        "user",
        "add",
        "--email",
        "Root@Example.com",
        "--username",
        "root",
        "--role",
        "admin",
        "--permission",
        "SMS",
        "--password-stdin",
    ];
    let added = munjigi(&gateway.file(), &add, "correct horse 1\n").await;
    assert!(added.status.success(), "{added:?}");
    let twice = munjigi(&gateway.file(), &add, "correct horse 1\n").await;
    assert_eq!(twice.status.code(), Some(1));
    let short = munjigi(
        &gateway.file(),
        &["user", "add", "--email", "a@b.co", "--password-stdin"],
        "short",
    )
    .await;
    assert_eq!(short.status.code(), Some(1));

    let show = gateway.munjigi(&["--json", "user", "show", "root"]).await;
    let shown: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(shown["email"], "root@example.com");
    assert_eq!(shown["roles"], serde_json::json!(["admin"]));
    assert_eq!(shown["permissions"], serde_json::json!(["SMS"]));
    let list = gateway.munjigi(&["user", "list"]).await;
    assert!(String::from_utf8(list.stdout).unwrap().contains("root@example.com"));

    let mut client = gateway.client(Version::H1).await;
    let mut login = async |password: &str| {
        let body = format!(r#"{{"email": "root@example.com", "password": "{password}"}}"#);
        request("POST", "/auth/login").json(&body).send(&mut client).await.status.as_u16()
    };
    assert_eq!(login("correct horse 1").await, 200);
    let passwd = ["user", "passwd", "root@example.com", "--password-stdin"];
    assert!(munjigi(&gateway.file(), &passwd, "battery staple 2").await.status.success());
    assert_eq!((login("correct horse 1").await, login("battery staple 2").await), (401, 200));
    assert!(gateway.munjigi(&["user", "disable", "root"]).await.status.success());
    assert_eq!(login("battery staple 2").await, 401);
    assert!(gateway.munjigi(&["user", "enable", "root"]).await.status.success());
    assert_eq!(login("battery staple 2").await, 200);
    assert!(gateway.munjigi(&["user", "remove", "root"]).await.status.success());
    assert_eq!(login("battery staple 2").await, 401);
    assert_eq!(gateway.munjigi(&["user", "show", "root"]).await.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_site_route_rule_and_verdict() {
    let routes = "{ path = \"/public/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                  { path = \"/admin/*\", upstream = \"{upstream}\", roles = [\"admin\"] },\n\
                  { path = \"/*\", upstream = \"{upstream}\" },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    gateway.add_user(&["--email", "you@example.com"], "correct horse 1").await;
    let issued = gateway
        .munjigi(&["token", "issue", "--site", "localhost", "--user", "you@example.com"])
        .await;
    let token = String::from_utf8(issued.stdout).unwrap().trim().to_owned();
    let explain = async |path: &str, token: Option<&str>| {
        let url = format!("https://localhost{path}");
        let mut arguments = vec!["--json", "explain", "GET", &url];
        if let Some(token) = token {
            arguments.extend(["--token", token]);
        }
        let output = gateway.munjigi(&arguments).await;
        assert!(output.status.success(), "{output:?}");
        let text = gateway.munjigi(&arguments[1..]).await;
        assert!(!text.stdout.is_empty());
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };

    let none = explain("/orders/7", None).await;
    assert_eq!(none["verdict"]["status"], 401, "{none}");
    let good = explain("/orders/%37", Some(&token)).await;
    let printed = good.to_string();
    assert_eq!(good["path"], "/orders/7", "{printed}");
    assert!(printed.contains("you@example.com") && printed.contains("x-user-id"), "{printed}");
    let forbidden = explain("/admin/x", Some(&token)).await;
    assert_eq!(forbidden["verdict"]["status"], 403, "{forbidden}");
    assert!(forbidden.to_string().contains("admin"), "{forbidden}");
    let public = explain("/public/x", None).await;
    assert!(public.to_string().contains("/public/*"), "{public}");

    assert!(gateway.munjigi(&["revoke", "token", &token]).await.status.success());
    let revoked = explain("/orders/7", Some(&token)).await;
    assert_eq!(revoked["verdict"]["status"], 401, "{revoked}");
    assert!(revoked.to_string().contains("revoked"), "{revoked}");
    let inspected = gateway.munjigi(&["--json", "token", "inspect", &token]).await;
    let inspected: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["accepted"], false, "{inspected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issued_token_ends_with_its_ttl() {
    let gateway = Gateway::start(Setup::default()).await;
    gateway.add_user(&["--username", "robot"], "correct horse 1").await;
    let issue = ["token", "issue", "--site", "localhost", "--user", "robot", "--ttl", "2s"];
    let token = String::from_utf8(gateway.munjigi(&issue).await.stdout).unwrap().trim().to_owned();
    assert_eq!(token.lines().count(), 1, "the token alone: {token}");
    let mut client = gateway.client(Version::H1).await;
    assert_eq!(request("GET", "/api/x").bearer(&token).send(&mut client).await.status, 200);

    crate::harness::eventually("it expires", async || {
        let reply = request("GET", "/api/x").bearer(&token).send(&mut client).await;
        (reply.status == 401).then_some(())
    })
    .await;
}
