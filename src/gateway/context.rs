//! The facts of a request's head.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Version, header};

use crate::clock::Now;
use crate::config::SameSite;
use crate::contract::ReplyContext;
use crate::gateway::headers::forwarded::REQUEST_ID;
use crate::gateway::request::client_address::Client;
use crate::gateway::request::framing;
use crate::operation::UserId;
use crate::token::Verified;

/// The facts of a request's head, kept until it is answered. Copies share the head's bytes.
#[derive(Debug)]
pub(crate) struct Context {
    /// The clocks, read once.
    pub(crate) now: Now,
    /// When the head was there, for durations.
    pub(crate) started: Instant,
    /// The client.
    pub(crate) client: Client,
    /// `X-Request-Id`
    pub(crate) request_id: RequestId,
    /// Method.
    pub(crate) method: Method,
    /// Path and query as sent.
    pub(crate) target: PathAndQuery,
    /// HTTP version.
    pub(crate) version: Version,
    authority: Option<Authority>,
    host: Option<HeaderValue>,
}

/// The id of a request: visible ASCII, in one piece that client, backend and log share.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

/// The authenticated principal of a request.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// Nobody.
    Anonymous,
    /// The bearer of a token.
    Bearer(Arc<Verified>),
    /// The account that an operation was about.
    Account {
        /// Number.
        id: UserId,
        /// Email address or user name.
        name: Option<String>,
    },
}

/// Makes the random part of request ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    key: RandomState,
    mask: u64,
    odd: u64,
    next: AtomicU64,
}

impl Context {
    /// Reads a head. `make_id` makes the request's id where no trusted proxy gave it one.
    pub(crate) fn new(
        parts: &Parts,
        client: Client,
        now: Now,
        started: Instant,
        make_id: impl FnOnce() -> String,
    ) -> Self {
        let root = || PathAndQuery::from_static("/");
        let given = client.through_trusted.then(|| given_id(&parts.headers)).flatten();
        Self {
            now,
            started,
            client,
            request_id: RequestId::new(given.unwrap_or_else(make_id)),
            method: parts.method.clone(),
            target: parts.uri.path_and_query().cloned().unwrap_or_else(root),
            version: parts.version,
            authority: parts.uri.authority().cloned(),
            host: parts.headers.get(header::HOST).cloned(),
        }
    }

    /// The authority as sent: HTTP/2 and absolute-form have it in the target, HTTP/1.1 in `Host`.
    pub(crate) fn authority(&self) -> &str {
        let host = || self.host.as_ref().and_then(|host| host.to_str().ok());
        self.authority.as_ref().map(Authority::as_str).or_else(host).unwrap_or_default()
    }

    /// The host of the authority.
    pub(crate) fn host(&self) -> &str {
        framing::split_authority(self.authority()).map_or("", |(host, _)| host)
    }

    /// The context for encoding answers.
    pub(crate) fn reply(&self, same_site: SameSite) -> ReplyContext<'_> {
        ReplyContext {
            now: self.now.wall,
            request_id: self.request_id.as_str(),
            host: self.host(),
            same_site,
        }
    }
}

impl RequestId {
    fn new(text: String) -> Self {
        // Both sources of ids give only what fits in a header.
        Self(HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header's value.
    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// As a header of an answer. It never occurs twice, so that HTTP/2 must not evict others from
    /// its table for it (RFC 7541 §6.2.3).
    pub(crate) fn for_answer(&self) -> HeaderValue {
        let mut value = self.0.clone();
        value.set_sensitive(true);
        value
    }
}

impl RequestIds {
    /// Starts with a key of this process.
    pub(crate) fn new() -> Self {
        let key = RandomState::new();
        let (mask, odd) = (key.hash_one("mask"), key.hash_one("odd") | 1);
        Self { key, mask, odd, next: AtomicU64::new(0) }
    }

    /// 16 bytes that cannot be predicted and do not repeat.
    ///
    /// A keyed hash of a counter: an id is a name, not a secret, and this costs no system call.
    pub(crate) fn random(&self) -> [u8; 16] {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let low = self.key.hash_one(count);
        // The other half needs no hash of its own: the product of the count with an odd number never
        // repeats, and the first half cannot be predicted.
        let high = (count ^ self.mask).wrapping_mul(self.odd);
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }
}

/// The id that a trusted proxy gave; only what is safe in a header, a log and a template.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(&byte);
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(safe);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use http::Request;

    use super::{Context, RequestIds};
    use crate::clock::Now;
    use crate::gateway::request::client_address::Client;

    fn context(uri: &str, id: Option<&str>, through_trusted: bool) -> Context {
        let mut request = Request::builder().uri(uri).header("host", "A.example:8443");
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let address = Ipv4Addr::LOCALHOST.into();
        let client = Client { address, peer: address, through_trusted };
        Context::new(&parts, client, Now::default(), Instant::now(), || "made".to_owned())
    }

    #[test]
    fn a_request_id_is_only_believed_from_a_trusted_peer() {
        let long = "a".repeat(129);
        let rows = [
            ("untrusted", Some("abc"), false, "made"),
            ("trusted", Some("abc-1"), true, "abc-1"),
            ("none", None, true, "made"),
            ("empty", Some(""), true, "made"),
            ("quote", Some("a\"b"), true, "made"),
            ("long", Some(long.as_str()), true, "made"),
        ];
        for (name, sent, trusted, expected) in rows {
            assert_eq!(context("/", sent, trusted).request_id.as_str(), expected, "{name}");
        }
    }

    #[test]
    fn request_ids_do_not_come_twice() {
        let ids = RequestIds::new();
        assert_ne!(ids.random(), ids.random());
        assert_ne!(ids.random(), RequestIds::new().random());
    }

    #[test]
    fn the_authority_is_the_targets_or_the_hosts() {
        assert_eq!(context("/", None, false).authority(), "A.example:8443");
        assert_eq!(context("https://b:1/", None, false).authority(), "b:1");
    }
}
