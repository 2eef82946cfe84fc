//! The operations against a real store and real tokens.

mod account;
mod check_token;
mod code;
mod limits;
mod login;
mod logout;
mod password;
mod previous;
mod refresh;
mod reset;
mod second_factor;
mod verification;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::passwords::pool::PasswordPool;
use super::throttle::Throttle;
use super::{Auth, AuthSettings, AuthSite};
use crate::clock::{BootTime, Now, Timestamp};
use crate::config::{
    Algorithm, ByteSize, LoginConfig, Mfa, PasswordConfig, SocialConfig, SocialJoin, WhenStale,
};
use crate::operation::{
    Caller, Command, Email, ErrorCode, Identifier, Language, Outcome, Password, Principal,
    Rejection, TokenSet, UserView,
};
use crate::own_keys::OwnKeys;
use crate::revocation::RevocationList;
use crate::secret::Secret;
use crate::social::Social;
use crate::store::{Deadlines, Lookup, SqliteStore, Store, User};
use crate::token::{ForeignClaims, KeyRing, RefreshFormat, SiteTokens, StoredKey, TokenPolicy};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// When every command is given, and a node's list had its last news.
const BOOT: BootTime = BootTime::from_millis(1_000_000);
const EMAIL: &str = "you@example.com";
const PASSWORD: &str = "correct horse";
const ACCESS_TTL: Duration = Duration::from_mins(15);
const GRACE: Duration = Duration::from_secs(10);

fn later(wait: Duration) -> Timestamp {
    NOW.plus(wait)
}

/// A node with one site.
struct Node {
    auth: Auth,
    site: AuthSite,
}

/// What sets one test's node apart.
struct Setup {
    deadlines: Deadlines,
    passwords: PasswordConfig,
    policy: TokenPolicy,
    one_session: bool,
    mfa: Mfa,
}

impl Default for Setup {
    fn default() -> Self {
        let deadline = Duration::from_secs(10);
        Self {
            deadlines: Deadlines { command: deadline, lookup: deadline },
            passwords: cheap_passwords(),
            policy: policy(),
            one_session: false,
            mfa: Mfa::Off,
        }
    }
}

impl Setup {
    fn node(self) -> Node {
        let store = SqliteStore::in_memory(self.deadlines).unwrap();
        let key = StoredKey::generate(Algorithm::Es256, NOW).unwrap();
        let keys = KeyRing::from_stored(&[key]).unwrap();
        Node {
            auth: Auth {
                store: Arc::new(store),
                revocations: Arc::new(RevocationList::new(1_000)),
                own_keys: Arc::new(OwnKeys::new(&Secret::new(b"root".to_vec())).unwrap()),
            },
            site: AuthSite {
                name: "Example".to_owned(),
                mfa: self.mfa,
                host: "api.example.com".to_owned(),
                realm: "default".to_owned(),
                tokens: Arc::new(SiteTokens::new(self.policy, keys).unwrap()),
                signup: true,
                default_role: Some("user".to_owned()),
                signup_roles: vec!["seller".to_owned()],
                one_session: self.one_session,
                language: Language::English,
                settings: Arc::new(AuthSettings {
                    passwords: Arc::new(PasswordPool::new(&self.passwords).unwrap()),
                    throttle: Arc::new(Throttle::new(&LoginConfig {
                        rate_limit: None,
                        lock_after: 0,
                        ..LoginConfig::default()
                    })),
                    seen: Arc::default(),
                    mails: None,
                    social: Arc::new(Social::new(&SocialConfig::default()).unwrap()),
                    social_join: SocialJoin::Verified,
                    max_staleness: Duration::from_secs(5),
                    when_stale: WhenStale::Reject,
                    user_revocation_ttl: ACCESS_TTL,
                }),
            },
        }
    }
}

fn policy() -> TokenPolicy {
    TokenPolicy {
        issuer: "https://api.example.com".to_owned(),
        audience: vec!["https://api.example.com".to_owned()],
        realm: "default".to_owned(),
        algorithm: Algorithm::Es256,
        access_ttl: ACCESS_TTL,
        refresh_ttl: Some(Duration::from_hours(24)),
        refresh_format: RefreshFormat::Opaque,
        session_ttl: Duration::from_hours(72),
        refresh_grace: GRACE,
        tells_authentication: false,
        attributes: Vec::new(),
        leeway: Duration::from_secs(30),
        verify_cache: 0,
        foreign: ForeignClaims::default(),
        token_bytes: 8192,
        issued_bytes: 8192,
    }
}

/// The least that Argon2 allows, so that tests are quick.
fn cheap_passwords() -> PasswordConfig {
    PasswordConfig {
        memory: ByteSize(8 * 1024),
        iterations: 1,
        parallelism: 1,
        concurrency: 2,
        queue: 64,
        min_length: 8,
        max_length: 256,
        pepper: Secret::from(""),
    }
}

fn plain(text: &str) -> Password {
    Password { text: Secret::from(text), may_be_hashed: false }
}

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn sign_up(address: &str, role: Option<&str>) -> Command {
    Command::SignUp {
        email: Some(email(address)),
        username: None,
        password: plain(PASSWORD),
        role: role.map(str::to_owned),
        attributes: BTreeMap::new(),
    }
}

fn login(who: &str, password: &str) -> Command {
    Command::Login { identifier: who.parse().unwrap(), password: plain(password) }
}

impl Node {
    async fn run(&self, command: Command, now: Timestamp) -> Result<Outcome, Rejection> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let caller = Caller { address, agent: Some("curl/8".to_owned()), devices: Vec::new() };
        let now = Now { wall: now, boot: BOOT };
        self.auth.run(&self.site, &caller, command, now).await
    }

    async fn refused(&self, command: Command, now: Timestamp) -> ErrorCode {
        self.run(command, now).await.unwrap_err().code
    }

    async fn tokens(&self, command: Command, now: Timestamp) -> TokenSet {
        match self.run(command, now).await {
            Ok(Outcome::TokensIssued { tokens, .. }) => tokens,
            other => panic!("no tokens: {other:?}"),
        }
    }

    async fn sign_up(&self) -> UserView {
        match self.run(sign_up(EMAIL, None), NOW).await {
            Ok(Outcome::SignedUp { user }) => user,
            other => panic!("no account: {other:?}"),
        }
    }

    async fn login(&self) -> TokenSet {
        self.tokens(login(EMAIL, PASSWORD), NOW).await
    }

    async fn refresh(&self, tokens: &TokenSet, now: Timestamp) -> TokenSet {
        self.tokens(refresh(tokens), now).await
    }

    fn principal(&self, tokens: &TokenSet) -> Principal {
        let verified = self.site.tokens.verify(tokens.access_token.expose(), tokens.issued_at);
        Principal::clone(&verified.unwrap().principal)
    }

    /// A request with an access token, whatever becomes of it.
    fn shows(&self, tokens: &TokenSet, now: Timestamp) {
        let token_check = self.site.token_check(Some(&self.auth.revocations), None);
        drop(token_check.check(tokens.access_token.expose(), Now { wall: now, boot: BOOT }));
    }

    /// What the gateway asks before it forwards.
    fn accepts(&self, tokens: &TokenSet, now: Timestamp) -> bool {
        let verified = self.site.tokens.verify(tokens.access_token.expose(), now);
        verified.is_ok_and(|found| self.auth.revocations.check(&found.revocation, now).is_none())
    }

    async fn account(&self, address: &str) -> User {
        let who = Identifier::Email(email(address));
        let user = self.store().find_user(&self.site.realm, &who, Lookup::Routine).await;
        user.unwrap().unwrap()
    }

    fn store(&self) -> &dyn Store {
        &*self.auth.store
    }
}

fn refresh(tokens: &TokenSet) -> Command {
    Command::Refresh {
        refresh_tokens: vec![tokens.refresh_token.clone().unwrap()],
        previous_access_token: None,
    }
}
