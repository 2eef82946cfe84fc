//! Explanations of requests to a small gateway, by rule and by token.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::{ExplainedTarget, Explanation, explain};
use crate::auth::passwords::pool::PasswordPool;
use crate::auth::throttle::Throttle;
use crate::auth::{AuthSettings, AuthSite};
use crate::clock::{BootTime, Now, Timestamp};
use crate::config;
use crate::config::{
    Algorithm, LoginConfig, Mfa, SocialConfig, SocialJoin, UpstreamConfig, UpstreamRef,
    UpstreamUrl, WhenStale,
};
use crate::contract::Contract;
use crate::gateway::snapshot::{SiteParts, Snapshot};
use crate::gateway::upstream::Upstream;
use crate::operation::{Generations, Language, Revocation, Revoked, SessionId, UserId};
use crate::pages::template::Pages;
use crate::revocation::RevocationList;
use crate::social::Social;
use crate::token::{
    AccessToken, ForeignClaims, Grant, KeyRing, SiteTokens, StoredKey, TokenPolicy,
};

const CONFIG: &str = r#"
[site."api.example.com"]
contract = "standard"
routes = [
  { path = "/*", upstream = "http://127.0.0.1:3000" },
  { path = "/public/*", upstream = "http://127.0.0.1:3000", auth = "none", strip_prefix = "/public" },
  { path = "/admin/*", upstream = "http://127.0.0.1:3000", roles = ["admin"] },
  { path = "/maybe", upstream = "http://127.0.0.1:3000", auth = "optional", methods = ["GET"] },
  { path = "/keep/*", upstream = "http://127.0.0.1:3000", auth = "none", encoded_slash = "keep" },
  { path = "/late/*", upstream = "http://127.0.0.1:3000", when_stale = "accept" },
  { path = "/asked/*", upstream = "http://127.0.0.1:3000", when_stale = "ask" },
]
"#;

const START: Timestamp = Timestamp::from_seconds(1_795_000_000);

struct Bench {
    snapshot: Snapshot,
    revocations: RevocationList,
    token: AccessToken,
}

impl Bench {
    fn new() -> Self {
        let config = config::parse(CONFIG, Path::new("munjigi.toml"), &BTreeMap::new()).unwrap();
        let contract = Contract::built_in("standard").unwrap().unwrap();
        let tokens = Arc::new(tokens("https://api.example.com"));
        let token = issue(&tokens);
        let auth = AuthSite {
            name: String::new(),
            mfa: Mfa::Off,
            host: "api.example.com".to_owned(),
            realm: "default".to_owned(),
            tokens: Arc::clone(&tokens),
            signup: true,
            default_role: None,
            signup_roles: Vec::new(),
            one_session: false,
            language: Language::English,
            settings: Arc::new(AuthSettings {
                passwords: Arc::new(PasswordPool::new(&config.password).unwrap()),
                throttle: Arc::new(Throttle::new(&LoginConfig::default())),
                seen: Arc::default(),
                mails: None,
                social: Arc::new(Social::new(&SocialConfig::default()).unwrap()),
                social_join: SocialJoin::Verified,
                max_staleness: Duration::from_secs(5),
                when_stale: WhenStale::Reject,
                user_revocation_ttl: tokens.policy().access_ttl,
            }),
        };
        let parts = vec![SiteParts { contract: Arc::new(contract), auth }];
        let mut upstreams = HashMap::new();
        for route in &config.sites[0].routes {
            let UpstreamRef::Url(url) = &route.upstream else {
                panic!("every route names an address");
            };
            upstreams.insert(route.upstream.clone(), upstream(url));
        }
        let snapshot =
            Snapshot::new(config, parts, &upstreams, Arc::new(Pages::built_in().unwrap()));
        let revocations = RevocationList::new(10);
        revocations.note_contact(BootTime::from_millis(1_000));
        Self { snapshot, revocations, token }
    }

    fn ask(&self, method: &Method, url: &str, token: Option<&str>, now: Now) -> Explanation {
        let url = url.parse().unwrap();
        explain(&self.snapshot, Some(&self.revocations), method, &url, token, now)
    }
}

fn upstream(url: &UpstreamUrl) -> Arc<Upstream> {
    Arc::new(Upstream::new("whoami", &UpstreamConfig::at(url.clone())).unwrap())
}

fn tokens(issuer: &str) -> SiteTokens {
    let policy = TokenPolicy {
        issuer: issuer.to_owned(),
        audience: vec![issuer.to_owned()],
        realm: "default".to_owned(),
        algorithm: Algorithm::Es256,
        access_ttl: Duration::from_secs(900),
        refresh_ttl: None,
        refresh_format: crate::token::RefreshFormat::Opaque,
        session_ttl: Duration::from_secs(9000),
        refresh_grace: Duration::from_secs(10),
        tells_authentication: false,
        attributes: Vec::new(),
        leeway: Duration::from_secs(30),
        verify_cache: 16,
        foreign: ForeignClaims::default(),
        token_bytes: 8192,
        issued_bytes: 8192,
    };
    let key = StoredKey::generate(Algorithm::Es256, START).unwrap();
    SiteTokens::new(policy, KeyRing::from_stored(&[key]).unwrap()).unwrap()
}

fn issue(tokens: &SiteTokens) -> AccessToken {
    let grant = Grant {
        user: UserId(7),
        session: SessionId(uuid::Uuid::from_u128(1)),
        generations: Generations::default(),
        email: Some(&"you@example.com".parse().unwrap()),
        username: None,
        roles: &["editor".to_owned()],
        permissions: &[],
        authentication: None,
        attributes: None,
        not_after: None,
    };
    tokens.issue_access(grant, START).unwrap()
}

fn at(seconds: i64, boot: u64) -> Now {
    let wall = Timestamp::from_seconds(START.as_seconds() + seconds);
    Now { wall, boot: BootTime::from_millis(boot) }
}

#[test]
fn each_request_ends_as_its_route_says() {
    let bench = Bench::new();
    let good = Some(bench.token.text.expose().clone());
    let foreign = Some(issue(&tokens("https://other.example.com")).text.expose().clone());
    let none = None;
    let rows = [
        ("no token", "GET", "/api/x", &none, 401, "no token"),
        ("good token", "GET", "/api/x", &good, 0, "forwarded to"),
        ("foreign token", "GET", "/api/x", &foreign, 401, "no key"),
        ("junk", "GET", "/api/x", &Some("junk".to_owned()), 401, "malformed"),
        ("two tokens", "GET", "/api/x", &Some("a b".to_owned()), 401, "malformed"),
        ("public", "GET", "/public/a", &none, 0, "without an identity"),
        ("public, bad token", "GET", "/public/a", &foreign, 0, "without an identity"),
        ("beside public", "GET", "/publicx", &none, 401, "no token"),
        ("dots", "GET", "/public/%2e%2e/api", &none, 401, "no token"),
        ("dots and slash", "GET", "/public/..%2fapi", &none, 400, "dot segment"),
        ("role", "GET", "/admin/x", &good, 403, "roles admin"),
        ("optional", "GET", "/maybe", &none, 0, "without an identity"),
        ("optional, good", "GET", "/maybe", &good, 0, "forwarded"),
        ("optional, bad", "GET", "/maybe", &foreign, 401, "no key"),
        ("method", "POST", "/maybe", &good, 405, "other methods"),
        ("slash", "GET", "/a%2Fb", &good, 400, "encoded slash"),
        ("slash kept", "GET", "/keep/a%2fb", &none, 0, "forwarded"),
        ("endpoint", "POST", "/auth/login", &none, 0, "login"),
        ("endpoint method", "GET", "/auth/login", &none, 405, "other methods"),
        ("endpoint with token", "GET", "/auth/me", &good, 0, "runs me"),
        ("endpoint, no token", "GET", "/auth/me", &none, 401, "no token"),
        ("keys", "GET", "/.well-known/jwks.json", &none, 0, "public keys"),
    ];
    for (name, method, path, token, status, reason) in rows {
        let method = method.parse().unwrap();
        let url = format!("https://API.example.com:8443{path}?q=/public/");
        let explanation = bench.ask(&method, &url, token.as_deref(), at(5, 2_000));
        let verdict = &explanation.verdict;
        assert_eq!(verdict.status.unwrap_or(0), status, "{name}: {verdict:?}");
        assert!(verdict.reason.contains(reason), "{name}: {verdict:?}");
    }
    let stranger = bench.ask(&Method::GET, "https://other/", None, at(5, 2_000));
    assert_eq!(stranger.verdict.status, Some(421));
}

#[test]
fn what_is_forwarded_and_where_it_stands_is_told() {
    let bench = Bench::new();
    let token = bench.token.text.expose().as_str();

    let explanation = bench.ask(
        &Method::GET,
        "https://api.example.com/public/../%61?b",
        Some(token),
        at(5, 2_000),
    );

    let Some(ExplainedTarget::Route { line, .. }) = explanation.target else {
        panic!("{explanation:?}");
    };
    assert_eq!(line, 5);
    assert_eq!(explanation.path.as_deref(), Some("/a"));
    assert_eq!(explanation.subject.as_deref(), Some("7"));
    let forwarded = explanation.forwarded.unwrap();
    assert_eq!(forwarded.target, "/a?b");
    assert_eq!(forwarded.host, "api.example.com");
    let session = "00000000-0000-0000-0000-000000000001".to_owned();
    let headers: BTreeMap<_, _> = forwarded.headers.into_iter().collect();
    let expected = [
        ("x-user-id", "7".to_owned()),
        ("x-user-email", "you@example.com".to_owned()),
        ("x-user-roles", "editor".to_owned()),
        ("x-session-id", session),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn time_and_revocation_end_a_token() {
    let bench = Bench::new();
    let token = bench.token.text.expose().clone();
    let ask = |path: &str, now| {
        let url = format!("https://api.example.com{path}");
        let verdict = bench.ask(&Method::GET, &url, Some(&token), now).verdict;
        (verdict.status.unwrap_or(0), verdict.reason)
    };

    assert_eq!(ask("/x", at(905, 2_000)), (401, "token expired 5s ago".to_owned()));
    assert_eq!(ask("/x", at(5, 9_000)), (503, "no news of revocations for 8s".to_owned()));
    assert!(ask("/late/x", at(5, 9_000)).1.ends_with("although revocation is stale"));
    assert!(ask("/asked/x", at(5, 9_000)).1.contains("would be asked"));

    let issuer = "https://api.example.com".to_owned();
    let revoked = Revoked::Session { issuer, session: SessionId(uuid::Uuid::from_u128(1)) };
    let until = Timestamp::from_seconds(START.as_seconds() + 900);
    bench.revocations.record(&[Revocation { revoked, expires_at: until }]);

    let refused = (401, "session revoked".to_owned());
    assert_eq!(ask("/x", at(5, 2_000)), refused);
    assert_eq!(ask("/late/x", at(5, 9_000)), refused);
    assert_eq!(ask("/asked/x", at(5, 9_000)), refused);
}
