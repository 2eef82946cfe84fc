//! Paths that the gateway itself serves under a site's prefix (`[site."…".pages] prefix`).

use http::Method;

/// A path of the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostedPath {
    /// Renews the session of a script's page.
    Refresh,
    /// Makes a ticket.
    Ticket,
}

impl HostedPath {
    /// The path after the prefix.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Refresh => "/refresh",
            Self::Ticket => "/ticket",
        }
    }

    /// The methods that it takes.
    pub(crate) const fn methods(self) -> &'static [Method] {
        match self {
            Self::Refresh | Self::Ticket => &[Method::POST],
        }
    }
}
