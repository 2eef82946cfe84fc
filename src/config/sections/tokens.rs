//! `[site.X.tokens]`: what a site sets about its tokens; the contract says the rest.

use std::time::Duration;

use crate::config::{Algorithm, KeyConfig};
use crate::document::{Item, Table};

/// `audience`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One of these; none: the issuer.
    Names(Vec<String>),
    /// Any, or none at all; only for tokens under the operator's own keys.
    Any,
}

/// `[site.X.tokens]`: `None` is "from the contract" or the stated default. A reload applies them
/// to tokens made from then on.
#[derive(Clone, Debug, PartialEq)]
pub struct TokensConfig {
    /// `iss`; default `https://HOST`, or `urn:munjigi:site:KEY` for wildcard sites.
    pub issuer: Option<String>,
    /// `aud`; default the issuer.
    pub audience: Audience,
    /// Claims that a token under an operator's key must have; default `exp`.
    pub require: Vec<String>,
    /// Signature; default the contract's.
    pub algorithm: Option<Algorithm>,
    /// Life of an access token; default the contract's.
    pub access_ttl: Option<Duration>,
    /// Life of a refresh token, from each rotation; default the contract's.
    pub refresh_ttl: Option<Duration>,
    /// Longest life of a whole session; default 90 d.
    pub session_ttl: Duration,
    /// Time that a refresh token just used answers the same successor again, sign of life of that
    /// or not; default 10 s, 0: not at all.
    pub refresh_grace: Duration,
    /// Clock skew allowed for `nbf` and `iat`; default 30 s, at most 60 s.
    pub leeway: Duration,
    /// Verified tokens remembered; default 16 384, 0: none.
    pub verify_cache: usize,
    /// The operator's own; default none: made at first start and kept in the store.
    pub keys: Vec<KeyConfig>,
}

impl Default for TokensConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Audience::Names(Vec::new()),
            require: vec!["exp".to_owned()],
            algorithm: None,
            access_ttl: None,
            refresh_ttl: None,
            session_ttl: Duration::from_secs(90 * 24 * 60 * 60),
            refresh_grace: Duration::from_secs(10),
            leeway: Duration::from_secs(30),
            verify_cache: 16_384,
            keys: Vec::new(),
        }
    }
}

impl TokensConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            issuer: table.optional("issuer", Item::text),
            audience: table.read("audience", default.audience, audience),
            require: table.read("require", default.require, |item| item.list(Item::text)),
            algorithm: table.optional("algorithm", |item| item.parse(str::parse)),
            access_ttl: table.optional("access_ttl", token_life),
            refresh_ttl: table.optional("refresh_ttl", token_life),
            session_ttl: table.read("session_ttl", default.session_ttl, token_life),
            refresh_grace: table.duration_or_zero("refresh_grace", default.refresh_grace),
            leeway: table.read("leeway", default.leeway, leeway),
            verify_cache: table.integer("verify_cache", default.verify_cache, 0..=16_777_216),
            keys: table.read("keys", default.keys, keys),
        };
        if config.keys.is_empty() {
            let others = [
                (config.audience == Audience::Any, "`audience = \"any\"` without `keys`"),
                (config.require != Self::default().require, "`require` without `keys`"),
            ];
            for (_, title) in others.into_iter().filter(|(is_set, _)| *is_set) {
                table.fault(title, "what the gateway's own tokens say is settled");
            }
        }
        table.end();
        config
    }
}

fn audience(item: &Item<'_>) -> Option<Audience> {
    if item.is_word("any") {
        return Some(Audience::Any);
    }
    item.list(Item::text).map(Audience::Names)
}

/// Tokens count whole seconds.
fn token_life(item: &Item<'_>) -> Option<Duration> {
    let life = item.duration()?;
    if life.subsec_nanos() == 0 {
        return Some(life);
    }
    item.bad("expected whole seconds");
    None
}

fn leeway(item: &Item<'_>) -> Option<Duration> {
    let leeway = item.duration_or_zero()?;
    if leeway <= LONGEST_LEEWAY {
        return Some(leeway);
    }
    item.bad("expected at most 60s: it lets tokens in before their time");
    None
}

fn keys(item: &Item<'_>) -> Option<Vec<KeyConfig>> {
    let mut keys: Vec<KeyConfig> = Vec::new();
    for item in item.items()? {
        let Some(key) = KeyConfig::read(&item) else { continue };
        if let Some(other) = keys.iter().find(|other| other.kid == key.kid) {
            item.fault(
                format!("two keys are named `{}`", key.kid),
                format!("the other stands in line {}", other.spot.line),
            );
        }
        keys.push(key);
    }
    Some(keys)
}

const LONGEST_LEEWAY: Duration = Duration::from_secs(60);
