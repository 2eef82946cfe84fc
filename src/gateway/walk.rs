//! The walk of one request through its site: the only place that knows the order of the steps.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::auth::scrutiny::Scrutiny;
use crate::config::{RouteAuth, WhenStale};
use crate::contract::Endpoint;
use crate::gateway::access::authenticate::{examine, presents_token};
use crate::gateway::access::authorize::authorize;
use crate::gateway::access::cors;
use crate::gateway::access::watch::Watch;
use crate::gateway::body::reply::ReplyBody;
use crate::gateway::context::{Context, RequestRecord, Unread, Who};
use crate::gateway::endpoint::serve;
use crate::gateway::headers::redirects::Redirects;
use crate::gateway::proxy::forward::{Unforwarded, forward};
use crate::gateway::proxy::plan::Plan;
use crate::gateway::site::{Destination, Route, Site};
use crate::gateway::snapshot::Snapshot;
use crate::gateway::{Gateway, reply};
use crate::operation::{ErrorCode, Rejection};
use crate::path::canonical::Canonical;
use crate::token::Verified;

/// A request at its site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<'a> {
    /// The gateway.
    pub(crate) gateway: &'a Gateway,
    /// The configuration from start to end.
    pub(crate) snapshot: &'a Snapshot,
    /// The site for the request's host.
    pub(crate) site: &'a Site,
    /// What the head says.
    pub(crate) context: &'a Context,
}

/// A refusal, and the endpoint whose error table it uses.
#[derive(Debug)]
pub(crate) struct Refused<'a> {
    /// Why.
    pub(crate) rejection: Rejection,
    /// `None`: the contract's own table.
    pub(crate) endpoint: Option<&'a Endpoint>,
}

impl From<Rejection> for Refused<'_> {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, endpoint: None }
    }
}

impl<'a> Visit<'a> {
    /// Answers the request. What is left in `unread` is to be settled.
    ///
    /// # Errors
    /// Every refusal, of whatever step.
    pub(crate) async fn walk(
        self,
        parts: &mut Parts,
        unread: &mut Unread,
        record: &mut RequestRecord,
    ) -> Result<Response<ReplyBody>, Refused<'a>> {
        let method = &self.context.method;
        if let Some(answer) = self.preflight(&parts.headers) {
            return Ok(reply(answer, method));
        }
        let path = Canonical::parse(self.context.target.path()).map_err(Rejection::from)?;
        match self.site.find(method, &path)? {
            Destination::Jwks(meter) => {
                record.meter = Arc::clone(meter);
                Ok(reply(self.site.jwks(), method))
            }
            Destination::Endpoint(endpoint, meter) => {
                record.meter = Arc::clone(meter);
                // Boxed, so that a request that is forwarded need not hold room for it.
                let serving = serve::serve(self, endpoint, &path, parts, unread, record);
                match Box::pin(serving).await {
                    Ok(answer) => Ok(reply(answer, method)),
                    Err(rejection) => Err(Refused { rejection, endpoint: Some(endpoint) }),
                }
            }
            Destination::Route(route) => {
                record.meter = Arc::clone(&route.meter);
                Ok(self.pass(route, &path, parts, unread, record).await?)
            }
        }
    }

    /// Answers a browser that asks whether a page of a configured origin may send a request. It
    /// carries no token (Fetch §4.8), so that no rule of a route is asked.
    fn preflight(self, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let preflight = self.site.cors.as_ref()?.preflight(&self.context.method, headers)?;
        let path = Canonical::parse(self.context.target.path()).map_err(Rejection::from);
        let served = path.and_then(|path| self.site.find(&preflight.method, &path).map(drop));
        Some(preflight.answer(served))
    }

    /// Finds out who asks, and notes it.
    ///
    /// # Errors
    /// As [`examine`], and 503 when the store was asked and did not answer.
    pub(crate) async fn authenticate(
        self,
        headers: &HeaderMap,
        auth: RouteAuth,
        scrutiny: Scrutiny<'_>,
        record: &mut RequestRecord,
    ) -> Result<Option<Arc<Verified>>, Rejection> {
        if auth == RouteAuth::None {
            return Ok(None);
        }
        let started = Instant::now();
        let now = self.context.now;
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        let Some(standing) = examine(headers, auth, bare_tokens, &scrutiny, now)? else {
            return Ok(None);
        };
        record.stale = standing.stale();
        let verified = standing.settle(&*self.gateway.auth.store, now.wall).await?;
        record.verify_time = Some(started.elapsed());
        record.who = Who::Bearer(Arc::clone(&verified));
        Ok(Some(verified))
    }

    /// What the request's token is held against.
    pub(crate) fn scrutiny(self, when_stale: Option<WhenStale>) -> Scrutiny<'a> {
        self.site.auth.scrutiny(Some(&self.gateway.auth.revocations), when_stale)
    }

    /// How the streams of this request are ended.
    fn watch<'b>(self, verified: &'b Verified) -> Option<Watch<'b>>
    where
        'a: 'b,
    {
        let close = self.snapshot.config.revocation.close_streams;
        Watch::of(verified, &self.gateway.auth.revocations, close, self.context.now.wall)
    }

    async fn pass(
        self,
        route: &'a Route,
        path: &Canonical<'_>,
        parts: &mut Parts,
        unread: &mut Unread,
        record: &mut RequestRecord,
    ) -> Result<Response<ReplyBody>, Rejection> {
        let rules = &route.config;
        let verified = self
            .authenticate(&parts.headers, rules.auth, self.scrutiny(rules.when_stale), record)
            .await?;
        let identity = admit(self.site, route, verified.as_deref())?;
        let target = path
            .target(&self.context.target, rules.strip_prefix.as_deref())
            .map_err(|error| Rejection::new(ErrorCode::BadRequest, error.to_string()))?;
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        let others_credentials =
            rules.auth != RouteAuth::Required && !presents_token(&parts.headers, bare_tokens);
        let plan = Plan {
            upstream: &route.upstream,
            target,
            identity,
            reserved: &route.reserved,
            cookie_names: &self.site.cookie_names,
            prefix: rules.strip_prefix.as_deref(),
            set_headers: &rules.set_headers,
            forward_authorization: others_credentials
                || rules.forward_authorization.unwrap_or(self.site.forward_authorization),
            host: rules.host,
            authority: self.context.authority(),
            client: self.context.client.address,
            peer: self.context.client.peer,
            trusted_peer: self.context.client.through_trusted,
            request_id: self.context.request_id.header(),
            most_body: rules.body.unwrap_or(self.snapshot.config.limits.body),
            limits: &self.snapshot.config.limits,
            watch: verified.as_deref().and_then(|verified| self.watch(verified)),
        };
        let Some(body) = unread.body.take() else {
            return Err(Rejection::internal("the body was taken before"));
        };
        record.upstream = Some(Arc::clone(&route.upstream));
        match forward(parts, body, &plan, &mut record.sent).await {
            Ok(forwarded) => {
                record.upstream_time = Some(forwarded.upstream_time);
                let mut response = forwarded.response;
                let redirects = Redirects {
                    client: self.context.authority(),
                    upstream: route.upstream.target(),
                    prefix: rules.strip_prefix.as_deref().unwrap_or_default(),
                    rewrite_paths: rules.rewrite_paths,
                };
                redirects.rewrite(response.headers_mut());
                if self.site.cors.is_some() {
                    cors::strip(response.headers_mut());
                }
                Ok(response)
            }
            Err(Unforwarded { rejection, body, untouched }) => {
                *unread = Unread { body, untouched };
                Err(rejection)
            }
        }
    }
}

/// Lets somebody, or nobody, take a route; answers what the backend is told of them.
///
/// # Errors
/// What [`authorize`] refuses.
pub(crate) fn admit<'a>(
    site: &Site,
    route: &Route,
    verified: Option<&'a Verified>,
) -> Result<&'a [(HeaderName, HeaderValue)], Rejection> {
    authorize(&route.config, verified.map(|verified| &verified.principal))?;
    let headers = |verified: &'a Verified| verified.identity(|who| site.identity.headers(who));
    Ok(verified.map(headers).unwrap_or_default())
}
