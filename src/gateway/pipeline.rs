//! The pipeline of a request at its site: the order of the steps, and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::config::RouteAuth;
use crate::contract::Endpoint;
use crate::gateway::access::authenticate::presents_token;
use crate::gateway::access::authorize::authorize;
use crate::gateway::access::cors;
use crate::gateway::access::token_source::{self, SUBPROTOCOL};
use crate::gateway::context::Who;
use crate::gateway::credentials::TokenRule;
use crate::gateway::endpoint::serve;
use crate::gateway::headers::redirects::Redirects;
use crate::gateway::hosted;
use crate::gateway::open_request::RequestRecord;
use crate::gateway::proxy::forward::forward;
use crate::gateway::proxy::plan::Plan;
use crate::gateway::reply;
use crate::gateway::reply_body::ReplyBody;
use crate::gateway::scope::RequestScope;
use crate::gateway::site::{Destination, Route};
use crate::message::request_body::RequestBody;
use crate::operation::{ErrorCode, Rejection};
use crate::path::canonical::Canonical;
use crate::token::Verified;

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

impl<'a> RequestScope<'a> {
    /// Answers the request. What is left of `body` is to be settled.
    ///
    /// # Errors
    /// Every refusal, of whatever step.
    pub(crate) async fn answer(
        self,
        parts: &mut Parts,
        body: &mut Option<RequestBody>,
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
            Destination::Hosted(hosted, meter) => {
                record.meter = Arc::clone(meter);
                let serving = hosted::serve(self, hosted, &path, parts, body, record);
                Ok(reply(Box::pin(serving).await?, method))
            }
            Destination::Endpoint(endpoint, meter) => {
                record.meter = Arc::clone(meter);
                // Boxed, so that the future of a forwarded request holds no room for it.
                let serving = serve::serve(self, endpoint, &path, parts, body, record);
                match Box::pin(serving).await {
                    Ok(answer) => Ok(reply(answer, method)),
                    Err(rejection) => Err(Refused { rejection, endpoint: Some(endpoint) }),
                }
            }
            Destination::Route(route) => {
                record.meter = Arc::clone(&route.meter);
                let rules = &route.config;
                let check = self.token_check(rules.when_stale);
                let rule = TokenRule { auth: rules.auth, sources: &route.sources, check };
                let verified = self.authenticate(&parts.headers, rule, record).await?;
                let verified = verified.as_deref();
                let principal = verified.map(|verified| &*verified.principal);
                authorize(rules, principal, self.context.now.wall)?;
                let mut plan = self.plan(route, &path, verified, &parts.headers)?;
                if route.sources.has_others() {
                    self.hide_tokens(route, &mut plan, &parts.headers, record)?;
                }
                // Boxed, so that the future of a refused request holds no room for it.
                Ok(Box::pin(self.proxy(route, &plan, parts, body, record)).await?)
            }
        }
    }

    /// Answers a browser that asks whether a page of a configured origin may send a request. It
    /// carries no token (Fetch §4.8), so that the route's rules do not apply.
    fn preflight(self, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let preflight = self.site.cors.as_ref()?.preflight(&self.context.method, headers)?;
        let path = Canonical::parse(self.context.target.path()).map_err(Rejection::from);
        let served = path.and_then(|path| self.site.find(&preflight.method, &path).map(drop));
        Some(preflight.answer(served))
    }

    /// Plans the forwarding of an authorized request.
    fn plan<'b>(
        self,
        route: &'a Route,
        path: &Canonical<'_>,
        verified: Option<&'b Verified>,
        headers: &HeaderMap,
    ) -> Result<Plan<'b>, Rejection>
    where
        'a: 'b,
    {
        let rules = &route.config;
        let target = path
            .target(&self.context.target, rules.strip_prefix.as_deref())
            .map_err(|error| Rejection::new(ErrorCode::BadRequest, error.to_string()))?;
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        let others_credentials =
            rules.auth != RouteAuth::Required && !presents_token(headers, bare_tokens);
        Ok(Plan {
            upstream: &route.upstream,
            target,
            identity: verified.map(|verified| self.site.identity_of(verified)),
            reserved: &route.reserved,
            cookie_names: &self.site.cookie_names,
            hides_subprotocol: false,
            authorization: None,
            prefix: rules.strip_prefix.as_deref(),
            set_headers: &rules.set_headers,
            own_differ: route.own_differ,
            forward_authorization: others_credentials
                || rules.forward_authorization.unwrap_or(self.site.forward_authorization),
            host: rules.host,
            authority: self.context.authority(),
            client: self.context.client,
            request_id: self.context.request_id.header(),
            most_body: rules.body.unwrap_or(self.snapshot.config.limits.body),
            limits: &self.snapshot.config.limits,
            watch: verified.and_then(|verified| self.watch(verified)),
        })
    }

    /// Removes from a plan the tokens that stand elsewhere than in `Authorization`; a backend that
    /// is to get the token gets it there.
    fn hide_tokens(
        self,
        route: &Route,
        plan: &mut Plan<'_>,
        headers: &HeaderMap,
        record: &RequestRecord,
    ) -> Result<(), Rejection> {
        plan.hides_subprotocol = token_source::offers_token(&route.sources, headers);
        if let Some(name) = &route.sources.query {
            plan.target = token_source::without_parameter(plan.target.clone(), name)
                .map_err(|error| Rejection::new(ErrorCode::BadRequest, error.to_string()))?;
        }
        if plan.forward_authorization && matches!(record.who, Who::Bearer(_)) {
            plan.authorization = self.authorization(headers, &route.sources, record)?;
        }
        Ok(())
    }

    /// Forwards a request, and passes the upstream's answer on.
    async fn proxy(
        self,
        route: &'a Route,
        plan: &Plan<'_>,
        parts: &mut Parts,
        body: &mut Option<RequestBody>,
        record: &mut RequestRecord,
    ) -> Result<Response<ReplyBody>, Rejection> {
        let Some(whole) = body.take() else {
            return Err(Rejection::internal("the body was taken before"));
        };
        record.upstream = Some(Arc::clone(&route.upstream));
        match forward(parts, whole, plan, &mut record.sent).await {
            Ok((mut response, upstream_time)) => {
                record.upstream_time = Some(upstream_time);
                let redirects = Redirects {
                    client: self.context.authority(),
                    upstream: route.upstream.target(),
                    prefix: plan.prefix.unwrap_or_default(),
                    rewrite_paths: route.config.rewrite_paths,
                };
                redirects.rewrite(response.headers_mut());
                if let Some(name) = &route.sources.query
                    && token_source::has_parameter(&self.context.target, name)
                {
                    // The address has the ticket: it goes to nobody (Referrer Policy §3).
                    let no_referrer = HeaderValue::from_static("no-referrer");
                    response.headers_mut().insert(header::REFERRER_POLICY, no_referrer);
                }
                if plan.hides_subprotocol && response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    // A browser takes no answer without one of the subprotocols that it offered.
                    let chosen = response.headers_mut().entry(SUBPROTOCOL);
                    chosen.or_insert(token_source::BEARER);
                }
                if self.site.cors.is_some() {
                    cors::strip(response.headers_mut());
                }
                Ok(response)
            }
            Err(unforwarded) => {
                *body = unforwarded.body;
                Err(unforwarded.rejection)
            }
        }
    }
}
