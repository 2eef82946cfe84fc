//! Makes the head that a backend sees of the head that the client sent.
//!
//! The order is what makes it safe: first the client's hop-by-hop set goes, with everything it
//! names; then every header that could be taken for one of ours; then ours are set. So nothing a
//! client writes can remove or double an identity header (CVE-2024-45410, CVE-2025-64484).

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use http_body::Body;

use crate::config::HostHeader;
use crate::gateway::headers::forwarded::Facts;
use crate::gateway::headers::{cookies, forwarded, hop};
use crate::gateway::proxy::forward::Plan;

/// Makes the request to send: origin-form, HTTP/1.1, its framing written anew.
pub(crate) fn request<B: Body>(
    parts: Parts,
    body: B,
    plan: &Plan<'_>,
    websocket: bool,
) -> Request<B> {
    let Parts { method, mut headers, .. } = parts;
    let client_host = headers.remove(HOST);
    hop::strip_and(&mut headers, |name| {
        plan.reserved.has(name, plan.trusted_peer)
            || (name == AUTHORIZATION && !plan.forward_authorization)
    });
    cookies::keep_foreign(&mut headers, plan.cookie_names);

    let authority = match client_host {
        Some(host) if host == plan.authority => host,
        _ if plan.authority.is_empty() => plan.upstream.authority().clone(),
        _ => HeaderValue::from_str(plan.authority)
            .unwrap_or_else(|_| plan.upstream.authority().clone()),
    };
    let facts = Facts {
        client: plan.client,
        peer: plan.peer,
        trusted_peer: plan.trusted_peer,
        authority: &authority,
        prefix: plan.prefix,
        request_id: plan.request_id,
    };
    forwarded::state(&mut headers, &facts);
    for (name, value) in plan.identity.iter().chain(plan.set_headers) {
        headers.insert(name.clone(), value.clone());
    }
    let host = match plan.host {
        HostHeader::Client => authority,
        HostHeader::Upstream => plan.upstream.authority().clone(),
    };
    headers.insert(HOST, host);
    frame(&mut headers, &method, &body);
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }

    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(plan.target.clone());
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    request
}

/// hyper frames a body by its length; it takes a GET of unknown length for one without a body,
/// and says nothing of an empty POST.
fn frame<B: Body>(headers: &mut HeaderMap, method: &Method, body: &B) {
    if body.is_end_stream() {
        if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if body.size_hint().exact().is_none() {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
