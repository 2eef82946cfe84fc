//! `explain`: the outcome of a request and its reason, without sending it anywhere.
//!
//! It takes the same steps as the pipeline, by the same functions.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use serde::Serialize;

use crate::auth::access_token::{AccessTokenCheck, TokenStatus};
use crate::clock::Now;
use crate::config::{HostHeader, RouteAuth, RouteConfig, WhenStale};
use crate::gateway::access::authenticate::authenticate;
use crate::gateway::access::authorize::authorize;
use crate::gateway::site::{Destination, Route, Site};
use crate::gateway::snapshot::Snapshot;
use crate::operation::{ErrorCode, Rejection};
use crate::path::canonical::Canonical;
use crate::revocation::RevocationList;
use crate::token::{IdentityHeaders, Verified};

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The method.
    pub method: String,
    /// The host that the site is found by.
    pub host: String,
    /// The path as it is matched and forwarded; absent if it has no canonical form.
    pub path: Option<String>,
    /// The site's host pattern; absent where none is for the host.
    pub site: Option<String>,
    /// The endpoint or route; absent where none covers the path and method.
    pub target: Option<ExplainedTarget>,
    /// Subject of the token; absent without a token, or if it does not verify.
    pub subject: Option<String>,
    /// Claims that did not fit and are left out.
    pub left_out: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// The head for the backend, if the request passes.
    pub forwarded: Option<ExplainedForward>,
}

/// The endpoint or route of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExplainedTarget {
    /// An endpoint of the contract.
    Endpoint {
        /// Name of the contract.
        contract: String,
        /// Path of the endpoint.
        path: String,
        /// Name of the operation.
        operation: String,
        /// Whether a token is needed.
        needs_token: bool,
    },
    /// The public keys.
    Keys,
    /// A path of the gateway's own.
    Hosted {
        /// Its path.
        path: String,
    },
    /// A route.
    Route {
        /// Its path.
        path: String,
        /// The file that it stands in.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The rule for the token.
        rule: String,
        /// Its upstream.
        upstream: String,
    },
}

/// The verdict on a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it passes: to the backend, or to the operation.
    pub passes: bool,
    /// The status of a refusal; absent where it passes.
    pub status: Option<u16>,
    /// The kind of the refusal.
    pub code: Option<String>,
    /// Why.
    pub reason: String,
}

/// The head that a backend would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedForward {
    /// Path and query.
    pub target: String,
    /// `Host`
    pub host: String,
    /// Longest body, and the key that limits it.
    pub body: String,
    /// Headers that the gateway sets, in order.
    pub headers: Vec<(String, String)>,
}

/// Explains a request. Without `revocations` it is left open whether the token is revoked.
#[must_use]
pub fn explain(
    snapshot: &Snapshot,
    revocations: Option<&RevocationList>,
    method: &Method,
    url: &Uri,
    token: Option<&str>,
    now: Now,
) -> Explanation {
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    let mut explanation = Explanation {
        method: method.to_string(),
        path: Canonical::parse(url.path()).ok().map(|path| path.as_str().to_owned()),
        site: None,
        target: None,
        subject: None,
        left_out: Vec::new(),
        verdict: Verdict {
            passes: false,
            status: Some(421),
            code: Some("unknown_host".to_owned()),
            reason: "no site is for this host".to_owned(),
        },
        forwarded: None,
        host,
    };
    let Some(site) = snapshot.site(&explanation.host) else {
        return explanation;
    };
    explanation.site = Some(site.name.to_string());
    let explainer = Explainer { snapshot, revocations, site, method, url, token, now };
    explanation.verdict = match explainer.reason(&mut explanation) {
        Ok(reason) => Verdict { passes: true, status: None, code: None, reason },
        Err(rejection) => Verdict {
            passes: false,
            status: Some(rejection.code.status()),
            code: Some(rejection.code.name().to_owned()),
            reason: rejection.reason.into_owned(),
        },
    };
    explanation
}

/// The question.
struct Explainer<'a> {
    snapshot: &'a Snapshot,
    revocations: Option<&'a RevocationList>,
    site: &'a Site,
    method: &'a Method,
    url: &'a Uri,
    token: Option<&'a str>,
    now: Now,
}

impl Explainer<'_> {
    fn reason(&self, explanation: &mut Explanation) -> Result<String, Rejection> {
        let path = Canonical::parse(self.url.path())?;
        match self.site.find(self.method, &path)? {
            Destination::Jwks(_) => {
                explanation.target = Some(ExplainedTarget::Keys);
                Ok("the gateway answers with the site's public keys".to_owned())
            }
            Destination::Hosted(path, _) => {
                let path = path.pattern(&self.site.hosted_prefix);
                explanation.target = Some(ExplainedTarget::Hosted { path });
                Ok("the gateway answers itself".to_owned())
            }
            Destination::Endpoint(endpoint, _) => {
                explanation.target = Some(ExplainedTarget::Endpoint {
                    contract: self.site.contract.name().to_owned(),
                    path: endpoint.path().to_owned(),
                    operation: endpoint.operation().name().to_owned(),
                    needs_token: endpoint.needs_principal(),
                });
                if endpoint.needs_principal() {
                    let token_check = self.token_check(None).for_operation(endpoint.operation());
                    self.bearer(RouteAuth::Required, &token_check, explanation)?;
                }
                Ok(format!("the gateway runs {} itself", endpoint.operation().name()))
            }
            Destination::Route(route) => {
                explanation.target = Some(self.route(route));
                let rules = &route.config;
                let token_check = self.token_check(rules.when_stale);
                let (verified, open) = self.bearer(rules.auth, &token_check, explanation)?;
                let verified = verified.as_deref();
                let principal = verified.map(|verified| &*verified.principal);
                authorize(rules, principal, self.now.wall)?;
                let identity = verified.map(|verified| self.site.identity_of(verified));
                let identity = identity.map(IdentityHeaders::fields).unwrap_or_default();
                explanation.forwarded = Some(self.forwarded(route, &path, identity)?);
                Ok(format!("forwarded to {}{open}", rules.upstream))
            }
        }
    }

    fn token_check(&self, when_stale: Option<WhenStale>) -> AccessTokenCheck<'_> {
        self.site.auth.token_check(self.revocations, when_stale)
    }

    /// The principal, and what stays unknown about it.
    fn bearer(
        &self,
        auth: RouteAuth,
        token_check: &AccessTokenCheck<'_>,
        explanation: &mut Explanation,
    ) -> Result<(Option<Arc<Verified>>, &'static str), Rejection> {
        let mut headers = HeaderMap::new();
        if let Some(token) = self.token {
            let line = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|error| Rejection::invalid_token(error.to_string()))?;
            headers.insert(header::AUTHORIZATION, line);
        }
        let bare_tokens = self.site.contract.tokens().bare_tokens;
        let (verified, open) =
            match authenticate(&headers, auth, bare_tokens, token_check, self.now)? {
                None => (None, ", without an identity"),
                Some(TokenStatus::Accepted(verified)) if self.revocations.is_none() => {
                    (Some(verified), ", unless the token is revoked: no list is at hand")
                }
                Some(TokenStatus::Accepted(verified)) => (Some(verified), ""),
                Some(TokenStatus::AcceptedStale(verified)) => {
                    (Some(verified), ", although revocation is stale")
                }
                Some(TokenStatus::NeedsStoreLookup(verified)) => {
                    (Some(verified), ", if the store, which would be asked, knows no revocation")
                }
            };
        if let Some(verified) = &verified {
            explanation.subject = Some(verified.principal.subject.clone());
            explanation.left_out = verified.left_out.iter().map(ToString::to_string).collect();
        }
        Ok((verified, open))
    }

    fn route(&self, route: &Route) -> ExplainedTarget {
        ExplainedTarget::Route {
            path: route.config.path.as_str().to_owned(),
            file: self.snapshot.config.source.path.display().to_string(),
            line: route.config.spot.line,
            rule: rule(&route.config),
            upstream: route.config.upstream.to_string(),
        }
    }

    fn forwarded(
        &self,
        route: &Route,
        path: &Canonical<'_>,
        identity: &[(HeaderName, HeaderValue)],
    ) -> Result<ExplainedForward, Rejection> {
        let rules = &route.config;
        let sent = self.url.path_and_query().cloned();
        let target = path
            .target(&sent.unwrap_or(PathAndQuery::from_static("/")), rules.strip_prefix.as_deref())
            .map_err(|error| Rejection::new(ErrorCode::BadRequest, error.to_string()))?;
        let authority = self.url.authority().map(ToString::to_string).unwrap_or_default();
        let host = match rules.host {
            HostHeader::Client => authority,
            HostHeader::Upstream => {
                String::from_utf8_lossy(route.upstream.authority().as_bytes()).into_owned()
            }
        };
        let headers = identity.iter().chain(&rules.set_headers).map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        let body = match rules.body {
            Some(most) => format!("at most {most} (`body` of the route)"),
            None => format!("at most {} (limits.body)", self.snapshot.config.limits.body),
        };
        Ok(ExplainedForward { target: target.to_string(), host, body, headers: headers.collect() })
    }
}

fn rule(route: &RouteConfig) -> String {
    let mut parts = vec![match route.auth {
        RouteAuth::Required => "a token".to_owned(),
        RouteAuth::Optional => "a token or none".to_owned(),
        RouteAuth::None => "no token is looked at".to_owned(),
    }];
    if !route.roles.is_empty() {
        parts.push(format!("any of the roles {}", route.roles.join(", ")));
    }
    if !route.permissions.is_empty() {
        parts.push(format!("the permissions {}", route.permissions.join(", ")));
    }
    parts.extend(route.claims.iter().map(|(name, value)| format!("the claim {name} = {value}")));
    parts.join("; ")
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod requests;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::rule;
    use crate::config::{HostPort, UpstreamRef, UpstreamUrl};
    use crate::gateway::fixtures::route;

    #[test]
    fn a_rule_reads_as_a_sentence() {
        let mut route = route("/admin/*", &[]);
        assert_eq!(rule(&route), "a token");

        route.roles = vec!["admin".to_owned(), "root".to_owned()];
        route.permissions = vec!["SMS".to_owned()];
        route.claims.insert("tenant".to_owned(), json!("acme"));

        assert_eq!(
            rule(&route),
            "a token; any of the roles admin, root; the permissions SMS; \
             the claim tenant = \"acme\""
        );
    }

    #[test]
    fn an_upstream_reads_as_it_is_written() {
        let url = |host: &str, tls| UpstreamUrl {
            tls,
            address: HostPort { host: host.to_owned(), port: 3000 },
        };
        let rows = [
            (UpstreamRef::Named("orders".to_owned()), "orders"),
            (UpstreamRef::Url(url("127.0.0.1", false)), "http://127.0.0.1:3000"),
            (UpstreamRef::Url(url("::1", true)), "https://[::1]:3000"),
        ];
        for (given, shown) in rows {
            assert_eq!(given.to_string(), shown);
        }
    }
}
