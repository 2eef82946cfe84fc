//! Issues the gateway's own tokens: their claims and their signature.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use uuid::{Builder, Uuid};

use crate::clock::Timestamp;
use crate::operation::{Authentication, Email, Generations, SessionId, TokenId, UserId, Username};
use crate::secret::Secret;
use crate::token::claims::TokenUse;
use crate::token::key::{Key, random};
use crate::token::material::library_algorithm;
use crate::token::{KeyError, TokenPolicy};

/// The content of an access token.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// `sub`.
    pub user: UserId,
    /// `sid`.
    pub session: SessionId,
    /// `gen`.
    pub generations: Generations,
    /// `email`.
    pub email: Option<&'a Email>,
    /// `username`.
    pub username: Option<&'a Username>,
    /// `roles`.
    pub roles: &'a [String],
    /// `permissions`.
    pub permissions: &'a [String],
    /// When and how the user was authenticated, for sites whose tokens tell it.
    pub authentication: Option<Authentication>,
    /// The account's attributes, of which the site's tokens carry some.
    pub attributes: Option<&'a BTreeMap<String, Value>>,
    /// The latest expiry: the end of the session, or an operator's limit.
    pub not_after: Option<Timestamp>,
}

/// An access token just made.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The JWT.
    pub text: Secret<String>,
    /// `jti`.
    pub id: TokenId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
}

/// Claims as they are signed; `None` is left out.
#[derive(Debug, Serialize)]
pub(super) struct OwnClaims<'a> {
    iss: &'a str,
    aud: Audience<'a>,
    sub: String,
    jti: String,
    sid: SessionId,
    /// `[user, site]`.
    #[serde(rename = "gen", skip_serializing_if = "Option::is_none")]
    generations: Option<[u64; 2]>,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<&'a [String]>,
    /// OpenID Connect Core 1.0 §2.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    /// RFC 8176.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    amr: Vec<&'static str>,
    /// Under [`ATTRIBUTES_CLAIM`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'a str, &'a str>,
    token_use: &'static str,
}

/// `aud`: a single name is a string, as most readers expect (RFC 7519 §4.1.3).
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [String]),
}

impl<'a> OwnClaims<'a> {
    /// Claims of an access token.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(super) fn access(
        policy: &'a TokenPolicy,
        grant: Grant<'a>,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let lifetime = policy.access_ttl.as_secs();
        let base = Self::refresh(policy, grant.user, grant.session, lifetime, now)?;
        let authentication = grant.authentication.filter(|_| policy.tells_authentication);
        let latest = grant.not_after.map_or(i64::MAX, Timestamp::as_seconds);
        Ok(Self {
            exp: base.exp.min(latest),
            generations: Some([grant.generations.user, grant.generations.site]),
            email: grant.email.map(Email::as_str),
            username: grant.username.map(Username::as_str),
            roles: Some(grant.roles),
            permissions: Some(grant.permissions),
            auth_time: authentication.map(|it| it.at.as_seconds()),
            amr: authentication.map(|it| it.methods.values().collect()).unwrap_or_default(),
            attributes: carried(policy, grant.attributes),
            token_use: TokenUse::Access.name(),
            ..base
        })
    }

    /// Claims of a refresh token that lives `lifetime` seconds.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(super) fn refresh(
        policy: &'a TokenPolicy,
        user: UserId,
        session: SessionId,
        lifetime: u64,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let lifetime = i64::try_from(lifetime).unwrap_or(i64::MAX);
        let aud = match policy.audience.as_slice() {
            [one] => Audience::One(one),
            many => Audience::Many(many),
        };
        Ok(Self {
            iss: &policy.issuer,
            aud,
            sub: user.to_string(),
            jti: time_ordered_id(now)?.to_string(),
            sid: session,
            generations: None,
            iat: now.as_seconds(),
            exp: now.as_seconds().saturating_add(lifetime),
            email: None,
            username: None,
            roles: None,
            permissions: None,
            auth_time: None,
            amr: Vec::new(),
            attributes: BTreeMap::new(),
            token_use: TokenUse::Refresh.name(),
        })
    }

    /// `jti`.
    pub(super) fn id(&self) -> TokenId {
        TokenId(self.jti.clone())
    }

    /// `iat`.
    pub(super) const fn issued_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.iat)
    }

    /// `exp`.
    pub(super) const fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.exp)
    }

    /// Signs the claims with `key`.
    ///
    /// # Errors
    /// When the key refuses to sign.
    pub(super) fn sign(&self, key: &Key) -> Result<Secret<String>, KeyError> {
        let signing = key.material.signing.as_ref().ok_or(KeyError::NoSigner(key.algorithm))?;
        let mut header = jsonwebtoken::Header::new(library_algorithm(key.algorithm));
        header.kid = Some(key.kid.clone());
        match jsonwebtoken::encode(&header, self, signing) {
            Ok(text) => Ok(Secret::new(text)),
            Err(error) => Err(KeyError::Signing(error.to_string())),
        }
    }
}

/// The claim that holds an account's attributes.
pub const ATTRIBUTES_CLAIM: &str = "attributes";

/// The longest attribute, in bytes, in a token, which is sent with every request.
const LONGEST_ATTRIBUTE: usize = 256;

/// The attributes in the site's tokens: short strings without control characters, which no token
/// may hold.
fn carried<'a>(
    policy: &'a TokenPolicy,
    attributes: Option<&'a BTreeMap<String, Value>>,
) -> BTreeMap<&'a str, &'a str> {
    let text = |name: &'a String| {
        let text = attributes?.get(name)?.as_str()?;
        let fits = text.len() <= LONGEST_ATTRIBUTE && !text.chars().any(char::is_control);
        fits.then_some((name.as_str(), text))
    };
    policy.attributes.iter().filter_map(text).collect()
}

/// A version 7 UUID of `now` (RFC 9562 §5.7); the crate's own maker would read the clock.
fn time_ordered_id(now: Timestamp) -> Result<Uuid, KeyError> {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    Ok(Builder::from_unix_timestamp_millis(millis, &random::<10>()?).into_uuid())
}
