//! A request at its site, with all that its answer may depend on.

use http::{HeaderMap, header};

use crate::auth::access_token::AccessTokenCheck;
use crate::config::WhenStale;
use crate::gateway::Gateway;
use crate::gateway::access::registrar::Registrar;
use crate::gateway::context::Context;
use crate::gateway::headers::remembered_device;
use crate::gateway::site::Site;
use crate::gateway::snapshot::Snapshot;
use crate::operation::Caller;
use crate::token::Verified;

/// A request at its site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestScope<'a> {
    /// The gateway.
    pub(crate) gateway: &'a Gateway,
    /// The configuration from start to end.
    pub(crate) snapshot: &'a Snapshot,
    /// The site for the request's host.
    pub(crate) site: &'a Site,
    /// The facts of its head.
    pub(crate) context: &'a Context,
}

impl<'a> RequestScope<'a> {
    /// The client, as operations know it.
    pub(crate) fn caller(self, headers: &HeaderMap) -> Caller {
        let devices = remembered_device::presented(headers);
        Caller { address: self.context.client.address, agent: agent(headers), devices }
    }

    /// The checks of the request's token.
    pub(crate) fn token_check(self, when_stale: Option<WhenStale>) -> AccessTokenCheck<'a> {
        self.site.auth.token_check(Some(&self.gateway.auth.revocations), when_stale)
    }

    /// The registrar of this request's streams.
    pub(crate) fn watch<'b>(self, verified: &'b Verified) -> Option<Registrar<'b>>
    where
        'a: 'b,
    {
        let close = self.snapshot.config.revocation.close_streams;
        Registrar::of(verified, &self.gateway.auth.revocations, close, self.context.now.wall)
    }
}

/// Longest `User-Agent` that a session remembers, in bytes.
const AGENT_BYTES: usize = 256;

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
