//! Finds out who a request speaks for: Bearer token, signature and claims, revocation.
//!
//! While revocation is fresh nothing here waits. A store outage is 503, never "invalid token".

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use http::HeaderMap;
use http::header;

use crate::clock::Now;
use crate::config::RouteAuth;
use crate::config::WhenStale;
use crate::operation::ErrorCode;
use crate::operation::Rejection;
use crate::operation::RevocationKey;
use crate::revocation::Freshness;
use crate::revocation::Revocations;
use crate::revocation::RevokedBy;
use crate::store::Store;
use crate::telemetry::metric;
use crate::token::RevocationKeys;
use crate::token::SiteTokens;
use crate::token::TokenError;
use crate::token::Verified;

/// How long a client is told to wait when revocation is stale.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a token is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scrutiny<'a> {
    /// Whether a token is needed.
    pub(crate) auth: RouteAuth,
    /// Whether a token without `Bearer` counts.
    pub(crate) bare_tokens: bool,
    /// The site's tokens.
    pub(crate) tokens: &'a SiteTokens,
    /// The list; `None` where there is none at hand (`explain` without a running gateway).
    pub(crate) revocations: Option<&'a Revocations>,
    /// How old the list may be.
    pub(crate) max_staleness: Duration,
    /// What happens past that.
    pub(crate) when_stale: WhenStale,
}

/// What is known of who asks.
#[derive(Clone, Debug)]
pub(crate) enum Bearer {
    /// Nobody said, and nobody had to.
    Anonymous,
    /// A sound token.
    Known(Arc<Verified>),
    /// A sound token, on a list that is stale (`when_stale = "accept"`).
    KnownStale(Arc<Verified>),
    /// A sound token; the store must be asked whether it is revoked (`when_stale = "ask"`).
    ToAsk(Arc<Verified>),
}

impl Scrutiny<'_> {
    /// Decides by what is at hand.
    ///
    /// # Errors
    /// 400 for two `Authorization` lines; 401 for no token, or none that is sound; 503 while
    /// revocation is unread or stale.
    pub(crate) fn examine(&self, headers: &HeaderMap, now: Now) -> Result<Bearer, Rejection> {
        if self.auth == RouteAuth::None {
            return Ok(Bearer::Anonymous);
        }
        let Some(token) = presented(headers, self.bare_tokens)? else {
            return match self.auth {
                RouteAuth::Required => Err(Rejection::new(ErrorCode::MissingToken, "no token")),
                RouteAuth::Optional | RouteAuth::None => Ok(Bearer::Anonymous),
            };
        };
        let verified = self.tokens.verify(token, now.wall).map_err(|error| invalid(&error))?;
        let Some(revocations) = self.revocations else {
            return Ok(Bearer::Known(verified));
        };
        let freshness = revocations.freshness(now.boot, self.max_staleness);
        let stale = staleness(freshness, self.when_stale)?;
        if let Some(revoked) = revocations.check(&verified.revocation, now.wall) {
            return Err(Rejection::new(ErrorCode::InvalidToken, reason(revoked)));
        }
        Ok(match stale {
            None => Bearer::Known(verified),
            Some(Stale::Accept) => Bearer::KnownStale(verified),
            Some(Stale::Ask) => Bearer::ToAsk(verified),
        })
    }
}

impl Bearer {
    /// Asks the store where that is still to be done; answers at once otherwise.
    ///
    /// # Errors
    /// 401 when the token is revoked, 503 when the store does not answer.
    pub(crate) async fn settle(
        self,
        store: &dyn Store,
        now: Now,
    ) -> Result<Option<Arc<Verified>>, Rejection> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Known(verified) | Self::KnownStale(verified) => Ok(Some(verified)),
            Self::ToAsk(verified) => {
                Box::pin(ask(store, &verified.revocation, now)).await?;
                Ok(Some(verified))
            }
        }
    }

    /// What is done although revocation is stale.
    pub(crate) const fn stale(&self) -> Option<&'static str> {
        match self {
            Self::Anonymous | Self::Known(_) => None,
            Self::KnownStale(_) => Some("accept"),
            Self::ToAsk(_) => Some("ask"),
        }
    }
}

/// What goes on although the list is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stale {
    Accept,
    Ask,
}

fn staleness(freshness: Freshness, when_stale: WhenStale) -> Result<Option<Stale>, Rejection> {
    let unavailable = |reason: String| {
        metrics::counter!(metric::STALE_DECISIONS, "action" => "reject").increment(1);
        Err(Rejection::new(ErrorCode::ServiceUnavailable, reason).retry_after(RETRY_AFTER))
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
            Ok(Some(Stale::Accept))
        }
        WhenStale::Ask => {
            metrics::counter!(metric::STALE_DECISIONS, "action" => "ask").increment(1);
            Ok(Some(Stale::Ask))
        }
    }
}

/// The one token that a request presents (RFC 6750 §2.1); none where `Authorization` is absent.
///
/// # Errors
/// 400 for more than one line: gateway and backend might choose differently. 401 for what is no
/// single Bearer token.
fn presented(headers: &HeaderMap, bare_tokens: bool) -> Result<Option<&str>, Rejection> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(Rejection::new(ErrorCode::BadRequest, "two Authorization lines"));
    }
    let malformed = || Rejection::new(ErrorCode::InvalidToken, "Authorization holds no token");
    let text = std::str::from_utf8(line.as_bytes()).map_err(|error| {
        Rejection::new(ErrorCode::InvalidToken, format!("Authorization: {error}"))
    })?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        None if bare_tokens && !text.is_empty() => text,
        None if text.eq_ignore_ascii_case("bearer") => return Err(malformed()),
        // Another scheme is no attempt at ours: RFC 6750 §3.1 wants a challenge without an error.
        _ => {
            let reason = "Authorization is not of the Bearer scheme";
            return Err(Rejection::new(ErrorCode::MissingToken, reason));
        }
    };
    if token.is_empty() || !token.bytes().all(is_token68) {
        return Err(malformed());
    }
    Ok(Some(token))
}

/// RFC 9110 §11.2.
const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// Asks the store itself about everything that a revocation of the token can go by.
async fn ask(store: &dyn Store, keys: &RevocationKeys, now: Now) -> Result<(), Rejection> {
    let whole = u64::MAX;
    let user = keys.user.map(|key| (key, keys.generations.user, RevokedBy::User));
    let session = keys.session.map(|key| (key, whole, RevokedBy::Session));
    let questions = [
        Some((keys.token, whole, RevokedBy::Token)),
        session,
        user,
        Some((keys.site, keys.generations.site, RevokedBy::Site)),
        Some((keys.key, whole, RevokedBy::Key)),
    ];
    let answers = questions.into_iter().flatten().map(|(key, generation, by)| async move {
        let floor = find(store, key, now).await?;
        // A match refuses whole where nothing has generations: its floor is zero.
        let refuses = |floor: u64| generation == whole || generation < floor;
        Ok::<_, Rejection>(floor.is_some_and(refuses).then_some(by))
    });
    let revoked = try_join_all(answers).await?.into_iter().flatten().next();
    match revoked {
        None => Ok(()),
        Some(by) => Err(Rejection::new(ErrorCode::InvalidToken, reason(by))),
    }
}

async fn find(store: &dyn Store, key: RevocationKey, now: Now) -> Result<Option<u64>, Rejection> {
    store.find_revocation(key, now.wall).await.map_err(|error| {
        let reason = format!("no news of revocations, and the store was asked: {error}");
        Rejection::new(ErrorCode::ServiceUnavailable, reason).retry_after(RETRY_AFTER)
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
    Rejection::new(ErrorCode::InvalidToken, reason)
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

    use http::HeaderMap;
    use http::HeaderValue;

    use super::Stale;
    use super::invalid;
    use super::presented;
    use super::staleness;
    use crate::config::WhenStale;
    use crate::operation::ErrorCode;
    use crate::revocation::Freshness;
    use crate::token::TokenError;

    type Taken<'a> = Result<Option<&'a str>, ErrorCode>;

    fn headers(lines: &[&'static [u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("authorization", HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        let missing = Err(ErrorCode::MissingToken);
        let invalid = Err(ErrorCode::InvalidToken);
        let rows: [(&[&'static [u8]], Taken<'_>); 22] = [
            (&[], Ok(None)),
            (&[b"Bearer a.b.c"], Ok(Some("a.b.c"))),
            (&[b"bEARER a-b_c~+/=="], Ok(Some("a-b_c~+/=="))),
            (&[b""], missing),
            (&[b"Basic dTpw"], missing),
            (&[b"Token a.b.c"], missing),
            (&[b"BearerX a.b.c"], missing),
            (&[b"a.b.c"], missing),
            (&[b"Bearer"], invalid),
            (&[b"Bearer:a.b.c"], missing),
            (&[b"Bearer\ta.b.c"], missing),
            (&[b"Bearer  a.b.c"], invalid),
            (&[b"Bearer a.b.c d.e.f"], invalid),
            (&[b"Bearer a.b.c,d.e.f"], invalid),
            (&[b"Bearer a.b.c, Bearer d.e.f"], invalid),
            (&[b"Bearer \"a.b.c\""], invalid),
            (&[b"Bearer a.b.%2e"], invalid),
            (&[b"Bearer a.b.\xff"], invalid),
            (&[b"Bearer a.b.\xc3\xa9"], invalid),
            (&[b"Bearer a.b.c", b"Bearer a.b.c"], Err(ErrorCode::BadRequest)),
            (&[b"Basic dTpw", b"Bearer a.b.c"], Err(ErrorCode::BadRequest)),
            (&[b"Bearer a.b.c", b""], Err(ErrorCode::BadRequest)),
        ];
        for (lines, expected) in rows {
            let headers = headers(lines);
            let token = presented(&headers, false).map_err(|rejection| rejection.code);
            assert_eq!(token, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_bare_token_counts_where_the_contract_takes_it() {
        let rows: [(&[u8], Taken<'_>); 5] = [
            (b"a.b.c", Ok(Some("a.b.c"))),
            (b"Bearer a.b.c", Ok(Some("a.b.c"))),
            (b"Basic dTpw", Err(ErrorCode::MissingToken)),
            (b"", Err(ErrorCode::MissingToken)),
            (b"a.b.c,d", Err(ErrorCode::InvalidToken)),
        ];
        for (line, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_bytes(line).unwrap());
            let token = presented(&headers, true).map_err(|rejection| rejection.code);
            assert_eq!(token, expected, "{line:?}");
        }
    }

    #[test]
    fn stale_revocations_are_met_as_configured() {
        let stale = Freshness::Stale { age: Duration::from_secs(7) };
        let refused = Err(ErrorCode::ServiceUnavailable);
        let rows = [
            (Freshness::Fresh, WhenStale::Reject, Ok(None)),
            (Freshness::Fresh, WhenStale::Ask, Ok(None)),
            (stale, WhenStale::Reject, refused),
            (stale, WhenStale::Accept, Ok(Some(Stale::Accept))),
            (stale, WhenStale::Ask, Ok(Some(Stale::Ask))),
            (Freshness::Unread, WhenStale::Accept, refused),
            (Freshness::Unread, WhenStale::Ask, refused),
        ];
        for (freshness, when_stale, expected) in rows {
            let decided = staleness(freshness, when_stale);
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
