//! Authenticates a request by whatever token it carries.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, header};

use crate::auth::access_token::{AccessTokenCheck, TokenStatus};
use crate::clock::Timestamp;
use crate::config::{RouteAuth, TokenSources};
use crate::gateway::access::authenticate::{authenticate, presented, presents_token};
use crate::gateway::access::navigation::is_navigation;
use crate::gateway::access::origin;
use crate::gateway::access::ticket::Ticket;
use crate::gateway::access::token_source::{self, OtherTokens, two_tokens};
use crate::gateway::context::Who;
use crate::gateway::headers::session_cookies::{PresentedSession, SessionChange};
use crate::gateway::open_request::RequestRecord;
use crate::gateway::scope::RequestScope;
use crate::operation::{ErrorCode, Rejection, TokenSet};
use crate::path::canonical::Canonical;
use crate::token::Verified;

/// A route's or endpoint's rule for the token of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRule<'a> {
    /// Whether there must be one.
    pub(crate) auth: RouteAuth,
    /// Where it may stand.
    pub(crate) sources: &'a TokenSources,
    /// How it is checked.
    pub(crate) check: AccessTokenCheck<'a>,
}

/// A token outside `Authorization`, as far as it can be checked without waiting.
enum Presented<'r> {
    /// It is checked.
    Checked(TokenStatus),
    /// A ticket, to be used up.
    Ticket(&'r str),
    /// A session whose access token is refused, for this reason; it may be renewed.
    Stale(Rejection),
}

impl RequestScope<'_> {
    /// Authenticates the request, and records the principal.
    ///
    /// # Errors
    /// As [`authenticate`], and 503 when the store was asked and did not answer. Of a request with
    /// other tokens besides: 400 for two that differ, 403 for a foreign page's use of a cookie.
    pub(crate) async fn authenticate(
        self,
        headers: &HeaderMap,
        rule: TokenRule<'_>,
        record: &mut RequestRecord,
    ) -> Result<Option<Arc<Verified>>, Rejection> {
        if rule.auth == RouteAuth::None {
            return Ok(None);
        }
        record.takes_session = rule.sources.cookie;
        let started = Instant::now();
        let now = self.context.now;
        let others = if rule.sources.has_others() {
            let cookies = &self.site.session_cookies;
            OtherTokens::find(rule.sources, cookies, headers, self.context.target.query())?
        } else {
            None
        };
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        let status = match others {
            None if rule.sources.bearer => {
                authenticate(headers, rule.auth, bare_tokens, &rule.check, now)?
            }
            None => absent(rule.auth)?,
            // What waits is boxed, so that the future of most requests holds no room for it.
            Some(others) => match self.by_others(headers, rule, &others)? {
                Presented::Checked(status) => Some(status),
                Presented::Ticket(text) => {
                    Some(Box::pin(self.by_ticket(rule, text, &others.session)).await?)
                }
                Presented::Stale(refused) => {
                    let renewing = self.by_renewal(headers, rule, &others.session, refused, record);
                    Box::pin(renewing).await?
                }
            },
        };
        let Some(status) = status else {
            return Ok(None);
        };
        record.stale = status.stale_action();
        let verified = status.resolve(&*self.gateway.auth.store, now.wall).await?;
        record.verify_time = Some(started.elapsed());
        record.who = Who::Bearer(Arc::clone(&verified));
        Ok(Some(verified))
    }

    /// `Authorization` for a backend that gets the token of an authenticated request, where that
    /// stands elsewhere.
    ///
    /// # Errors
    /// As [`OtherTokens::find`].
    pub(crate) fn authorization(
        self,
        headers: &HeaderMap,
        sources: &TokenSources,
        record: &RequestRecord,
    ) -> Result<Option<HeaderValue>, Rejection> {
        if headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        let token = self.token(headers, sources, record)?;
        let line = token.map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        Ok(line.and_then(Result::ok).map(|mut line| {
            line.set_sensitive(true);
            line
        }))
    }

    /// The access token of an authenticated request; `None` for a ticket.
    ///
    /// # Errors
    /// As [`OtherTokens::find`], and [`presented`].
    pub(crate) fn token<'r>(
        self,
        headers: &'r HeaderMap,
        sources: &TokenSources,
        record: &'r RequestRecord,
    ) -> Result<Option<&'r str>, Rejection>
    where
        Self: 'r,
    {
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        if sources.bearer && presents_token(headers, bare_tokens) {
            return presented(headers, bare_tokens);
        }
        let (cookies, query) = (&self.site.session_cookies, self.context.target.query());
        let others = OtherTokens::find(sources, cookies, headers, query)?.unwrap_or_default();
        let renewed = match &record.session {
            Some(SessionChange::Set { tokens, .. }) => Some(tokens.access_token.expose().as_str()),
            _ => None,
        };
        Ok(others.subprotocol.or(renewed).or(others.session.access))
    }

    /// Authenticates a request with tokens outside `Authorization`. A token that was put into the
    /// request wins over the cookies, which come by themselves.
    fn by_others<'r>(
        self,
        headers: &HeaderMap,
        rule: TokenRule<'_>,
        others: &OtherTokens<'r>,
    ) -> Result<Presented<'r>, Rejection> {
        let now = self.context.now;
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        let looks = rule.auth == RouteAuth::Required || presents_token(headers, bare_tokens);
        let bearer =
            if rule.sources.bearer && looks { presented(headers, bare_tokens)? } else { None };
        let given = match (bearer, others.subprotocol, others.ticket) {
            (Some(one), Some(other), _) if one != other => return Err(two_tokens()),
            (None, None, Some(ticket)) => return Ok(Presented::Ticket(ticket)),
            (_, _, Some(_)) => return Err(two_tokens()),
            (one, other, None) => one.or(other),
        };
        let Some(token) = given else {
            return self.by_session(headers, rule, &others.session);
        };
        let status = rule.check.check(token, now)?;
        if others.session.access != Some(token) {
            self.check_session(&status, &others.session, rule)?;
        }
        Ok(Presented::Checked(status))
    }

    /// Authenticates a request by its ticket, which opens this path once.
    async fn by_ticket(
        self,
        rule: TokenRule<'_>,
        text: &str,
        session: &PresentedSession<'_>,
    ) -> Result<TokenStatus, Rejection> {
        let Self { gateway, context, .. } = self;
        if !matches!(context.method, Method::GET | Method::HEAD) {
            return Err(Rejection::invalid_token("a ticket is for GET"));
        }
        let path = Canonical::parse(context.target.path())?;
        let query = match &rule.sources.query {
            Some(name) => token_source::without_parameter(context.target.clone(), name),
            None => Ok(context.target.clone()),
        };
        let target = query.map_err(|error| Rejection::invalid_token(error.to_string()))?;
        let (now, keys) = (context.now, &gateway.auth.own_keys);
        let ticket = Ticket::open(keys, text, (path.as_str(), target.query()), now.wall)?;
        let status = rule.check.for_ticket().check(ticket.token.expose(), now)?;
        self.check_session(&status, session, rule)?;
        ticket.spend(&*gateway.auth.store, now.wall).await?;
        Ok(status)
    }

    /// Refuses cookies of another session than the token's.
    fn check_session(
        self,
        status: &TokenStatus,
        session: &PresentedSession<'_>,
        rule: TokenRule<'_>,
    ) -> Result<(), Rejection> {
        let now = self.context.now.wall;
        match session.access {
            Some(access) if is_of_another_session(status.verified(), access, &rule, now) => {
                Err(two_tokens())
            }
            _ => Ok(()),
        }
    }

    /// Authenticates a request by the cookies of a browser's session, unless that must be renewed.
    fn by_session<'r>(
        self,
        headers: &HeaderMap,
        rule: TokenRule<'_>,
        session: &PresentedSession<'r>,
    ) -> Result<Presented<'r>, Rejection> {
        let (context, cors) = (self.context, self.site.cors.as_ref());
        origin::check_session(&context.method, headers, context.authority(), cors)?;
        match session.access.map(|token| rule.check.check(token, context.now)) {
            Some(Ok(status)) => Ok(Presented::Checked(status)),
            Some(Err(rejection)) if rejection.code != ErrorCode::InvalidToken => Err(rejection),
            Some(Err(rejection)) => Ok(Presented::Stale(rejection)),
            None => {
                let reason = "the session has no access token";
                Ok(Presented::Stale(Rejection::invalid_token(reason)))
            }
        }
    }

    /// Renews the session of a request whose access token is refused; where that fails, the
    /// request is nobody's.
    async fn by_renewal(
        self,
        headers: &HeaderMap,
        rule: TokenRule<'_>,
        session: &PresentedSession<'_>,
        refused: Rejection,
        record: &mut RequestRecord,
    ) -> Result<Option<TokenStatus>, Rejection> {
        let context = self.context;
        let refused = match session.refresh {
            None => refused,
            Some(refresh) => match self.renew(headers, refresh).await {
                Ok(tokens) => {
                    let check = rule.check.for_renewal();
                    let status = check.check(tokens.access_token.expose(), context.now);
                    record.session = Some(SessionChange::Set { tokens, keep: session.keep });
                    return status.map(Some);
                }
                Err(rejection) => rejection,
            },
        };
        // An outage ends no session, and makes nobody of its user.
        if refused.code != ErrorCode::InvalidToken {
            return Err(refused);
        }
        // Only in the answer to a navigation: that of an image, say, may arrive when the person
        // has signed in again.
        if is_navigation(&context.method, headers) {
            record.session = Some(SessionChange::Clear);
        }
        if rule.auth == RouteAuth::Optional { Ok(None) } else { Err(refused) }
    }

    /// Exchanges the session's refresh token.
    ///
    /// # Errors
    /// 401 where the session ended; any other of the store's.
    async fn renew(self, headers: &HeaderMap, refresh_token: &str) -> Result<TokenSet, Rejection> {
        let Self { gateway, site, context, .. } = self;
        let caller = self.caller(headers);
        let renewing =
            gateway.renewals.renew(&gateway.auth, &site.auth, caller, refresh_token, context.now);
        renewing.await.map_err(|rejection| match rejection.code {
            ErrorCode::InvalidGrant => {
                Rejection::invalid_token(format!("the session is over: {}", rejection.reason))
            }
            _ => rejection,
        })
    }
}

/// The outcome where no token is there.
fn absent(auth: RouteAuth) -> Result<Option<TokenStatus>, Rejection> {
    match auth {
        RouteAuth::Required => Err(Rejection::new(ErrorCode::MissingToken, "no token")),
        RouteAuth::Optional | RouteAuth::None => Ok(None),
    }
}

/// Whether a cookie's access token, expired or not, is of another session than a verified token. A
/// session's own may differ: the gateway and the page's script renew them apart.
fn is_of_another_session(
    verified: &Verified,
    access: &str,
    rule: &TokenRule<'_>,
    now: Timestamp,
) -> bool {
    let tokens = rule.check.tokens;
    // The cache knows the usual one, which has not expired.
    let other =
        tokens.verify(access, now).or_else(|_| tokens.verify_expired(access, now).map(Arc::new));
    let Ok(other) = other else { return false };
    let (one, other) = (&verified.principal, &other.principal);
    match (&one.session, &other.session) {
        (None, None) => one.token != other.token || one.issuer != other.issuer,
        (one_session, other_session) => {
            one_session != other_session
                || one.issuer != other.issuer
                || one.subject != other.subject
        }
    }
}
