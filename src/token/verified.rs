//! A verified token: its principal, and the keys by which it can be revoked.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{Generations, Principal, RevocationKey, SessionId};

/// A token that is genuine, of this site, and valid now.
#[derive(Debug)]
pub struct Verified {
    /// The identity that it proves; apart, because few requests look at it: of a token that was not
    /// used for a while, each part that is looked at must be fetched from memory.
    pub principal: Box<Principal>,
    /// The keys by which revocation is looked up.
    pub revocation: RevocationKeys,
    /// Whether the gateway issued it, and not another holder of the key.
    pub is_own: bool,
    /// The claims of another issuer that were left out.
    pub left_out: Vec<LeftOut>,
    /// Whether it was presented before, since it was cached.
    pub(super) was_shown: AtomicBool,
    /// The identity headers, once they were made.
    pub(super) identity: OnceLock<IdentityHeaders>,
    /// The identity as the access log writes it, once it was.
    pub(super) logged: OnceLock<Box<[u8]>>,
}

/// Headers that give a backend the identity of a request.
#[derive(Clone, Debug, Default)]
pub struct IdentityHeaders {
    fields: Vec<(HeaderName, HeaderValue)>,
    lines: Box<[u8]>,
}

/// A claim, or an item of its list, that was invalid and left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The claim; a name of the issuer's own choice.
    pub claim: String,
    /// The fault.
    pub problem: &'static str,
}

/// The keys by which a token can be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationKeys {
    /// The key of the token.
    pub token: RevocationKey,
    /// The key of its session.
    pub session: Option<RevocationKey>,
    /// The key of its user.
    pub user: Option<RevocationKey>,
    /// The key of its site.
    pub site: RevocationKey,
    /// The key of the signing key.
    pub key: RevocationKey,
    /// The generations it was made under.
    pub generations: Generations,
}

/// One of the keys by which a token can be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocable {
    /// The kind of the key.
    pub by: RevokedBy,
    /// The key.
    pub key: RevocationKey,
    /// The token's generation, where a revocation has a floor.
    pub generation: Option<u64>,
}

/// The kind of a revocation that refuses a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// The token itself.
    Token,
    /// Its session.
    Session,
    /// Its user's generation.
    User,
    /// Its site's generation.
    Site,
    /// The key that signed it.
    Key,
}

impl Verified {
    /// The identity headers, which `make` makes the first time: a token belongs to one site as it
    /// is configured, whose headers are always the same.
    pub(crate) fn identity(
        &self,
        make: impl FnOnce(&Principal) -> IdentityHeaders,
    ) -> &IdentityHeaders {
        self.identity.get_or_init(|| make(&self.principal))
    }

    /// The identity as the access log writes it, which `write` does the first time.
    pub(crate) fn logged(&self, write: impl FnOnce(&Principal) -> Box<[u8]>) -> &[u8] {
        self.logged.get_or_init(|| write(&self.principal))
    }

    /// The session of an own token and the instant of its issue, to the millisecond, where it is
    /// presented for the first time since it was cached.
    pub(crate) fn shown_first(&self) -> Option<(SessionId, Timestamp)> {
        // Read first: a write at every request would make processors wait for each other.
        if self.was_shown.load(Ordering::Relaxed) || self.was_shown.swap(true, Ordering::Relaxed) {
            return None;
        }
        let session = self.principal.session_id().filter(|_| self.is_own)?;
        // Own ids are of version 7 (RFC 9562 §5.7); `iat` has whole seconds only.
        let id = Uuid::try_parse(&self.principal.token.0).ok()?;
        let (seconds, nanos) = id.get_timestamp()?.to_unix();
        let millis = seconds.checked_mul(1000)?.checked_add(u64::from(nanos / 1_000_000))?;
        Some((session, Timestamp::from_millis(i64::try_from(millis).ok()?)))
    }
}

impl IdentityHeaders {
    /// Of fields, each with a name of its own.
    pub(crate) fn new(fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat()
        };
        Self { lines: fields.iter().flat_map(line).collect(), fields }
    }

    /// The fields.
    pub(crate) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.fields
    }

    /// The lines of a head that say the same (RFC 9112 §5).
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

impl RevocationKeys {
    /// Every key, in the order in which they are reported as the reason.
    pub fn all(&self) -> impl Iterator<Item = Revocable> {
        let Generations { user, site } = self.generations;
        [
            (RevokedBy::Token, Some(self.token), None),
            (RevokedBy::Session, self.session, None),
            (RevokedBy::User, self.user, Some(user)),
            (RevokedBy::Site, Some(self.site), Some(site)),
            (RevokedBy::Key, Some(self.key), None),
        ]
        .into_iter()
        .filter_map(|(by, key, generation)| Some(Revocable { by, key: key?, generation }))
    }

    /// The kind of the revocation that refuses the token; `floor` finds the floor of an active
    /// revocation.
    pub fn refused_by(&self, floor: impl Fn(&Revocable) -> Option<u64>) -> Option<RevokedBy> {
        let refused = |revocable: &Revocable| {
            floor(revocable).is_some_and(|floor| revocable.is_refused_at(floor))
        };
        self.all().find(refused).map(|revocable| revocable.by)
    }
}

impl Revocable {
    /// Whether a revocation of this key refuses the token: always without generations, else with a
    /// floor above the token's generation.
    #[must_use]
    pub fn is_refused_at(&self, floor: u64) -> bool {
        self.generation.is_none_or(|generation| generation < floor)
    }
}

impl RevokedBy {
    /// The name of what was revoked.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::User => "user",
            Self::Site => "site",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "claim `{}` {}", self.claim.escape_debug(), self.problem)
    }
}
