//! Serves an endpoint of a site's contract: decode, run the operation, encode.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response};

use crate::config::RouteAuth;
use crate::contract::{Endpoint, EndpointRequest};
use crate::gateway::access::origin;
use crate::gateway::context::Who;
use crate::gateway::credentials::TokenRule;
use crate::gateway::endpoint::audit::Audited;
use crate::gateway::headers::session_cookies::SessionChange;
use crate::gateway::open_request::RequestRecord;
use crate::gateway::scope::RequestScope;
use crate::gateway::site;
use crate::message::request_body::{RequestBody, read_input};
use crate::operation::{Command, Outcome, Principal, Rejection, UserView};
use crate::path::canonical::Canonical;

/// Runs the operation that an endpoint stands for.
///
/// Authentication comes before the body: a refused client need not send it.
///
/// # Errors
/// 403 for a foreign page where a cookie counts; what authentication, the contract's decoding or
/// the operation refuses.
pub(crate) async fn serve(
    scope: RequestScope<'_>,
    endpoint: &Endpoint,
    path: &Canonical<'_>,
    parts: &Parts,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    if endpoint.reads_cookie() {
        let (site, context) = (scope.site, scope.context);
        origin::check(&parts.headers, context.authority(), site.cors.as_ref())?;
    }
    let principal = if endpoint.needs_principal() {
        let rule = TokenRule {
            auth: RouteAuth::Required,
            sources: &scope.site.sources,
            check: scope.token_check(None).for_operation(endpoint.operation()),
        };
        let verified = scope.authenticate(&parts.headers, rule, record).await?;
        verified.map(|verified| Principal::clone(&verified.principal))
    } else {
        None
    };
    let bytes = take_input(scope, body, record).await?;
    let request = EndpointRequest {
        headers: &parts.headers,
        query: parts.uri.query(),
        path: &site::path_parameters(endpoint, path),
        body: &bytes,
        principal,
    };
    let command = scope.site.contract.decode(endpoint, request)?;
    let outcome = run(scope, &parts.headers, command, record).await?;
    if scope.site.sources.cookie && is_of_own_page(&scope, &parts.headers) {
        record.session = session_change(&outcome);
    }
    Ok(scope.site.contract.encode(endpoint, &outcome, scope.context.reply(scope.site.same_site)))
}

/// Reads the body of a request that the gateway answers itself, and records its length.
///
/// # Errors
/// As [`read_input`].
pub(crate) async fn take_input(
    scope: RequestScope<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Bytes, Rejection> {
    let bytes = match body {
        Some(body) => read_input(body, &scope.snapshot.config.limits).await?,
        None => return Err(Rejection::internal("the body was taken before")),
    };
    *body = None;
    record.received = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(bytes)
}

/// Runs a command for the client of a request, and records it in the audit trail.
///
/// # Errors
/// As the operation.
pub(crate) async fn run(
    scope: RequestScope<'_>,
    headers: &HeaderMap,
    command: Command,
    record: &mut RequestRecord,
) -> Result<Outcome, Rejection> {
    let caller = scope.caller(headers);
    let audited = Audited::begin(&scope, &command);
    let now = scope.context.now;
    let outcome = scope.gateway.auth.run(&scope.site.auth, &caller, command, now).await;
    if let Some(audited) = audited {
        audited.end(&outcome);
    }
    let outcome = outcome?;
    if let Some(user) = account(&outcome) {
        let name = user.email.as_ref().or(user.username.as_ref());
        record.who = Who::Account { id: user.id, name: name.cloned() };
    }
    Ok(outcome)
}

/// Whether a page of the site, or of a configured origin, sent the request: its browser gets the
/// session's cookies, and no other page can sign it in.
fn is_of_own_page(scope: &RequestScope<'_>, headers: &HeaderMap) -> bool {
    let (site, context) = (scope.site, scope.context);
    origin::is_browser(headers)
        && origin::check(headers, context.authority(), site.cors.as_ref()).is_ok()
}

/// The change of the session cookies that goes with an outcome. The page keeps its tokens beyond
/// the browser's session, if it wants; so do the cookies.
fn session_change(outcome: &Outcome) -> Option<SessionChange> {
    match outcome {
        Outcome::LoggedOut => Some(SessionChange::Clear),
        outcome => {
            let (_, tokens) = outcome.session()?;
            Some(SessionChange::Set { tokens: tokens.clone(), keep: true })
        }
    }
}

fn account(outcome: &Outcome) -> Option<&UserView> {
    match outcome {
        Outcome::SignedUp { user } | Outcome::Account { user } => Some(user),
        outcome => outcome.session().map(|(user, _)| user),
    }
}
