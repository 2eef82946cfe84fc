//! Identity headers are set by the gateway alone, whatever a client sends.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use proptest::prelude::*;

use super::request;
use crate::config::{LimitsConfig, UpstreamConfig};
use crate::gateway::headers::reserved::Reserved;
use crate::gateway::proxy::plan::Plan;
use crate::gateway::upstream::Upstream;
use crate::gateway::upstream::upload::ClientBody;
use crate::token::IdentityHeaders;

const IDENTITY: [&str; 3] = ["x-user-id", "x-user-email", "x-user-roles"];

/// Names that a client may try: true ones, look-alikes, what removes others, and harmless ones.
fn name() -> impl Strategy<Value = String> {
    let spelt =
        (prop::sample::select(IDENTITY.to_vec()), prop::sample::select(vec!["-", "_", ".", ""]))
            .prop_map(|(name, separator)| name.replace('-', separator));
    let mixed = prop::sample::select(IDENTITY.to_vec()).prop_map(|name| name.replacen('-', "_", 1));
    let other = prop::sample::select(vec![
        "connection",
        "keep-alive",
        "proxy-connection",
        "authorization",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-request-id",
        "cookie",
        "accept",
        "x-user",
        "te",
        "trailer",
        "upgrade",
    ]);
    prop_oneof![spelt, mixed, other.prop_map(str::to_owned)]
}

fn value() -> impl Strategy<Value = String> {
    let naming = prop::collection::vec(name(), 1..4).prop_map(|names| names.join(", "));
    prop_oneof![naming, "[ -~]{0,12}"]
}

fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

/// The head for the backend, from these lines of a client and this identity.
fn forwarded(lines: &[(String, String)], identity: &HeaderMap, own_differ: bool) -> HeaderMap {
    let mut asked = Request::get("/x").body(()).unwrap();
    for (name, value) in lines {
        let name = HeaderName::try_from(name.as_str()).unwrap();
        asked.headers_mut().append(name, HeaderValue::try_from(value.as_str()).unwrap());
    }
    let config = UpstreamConfig::at("http://127.0.0.1:1".parse().unwrap());
    let upstream = Arc::new(Upstream::new("backend", &config).unwrap());
    let reserved = Reserved::new(IDENTITY.into_iter());
    let identity: Vec<_> =
        identity.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let identity = IdentityHeaders::new(identity);
    let client = IpAddr::from([127, 0, 0, 1]);
    let (limits, id) = (LimitsConfig::default(), HeaderValue::from_static("id"));
    let plain = Plan::plain(&upstream, PathAndQuery::from_static("/x"), &reserved, client, &limits);
    let plan = Plan { identity: Some(&identity), own_differ, request_id: &id, ..plain };
    let (parts, ()) = asked.into_parts();
    let head = request(&parts, ClientBody::Empty, &plan, false).head;
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut seen = httparse::Request::new(&mut lines);
    assert_eq!(seen.parse(&head), Ok(httparse::Status::Complete(head.len())));
    let lines = seen.headers.iter().map(|line| {
        (HeaderName::try_from(line.name).unwrap(), HeaderValue::from_bytes(line.value).unwrap())
    });
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    headers
}

fn identity_in(headers: &HeaderMap) -> Vec<(String, HeaderValue)> {
    let known: Vec<String> = IDENTITY.iter().map(|name| fold(name)).collect();
    let mut seen: Vec<(String, HeaderValue)> = headers
        .iter()
        .filter(|(name, _)| known.contains(&fold(name.as_str())))
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    seen
}

proptest! {
    #[test]
    fn identity_headers_are_the_tokens_values_once_each(
        lines in prop::collection::vec((name(), value()), 0..12),
        authenticated in any::<bool>(),
        own_differ in any::<bool>(),
    ) {
        let mut identity = HeaderMap::new();
        if authenticated {
            identity.insert("x-user-id", HeaderValue::from_static("7"));
            identity.insert("x-user-email", HeaderValue::from_static("you@example.com"));
        }

        let headers = forwarded(&lines, &identity, own_differ);

        prop_assert_eq!(identity_in(&headers), identity_in(&identity));
        for gone in ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "authorization"] {
            prop_assert!(!headers.contains_key(gone), "{} reached the backend", gone);
        }
        prop_assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        prop_assert_eq!(headers.get("x-request-id"), Some(&HeaderValue::from_static("id")));
    }
}
