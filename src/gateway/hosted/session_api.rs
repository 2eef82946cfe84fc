//! Paths for scripts of a page: a renewed session, and tickets. They answer JSON, and refuse as the
//! site's contract does.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::config::RouteAuth;
use crate::encoding::form;
use crate::gateway::access::ticket;
use crate::gateway::credentials::TokenRule;
use crate::gateway::endpoint::serve::take_input;
use crate::gateway::open_request::RequestRecord;
use crate::gateway::scope::RequestScope;
use crate::message::request_body::RequestBody;
use crate::operation::{Problem, ProblemKind, Rejection};
use crate::path::canonical::Canonical;

/// Authenticates a request by any of the site's places, as a route would.
///
/// # Errors
/// As [`RequestScope::authenticate`].
async fn authenticate(
    scope: RequestScope<'_>,
    parts: &Parts,
    record: &mut RequestRecord,
) -> Result<(), Rejection> {
    let rule = TokenRule {
        auth: RouteAuth::Required,
        sources: &scope.site.sources,
        check: scope.token_check(None),
    };
    scope.authenticate(&parts.headers, rule, record).await.map(drop)
}

/// Renews the session if it must be: 204, whose cookies live on.
///
/// # Errors
/// 401 where the session is over; 403 for a foreign page.
pub(crate) async fn refresh(
    scope: RequestScope<'_>,
    parts: &Parts,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    authenticate(scope, parts, record).await?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// Makes a ticket for the `path` of a form or a JSON object.
///
/// # Errors
/// As authentication; 400 for what is no path of this site.
pub(crate) async fn make_ticket(
    scope: RequestScope<'_>,
    parts: &Parts,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    authenticate(scope, parts, record).await?;
    let bytes = take_input(scope, body, record).await?;
    let target = target(&bytes).ok_or_else(|| invalid(ProblemKind::Missing))?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target.as_str(), None),
    };
    if !path.starts_with('/') {
        return Err(invalid(ProblemKind::Malformed));
    }
    let path = Canonical::parse(path).map_err(|_error| invalid(ProblemKind::Malformed))?;
    let token = scope.token(&parts.headers, &scope.site.sources, record)?;
    let token = token.ok_or_else(|| Rejection::invalid_token("a ticket makes no tickets"))?;
    let now = scope.context.now.wall;
    let ticket = ticket::issue(&scope.gateway.auth.own_keys, token, (path.as_str(), query), now)?;
    let body = json!({ "ticket": ticket.expose(), "expires_in": ticket::LIFETIME.as_secs() });
    let mut response = Response::new(Bytes::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The `path` of a JSON object or a form.
fn target(body: &[u8]) -> Option<String> {
    let path = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) => json.get("path")?.as_str()?.to_owned(),
        Err(_) => form::parse(body, &["path"])?.pop()?.1,
    };
    Some(path).filter(|path| !path.is_empty())
}

fn invalid(kind: ProblemKind) -> Rejection {
    Rejection::invalid_input(Problem { field: "path".to_owned(), kind, message: None })
}
