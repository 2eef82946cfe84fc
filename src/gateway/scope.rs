//! A request at its site, with all that its answer may depend on.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;

use crate::auth::access_token::AccessTokenCheck;
use crate::config::{RouteAuth, WhenStale};
use crate::gateway::Gateway;
use crate::gateway::access::authenticate::authenticate;
use crate::gateway::access::registrar::Registrar;
use crate::gateway::context::{Context, Who};
use crate::gateway::open_request::RequestRecord;
use crate::gateway::site::Site;
use crate::gateway::snapshot::Snapshot;
use crate::operation::Rejection;
use crate::token::Verified;

/// A request at its site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestScope<'a> {
    /// The gateway.
    pub(crate) gateway: &'a Gateway,
    /// The configuration from start to end.
    pub(crate) snapshot: &'a Snapshot,
    /// The site for the request's host.
    pub(crate) site: &'a Site,
    /// The facts of its head.
    pub(crate) context: &'a Context,
}

impl<'a> RequestScope<'a> {
    /// Authenticates the bearer, and records the principal.
    ///
    /// # Errors
    /// As [`authenticate`], and 503 when the store was asked and did not answer.
    pub(crate) async fn authenticate(
        self,
        headers: &HeaderMap,
        auth: RouteAuth,
        token_check: AccessTokenCheck<'_>,
        record: &mut RequestRecord,
    ) -> Result<Option<Arc<Verified>>, Rejection> {
        if auth == RouteAuth::None {
            return Ok(None);
        }
        let started = Instant::now();
        let now = self.context.now;
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        let Some(status) = authenticate(headers, auth, bare_tokens, &token_check, now)? else {
            return Ok(None);
        };
        record.stale = status.stale_action();
        let verified = status.resolve(&*self.gateway.auth.store, now.wall).await?;
        record.verify_time = Some(started.elapsed());
        record.who = Who::Bearer(Arc::clone(&verified));
        Ok(Some(verified))
    }

    /// The checks of the request's token.
    pub(crate) fn token_check(self, when_stale: Option<WhenStale>) -> AccessTokenCheck<'a> {
        self.site.auth.token_check(Some(&self.gateway.auth.revocations), when_stale)
    }

    /// The registrar of this request's streams.
    pub(crate) fn watch<'b>(self, verified: &'b Verified) -> Option<Registrar<'b>>
    where
        'a: 'b,
    {
        let close = self.snapshot.config.revocation.close_streams;
        Registrar::of(verified, &self.gateway.auth.revocations, close, self.context.now.wall)
    }
}
