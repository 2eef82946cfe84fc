//! `munjigi revoke key`, `site` and `import`, beside gateways that run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use munjigi::config;
use munjigi::operation::RevocationKey;
use serde_json::{Value, json};

use crate::harness::process::munjigi;
use crate::harness::{
    Backing, Client, Gateway, Process, Setup, Upstream, Version, eventually, request,
};
use crate::redis::RedisServer;

const ACCOUNT: &str = r#"{"email": "you@example.com", "password": "correct horse 1"}"#;
const SECRET: &str = "q3Zr7Vt1xK9mPz2LcN8bYw5HsJ4dGf6A";
const OTHER: &str = "0bWm2QxT7uYc4RzKpN6sLd8VhF3gJe9A";

struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }

    fn claim(&self, name: &str) -> String {
        self.part(1)[name].as_str().unwrap().to_owned()
    }

    fn kid(&self) -> String {
        self.part(0)["kid"].as_str().unwrap().to_owned()
    }

    fn part(&self, number: usize) -> Value {
        use base64::Engine;
        let part = self.access.split('.').nth(number).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

async fn sign_up(client: &mut Client) {
    assert_eq!(request("POST", "/auth/signup").json(ACCOUNT).send(client).await.status, 201);
}

async fn try_login(client: &mut Client) -> (u16, Tokens) {
    let reply = request("POST", "/auth/login").json(ACCOUNT).send(client).await;
    (reply.status.as_u16(), Tokens::of(&reply.json()))
}

async fn login(client: &mut Client) -> Tokens {
    let (status, tokens) = try_login(client).await;
    assert_eq!(status, 200);
    tokens
}

async fn refresh(client: &mut Client, tokens: &Tokens) -> (u16, Tokens) {
    let body = json!({ "refresh_token": tokens.refresh }).to_string();
    let reply = request("POST", "/auth/refresh").json(&body).send(client).await;
    (reply.status.as_u16(), Tokens::of(&reply.json()))
}

async fn status(client: &mut Client, tokens: &Tokens) -> u16 {
    request("GET", "/api/hello").bearer(&tokens.access).send(client).await.status.as_u16()
}

async fn refused(client: &mut Client, tokens: &Tokens) {
    eventually("the token is refused", async || {
        (status(client, tokens).await == 401).then_some(())
    })
    .await;
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_key_is_refused_for_good_and_logins_go_on() {
    let redis = RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let setup = Setup { backing, ..Setup::default() };
        let gateway = Gateway::start(setup.clone()).await;
        let mut client = gateway.client(Version::H1).await;
        sign_up(&mut client).await;
        let old = login(&mut client).await;
        let kid = old.kid();

        let nobodys = gateway.munjigi(&["revoke", "key", "nobodys", "--reason", "x"]).await;
        assert_eq!(nobodys.status.code(), Some(1));
        assert!(text(&nobodys).contains(&kid), "it names those that there are: {}", text(&nobodys));
        assert_eq!(status(&mut client, &old).await, 200, "nothing was revoked");
        let verb = ["--json", "revoke", "key", kid.as_str(), "--reason", "leaked"];
        let first = done(&gateway.munjigi(&verb).await);
        let made = first["signs"].as_str().unwrap().to_owned();

        assert_ne!(made, kid);
        refused(&mut client, &old).await;
        let new = eventually("a login is good again", async || {
            let (status, tokens) = try_login(&mut client).await;
            assert!([200, 503].contains(&status), "{status}");
            (status == 200).then_some(tokens)
        })
        .await;
        assert_eq!(new.kid(), made);
        assert_eq!(status(&mut client, &new).await, 200);
        let (answer, refreshed) = refresh(&mut client, &old).await;
        assert_eq!(answer, 200, "the session goes on");
        assert_eq!(refreshed.kid(), made);
        let jwks = request("GET", "/.well-known/jwks.json").send(&mut client).await.json();
        let kids: Vec<_> = jwks["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
        assert_eq!(kids, [made.as_str()]);

        let again = done(&gateway.munjigi(&verb).await);
        assert_eq!(again["signs"], made, "a second time changes nothing");
        assert_eq!(status(&mut client, &new).await, 200);
        let (folder, upstream) = (Arc::clone(&gateway.folder), Upstream::start().await);
        gateway.stop().await;
        let gateway = Gateway::start_in(folder, &setup.text(&upstream), upstream).await;
        let mut client = gateway.client(Version::H1).await;
        assert_eq!(status(&mut client, &old).await, 401, "nor does a restart bring it back");
        assert_eq!(status(&mut client, &new).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_go_on_with_one_new_key() {
    let redis = RedisServer::start().await;
    let setup = Setup { backing: Backing::Redis(redis.url()), ..Setup::default() };
    let (a, b) = (Gateway::start(setup.clone()).await, Gateway::start(setup).await);
    let (mut at_a, mut at_b) = (a.client(Version::H1).await, b.client(Version::H1).await);
    sign_up(&mut at_a).await;
    let old = login(&mut at_a).await;

    let kid = old.kid();
    let verb = ["revoke", "key", kid.as_str(), "--reason", "leaked"];
    let (output, ()) = tokio::join!(a.munjigi(&verb), both_sign_anew([&a, &b]));
    assert!(output.status.success(), "{}", text(&output));

    refused(&mut at_a, &old).await;
    refused(&mut at_b, &old).await;
    let (of_a, of_b) = (login(&mut at_a).await, login(&mut at_b).await);
    assert_eq!(of_a.kid(), of_b.kid());
    assert_eq!((status(&mut at_b, &of_a).await, status(&mut at_a, &of_b).await), (200, 200));
}

/// Waits until both sign with another key than now; none may before the other knows the key.
async fn both_sign_anew(gateways: [&Gateway; 2]) {
    let tokens = |gateway: &Gateway| {
        let snapshot = gateway.app().gateway().snapshot.load_full();
        Arc::clone(&snapshot.parts()[0].auth.tokens)
    };
    let old = tokens(gateways[0]).signing_key();
    let anew = |gateway: &Gateway| tokens(gateway).signing_key().filter(|key| Some(*key) != old);
    let knows = |gateway: &Gateway, key| {
        let (tokens, jwks) = (tokens(gateway), tokens(gateway).jwks());
        let kids = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap());
        kids.map(|kid| RevocationKey::of_key(&tokens.policy().issuer, kid))
            .any(|known| known == key)
    };
    eventually("both sign with a new key", async || {
        for (signs, other) in [(gateways[0], gateways[1]), (gateways[1], gateways[0])] {
            assert!(anew(signs).is_none_or(|key| knows(other, key)), "signed too early");
        }
        gateways.iter().all(|gateway| anew(gateway).is_some()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens_that_a_revoked_key_signed_are_refused() {
    let gateway = Gateway::start(Setup::contract("fame")).await;
    gateway.add_user(&["--email", "you@example.com"], "correct horse 1").await;
    let issued = gateway.munjigi(&["token", "issue", "--user", "you@example.com"]).await;
    let token = String::from_utf8(issued.stdout).unwrap().trim().to_owned();
    let tokens = Tokens { access: token, refresh: String::new() };
    let snapshot = gateway.app().gateway().snapshot.load_full();
    let auth = &snapshot.parts()[0].auth;
    let session = munjigi::operation::SessionId(uuid::Uuid::new_v4());
    let now = munjigi::clock::Now::read().wall;
    let user = munjigi::operation::UserId(1);
    let signed = auth.tokens.issue_refresh(user, session, now).unwrap().unwrap();
    auth.tokens.verify_refresh(signed.text.expose(), now).unwrap();

    let output = gateway.munjigi(&["revoke", "key", &tokens.kid(), "--reason", "leaked"]).await;
    assert!(output.status.success(), "{}", text(&output));

    eventually("the signed refresh token is refused", async || {
        let snapshot = gateway.app().gateway().snapshot.load_full();
        snapshot.parts()[0].auth.tokens.verify_refresh(signed.text.expose(), now).err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_own_key_waits_to_be_replaced() {
    let keys = |items: &str| {
        format!("[site.\"localhost\".tokens]\nalgorithm = \"HS256\"\nkeys = [{items}]\n")
    };
    let item = |kid: &str, secret: &str| {
        format!("{{ kid = \"{kid}\", algorithm = \"HS256\", secret = \"{secret}\" }},")
    };
    let (old_item, new_item) = (item("old", SECRET), item("new", OTHER));
    let setup = Setup { tables: keys(&old_item), ..Setup::default() };
    let gateway = Gateway::start(setup.clone()).await;
    let mut client = gateway.client(Version::H1).await;
    sign_up(&mut client).await;
    let old = login(&mut client).await;

    let output = gateway.munjigi(&["revoke", "key", "old", "--reason", "leaked"]).await;

    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("keys"), "it says what to do: {}", text(&output));
    refused(&mut client, &old).await;
    assert_eq!(try_login(&mut client).await.0, 503, "nothing is issued under a revoked key");
    assert!(gateway.munjigi(&["user", "list"]).await.status.success(), "verbs work");
    let with_new = Setup { tables: keys(&[new_item, old_item].concat()), ..setup };
    std::fs::write(gateway.file(), with_new.text(&gateway.upstream)).unwrap();
    gateway.app().reload(config::load(&gateway.file()).unwrap()).await.unwrap();
    let new = login(&mut client).await;
    assert_eq!((new.kid(), status(&mut client, &new).await), ("new".to_owned(), 200));
    assert_eq!(status(&mut client, &old).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_site_logs_everybody_out() {
    let redis = RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let gateway = Gateway::start(Setup { backing, ..Setup::default() }).await;
        let mut client = gateway.client(Version::H1).await;
        sign_up(&mut client).await;
        let (one, other) = (login(&mut client).await, login(&mut client).await);

        let missing = gateway.munjigi(&["revoke", "site", "localhost"]).await;
        assert_eq!(missing.status.code(), Some(2), "a reason is wanted");
        let verb = ["--json", "revoke", "site", "localhost", "--reason", "incident 7"];
        let answer = done(&gateway.munjigi(&verb).await);

        assert_eq!(answer, json!({ "revoked": "site", "name": "localhost", "sessions": 2 }));
        for tokens in [&one, &other] {
            refused(&mut client, tokens).await;
            assert_eq!(refresh(&mut client, tokens).await.0, 400);
        }
        let new = login(&mut client).await;
        eventually("a new login opens the site", async || {
            (status(&mut client, &new).await == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_token_ids_is_revoked_whole_or_not_at_all() {
    let redis = RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let gateway = Gateway::start(Setup { backing, ..Setup::default() }).await;
        let mut client = gateway.client(Version::H1).await;
        sign_up(&mut client).await;
        let (one, other, spared) =
            (login(&mut client).await, login(&mut client).await, login(&mut client).await);
        let file = gateway.folder.path().join("ids.txt");
        let path = file.to_str().unwrap();
        let import = async |until: &str| {
            gateway.munjigi(&["revoke", "import", path, "--until", until]).await
        };
        let ids = format!("# stolen\n{}\n\n{0}\n{}\n", one.claim("jti"), other.claim("jti"));

        std::fs::write(&file, format!("{ids}two words\n")).unwrap();
        let bad = import("12h").await;
        assert_eq!(bad.status.code(), Some(1));
        assert!(text(&bad).contains("line 6") && text(&bad).contains("nothing"), "{}", text(&bad));
        assert_eq!(status(&mut client, &one).await, 200, "nothing was revoked");
        std::fs::write(&file, &ids).unwrap();
        for (until, code, said) in
            [("1999-01-01T00:00:00Z", 1, "has passed"), ("soon", 2, "such as 12h")]
        {
            let output = import(until).await;
            assert_eq!(output.status.code(), Some(code), "{until}");
            assert!(text(&output).contains(said), "{}", text(&output));
        }
        let good = import("12h").await;
        assert!(text(&good).contains("revoked 3 tokens until 2"), "{}", text(&good));

        refused(&mut client, &one).await;
        refused(&mut client, &other).await;
        assert_eq!(status(&mut client, &spared).await, 200);
        let stream = format!("{}\nbad line\n", spared.claim("jti"));
        let verb = ["revoke", "import", "-", "--until", "9999-01-01T00:00:00Z"];
        let output = munjigi(&gateway.file(), &verb, &stream).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains("1 tokens were revoked"), "{}", text(&output));
        assert!(text(&output).contains("line 2"), "{}", text(&output));
        refused(&mut client, &spared).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_token_ids_reach_a_running_gateway() {
    let gateway = Gateway::start(Setup::default()).await;
    let mut client = gateway.client(Version::H1).await;
    sign_up(&mut client).await;
    let (first, last) = (login(&mut client).await, login(&mut client).await);
    let others: String = (0..10_000).map(|number| format!("id-{number}\n")).collect();
    let ids = format!("{}\n{others}{}\n", first.claim("jti"), last.claim("jti"));

    let verb = ["--json", "revoke", "import", "-", "--until", "1h"];
    let output = munjigi(&gateway.file(), &verb, &ids).await;

    assert_eq!(done(&output)["revoked"], 10_002);
    refused(&mut client, &first).await;
    refused(&mut client, &last).await;
    eventually("all are in the list", async || {
        (gateway.app().gateway().auth.revocations.len() == 10_002).then_some(())
    })
    .await;
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn security_events_are_lines_of_the_audit_file() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("munjigi.toml");
    let tables = "[log]\naudit = \"file:audit.jsonl\"\n".to_owned();
    std::fs::write(&file, Setup { tables, ..Setup::default() }.text(&upstream)).unwrap();
    let process = Process::run(&file).await;
    let ca = crate::harness::gateway::trust(&folder.path().join("certs/dev/ca.pem"));
    let mut client = Client::connect(process.address, &ca, Version::H1).await;

    sign_up(&mut client).await;
    let tokens = login(&mut client).await;
    let wrong = ACCOUNT.replace("horse", "house");
    assert_eq!(request("POST", "/auth/login").json(&wrong).send(&mut client).await.status, 401);
    let nobody = wrong.replace("you@", "me@");
    assert_eq!(request("POST", "/auth/login").json(&nobody).send(&mut client).await.status, 401);
    let (_, newer) = refresh(&mut client, &tokens).await;
    let logout = request("POST", "/auth/logout").bearer(&newer.access);
    assert_eq!(logout.send(&mut client).await.status, 200);
    let kid = tokens.kid();
    let verb = ["revoke", "key", kid.as_str(), "--reason", "a \"quoted\" reason"];
    let output = munjigi(&file, &verb, "").await;
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
    let audit = folder.path().join("audit.jsonl");
    let is_told = |event: &Value| event["event"] == "revocation";
    eventually("it is told", async || lines(&audit).iter().any(is_told).then_some(())).await;
    process.signal("TERM").await;
    process.wait().await;

    let events = lines(&audit);
    let told = |name: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["event"] == name).collect()
    };
    assert_eq!(told("sign_up")[0]["result"], "success");
    assert_eq!(told("sign_up")[0]["user"], "1");
    let logins = told("login");
    let results: Vec<_> = logins.iter().map(|event| (&event["result"], &event["user"])).collect();
    let (good, bad, one) = (json!("success"), json!("invalid_credentials"), json!("1"));
    assert_eq!(results, [(&good, &one), (&bad, &one), (&bad, &Value::Null)]);
    assert_eq!(logins[0]["session"], tokens.claim("sid"));
    assert_eq!(logins[1]["reason"], "wrong password");
    assert_eq!(logins[1]["address"], "127.0.0.1");
    assert!(!logins[1]["request"].as_str().unwrap().is_empty());
    assert_eq!(told("logout")[0]["session"], tokens.claim("sid"));
    assert_eq!(told("refresh"), Vec::<&Value>::new());
    let revoked = told("revocation");
    assert_eq!((&revoked[0]["kind"], &revoked[0]["name"]), (&json!("key"), &json!(kid)));
    assert_eq!(revoked[0]["reason"], "a \"quoted\" reason");
    assert!(!revoked[0]["by"].as_str().unwrap().is_empty());
    assert_eq!(told("key_made").len(), 2, "the first, and the new one: {events:?}");
    for event in &events {
        assert!(event["at"].as_str().unwrap().ends_with('Z'), "{event}");
    }
    let mode = std::fs::metadata(&audit).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = std::fs::read_to_string(&audit).unwrap();
    for secret in ["correct", "house", tokens.access.as_str(), tokens.refresh.as_str(), "me@"] {
        assert!(!written.contains(secret), "{secret}: {written}");
    }
}
