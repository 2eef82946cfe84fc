//! Checks every claim for presence, type and value.
//!
//! The types are checked here and not by a deserializer that takes a claim of another type for an
//! absent one (CVE-2026-25537). A time is a finite number of seconds up to the year 9999, so that
//! no arithmetic on it can wrap.

use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::Generations;
use crate::operation::SessionId;
use crate::operation::TokenId;
use crate::token::TokenError;
use crate::token::TokenPolicy;
use crate::token::key::Origin;

/// What a token may be used for (`token_use`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenUse {
    /// Presented with a request.
    Access,
    /// Exchanged for a new access token.
    Refresh,
}

/// Claims of which every one passed.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) subject: String,
    /// `jti`; only a token under an operator's key may lack it.
    pub(super) token: Option<TokenId>,
    pub(super) session: Option<SessionId>,
    pub(super) generations: Generations,
    /// `iat`; without it `nbf`, and without that 1970.
    pub(super) issued_at: Timestamp,
    /// From when on the token holds, the leeway taken off.
    pub(super) valid_from: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) email: Option<String>,
    pub(super) username: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) permissions: Vec<String>,
}

impl TokenUse {
    /// The value of `token_use`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

impl Claims {
    /// Checks the claims of a token that is to be used as `token_use`, but for its time.
    ///
    /// # Errors
    /// Names the first claim that does not pass.
    pub(super) fn check(
        claims: &Map<String, Value>,
        policy: &TokenPolicy,
        origin: Origin,
        token_use: TokenUse,
    ) -> Result<Self, TokenError> {
        let reader = Reader { claims, origin };
        reader.check_use(token_use)?;
        reader.check_issuer(&policy.issuer)?;
        reader.check_audience(&policy.audience)?;
        let expires_at = reader.time("exp")?.ok_or(missing("exp"))?;
        let issued_at = reader.time("iat")?;
        let not_before = reader.time("nbf")?;
        // A revocation of a session or user is remembered for `access_ttl`: no token of ours may
        // outlive it, not even one made before an operator lowered that.
        let is_ours = token_use == TokenUse::Access && claims.contains_key("token_use");
        let expires_at = match issued_at {
            Some(issued_at) if is_ours => expires_at.min(issued_at.plus(policy.access_ttl)),
            Some(_) | None => expires_at,
        };
        if issued_at.is_none() && origin == Origin::Stored {
            return Err(missing("iat"));
        }
        let latest = issued_at.max(not_before).unwrap_or_default();
        let checked = Self {
            subject: reader.text("sub")?.ok_or(missing("sub"))?.to_owned(),
            token: reader.own("jti", reader.text("jti")?)?.map(|id| TokenId(id.to_owned())),
            session: reader.own("sid", reader.session()?)?,
            generations: match token_use {
                TokenUse::Access => reader.own("gen", reader.generations()?)?.unwrap_or_default(),
                TokenUse::Refresh => Generations::default(),
            },
            issued_at: issued_at.or(not_before).unwrap_or_default(),
            valid_from: latest.minus(policy.leeway),
            expires_at,
            email: reader.text("email")?.map(str::to_owned),
            username: reader.text("username")?.map(str::to_owned),
            roles: reader.texts("roles")?,
            permissions: reader.texts("permissions")?,
        };
        // Any claim can be sent as a header (`[site.X.identity] claims`), so none may hold a byte
        // that ends one.
        if claims.values().any(holds_control) {
            return Err(TokenError::Claim { claim: "*", problem: "holds a control character" });
        }
        Ok(checked)
    }

    /// Checks that the token has not ended.
    ///
    /// # Errors
    /// Says how long ago it did.
    pub(super) fn check_end(&self, now: Timestamp) -> Result<(), TokenError> {
        if now >= self.expires_at {
            return Err(TokenError::Expired { ago: now.since(self.expires_at) });
        }
        Ok(())
    }

    /// Checks that the token has begun: a token from the future is nobody's.
    ///
    /// # Errors
    /// When `iat` or `nbf` lie ahead, by more than the leeway.
    pub(super) fn check_begin(&self, now: Timestamp) -> Result<(), TokenError> {
        if now < self.valid_from { Err(TokenError::NotYetValid) } else { Ok(()) }
    }
}

/// Reads claims by name and type.
#[derive(Clone, Copy)]
struct Reader<'a> {
    claims: &'a Map<String, Value>,
    origin: Origin,
}

impl<'a> Reader<'a> {
    /// A claim that is absent, or text that is neither empty nor holds a control character.
    fn text(self, claim: &'static str) -> Result<Option<&'a str>, TokenError> {
        match self.claims.get(claim) {
            None => Ok(None),
            Some(value) => text(claim, value).map(Some),
        }
    }

    fn texts(self, claim: &'static str) -> Result<Vec<String>, TokenError> {
        match self.claims.get(claim) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| text(claim, item).map(str::to_owned)).collect()
            }
            Some(_) => Err(TokenError::Claim { claim, problem: "is no array" }),
        }
    }

    /// `NumericDate` (RFC 7519 §2): seconds, whole or not.
    fn time(self, claim: &'static str) -> Result<Option<Timestamp>, TokenError> {
        let number = match self.claims.get(claim) {
            None => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(_) => return Err(TokenError::Claim { claim, problem: "is no number" }),
        };
        let out_of_range = TokenError::Claim { claim, problem: "is out of range" };
        if let Some(seconds) = number.as_i64() {
            if seconds.unsigned_abs() > YEAR_9999.unsigned_abs() {
                return Err(out_of_range);
            }
            return Ok(Some(Timestamp::from_seconds(seconds)));
        }
        match number.as_f64() {
            // The range is checked, and a part of a millisecond does not matter.
            Some(seconds) if seconds.is_finite() && seconds.abs() <= YEAR_9999 as f64 => {
                Ok(Some(Timestamp::from_millis((seconds * 1000.0).floor() as i64)))
            }
            _ => Err(out_of_range),
        }
    }

    /// Tokens under a key of the gateway's own have the claim; an operator's may lack it.
    fn own<T>(self, claim: &'static str, value: Option<T>) -> Result<Option<T>, TokenError> {
        if value.is_none() && self.origin == Origin::Stored {
            return Err(missing(claim));
        }
        Ok(value)
    }

    fn check_use(self, wanted: TokenUse) -> Result<(), TokenError> {
        match self.text("token_use")? {
            Some(found) if found == wanted.name() => Ok(()),
            None if wanted == TokenUse::Access && self.origin == Origin::Configured => Ok(()),
            None => Err(missing("token_use")),
            Some(_) => Err(TokenError::Use),
        }
    }

    fn check_issuer(self, issuer: &str) -> Result<(), TokenError> {
        match self.text("iss")?.ok_or(missing("iss"))? {
            found if found == issuer => Ok(()),
            _ => Err(TokenError::Claim { claim: "iss", problem: "is another issuer's" }),
        }
    }

    /// A string, or an array of strings, of which one is ours (RFC 7519 §4.1.3).
    fn check_audience(self, audience: &[String]) -> Result<(), TokenError> {
        let ours = |found: &str| audience.iter().any(|ours| ours == found);
        let holds = match self.claims.get("aud") {
            None => return Err(missing("aud")),
            Some(Value::Array(_)) => self.texts("aud")?.iter().any(|found| ours(found)),
            Some(value) => ours(text("aud", value)?),
        };
        if holds {
            Ok(())
        } else {
            Err(TokenError::Claim { claim: "aud", problem: "does not name this site" })
        }
    }

    fn session(self) -> Result<Option<SessionId>, TokenError> {
        let Some(found) = self.text("sid")? else { return Ok(None) };
        // Uuid reads braces, URNs and bare hex as well: one session has one spelling here.
        match Uuid::try_parse(found) {
            Ok(id) if found.len() == 36 => Ok(Some(SessionId(id))),
            _ => Err(TokenError::Claim { claim: "sid", problem: "is no UUID" }),
        }
    }

    /// `[user, site]`: two whole numbers.
    fn generations(self) -> Result<Option<Generations>, TokenError> {
        let Some(value) = self.claims.get("gen") else { return Ok(None) };
        if let Some([user, site]) = value.as_array().map(Vec::as_slice)
            && let Some(user) = user.as_u64()
            && let Some(site) = site.as_u64()
        {
            return Ok(Some(Generations { user, site }));
        }
        Err(TokenError::Claim { claim: "gen", problem: "is not two whole numbers" })
    }
}

fn text<'a>(claim: &'static str, value: &'a Value) -> Result<&'a str, TokenError> {
    match value {
        Value::String(text) if text.is_empty() => {
            Err(TokenError::Claim { claim, problem: "is empty" })
        }
        Value::String(text) if text.chars().any(char::is_control) => {
            Err(TokenError::Claim { claim, problem: "holds a control character" })
        }
        Value::String(text) => Ok(text),
        _ => Err(TokenError::Claim { claim, problem: "is no string" }),
    }
}

const fn missing(claim: &'static str) -> TokenError {
    TokenError::Claim { claim, problem: "is missing" }
}

/// Whether a string anywhere below, or a member's name, holds a control character.
///
/// It recurses as deep as `json` lets a value nest.
fn holds_control(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().any(char::is_control),
        Value::Array(items) => items.iter().any(holds_control),
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| name.chars().any(char::is_control) || holds_control(member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// 9999-12-31T23:59:59Z in seconds.
const YEAR_9999: i64 = 253_402_300_799;
