//! Makes the head that a backend is sent from the head that the client sent.
//!
//! The order makes it safe: hop-by-hop fields are dropped, with every field that `Connection`
//! names; then every field that could be taken for one of ours; what is left is the client's, and
//! ours follow. So nothing a client writes can remove or double an identity header (CVE-2024-45410,
//! CVE-2025-64484).

use std::borrow::Cow;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config::HostHeader;
use crate::gateway::access::token_source::{self, SUBPROTOCOL};
use crate::gateway::headers::forwarded::{ForwardedFields, Outer};
use crate::gateway::headers::head::RequestHead;
use crate::gateway::headers::{cookies, forwarded, hop};
use crate::gateway::proxy::plan::Plan;
use crate::gateway::upstream::Outgoing;
use crate::gateway::upstream::upload::ClientBody;
use crate::token::IdentityHeaders;

/// Makes the request to send: origin-form, HTTP/1.1, its framing written anew.
pub(crate) fn request(
    parts: &Parts,
    body: ClientBody,
    plan: &Plan<'_>,
    websocket: bool,
) -> Outgoing {
    let Parts { method, headers, .. } = parts;
    let authority = authority(headers, plan);
    let fields = ForwardedFields {
        client: plan.client,
        authority: &authority,
        prefix: plan.prefix,
        request_id: plan.request_id,
    };
    let mut head = RequestHead::new(method, &plan.target);
    let host = match plan.host {
        HostHeader::Client => &authority,
        HostHeader::Upstream => plan.upstream.authority(),
    };
    head.field(&HOST, host);
    let outer = write_clients(&mut head, headers, plan, &fields);
    write_own(&mut head, &outer, plan, &fields);
    let length = body.length();
    write_framing(&mut head, method, length);
    if websocket {
        head.field(&CONNECTION, &HeaderValue::from_static("upgrade"));
        head.field(&UPGRADE, &HeaderValue::from_static("websocket"));
    }
    let repeats = method.is_idempotent() && *method != Method::CONNECT;
    Outgoing {
        head: head.end(),
        body,
        length,
        may_repeat: repeats && length == Some(0) && !websocket,
        is_head: *method == Method::HEAD,
    }
}

/// The authority that the client asked for.
fn authority<'a>(headers: &'a HeaderMap, plan: &Plan<'a>) -> Cow<'a, HeaderValue> {
    match headers.get(HOST) {
        Some(host) if host == plan.authority => Cow::Borrowed(host),
        _ if plan.authority.is_empty() => Cow::Borrowed(plan.upstream.authority()),
        _ => HeaderValue::from_str(plan.authority)
            .map_or(Cow::Borrowed(plan.upstream.authority()), Cow::Owned),
    }
}

/// Writes the client's fields that pass; answers those of a trusted proxy among them.
fn write_clients<'h>(
    head: &mut RequestHead,
    headers: &'h HeaderMap,
    plan: &Plan<'_>,
    fields: &ForwardedFields<'_>,
) -> Outer<'h> {
    let named = hop::named(headers.get_all(CONNECTION));
    let stays_behind = |name: &HeaderName| {
        hop::is_hop_by_hop(name.as_str())
            || named.contains(name)
            || (name == AUTHORIZATION
                && !(plan.forward_authorization && plan.authorization.is_none()))
            || plan.reserved.has(name, plan.client.through_trusted)
            || (plan.hides_subprotocol && name == SUBPROTOCOL)
    };
    let mut outer = Outer::default();
    let mut has_cookie = false;
    for (name, value) in headers {
        if name == HOST || stays_behind(name) {
            continue;
        }
        if name == COOKIE {
            has_cookie = true;
        } else if !plan.client.through_trusted || !outer.note(name, value, fields) {
            head.field(name, value);
        }
    }
    if has_cookie && let Some(cookie) = cookies::foreign(headers, plan.cookie_names) {
        head.field(&COOKIE, &cookie);
    }
    if plan.hides_subprotocol
        && let Some(left) = token_source::without_token(headers)
    {
        head.field(&SUBPROTOCOL, &left);
    }
    if let Some(authorization) = &plan.authorization {
        head.field(&AUTHORIZATION, authorization);
    }
    outer
}

/// Writes the forwarded fields, the identity, and what the route sets.
fn write_own(
    head: &mut RequestHead,
    outer: &Outer<'_>,
    plan: &Plan<'_>,
    fields: &ForwardedFields<'_>,
) {
    if plan.own_differ {
        forwarded::write(head, outer, fields, |_| false);
        plan.identity.into_iter().for_each(|identity| head.identity(identity));
        plan.set_headers.iter().for_each(|(name, value)| head.field(name, value));
        return;
    }
    let identity = plan.identity.map(IdentityHeaders::fields).unwrap_or_default();
    let own = identity.iter().chain(plan.set_headers);
    forwarded::write(head, outer, fields, |name| own.clone().any(|(set, _)| set == name));
    for (index, (name, value)) in own.clone().enumerate() {
        // The last value set for a name replaces the others.
        if !own.clone().skip(index + 1).any(|(later, _)| later == name) {
            head.field(name, value);
        }
    }
}

/// Writes the framing of the body. An empty POST has `Content-Length: 0` (RFC 9110 §8.6).
fn write_framing(head: &mut RequestHead, method: &Method, length: Option<u64>) {
    match length {
        Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {}
        Some(length) => head.field(&CONTENT_LENGTH, &length.into()),
        None => head.field(&TRANSFER_ENCODING, &HeaderValue::from_static("chunked")),
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
