//! One site: its contract, tokens, identity headers, routes and endpoints.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};

use crate::auth::AuthSite;
use crate::config::{RouteConfig, SameSite, TokenSources};
use crate::contract::{Contract, Endpoint};
use crate::gateway::access::cors::Cors;
use crate::gateway::headers::identity::Identity;
use crate::gateway::headers::reserved::Reserved;
use crate::gateway::headers::session_cookies::SessionCookies;
use crate::gateway::log::meter::Meter;
use crate::gateway::look::SitePages;
use crate::gateway::request::hosted_path::HostedPath;
use crate::gateway::request::router::{Router, Target};
use crate::gateway::upstream::Upstream;
use crate::operation::Rejection;
use crate::path::canonical::{Canonical, decode_segment};
use crate::path::{PathError, PathForms};
use crate::token::{IdentityHeaders, Verified};

/// A site, compiled.
#[derive(Debug)]
pub(crate) struct Site {
    /// The pattern of its hosts, as metrics and logs name it.
    pub(crate) name: Arc<str>,
    /// The shape of its auth API and of its refusals.
    pub(crate) contract: Arc<Contract>,
    /// Its part in operations.
    pub(crate) auth: AuthSite,
    /// Its identity headers.
    pub(crate) identity: Identity,
    /// Whether backends get the Bearer token as well.
    pub(crate) forward_authorization: bool,
    /// Its CORS policy, if origins are configured.
    pub(crate) cors: Option<Cors>,
    /// `SameSite` of its cookies.
    pub(crate) same_site: SameSite,
    /// Where requests to its endpoints may carry their token.
    pub(crate) sources: TokenSources,
    /// The cookies of browsers' sessions.
    pub(crate) session_cookies: SessionCookies,
    /// Names of the contract's own cookies, which no backend gets.
    pub(crate) cookie_names: Vec<String>,
    /// Counts requests for no endpoint or route.
    pub(crate) unrouted: Arc<Meter>,
    /// Its hosted pages, if it has any.
    pub(crate) pages: Option<SitePages>,
    /// The prefix of the gateway's own paths.
    pub(crate) hosted_prefix: String,
    pub(super) router: Router,
    pub(super) endpoints: Vec<Arc<Meter>>,
    pub(super) routes: Vec<Route>,
    pub(super) jwks: Bytes,
    pub(super) jwks_meter: Arc<Meter>,
    /// Counts answers of the gateway's own paths, by their prefix.
    pub(super) hosted_meter: Arc<Meter>,
}

/// A route, compiled.
#[derive(Debug)]
pub(crate) struct Route {
    /// Its configuration.
    pub(crate) config: RouteConfig,
    /// Where its requests may carry their token.
    pub(crate) sources: TokenSources,
    /// Its upstream.
    pub(crate) upstream: Arc<Upstream>,
    /// Header names that only the gateway may send to it.
    pub(crate) reserved: Reserved,
    /// Whether no two headers of the gateway's own may have one name.
    pub(crate) own_differ: bool,
    /// Counts its answers.
    pub(crate) meter: Arc<Meter>,
}

/// The destination of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Destination<'a> {
    /// An endpoint of the contract.
    Endpoint(&'a Endpoint, &'a Arc<Meter>),
    /// The public keys.
    Jwks(&'a Arc<Meter>),
    /// A path of the gateway's own.
    Hosted(HostedPath, &'a Arc<Meter>),
    /// A route.
    Route(&'a Route),
}

impl Site {
    /// The identity headers for a bearer.
    pub(crate) fn identity_of<'v>(&self, verified: &'v Verified) -> &'v IdentityHeaders {
        verified.identity(|principal| self.identity.headers(principal))
    }

    /// Finds the destination of a request.
    ///
    /// # Errors
    /// 400 for a form of the path that the route does not keep; 404; 405 with the methods that are
    /// served.
    pub(crate) fn find(
        &self,
        method: &Method,
        path: &Canonical<'_>,
    ) -> Result<Destination<'_>, Rejection> {
        let target = self.router.find(method, path.as_str());
        let found = target.clone().and_then(|target| self.at(target));
        path.check(match &found {
            Ok(Destination::Route(route)) => route.config.keeps,
            _ => PathForms::default(),
        })?;
        if let Some(reading) = path.laxest_reading()?
            && self.router.find(method, &reading).ok() != target.ok()
        {
            return Err(PathError::OtherRoute.into());
        }
        found
    }

    /// Answers the key set (RFC 7517 §5).
    pub(crate) fn jwks(&self) -> Response<Bytes> {
        let mut response = Response::new(self.jwks.clone());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        response
    }

    fn at(&self, target: Target) -> Result<Destination<'_>, Rejection> {
        let destination = match target {
            Target::Jwks => Some(Destination::Jwks(&self.jwks_meter)),
            Target::Hosted(path) => Some(Destination::Hosted(path, &self.hosted_meter)),
            Target::Route(index) => self.routes.get(index).map(Destination::Route),
            Target::Endpoint(index) => self
                .contract
                .endpoints()
                .get(index)
                .zip(self.endpoints.get(index))
                .map(|(endpoint, meter)| Destination::Endpoint(endpoint, meter)),
        };
        destination
            .ok_or_else(|| Rejection::internal("the router names what the site does not have"))
    }
}

/// The decoded value of each `{name}` of an endpoint's path.
pub(crate) fn path_parameters(endpoint: &Endpoint, path: &Canonical<'_>) -> Vec<(String, String)> {
    let decode = |(name, value): (&str, &str)| (name.to_owned(), decode_segment(value));
    endpoint.pattern().parameters(path.as_str()).map(decode).collect()
}
