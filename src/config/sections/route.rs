//! `routes = [{ path = "…", upstream = "…", … }]`: what is forwarded where, and to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::config::values::header::route_header;
use crate::config::{ByteSize, TokenSources, UpstreamRef, WhenStale};
use crate::document::{Expected, Item, Spot, Table};
use crate::path::{PathForms, PathPattern, PatternError};

/// An item of `routes`; a reload applies it.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// `/*`, `/a/*` (covers `/a`, `/a/` and all below), `/users/{id}`, `/exact`.
    pub path: PathPattern,
    /// Methods, HEAD wherever GET is; default empty: all but TRACE.
    pub methods: Vec<Method>,
    /// Whether a token is needed; default `required`.
    pub auth: RouteAuth,
    /// Overrides the site's `token_from`; default `None`: does not.
    pub token_from: Option<TokenSources>,
    /// Any of these roles, else 403; default empty: no rule.
    pub roles: Vec<String>,
    /// All of these permissions, else 403; default empty: no rule.
    pub permissions: Vec<String>,
    /// All of these claims, equal, else 403; default empty: no rule.
    pub claims: BTreeMap<String, serde_json::Value>,
    /// The greatest age of the user's login, else they have to log in again; default `None`: any.
    pub auth_age: Option<Duration>,
    /// The upstream that it forwards to.
    pub upstream: UpstreamRef,
    /// Cut from the path before it is forwarded; default nothing.
    pub strip_prefix: Option<String>,
    /// Absolute paths in redirects and cookies of the answer get the prefix; default `false`.
    pub rewrite_paths: bool,
    /// Set on the request to the upstream; default none.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    /// Taken from the request to the upstream; default none.
    pub remove_headers: Vec<HeaderName>,
    /// Overrides the site's `forward_authorization`; default `None`: does not.
    pub forward_authorization: Option<bool>,
    /// The `Host` that the upstream sees; default the client's.
    pub host: HostHeader,
    /// Ambiguous forms of paths that the backend understands as they are; default none.
    pub keeps: PathForms,
    /// Longest body, beyond it 413; default `None`: `[limits] body`.
    pub body: Option<ByteSize>,
    /// Overrides `[revocation] when_stale`; default `None`: not.
    pub when_stale: Option<WhenStale>,
    /// Place in the file.
    pub spot: Spot,
}

/// `auth = "…"`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAuth {
    /// A valid token, or 401.
    Required,
    /// A valid token gives an identity; no token passes without; a bad one is 401.
    Optional,
    /// Tokens are ignored; none reaches the upstream, unless `forward_authorization` says so.
    None,
}

/// `host = "…"`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
}

impl RouteConfig {
    /// Reads a route; one with faults is read as far as it goes, and left out without a path.
    pub(crate) fn read(item: &Item<'_>, upstreams: &BTreeSet<String>) -> Option<Self> {
        let table = item.table("a route")?;
        let path_item = table.required("path", "a route matches a path: path = \"/*\"");
        let path = path_item.and_then(|item| item.parse(path_pattern));
        let named = path.as_ref().map_or("", PathPattern::as_str);
        let upstream = table
            .required("upstream", "a route forwards to a name of [upstream.NAME] or to a URL")
            .and_then(|item| upstream(&item, named, upstreams));
        let auth = table.choice(
            "auth",
            RouteAuth::Required,
            &[
                ("required", RouteAuth::Required),
                ("optional", RouteAuth::Optional),
                ("none", RouteAuth::None),
            ],
        );
        check_rules(&table, named, auth);
        let route = Self {
            path: path.clone().unwrap_or_default(),
            methods: table.read("methods", Vec::new(), |item| item.list(|item| item.parse(method))),
            auth,
            token_from: table.optional("token_from", TokenSources::read),
            roles: table.texts("roles"),
            permissions: table.texts("permissions"),
            claims: table
                .table("claims", "claims")
                .map(|claims| rules(&claims))
                .unwrap_or_default(),
            auth_age: table.optional("auth_age", Item::duration),
            upstream: upstream.unwrap_or_else(|| UpstreamRef::Named(String::new())),
            strip_prefix: table
                .optional("strip_prefix", |item| item.parse(|text| prefix_of(text, path.as_ref()))),
            rewrite_paths: rewrite_paths(&table),
            set_headers: table
                .table("set_headers", "set_headers")
                .map(|table| headers(&table))
                .unwrap_or_default(),
            remove_headers: table.read("remove_headers", Vec::new(), |item| {
                item.list(|item| item.parse(route_header))
            }),
            forward_authorization: table.optional("forward_authorization", Item::flag),
            host: table.choice(
                "host",
                HostHeader::Client,
                &[("client", HostHeader::Client), ("upstream", HostHeader::Upstream)],
            ),
            keeps: path_forms(&table),
            body: table.optional("body", |item| item.parse(str::parse)),
            when_stale: table.optional("when_stale", |item| item.choice(&WhenStale::CHOICES)),
            spot: table.spot(),
        };
        table.end();
        path.is_some().then_some(route)
    }

    /// Whether two routes cover a method both.
    pub(crate) fn shares_methods(&self, other: &Self) -> bool {
        match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => true,
            (false, false) => self.methods.iter().any(|method| other.methods.contains(method)),
            _ => false,
        }
    }
}

fn path_forms(table: &Table<'_>) -> PathForms {
    let keeps = |key| table.choice(key, false, &[("refuse", false), ("keep", true)]);
    PathForms {
        encoded_slash: keeps("encoded_slash"),
        encoded_percent: keeps("encoded_percent"),
        empty_segments: keeps("empty_segments"),
        non_utf8: keeps("non_utf8"),
    }
}

fn path_pattern(text: &str) -> Result<PathPattern, Expected> {
    text.parse().map_err(|error: PatternError| Expected::new(error.to_string()))
}

fn upstream(item: &Item<'_>, path: &str, known: &BTreeSet<String>) -> Option<UpstreamRef> {
    let text = item.text()?;
    if text.contains("://") {
        return item.parse(str::parse).map(UpstreamRef::Url);
    }
    if !known.contains(&text) {
        let hint = if known.is_empty() {
            "no [upstream.NAME] is set; a URL such as http://127.0.0.1:3000 works as well"
                .to_owned()
        } else {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            format!("known upstreams: {}", names.join(", "))
        };
        let route =
            if path.is_empty() { "this route".to_owned() } else { format!("route `{path}`") };
        item.absence(format!("{route} names an upstream that does not exist"), hint);
    }
    Some(UpstreamRef::Named(text))
}

/// Refuses rules on a route that looks at no token: they would never hold.
fn check_rules(table: &Table<'_>, path: &str, auth: RouteAuth) {
    for key in ["roles", "permissions", "claims", "token_from", "auth_age"] {
        if let Some(item) = table.item(key).filter(|_| auth == RouteAuth::None) {
            item.fault(
                format!("route `{path}` has a rule but looks at no token"),
                format!("`{key}` needs auth = \"required\""),
            );
        }
    }
}

fn rewrite_paths(table: &Table<'_>) -> bool {
    let rewrite = table.flag("rewrite_paths", false);
    if let Some(item) = table.item("rewrite_paths").filter(|_| rewrite)
        && table.item("strip_prefix").is_none_or(|prefix| prefix.is_empty_text())
    {
        item.fault("rewrite_paths puts back what strip_prefix cuts", "this route has none");
    }
    rewrite
}

fn rules(claims: &Table<'_>) -> BTreeMap<String, serde_json::Value> {
    let entries = claims.entries().into_iter();
    entries.filter_map(|(name, item)| Some((name.text.to_owned(), item.json()?))).collect()
}

fn headers(table: &Table<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, item) in table.entries() {
        // A header to a backend may be its API key.
        item.conceal();
        let value = item.parse(|text| {
            let value = HeaderValue::from_str(text)
                .or(Err("expected a header value: printable characters on one line"));
            value.map_err(Expected::new)
        });
        let value = value.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        headers.extend(name.parse(route_header).zip(value));
    }
    headers
}

fn method(text: &str) -> Result<Method, Expected> {
    if text == "CONNECT" {
        return Err(Expected::new("CONNECT is never forwarded"));
    }
    let is_upper =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if is_upper => Ok(method),
        Ok(_) | Err(_) => Err(Expected::one_of(text, &COMMON_METHODS)),
    }
}

/// The prefix ends where a segment ends, and holds nothing that varies.
fn prefix_of(prefix: &str, path: Option<&PathPattern>) -> Result<String, Expected> {
    let rest = path.map(|path| path.as_str().strip_prefix(prefix));
    let is_prefix = match rest {
        None => true,
        Some(None) => false,
        Some(Some(rest)) => rest.is_empty() || rest.starts_with('/'),
    };
    let is_literal = prefix.len() > 1 && prefix.starts_with('/') && !prefix.contains(['{', '*']);
    if is_prefix && is_literal && !prefix.ends_with('/') {
        Ok(prefix.to_owned())
    } else {
        Err(Expected::new("expected the first segments of `path`, such as /a of /a/*"))
    }
}

/// The methods that most backends know (RFC 9110 §9.3, RFC 5789).
pub(crate) const COMMON_METHODS: [&str; 7] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
