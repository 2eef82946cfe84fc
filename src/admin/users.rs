//! `GET /munjigi/users/ID`: the attributes of an account, for backends with the secret.
//!
//! It is not there unless `[server] backend_secret` is set. It answers attributes of any size,
//! which no access token carries, and never a password's verifier.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde_json::json;

use crate::admin::text;
use crate::gateway::Gateway;
use crate::gateway::reply_body::ReplyBody;
use crate::message::only;
use crate::message::request_body::RequestBody;
use crate::operation::{Identifier, UserId};
use crate::secret::Secret;
use crate::store::{Lookup, User};
use crate::telemetry::causes;

/// The prefix of the paths.
const USERS: &str = "/munjigi/users/";

/// Answers a request for an account; `None` where there is no such path.
pub(super) async fn answer(
    gateway: &Gateway,
    request: &Request<RequestBody>,
) -> Option<Response<ReplyBody>> {
    let id = request.uri().path().strip_prefix(USERS)?;
    let snapshot = gateway.snapshot.load_full();
    let token = snapshot.config.server.backend_secret.as_ref()?;
    if !presents(request.headers(), token) {
        return Some(unauthorized());
    }
    let mut realms: Vec<&str> =
        snapshot.config.sites.iter().map(|site| site.realm.as_str()).collect();
    realms.dedup();
    let asked = request.uri().query().and_then(|query| query.strip_prefix("realm="));
    let realm = match (asked, realms.as_slice()) {
        (Some(realm), _) => realm,
        (None, [realm]) => realm,
        (None, _) => {
            let words = "there are several realms: ?realm=NAME says which\n";
            return Some(text(StatusCode::BAD_REQUEST, words));
        }
    };
    let number = id.parse().ok().filter(|number: &i64| number.to_string() == id);
    let Some(number) = number else {
        return Some(text(StatusCode::NOT_FOUND, "no such account\n"));
    };
    let who = Identifier::Id(UserId(number));
    Some(match gateway.auth.store.find_user(realm, &who, Lookup::Whole).await {
        Ok(Some(user)) => found(&user),
        Ok(None) => text(StatusCode::NOT_FOUND, "no such account\n"),
        Err(error) => {
            tracing::warn!(error = causes(&error), "an account was not read for a backend");
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "the store is away\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    })
}

fn presents(headers: &HeaderMap, token: &Secret<String>) -> bool {
    let line = only(headers, &header::AUTHORIZATION).and_then(|line| line.to_str().ok());
    let presented = line.and_then(|text| text.split_once(' '));
    presented.is_some_and(|(scheme, presented)| {
        scheme.eq_ignore_ascii_case("bearer") && Secret::from(presented) == *token
    })
}

fn unauthorized() -> Response<ReplyBody> {
    let mut response =
        text(StatusCode::UNAUTHORIZED, "Authorization: Bearer with backend_secret\n");
    let challenge = HeaderValue::from_static("Bearer realm=\"munjigi\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn found(user: &User) -> Response<ReplyBody> {
    let body = json!({
        "id": user.id.0,
        "realm": user.realm,
        "email": user.email.as_ref().map(ToString::to_string),
        "email_verified": user.email_verified,
        "username": user.username.as_ref().map(ToString::to_string),
        "roles": user.roles,
        "permissions": user.permissions,
        "enabled": user.enabled,
        "attributes": user.attributes,
        "created_at": user.created_at.to_second().to_rfc3339(),
        "last_login_at": user.last_login_at.map(|at| at.to_second().to_rfc3339()),
    });
    let mut response = text(StatusCode::OK, Bytes::from(format!("{body}\n")));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
