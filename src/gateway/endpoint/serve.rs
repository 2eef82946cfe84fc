//! Serves an endpoint of a site's contract: decode, run the operation, encode.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response, header};

use crate::config::RouteAuth;
use crate::contract::{Endpoint, EndpointRequest};
use crate::gateway::access::origin;
use crate::gateway::context::Who;
use crate::gateway::endpoint::audit::Audited;
use crate::gateway::open_request::RequestRecord;
use crate::gateway::scope::RequestScope;
use crate::gateway::site;
use crate::message::request_body::{RequestBody, read_input};
use crate::operation::{Caller, Outcome, Rejection, UserView};
use crate::path::canonical::Canonical;

/// Longest `User-Agent` that a session remembers, in bytes.
const AGENT_BYTES: usize = 256;

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
        let token_check = scope.token_check(None).for_operation(endpoint.operation());
        let required = RouteAuth::Required;
        let verified = scope.authenticate(&parts.headers, required, token_check, record).await?;
        verified.map(|verified| verified.principal.clone())
    } else {
        None
    };
    let bytes = match body {
        Some(body) => read_input(body, &scope.snapshot.config.limits).await?,
        None => return Err(Rejection::internal("the body was taken before")),
    };
    *body = None;
    record.received = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let request = EndpointRequest {
        headers: &parts.headers,
        query: parts.uri.query(),
        path: &site::path_parameters(endpoint, path),
        body: &bytes,
        principal,
    };
    let command = scope.site.contract.decode(endpoint, request)?;
    let caller = Caller { address: scope.context.client.address, agent: agent(&parts.headers) };
    let now = scope.context.now;
    let audited = Audited::begin(&scope, &command);
    let outcome = scope.gateway.auth.run(&scope.site.auth, &caller, command, now).await;
    if let Some(audited) = audited {
        audited.end(&outcome);
    }
    let outcome = outcome?;
    if let Some(user) = account(&outcome) {
        let name = user.email.as_ref().or(user.username.as_ref());
        record.who = Who::Account { id: user.id, name: name.cloned() };
    }
    Ok(scope.site.contract.encode(endpoint, &outcome, scope.context.reply(scope.site.same_site)))
}

const fn account(outcome: &Outcome) -> Option<&UserView> {
    match outcome {
        Outcome::SignedUp { user }
        | Outcome::TokensIssued { user, .. }
        | Outcome::Account { user } => Some(user),
        Outcome::LoggedOut
        | Outcome::Sessions { .. }
        | Outcome::SessionEnded
        | Outcome::TokenChecked { .. }
        | Outcome::CodeRequested
        | Outcome::PasswordReset { .. }
        | Outcome::EmailVerified { .. } => None,
    }
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(header::USER_AGENT)?.as_bytes());
    let end = text.floor_char_boundary(AGENT_BYTES);
    text.get(..end).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::agent;

    #[test]
    fn a_user_agent_is_cut_between_characters() {
        let mut headers = HeaderMap::new();
        assert_eq!(agent(&headers), None);

        let text = format!("{}가나", "a".repeat(254));
        headers.insert("user-agent", HeaderValue::from_bytes(text.as_bytes()).unwrap());

        assert_eq!(agent(&headers), Some("a".repeat(254)));
    }
}
