//! Checks an access token: signature and claims, then whether it is revoked.
//!
//! The gateway's pipeline and [`crate::operation::Operation::CheckToken`] share it. While the list of
//! revocations is fresh nothing here waits. A store outage is 503, never "invalid token".

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::auth::AuthSite;
use crate::auth::seen_sessions::SeenSessions;
use crate::clock::{Now, Timestamp};
use crate::config::WhenStale;
use crate::operation::{Operation, Rejection, RevocationKey};
use crate::revocation::{Freshness, RevocationList};
use crate::store::Store;
use crate::telemetry::metric;
use crate::token::{RevocationKeys, RevokedBy, SiteTokens, TokenError, Verified};

/// The check of access tokens against a site's keys and the revocation list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessTokenCheck<'a> {
    /// The site's tokens.
    pub(crate) tokens: &'a SiteTokens,
    /// The list; `None` where there is none at hand (`explain` without a running gateway).
    pub(crate) revocations: Option<&'a RevocationList>,
    /// The greatest age of the list (`max_staleness`).
    pub(crate) max_staleness: Duration,
    /// The action where the list is older.
    pub(crate) when_stale: WhenStale,
    /// The sessions whose tokens were seen here.
    seen: &'a SeenSessions,
    /// Whether an own token that has merely expired passes.
    takes_expired: bool,
    /// Whether the client presented the token, and so has it.
    is_presented: bool,
}

/// The outcome of a check, for a token whose signature and claims hold.
#[derive(Clone, Debug)]
pub(crate) enum TokenStatus {
    /// It is not revoked.
    Accepted(Arc<Verified>),
    /// It is not revoked by a list that is stale (`when_stale = "accept"`).
    AcceptedStale(Arc<Verified>),
    /// The store must be asked whether it is revoked (`when_stale = "ask"`).
    NeedsStoreLookup(Arc<Verified>),
}

impl AuthSite {
    /// Makes the check of the site's tokens; a route may have its own `when_stale`.
    pub(crate) fn token_check<'a>(
        &'a self,
        revocations: Option<&'a RevocationList>,
        when_stale: Option<WhenStale>,
    ) -> AccessTokenCheck<'a> {
        AccessTokenCheck {
            tokens: &self.tokens,
            revocations,
            max_staleness: self.settings.max_staleness,
            when_stale: when_stale.unwrap_or(self.settings.when_stale),
            seen: &self.settings.seen,
            takes_expired: false,
            is_presented: true,
        }
    }
}

impl AccessTokenCheck<'_> {
    /// Adapts the check to an operation: a log-out takes a token that has expired as well.
    pub(crate) fn for_operation(self, operation: Operation) -> Self {
        Self { takes_expired: operation == Operation::Logout, ..self }
    }

    /// Adapts the check to a ticket, which lives on for a moment when its token has expired.
    pub(crate) fn for_ticket(self) -> Self {
        Self { takes_expired: true, ..self }
    }

    /// Adapts the check to a token that was just issued, whose client may never receive it: seeing
    /// it here does not prove that its refresh token arrived.
    pub(crate) fn for_renewal(self) -> Self {
        Self { is_presented: false, ..self }
    }

    /// Decides by signature, claims and the list, without the store.
    ///
    /// # Errors
    /// 401 for a token that is not sound or is revoked; 503 while revocation is unread or stale.
    pub(crate) fn check(&self, token: &str, now: Now) -> Result<TokenStatus, Rejection> {
        let verified = self.verify(token, now.wall);
        let verified = verified.map_err(|error| {
            self.unknown_key_while_stale(&error, now).unwrap_or_else(|| invalid(&error))
        })?;
        if self.is_presented
            && let Some((session, made_at)) = verified.shown_first()
        {
            self.seen.note(session, made_at);
        }
        let Some(revocations) = self.revocations else {
            return Ok(TokenStatus::Accepted(verified));
        };
        let freshness = revocations.freshness(now.boot, self.max_staleness);
        let action = stale_action(freshness, self.when_stale)?;
        if let Some(revoked) = revocations.check(&verified.revocation, now.wall) {
            return Err(Rejection::invalid_token(reason(revoked)));
        }
        Ok(match action {
            None => TokenStatus::Accepted(verified),
            Some(StaleAction::Accept) => TokenStatus::AcceptedStale(verified),
            Some(StaleAction::Ask) => TokenStatus::NeedsStoreLookup(verified),
        })
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, TokenError> {
        let verified = self.tokens.verify(token, now);
        if !self.takes_expired || !matches!(verified, Err(TokenError::Expired { .. })) {
            return verified;
        }
        match self.tokens.verify_expired(token, now) {
            Ok(expired) if expired.is_own => Ok(Arc::new(expired)),
            Ok(_) | Err(_) => verified,
        }
    }

    /// The refusal of a token whose key is unknown while the list is stale: the key may be newer
    /// than the last news of the store.
    pub(crate) fn unknown_key_while_stale(
        &self,
        error: &TokenError,
        now: Now,
    ) -> Option<Rejection> {
        if *error != TokenError::UnknownKey || !self.tokens.keys_are_stored() {
            return None;
        }
        let freshness = self.revocations?.freshness(now.boot, self.max_staleness);
        (freshness != Freshness::Fresh).then(|| {
            let reason = format!("{error}, and there is no news of the store");
            Rejection::unavailable(reason)
        })
    }
}

impl TokenStatus {
    /// The token.
    pub(crate) fn verified(&self) -> &Verified {
        match self {
            Self::Accepted(verified)
            | Self::AcceptedStale(verified)
            | Self::NeedsStoreLookup(verified) => verified,
        }
    }

    /// Asks the store where the token needs a lookup; returns at once otherwise.
    ///
    /// # Errors
    /// 401 when the token is revoked, 503 when the store does not answer.
    pub(crate) async fn resolve(
        self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<Arc<Verified>, Rejection> {
        match self {
            Self::Accepted(verified) | Self::AcceptedStale(verified) => Ok(verified),
            Self::NeedsStoreLookup(verified) => {
                Box::pin(ask(store, &verified.revocation, now)).await?;
                Ok(verified)
            }
        }
    }

    /// The action of `when_stale`, where revocation is stale.
    pub(crate) const fn stale_action(&self) -> Option<&'static str> {
        match self {
            Self::Accepted(_) => None,
            Self::AcceptedStale(_) => Some("accept"),
            Self::NeedsStoreLookup(_) => Some("ask"),
        }
    }
}

/// An action of `when_stale` with which a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StaleAction {
    Accept,
    Ask,
}

fn stale_action(
    freshness: Freshness,
    when_stale: WhenStale,
) -> Result<Option<StaleAction>, Rejection> {
    let unavailable = |reason: String| {
        metrics::counter!(metric::STALE_DECISIONS, "action" => "reject").increment(1);
        Err(Rejection::unavailable(reason))
    };
    let age = match freshness {
        Freshness::Fresh => return Ok(None),
        Freshness::Unread => return unavailable("revocations have not been read yet".to_owned()),
        Freshness::Stale { age } => age,
    };
    match when_stale {
        WhenStale::Reject => {
            let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
            unavailable(format!("no news of revocations for {age}"))
        }
        WhenStale::Accept => {
            metrics::counter!(metric::STALE_DECISIONS, "action" => "accept").increment(1);
            Ok(Some(StaleAction::Accept))
        }
        WhenStale::Ask => {
            metrics::counter!(metric::STALE_DECISIONS, "action" => "ask").increment(1);
            Ok(Some(StaleAction::Ask))
        }
    }
}

/// Asks the store for a revocation of each key of the token.
async fn ask(store: &dyn Store, keys: &RevocationKeys, now: Timestamp) -> Result<(), Rejection> {
    let answers = keys.all().map(|revocable| async move {
        let floor = find(store, revocable.key, now).await?;
        let is_refused = floor.is_some_and(|floor| revocable.is_refused_at(floor));
        Ok::<_, Rejection>(is_refused.then_some(revocable.by))
    });
    let revoked = try_join_all(answers).await?.into_iter().flatten().next();
    match revoked {
        None => Ok(()),
        Some(by) => Err(Rejection::invalid_token(reason(by))),
    }
}

async fn find(
    store: &dyn Store,
    key: RevocationKey,
    now: Timestamp,
) -> Result<Option<u64>, Rejection> {
    store.find_revocation(key, now).await.map_err(|error| {
        let reason = format!("no news of revocations, and the store was asked: {error}");
        Rejection::unavailable(reason)
    })
}

fn invalid(error: &TokenError) -> Rejection {
    let reason = match error {
        TokenError::Expired { ago } => {
            let ago = humantime::format_duration(Duration::from_secs(ago.as_secs()));
            format!("token expired {ago} ago")
        }
        _ => error.to_string(),
    };
    Rejection::invalid_token(reason)
}

const fn reason(revoked: RevokedBy) -> &'static str {
    match revoked {
        RevokedBy::Token => "token revoked",
        RevokedBy::Session => "session revoked",
        RevokedBy::User => "all tokens of the user revoked",
        RevokedBy::Site => "all tokens of the site revoked",
        RevokedBy::Key => "signing key revoked",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{StaleAction, invalid, stale_action};
    use crate::config::WhenStale;
    use crate::operation::ErrorCode;
    use crate::revocation::Freshness;
    use crate::token::TokenError;

    #[test]
    fn stale_revocations_are_met_as_configured() {
        let stale = Freshness::Stale { age: Duration::from_secs(7) };
        let refused = Err(ErrorCode::ServiceUnavailable);
        let rows = [
            (Freshness::Fresh, WhenStale::Reject, Ok(None)),
            (Freshness::Fresh, WhenStale::Ask, Ok(None)),
            (stale, WhenStale::Reject, refused),
            (stale, WhenStale::Accept, Ok(Some(StaleAction::Accept))),
            (stale, WhenStale::Ask, Ok(Some(StaleAction::Ask))),
            (Freshness::Unread, WhenStale::Accept, refused),
            (Freshness::Unread, WhenStale::Ask, refused),
        ];
        for (freshness, when_stale, expected) in rows {
            let decided = stale_action(freshness, when_stale);
            if let Err(rejection) = &decided {
                assert!(rejection.retry_after.is_some(), "{freshness:?} {when_stale:?}");
            }
            assert_eq!(decided.map_err(|r| r.code), expected, "{freshness:?} {when_stale:?}");
        }
    }

    #[test]
    fn an_expired_token_says_since_when() {
        let rejection = invalid(&TokenError::Expired { ago: Duration::from_millis(5_432) });

        assert_eq!(rejection.code, ErrorCode::InvalidToken);
        assert_eq!(rejection.reason, "token expired 5s ago");
    }
}
