//! Checks every claim for presence, type and value (RFC 7519 §4.1).
//!
//! Under the gateway's own keys every claim must be valid, or the token is refused. Under an
//! operator's keys other issuers sign as well: claims that are relied on must be valid (issuer,
//! audience, times, subject, use, and those that `require` names), and an invalid claim that only
//! informs is left out. Left-out rights and names give no access.
//!
//! The types are checked here and not by a deserializer, which may take a claim of another type for
//! an absent one (CVE-2026-25537). A time is a finite number of seconds up to the year 9999, so
//! that no arithmetic on it can wrap.

use std::borrow::Cow;
use std::slice;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::operation::{AuthMethods, Generations, Revocation, SessionName, TokenId};
use crate::token::key::Origin;
use crate::token::{LeftOut, TokenError, TokenPolicy};

/// The use of a token (`token_use`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenUse {
    /// Presented with a request.
    Access,
    /// Exchanged for a new access token.
    Refresh,
}

/// Checked claims.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) subject: String,
    /// `jti`; only a token under an operator's key may lack it.
    pub(super) token: Option<TokenId>,
    pub(super) session: Option<SessionName>,
    pub(super) generations: Generations,
    /// `iat`; without it `nbf`, and without that 1970.
    pub(super) issued_at: Timestamp,
    /// The begin of the token's validity, less the leeway.
    pub(super) valid_from: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) email: Option<String>,
    pub(super) username: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) permissions: Vec<String>,
    /// `auth_time`.
    pub(super) authenticated_at: Option<Timestamp>,
    /// `amr`.
    pub(super) methods: AuthMethods,
    /// Whether it has all claims of the gateway's own tokens.
    pub(super) is_own: bool,
    /// Invalid claims that only inform.
    pub(super) left_out: Vec<LeftOut>,
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
    /// Checks the claims of a token for a use, except its time. Removes claims that hold a control
    /// character and only inform.
    ///
    /// # Errors
    /// Names the first claim that does not pass.
    pub(super) fn check(
        claims: &mut Map<String, Value>,
        policy: &TokenPolicy,
        origin: Origin,
        token_use: TokenUse,
    ) -> Result<Self, TokenError> {
        let mut reader = Reader { claims, origin, left_out: Vec::new() };
        let said_use = reader.check_use(token_use)?;
        reader.check_issuer(&policy.issuer)?;
        reader.check_audience(policy)?;
        reader.check_required(&policy.foreign.required)?;
        let expires_at = reader.time("exp")?;
        // Only an operator's `require` may leave it out.
        let expires_at = reader.own("exp", expires_at)?.unwrap_or(Revocation::NEVER_ENDS);
        let issued_at = reader.time("iat")?;
        let issued_at = reader.own("iat", issued_at)?;
        let not_before = reader.time("nbf")?;
        let latest = issued_at.max(not_before).unwrap_or_default();
        let token = reader.informing_text("jti")?.map(|id| TokenId(id.into_owned()));
        let session = reader.session()?;
        let generations = match token_use {
            TokenUse::Access => reader.generations()?,
            TokenUse::Refresh => None,
        };
        let is_own = said_use
            && token.is_some()
            && generations.is_some()
            && matches!(session, Some(SessionName::Own(_)));
        let mut checked = Self {
            subject: reader.text("sub")?.ok_or(missing("sub"))?.into_owned(),
            token: reader.own("jti", token)?,
            session: reader.own("sid", session)?,
            generations: match token_use {
                TokenUse::Access => reader.own("gen", generations)?.unwrap_or_default(),
                TokenUse::Refresh => Generations::default(),
            },
            issued_at: issued_at.or(not_before).unwrap_or_default(),
            valid_from: latest.minus(policy.leeway),
            // A revocation of a session or user is remembered for `access_ttl`: no token of ours
            // may outlive it, not even one made before an operator lowered that.
            expires_at: match issued_at {
                Some(issued_at) if is_own => expires_at.min(issued_at.plus(policy.access_ttl)),
                Some(_) | None => expires_at,
            },
            email: reader.informing_text("email")?.map(Cow::into_owned),
            username: reader.informing_text("username")?.map(Cow::into_owned),
            roles: reader.texts("roles")?,
            permissions: reader.texts("permissions")?,
            // Other issuers write them in other ways: no token is refused for it.
            authenticated_at: reader.time("auth_time").unwrap_or_default(),
            methods: reader.methods(),
            is_own,
            left_out: reader.left_out,
        };
        checked.leave_out_control(claims, origin)?;
        Ok(checked)
    }

    /// Removes claims with control characters: any claim can be sent as a header
    /// (`[site.X.identity] claims`), which a control character could end.
    fn leave_out_control(
        &mut self,
        claims: &mut Map<String, Value>,
        origin: Origin,
    ) -> Result<(), TokenError> {
        let problem = "holds a control character";
        if origin == Origin::Stored && claims.values().any(holds_control) {
            return Err(TokenError::Claim { claim: "*", problem });
        }
        claims.retain(|name, value| {
            let fits = !name.chars().any(char::is_control) && !holds_control(value);
            if !fits {
                self.left_out.push(LeftOut { claim: name.clone(), problem });
            }
            fits
        });
        Ok(())
    }

    /// Checks that the token has not expired.
    ///
    /// # Errors
    /// With the time since its expiry.
    pub(super) fn check_end(&self, now: Timestamp) -> Result<(), TokenError> {
        if now >= self.expires_at {
            return Err(TokenError::Expired { ago: now.since(self.expires_at) });
        }
        Ok(())
    }

    /// Checks that the token is valid already.
    ///
    /// # Errors
    /// When `iat` or `nbf` lie ahead, by more than the leeway.
    pub(super) fn check_begin(&self, now: Timestamp) -> Result<(), TokenError> {
        if now < self.valid_from { Err(TokenError::NotYetValid) } else { Ok(()) }
    }
}

/// Reads claims by name and type.
struct Reader<'a> {
    claims: &'a Map<String, Value>,
    origin: Origin,
    left_out: Vec<LeftOut>,
}

impl<'a> Reader<'a> {
    /// A claim that is relied on, where it is there.
    fn text(&self, claim: &'static str) -> Result<Option<Cow<'a, str>>, TokenError> {
        let Some(value) = self.claims.get(claim) else { return Ok(None) };
        match text(value, self.origin) {
            Ok(text) => Ok(Some(text)),
            Err(problem) => Err(TokenError::Claim { claim, problem }),
        }
    }

    /// A claim that informs, where it is there and fits.
    fn informing<T>(
        &mut self,
        claim: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, &'static str>,
    ) -> Result<Option<T>, TokenError> {
        match self.claims.get(claim).map(read) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(problem)) => self.leave_out(claim, problem).map(|()| None),
        }
    }

    fn informing_text(&mut self, claim: &'static str) -> Result<Option<Cow<'a, str>>, TokenError> {
        let origin = self.origin;
        self.informing(claim, |value| text(value, origin))
    }

    /// A list of strings; other issuers may write a single string.
    fn texts(&mut self, claim: &'static str) -> Result<Vec<String>, TokenError> {
        let items = match self.claims.get(claim) {
            None => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(_) if self.origin == Origin::Stored => {
                return Err(TokenError::Claim { claim, problem: "is no array" });
            }
            Some(value) => slice::from_ref(value),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match text(item, self.origin) {
                Ok(text) => texts.push(text.into_owned()),
                Err(problem) => self.leave_out(claim, problem)?,
            }
        }
        Ok(texts)
    }

    /// Notes an invalid claim, which the gateway's own tokens never have.
    fn leave_out(&mut self, claim: &'static str, problem: &'static str) -> Result<(), TokenError> {
        if self.origin == Origin::Stored {
            return Err(TokenError::Claim { claim, problem });
        }
        let left_out = LeftOut { claim: claim.to_owned(), problem };
        if !self.left_out.contains(&left_out) {
            self.left_out.push(left_out);
        }
        Ok(())
    }

    /// `NumericDate` (RFC 7519 §2): seconds, whole or not.
    fn time(&self, claim: &'static str) -> Result<Option<Timestamp>, TokenError> {
        let number = match self.claims.get(claim) {
            None => return Ok(None),
            Some(Value::Null) if self.origin == Origin::Configured => return Ok(None),
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

    /// Requires a claim under a key of the gateway's own; under an operator's it may be absent.
    fn own<T>(&self, claim: &'static str, value: Option<T>) -> Result<Option<T>, TokenError> {
        if value.is_none() && self.origin == Origin::Stored {
            return Err(missing(claim));
        }
        Ok(value)
    }

    /// Checks `token_use`; returns whether it is present.
    fn check_use(&mut self, wanted: TokenUse) -> Result<bool, TokenError> {
        match self.informing_text("token_use")? {
            Some(found) if found == wanted.name() => Ok(true),
            None if wanted == TokenUse::Access && self.origin == Origin::Configured => Ok(false),
            None => Err(missing("token_use")),
            Some(_) => Err(TokenError::Use),
        }
    }

    fn check_issuer(&self, issuer: &str) -> Result<(), TokenError> {
        match self.text("iss")?.ok_or(missing("iss"))? {
            found if found == issuer => Ok(()),
            _ => Err(TokenError::Claim { claim: "iss", problem: "is another issuer's" }),
        }
    }

    /// A string, or an array of strings, of which one is ours (RFC 7519 §4.1.3).
    fn check_audience(&mut self, policy: &TokenPolicy) -> Result<(), TokenError> {
        if self.origin == Origin::Configured && policy.foreign.any_audience {
            return Ok(());
        }
        let ours = |found: &str| policy.audience.iter().any(|ours| ours == found);
        let holds = match self.claims.get("aud") {
            None => return Err(missing("aud")),
            Some(Value::Array(_)) => self.texts("aud")?.iter().any(|found| ours(found)),
            Some(_) => self.text("aud")?.is_some_and(|found| ours(&found)),
        };
        if holds {
            Ok(())
        } else {
            Err(TokenError::Claim { claim: "aud", problem: "does not name this site" })
        }
    }

    /// Checks the claims that an operator requires of other issuers' tokens.
    fn check_required(&self, names: &[String]) -> Result<(), TokenError> {
        let is_absent = |name: &&String| self.claims.get(*name).is_none_or(Value::is_null);
        match names.iter().find(is_absent) {
            Some(name) if self.origin == Origin::Configured => {
                Err(TokenError::Required(name.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn session(&mut self) -> Result<Option<SessionName>, TokenError> {
        let origin = self.origin;
        self.informing("sid", |value| match SessionName::from(&*text(value, origin)?) {
            SessionName::Foreign(_) if origin == Origin::Stored => Err("is no UUID"),
            name => Ok(name),
        })
    }

    /// `amr`: those of its values that have a meaning here.
    fn methods(&self) -> AuthMethods {
        let values = self.claims.get("amr").and_then(Value::as_array).into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        AuthMethods::from_text(&values.join(" "))
    }

    /// `[user, site]`: two whole numbers.
    fn generations(&mut self) -> Result<Option<Generations>, TokenError> {
        self.informing("gen", |value| {
            if let Some([user, site]) = value.as_array().map(Vec::as_slice)
                && let Some(user) = user.as_u64()
                && let Some(site) = site.as_u64()
            {
                return Ok(Generations { user, site });
            }
            Err("is not two whole numbers")
        })
    }
}

/// A string that is neither empty nor holds a control character; other issuers may write a number.
fn text(value: &Value, origin: Origin) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Value::String(text) if text.is_empty() => Err("is empty"),
        Value::String(text) if text.chars().any(char::is_control) => {
            Err("holds a control character")
        }
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number) if origin == Origin::Configured => Ok(number.to_string().into()),
        _ => Err("is no string"),
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
