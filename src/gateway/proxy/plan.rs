//! The plan of one forwarded request: its target, and its changes on the way.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};

use crate::config::{ByteSize, HostHeader, LimitsConfig};
use crate::gateway::access::registrar::Registrar;
use crate::gateway::headers::reserved::Reserved;
use crate::gateway::request::client_address::Client;
use crate::gateway::upstream::Upstream;
use crate::token::IdentityHeaders;

/// The target of a request, and its changes on the way.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The backend.
    pub(crate) upstream: &'a Arc<Upstream>,
    /// The canonical path, prefix already stripped, and the query byte for byte.
    pub(crate) target: PathAndQuery,
    /// Identity headers to set, after everything of the client's that looks like one went.
    pub(crate) identity: Option<&'a IdentityHeaders>,
    /// The names that no client's header may have.
    pub(crate) reserved: &'a Reserved,
    /// Names of the contract's own cookies, to be removed from `Cookie`.
    pub(crate) cookie_names: &'a [String],
    /// Whether a token is among the subprotocols, and to be removed from them.
    pub(crate) hides_subprotocol: bool,
    /// `Authorization` for a backend that gets the token, which came otherwise.
    pub(crate) authorization: Option<HeaderValue>,
    /// The prefix cut from the path, for `X-Forwarded-Prefix`.
    pub(crate) prefix: Option<&'a str>,
    /// Headers that the route sets, last.
    pub(crate) set_headers: &'a [(HeaderName, HeaderValue)],
    /// Whether no two headers of the gateway's own may have one name.
    pub(crate) own_differ: bool,
    /// Whether `Authorization` is forwarded: the token if the route wants that, or other
    /// credentials.
    pub(crate) forward_authorization: bool,
    /// The `Host` that the upstream sees.
    pub(crate) host: HostHeader,
    /// The client's authority as sent (host and port).
    pub(crate) authority: &'a str,
    /// The client, and the peer that the request came by.
    pub(crate) client: Client,
    /// `X-Request-Id`.
    pub(crate) request_id: &'a HeaderValue,
    /// Longest body.
    pub(crate) most_body: ByteSize,
    /// Body deadlines.
    pub(crate) limits: &'a LimitsConfig,
    /// Registers streams to be ended early; `None`: they are not.
    pub(crate) watch: Option<Registrar<'a>>,
}

#[cfg(test)]
impl<'a> Plan<'a> {
    /// A plan that changes nothing, for tests to change.
    pub(crate) fn plain(
        upstream: &'a Arc<Upstream>,
        target: PathAndQuery,
        reserved: &'a Reserved,
        client: std::net::IpAddr,
        limits: &'a LimitsConfig,
    ) -> Self {
        static REQUEST_ID: HeaderValue = HeaderValue::from_static("req-1");
        Self {
            upstream,
            target,
            identity: None,
            reserved,
            cookie_names: &[],
            hides_subprotocol: false,
            authorization: None,
            prefix: None,
            set_headers: &[],
            own_differ: false,
            forward_authorization: false,
            host: HostHeader::Client,
            authority: "localhost",
            client: Client { address: client, peer: client, through_trusted: false },
            request_id: &REQUEST_ID,
            most_body: limits.body,
            limits,
            watch: None,
        }
    }
}
