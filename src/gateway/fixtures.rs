//! Values that this folder's tests start from.

use std::collections::BTreeMap;

use http::{HeaderName, Method};

use crate::clock::Timestamp;
use crate::config::{HostHeader, IdentityConfig, RouteAuth, RouteConfig, Spot, UpstreamRef};
use crate::operation::{AuthMethods, Generations, Principal, TokenId};
use crate::path::PathForms;

/// A route without rules.
pub(crate) fn route(path: &str, methods: &[Method]) -> RouteConfig {
    RouteConfig {
        path: path.parse().unwrap(),
        methods: methods.to_vec(),
        auth: RouteAuth::Required,
        token_from: None,
        roles: Vec::new(),
        permissions: Vec::new(),
        claims: BTreeMap::new(),
        auth_age: None,
        upstream: UpstreamRef::Named("orders".to_owned()),
        strip_prefix: None,
        rewrite_paths: false,
        set_headers: Vec::new(),
        remove_headers: Vec::new(),
        forward_authorization: None,
        host: HostHeader::Client,
        keeps: PathForms::default(),
        body: None,
        when_stale: None,
        spot: Spot::default(),
    }
}

/// User 7, of whom nothing else is known.
pub(crate) fn principal() -> Principal {
    Principal {
        issuer: "https://localhost".to_owned(),
        subject: "7".to_owned(),
        token: TokenId("t".to_owned()),
        session: None,
        generations: Generations::default(),
        key: "k".to_owned(),
        issued_at: Timestamp::from_seconds(0),
        expires_at: Timestamp::from_seconds(900),
        email: None,
        username: None,
        roles: Vec::new(),
        permissions: Vec::new(),
        authenticated_at: None,
        methods: AuthMethods::default(),
        claims: serde_json::Map::new(),
    }
}

/// The default names, and `X-Plan` from the claim `plan`.
pub(crate) fn identity_config() -> IdentityConfig {
    IdentityConfig {
        claims: vec![(HeaderName::from_static("x-plan"), "plan".to_owned())],
        ..IdentityConfig::default()
    }
}
