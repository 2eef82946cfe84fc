//! A verified token: its principal, and the keys by which it can be revoked.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{Generations, Principal, RevocationKey, SessionId};

/// A token that is genuine, of this site, and in its time.
#[derive(Debug)]
pub struct Verified {
    /// Who it speaks for.
    pub principal: Principal,
    /// The keys by which revocation is looked up.
    pub revocation: RevocationKeys,
    /// Whether the gateway made it, and nobody else who has the key.
    pub is_own: bool,
    /// What of another issuer's claims was left out.
    pub left_out: Vec<LeftOut>,
    /// Whether it was shown before, while it was remembered.
    pub(super) was_shown: AtomicBool,
    /// What backends are told of whom it speaks for, once that was asked for.
    pub(super) identity: OnceLock<IdentityHeaders>,
}

/// Headers by which a backend is told who asks.
pub type IdentityHeaders = Vec<(HeaderName, HeaderValue)>;

/// A claim, or an item of its list, that did not fit and was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The claim; a name of the issuer's own choice.
    pub claim: String,
    /// Why.
    pub problem: &'static str,
}

/// Everything that a revocation of a token can go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationKeys {
    /// Of the token.
    pub token: RevocationKey,
    /// Of its session.
    pub session: Option<RevocationKey>,
    /// Of its user.
    pub user: Option<RevocationKey>,
    /// Of its site.
    pub site: RevocationKey,
    /// Of the key that signed it.
    pub key: RevocationKey,
    /// The generations it was made under.
    pub generations: Generations,
}

/// One of the keys by which a token can be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocable {
    /// What the key is of.
    pub by: RevokedBy,
    /// The key.
    pub key: RevocationKey,
    /// The token's generation, where a revocation is of all generations below a floor.
    pub generation: Option<u64>,
}

/// By what a token is revoked.
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
    /// What backends are told of whom it speaks for, by `make` where nobody asked before: a token
    /// belongs to one site as it is configured, which says it always alike.
    pub(crate) fn identity(
        &self,
        make: impl FnOnce(&Principal) -> IdentityHeaders,
    ) -> &[(HeaderName, HeaderValue)] {
        self.identity.get_or_init(|| make(&self.principal))
    }

    /// The session of an own token and the instant at which it was made, to the millisecond, where
    /// it is shown for the first time while it is remembered.
    pub(crate) fn shown_first(&self) -> Option<(SessionId, Timestamp)> {
        // Read first: a write by every request would have processors wait for each other.
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

impl RevocationKeys {
    /// Every key, in the order in which they are named as the reason.
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

    /// By what the token is refused; `floor` finds the floor of a revocation that stands.
    pub fn refused_by(&self, floor: impl Fn(&Revocable) -> Option<u64>) -> Option<RevokedBy> {
        let refused = |revocable: &Revocable| {
            floor(revocable).is_some_and(|floor| revocable.is_refused_at(floor))
        };
        self.all().find(refused).map(|revocable| revocable.by)
    }
}

impl Revocable {
    /// Whether a revocation of this key refuses the token: whatever its floor where nothing has
    /// generations, and else with a floor above the token's generation.
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
