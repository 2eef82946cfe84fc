//! Social login against providers that speak Google's and Kakao's protocols over TLS.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use munjigi::app::reload_state::ReloadState;
use munjigi::app::{assemble, keys, stores};
use munjigi::auth::{Auth, AuthSite};
use munjigi::clock::{BootTime, Now, Timestamp};
use munjigi::config;
use munjigi::operation::{
    Caller, Command, ErrorCode, Identifier, Outcome, Password, ProblemKind, Provider, Rejection,
    TokenSet, UserView,
};
use munjigi::revocation::RevocationList;
use munjigi::secret::Secret;
use munjigi::store::{Lookup, User, UserChange};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::harness::{Double, Person, ProviderReply as Reply, Upstream};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const CLIENT: &str = "web.apps.example";
const APP: u64 = 1234;
const EMAIL: &str = "you@example.com";
const PASSWORD: &str = "correct horse";

/// One node's operations, and the providers that it asks.
struct Rig {
    auth: Auth,
    site: AuthSite,
    providers: Double,
    _folder: TempDir,
}

impl Rig {
    async fn start() -> Self {
        Self::with("", "").await
    }

    /// With more keys of `[social]`, and of the site.
    async fn with(social: &str, site: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let providers = Double::start(folder.path()).await;
        let tables = providers.tables(&format!("\"{CLIENT}\""), &APP.to_string());
        let social = format!("[social]\nca = \"ca.pem\"\n{social}\n{tables}");
        let (auth, site) = node(folder.path(), &social, site).await;
        Self { auth, site, providers, _folder: folder }
    }

    async fn run(&self, command: Command) -> Result<Outcome, Rejection> {
        run(&self.auth, &self.site, command).await
    }

    async fn login(&self, provider: Provider, token: &str) -> (UserView, TokenSet, bool) {
        match self.run(social_login(provider, token)).await {
            Ok(Outcome::TokensIssued { user, tokens, is_new_user }) => (user, tokens, is_new_user),
            other => panic!("{token}: no tokens: {other:?}"),
        }
    }

    async fn refused(&self, provider: Provider, token: &str) -> ErrorCode {
        self.run(social_login(provider, token)).await.unwrap_err().code
    }

    async fn sign_up(&self, email: &str) -> Result<Outcome, Rejection> {
        let command = Command::SignUp {
            email: Some(email.parse().unwrap()),
            username: None,
            password: password(),
            role: None,
            attributes: std::collections::BTreeMap::new(),
        };
        self.run(command).await
    }

    async fn password_login(&self) -> TokenSet {
        let login = Command::Login { identifier: EMAIL.parse().unwrap(), password: password() };
        match self.run(login).await {
            Ok(Outcome::TokensIssued { tokens, .. }) => tokens,
            other => panic!("no tokens: {other:?}"),
        }
    }

    async fn stored(&self, email: &str) -> Option<User> {
        let who = Identifier::Email(email.parse().unwrap());
        self.auth.store.find_user("default", &who, Lookup::Routine).await.unwrap()
    }

    async fn users(&self) -> Vec<User> {
        self.auth.store.list_users("default", None, 100).await.unwrap().users
    }

    async fn change(&self, user: &User, change: UserChange) {
        self.auth.store.change_user("default", user.id, change, NOW, NOW).await.unwrap().unwrap();
    }

    /// Whether the gateway would accept the access token.
    fn accepts(&self, tokens: &TokenSet) -> bool {
        let verified = self.site.tokens.verify(tokens.access_token.expose(), NOW);
        verified.is_ok_and(|found| self.auth.revocations.check(&found.revocation, NOW).is_none())
    }

    async fn refreshes(&self, tokens: &TokenSet) -> bool {
        let refresh_token = tokens.refresh_token.clone().unwrap();
        self.run(Command::Refresh {
            refresh_tokens: vec![refresh_token],
            previous_access_token: None,
        })
        .await
        .is_ok()
    }

    fn google(&self, token: &str, sub: &str, email: &str, verified: Value) {
        self.providers.knows(token, Person::google(CLIENT, sub, email, verified));
    }

    fn kakao(&self, token: &str, id: u64, account: Value) {
        self.providers.knows(token, Person::kakao(APP, id, account));
    }
}

async fn node(folder: &Path, social: &str, site: &str) -> (Auth, AuthSite) {
    let text = format!(
        "[password]\nmemory = \"64KiB\"\niterations = 1\n[login]\nrate_limit = \"off\"\n{social}\n\
         [site.\"localhost\"]\ncontract = \"standard\"\n{site}\n"
    );
    let file = folder.join("munjigi.toml");
    std::fs::write(&file, text).unwrap();
    let config = config::load(&file).unwrap_or_else(|faults| panic!("{faults}"));
    let contracts = assemble::contracts(&config).unwrap();
    let store = stores::open(&config.store).await.unwrap();
    let own_keys = keys::own_keys(store.as_ref(), NOW).await.unwrap();
    let kept = ReloadState::new(&config).unwrap();
    let settings = assemble::settings(&config, &contracts, &kept, &own_keys).unwrap();
    let sites = assemble::sites(&config, &contracts, &settings, store.as_ref(), NOW).await.unwrap();
    let revocations = Arc::new(RevocationList::new(1000));
    (Auth { store, revocations, own_keys }, sites[0].auth.clone())
}

async fn run(auth: &Auth, site: &AuthSite, command: Command) -> Result<Outcome, Rejection> {
    let caller =
        Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), agent: None, devices: Vec::new() };
    let now = Now { wall: NOW, boot: BootTime::from_millis(0) };
    auth.run(site, &caller, command, now).await
}

fn social_login(provider: Provider, token: &str) -> Command {
    Command::SocialLogin { provider, token: Secret::from(token) }
}

fn password() -> Password {
    Password { text: Secret::from(PASSWORD), may_be_hashed: false }
}

fn account(email: &str, valid: bool, verified: bool) -> Value {
    json!({
        "has_email": true, "email_needs_agreement": false, "email": email,
        "is_email_valid": valid, "is_email_verified": verified,
    })
}

/// `person` with a member of its token info replaced.
fn with_tokeninfo(mut person: Person, member: &str, value: Value) -> Person {
    let Reply::Json(_, body) = &mut person.tokeninfo else { panic!("no JSON") };
    body[member] = value;
    person
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_proves_no_user_of_ours_opens_nothing() {
    let rig = Rig::start().await;
    rig.sign_up(EMAIL).await.unwrap();
    let before = rig.users().await;
    let google = |client: &str| Person::google(client, "1", EMAIL, json!(true));
    let kakao = |app: u64| Person::kakao(app, 1, account(EMAIL, true, true));
    let refused = |status: u16| Person {
        userinfo: Reply::Json(status, json!({ "error": "no" })),
        ..google(CLIENT)
    };
    let without_email = Person {
        userinfo: Reply::Json(200, json!({ "sub": "1", "email_verified": true })),
        ..google(CLIENT)
    };
    let rows = [
        ("google, another application's", google("evil.apps.example")),
        ("google, no application's", google("")),
        ("google, asked by another", with_tokeninfo(google(CLIENT), "azp", json!("evil"))),
        ("google, of two users", with_tokeninfo(google(CLIENT), "sub", json!("2"))),
        ("google, of no user", with_tokeninfo(google(CLIENT), "sub", Value::Null)),
        ("google, unverified, known here", Person::google(CLIENT, "1", EMAIL, json!(false))),
        ("google, unverified in words", Person::google(CLIENT, "1", EMAIL, json!("false"))),
        ("google, unverified by number", Person::google(CLIENT, "1", EMAIL, json!(1))),
        ("google, verified unsaid", Person::google(CLIENT, "1", EMAIL, Value::Null)),
        ("google, unverified, unknown here", Person::google(CLIENT, "1", "a@b.co", json!(false))),
        ("google, no email", without_email),
        ("google, no address", Person::google(CLIENT, "1", "you", json!(true))),
        (
            "google, our own domain",
            Person::google(CLIENT, "1", "kakao_1@social.local", json!(true)),
        ),
        ("google, 401", refused(401)),
        ("google, 403", refused(403)),
        ("google, 400", refused(400)),
        ("kakao, another app's", kakao(4321)),
        ("kakao, of two users", with_tokeninfo(kakao(APP), "id", json!(2))),
        (
            "kakao, not linked",
            Person {
                userinfo: Reply::Json(400, json!({ "msg": "NotRegisteredUser", "code": -101 })),
                ..kakao(APP)
            },
        ),
    ];
    for (name, person) in rows {
        let provider = if name.starts_with("google") { Provider::Google } else { Provider::Kakao };
        rig.providers.knows(name.replace(' ', "-").as_str(), person);

        let code = rig.refused(provider, &name.replace(' ', "-")).await;

        assert_eq!(code, ErrorCode::InvalidProviderToken, "{name}");
    }
    for provider in Provider::ALL {
        assert_eq!(rig.refused(provider, "unknown").await, ErrorCode::InvalidProviderToken);
    }
    assert_eq!(rig.users().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_sent_nowhere() {
    let rig = Rig::start().await;
    let long = "x".repeat(5000);
    for token in ["", " ", "a b", "a\r\nX-Evil: 1", "a\0", "토큰", &long] {
        for provider in Provider::ALL {
            let code = rig.refused(provider, token).await;

            assert_eq!(code, ErrorCode::InvalidProviderToken, "{token:?}");
        }
    }
    assert_eq!(rig.providers.seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_answers_nothing_of_use_counts_as_away() {
    let rig = Rig::with("timeout = \"400ms\"", "").await;
    let google = Person::google(CLIENT, "1", EMAIL, json!(true));
    let kakao = Person::kakao(APP, 1, account(EMAIL, true, true));
    let code = |code: i64| Reply::Json(400, json!({ "msg": "trouble", "code": code }));
    let rows = [
        ("500", Reply::Json(500, json!({ "error": "backend" }))),
        ("503", Reply::Json(503, json!({ "code": -9798 }))),
        ("429", Reply::Json(429, json!({ "code": -10 }))),
        ("404", Reply::Json(404, json!({}))),
        ("204", Reply::Json(204, json!({}))),
        ("garbage", Reply::Text("<html>welcome to this hotel's network</html>")),
        ("empty", Reply::Text("")),
        ("no members", Reply::Json(200, json!({}))),
        ("other types", Reply::Json(200, json!({ "id": "x", "app_id": [], "aud": 1, "sub": 1 }))),
        ("a list", Reply::Json(200, json!([1, 2]))),
        ("huge", Reply::Huge(70_000)),
        ("cut", Reply::Cut),
        ("redirect", Reply::Redirect),
        ("silent", Reply::Silent),
        ("kakao -1", code(-1)),
        ("kakao -7", code(-7)),
        ("kakao -10", code(-10)),
    ];
    for (name, reply) in rows {
        for (provider, person) in [(Provider::Google, &google), (Provider::Kakao, &kakao)] {
            if provider == Provider::Google && name.starts_with("kakao") {
                continue;
            }
            let first = Person { tokeninfo: reply.clone(), ..person.clone() };
            let second = Person { userinfo: reply.clone(), ..person.clone() };
            for (which, person) in [("tokeninfo", first), ("userinfo", second)] {
                let token = format!("{}-{}-{which}", provider.name(), name.replace(' ', "-"));
                rig.providers.knows(&token, person);

                let code = rig.refused(provider, &token).await;

                assert_eq!(code, ErrorCode::ProviderUnavailable, "{provider:?} {token}");
                let asked = |line: &&String| line.ends_with(&format!(" {token}"));
                let seen = rig.providers.seen();
                let expected = if which == "tokeninfo" { 1 } else { 2 };
                assert_eq!(seen.iter().filter(asked).count(), expected, "nothing is asked twice");
            }
        }
    }
    assert_eq!(rig.users().await, []);
    rig.providers.knows("well", google);
    rig.login(Provider::Google, "well").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_reached_or_trusted_counts_as_away() {
    let folder = tempfile::tempdir().unwrap();
    let providers = Double::start(folder.path()).await;
    providers.knows("token", Person::google(CLIENT, "1", EMAIL, json!(true)));
    let trusted = providers.tables("\"\"", "\"\"");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plain = Upstream::start().await;
    let plain_port = plain.url().rsplit(':').next().unwrap().to_owned();
    let at = |port: &str| {
        let url = format!("https://localhost:{port}/x");
        format!("[social.google]\ntokeninfo_url = \"{url}\"\nuserinfo_url = \"{url}\"\n")
    };
    let with_ca = |tables: &str| format!("[social]\nca = \"ca.pem\"\n{tables}");
    let rows = [
        ("an authority of nobody's", format!("[social]\n{trusted}"), "UnknownIssuer"),
        ("another name", with_ca(&trusted.replace("localhost", "127.0.0.1")), "not valid for name"),
        ("nobody listens", with_ca(&at(&closed.port().to_string())), "Connection refused"),
        ("no TLS", with_ca(&at(&plain_port)), "no answer from localhost:"),
    ];
    for (name, social, why) in rows {
        let (auth, site) = node(folder.path(), &social, "").await;

        let rejection = run(&auth, &site, social_login(Provider::Google, "token")).await;

        let rejection = rejection.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::ProviderUnavailable, "{name}");
        assert!(rejection.reason.contains(why), "{name}: {rejection}");
    }
    assert_eq!(providers.seen(), Vec::<String>::new());
    assert_eq!(plain.seen(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_its_table_is_not_supported() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, site) = node(folder.path(), "", "").await;
    for provider in Provider::ALL {
        let rejection = run(&auth, &site, social_login(provider, "token")).await.unwrap_err();

        assert_eq!(rejection.code, ErrorCode::UnsupportedProvider);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_login_makes_the_account_and_the_next_finds_it() {
    let mut rig = Rig::start().await;
    rig.site.default_role = Some("user".to_owned());
    rig.google("one+/=", "1", "You@Example.com", json!(true));
    rig.google("two", "1", EMAIL, json!("true"));
    rig.kakao("three", 9, account(EMAIL, true, true));

    let (user, tokens, is_new) = rig.login(Provider::Google, "one+/=").await;
    let again = rig.login(Provider::Google, "two").await;
    let kakao = rig.login(Provider::Kakao, "three").await;

    assert!(is_new && !again.2 && !kakao.2);
    assert_eq!((user.email.as_deref(), user.email_verified), (Some(EMAIL), true));
    assert_eq!((again.0.id, kakao.0.id), (user.id, user.id), "one address, one account");
    assert!(rig.accepts(&tokens), "nothing ends where the address was proven before");
    let stored = rig.stored(EMAIL).await.unwrap();
    assert_eq!((stored.verifier, stored.roles), (None, vec!["user".to_owned()]));
    assert_eq!(stored.last_login_at, Some(NOW));
    assert_eq!(
        rig.providers.seen(),
        [
            "GET /tokeninfo one+/=",
            "GET /v1/userinfo one+/=",
            "GET /tokeninfo two",
            "GET /v1/userinfo two",
            "GET /v1/user/access_token_info three",
            "GET /v2/user/me three",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_an_account_that_nobody_proved_ends_what_was_opened_before() {
    let rig = Rig::start().await;
    rig.sign_up(EMAIL).await.unwrap();
    let strangers = rig.password_login().await;
    rig.google("token", "1", EMAIL, json!(true));
    let account = rig.stored(EMAIL).await.unwrap();

    let (user, tokens, is_new) = rig.login(Provider::Google, "token").await;

    assert_eq!((user.id, is_new), (account.id, false));
    assert!(user.email_verified && rig.stored(EMAIL).await.unwrap().email_verified);
    assert!(!rig.accepts(&strangers), "the access token of before");
    assert!(!rig.refreshes(&strangers).await, "the refresh token of before");
    assert!(rig.accepts(&tokens));
    let second = rig.login(Provider::Google, "token").await.1;
    assert!(rig.accepts(&tokens) && rig.accepts(&second), "joined once");
    assert!(rig.refreshes(&tokens).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn proven_only_joins_no_account_that_nobody_proved() {
    let rig = Rig::with("join = \"proven-only\"", "").await;
    rig.sign_up(EMAIL).await.unwrap();
    let tokens = rig.password_login().await;
    rig.google("token", "1", EMAIL, json!(true));
    rig.google("new", "2", "new@example.com", json!(true));
    let account = rig.stored(EMAIL).await.unwrap();

    let code = rig.refused(Provider::Google, "token").await;

    assert_eq!(code, ErrorCode::InvalidProviderToken);
    assert_eq!(rig.stored(EMAIL).await.unwrap(), account, "nothing changed");
    assert!(rig.accepts(&tokens) && rig.refreshes(&tokens).await);
    let email = EMAIL.parse().unwrap();
    rig.change(&account, UserChange::ProveEmail { email }).await;
    assert_eq!(rig.login(Provider::Google, "token").await.0.id, account.id);
    assert!(rig.accepts(&tokens), "nothing ends where the address was proven before");
    assert!(rig.login(Provider::Google, "new").await.2);
}

#[tokio::test(flavor = "multi_thread")]
async fn kakao_without_a_verified_address_gets_a_stable_one_of_ours() {
    let rig = Rig::start().await;
    rig.sign_up(EMAIL).await.unwrap();
    let known = rig.stored(EMAIL).await.unwrap();
    let rows = [
        ("no-account", Value::Null),
        ("no-email", json!({ "has_email": false })),
        ("null", json!({ "email": null, "is_email_valid": true, "is_email_verified": true })),
        ("unverified", account(EMAIL, true, false)),
        ("invalid", account(EMAIL, false, true)),
        ("unsaid", json!({ "email": EMAIL })),
        ("no-address", account("you", true, true)),
        ("our-own-domain", account("kakao_0@social.local", true, true)),
    ];
    let mut first = None;
    for (name, account) in rows {
        rig.kakao(name, 7, account);

        let (user, _, is_new) = rig.login(Provider::Kakao, name).await;

        let email = user.email.clone().unwrap();
        let hash = email.strip_prefix("kakao_").and_then(|rest| rest.strip_suffix("@social.local"));
        let hash = hash.unwrap_or_else(|| panic!("{email}"));
        assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{email}");
        assert_eq!((user.email_verified, is_new), (false, first.is_none()), "{name}");
        assert_eq!(
            *first.get_or_insert_with(|| (user.id, email.clone())),
            (user.id, email),
            "{name}"
        );
    }
    rig.kakao("other", 8, Value::Null);
    let other = rig.login(Provider::Kakao, "other").await.0;
    assert_ne!(Some((other.id, other.email.unwrap())), first);
    assert_eq!(rig.stored(EMAIL).await.unwrap(), known, "the unverified address joined nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_address_ends_nothing_and_is_nobodys_to_register() {
    let rig = Rig::with("join = \"proven-only\"", "").await;
    for email in ["kakao_0123@social.local", "KAKAO_0123@Social.Local", "x@social.local"] {
        let rejection = rig.sign_up(email).await.unwrap_err();

        assert_eq!(rejection.code, ErrorCode::InvalidInput, "{email}");
        let problem = rejection.problem.unwrap();
        assert_eq!((problem.field.as_str(), problem.kind), ("email", ProblemKind::Malformed));
    }
    rig.sign_up("x@notsocial.local").await.unwrap();
    rig.sign_up("x@a.social.local").await.unwrap();
    rig.kakao("token", 7, Value::Null);

    let first = rig.login(Provider::Kakao, "token").await.1;
    let second = rig.login(Provider::Kakao, "token").await.1;

    assert!(rig.accepts(&first) && rig.accepts(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_refused_as_a_bad_token_is() {
    for join in ["verified", "proven-only"] {
        let rig = Rig::with(&format!("join = \"{join}\""), "").await;
        rig.sign_up(EMAIL).await.unwrap();
        let account = rig.stored(EMAIL).await.unwrap();
        rig.change(&account, UserChange::SetEnabled(false)).await;
        rig.google("token", "1", EMAIL, json!(true));

        let rejection = rig.run(social_login(Provider::Google, "token")).await.unwrap_err();

        assert_eq!(rejection.code, ErrorCode::InvalidProviderToken, "{join}");
        assert_eq!((rejection.problem, rejection.retry_after), (None, None), "{join}");
        assert!(!rig.stored(EMAIL).await.unwrap().email_verified, "{join}: it was not joined");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_sign_up_is_closed_only_known_users_log_in() {
    let rig = Rig::with("", "signup = { enabled = false }").await;
    let mut open = rig.site.clone();
    open.signup = true;
    rig.google("known", "1", EMAIL, json!(true));
    rig.google("new-google", "2", "new@example.com", json!(true));
    rig.kakao("new-kakao", 7, Value::Null);
    run(&rig.auth, &open, social_login(Provider::Google, "known")).await.unwrap();

    assert!(!rig.login(Provider::Google, "known").await.2);
    for provider in Provider::ALL {
        let code = rig.refused(provider, &format!("new-{}", provider.name())).await;
        assert_eq!(code, ErrorCode::SignupClosed);
    }
    assert_eq!(rig.users().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_logins_at_once_make_or_join_one_account_once() {
    for is_known in [false, true] {
        let rig = Arc::new(Rig::start().await);
        if is_known {
            rig.sign_up(EMAIL).await.unwrap();
        }
        rig.google("token", "1", EMAIL, json!(true));
        let mut logins = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let rig = Arc::clone(&rig);
            logins.spawn(async move { rig.login(Provider::Google, "token").await });
        }

        let opened = logins.join_all().await;

        assert_eq!(rig.users().await.len(), 1, "{is_known}");
        let made = opened.iter().filter(|(_, _, is_new)| *is_new).count();
        assert_eq!(made, usize::from(!is_known), "{is_known}");
        assert!(opened.iter().all(|(_, tokens, _)| rig.accepts(tokens)), "{is_known}");
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, so that the log of this test is all that is logged.
#[tokio::test]
async fn no_providers_token_is_logged_and_a_join_is_audited() {
    const CANARY: &str = "canary7f3a";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // With one subscriber, tracing asks whichever thread meets an event first whether anybody wants
    // it, and remembers the answer: another test's thread, which has none, would say no for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let rig = Rig::with("timeout = \"400ms\"", "").await;
    rig.sign_up(EMAIL).await.unwrap();
    let id = rig.stored(EMAIL).await.unwrap().id;
    let mut said = String::new();
    for reply in
        [Reply::Silent, Reply::Cut, Reply::Redirect, Reply::Text("no"), Reply::Huge(70_000)]
    {
        let person = Person { tokeninfo: reply.clone(), userinfo: reply };
        rig.providers.knows(CANARY, person);
        for provider in Provider::ALL {
            let command = social_login(provider, CANARY);
            said.push_str(&format!("{command:?}"));
            let rejection = rig.run(command).await.unwrap_err();
            said.push_str(&format!("{rejection} {rejection:?}\n"));
        }
    }
    rig.google(CANARY, "1", EMAIL, json!(true));

    rig.login(Provider::Google, CANARY).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!said.contains(CANARY), "{said}");
    assert!(!log.contains(CANARY), "{log}");
    let audit: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["target"] == "munjigi::audit")
        .filter(|line| line["fields"]["event"] != "key_made")
        .collect();
    assert_eq!(audit.len(), 1, "{audit:?}");
    let fields = json!({
        "message": "a provider proved an account's address; its earlier sessions ended",
        "event": "social_join", "site": "localhost", "user": id.to_string(), "provider": "google",
    });
    assert_eq!(audit[0]["fields"], fields);
}
