//! Signs whatever header and claims a test wants, as text, with a site's own key.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::operation::{Generations, SessionId, UserId};
use crate::token::material::library_algorithm;
use crate::token::{
    ForeignClaims, Grant, KeyRing, RefreshFormat, SiteTokens, StoredKey, TokenPolicy,
    install_crypto,
};

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(super) const ISSUER: &str = "https://api.example.com";
pub(super) const SESSION: Uuid = Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);

/// One algorithm of each family.
pub(super) const FAMILIES: [Algorithm; 4] =
    [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// A key and the site that it belongs to.
#[derive(Debug)]
pub(super) struct Forge {
    pub(super) stored: StoredKey,
    pub(super) tokens: SiteTokens,
}

static FORGES: LazyLock<Vec<Forge>> =
    LazyLock::new(|| Algorithm::ALL.into_iter().map(Forge::new).collect());

/// The forge of an algorithm, made once a process.
pub(super) fn forge(algorithm: Algorithm) -> &'static Forge {
    FORGES.iter().find(|forge| forge.stored.algorithm == algorithm).unwrap()
}

pub(super) fn policy(algorithm: Algorithm) -> TokenPolicy {
    TokenPolicy {
        issuer: ISSUER.to_owned(),
        audience: Vec::new(),
        realm: "default".to_owned(),
        algorithm,
        access_ttl: Duration::from_secs(900),
        refresh_ttl: Some(Duration::from_secs(86_400)),
        refresh_format: RefreshFormat::Jwt,
        session_ttl: Duration::from_secs(90 * 86_400),
        refresh_grace: Duration::from_secs(10),
        tells_authentication: false,
        attributes: Vec::new(),
        leeway: Duration::from_secs(30),
        verify_cache: 0,
        foreign: ForeignClaims::default(),
        token_bytes: 8192,
        issued_bytes: 8192,
    }
}

pub(super) fn grant() -> Grant<'static> {
    Grant {
        user: UserId(42),
        session: SessionId(SESSION),
        generations: Generations { user: 3, site: 1 },
        email: None,
        username: None,
        roles: &[],
        permissions: &[],
        authentication: None,
        attributes: None,
        not_after: None,
    }
}

impl Forge {
    fn new(algorithm: Algorithm) -> Self {
        install_crypto();
        let stored = StoredKey::generate(algorithm, NOW).unwrap();
        let ring = KeyRing::from_stored(std::slice::from_ref(&stored)).unwrap();
        Self { tokens: SiteTokens::new(policy(algorithm), ring).unwrap(), stored }
    }

    /// A good token of the site's own making.
    pub(super) fn good(&self) -> String {
        self.tokens.issue_access(grant(), NOW).unwrap().text.expose().clone()
    }

    /// The header of a good token.
    pub(super) fn header(&self) -> String {
        format!(r#"{{"alg":"{}","kid":"{}"}}"#, self.stored.algorithm, self.stored.kid)
    }

    /// Any header over any claims, truly signed.
    pub(super) fn sign(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign_parts(&URL_SAFE_NO_PAD.encode(header), &URL_SAFE_NO_PAD.encode(claims))
    }

    /// Any parts, truly signed.
    pub(super) fn sign_parts(&self, header: &str, claims: &str) -> String {
        let message = format!("{header}.{claims}");
        let signing = self.tokens.signer().unwrap().material.signing.as_ref().unwrap();
        let algorithm = library_algorithm(self.stored.algorithm);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), signing, algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// A truly signed token whose claims are good but for `changes`.
    pub(super) fn with(&self, changes: &[(&str, &str)]) -> String {
        self.sign(self.header(), claims(changes))
    }
}

/// Good claims but for `changes` (a name and its JSON text; empty text leaves it out).
pub(super) fn claims(changes: &[(&str, &str)]) -> String {
    let session = format!("\"{SESSION}\"");
    let mut members = vec![
        ("iss", "\"https://api.example.com\""),
        ("aud", "\"https://api.example.com\""),
        ("sub", "\"42\""),
        ("jti", "\"01890a5d-ac96-774b-bcce-b302099a8057\""),
        ("sid", &session),
        ("gen", "[3,1]"),
        ("iat", "1800000000"),
        ("exp", "1800000900"),
        ("roles", "[]"),
        ("permissions", "[]"),
        ("token_use", "\"access\""),
    ];
    for (name, text) in changes {
        members.retain(|(other, _)| other != name);
        members.push((name, text));
    }
    let members: Vec<String> = members
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("\"{name}\":{text}"))
        .collect();
    format!("{{{}}}", members.join(","))
}
