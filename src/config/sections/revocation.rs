//! `[revocation]`: how long a node decides alone, and how much it remembers.

use std::path::PathBuf;
use std::time::Duration;

use crate::document::Table;

/// `[revocation]`
#[derive(Clone, Debug, PartialEq)]
pub struct RevocationConfig {
    /// Longest time that a node decides without news from the store; default 5 s. A reload applies
    /// it.
    pub max_staleness: Duration,
    /// Decision after that; default `reject`. A reload applies it.
    pub when_stale: WhenStale,
    /// Most revocations held; default 10 000 000, beyond it new ones are refused. A change needs a
    /// restart.
    pub capacity: usize,
    /// When open streams end; default `expired`. A reload applies it to those that are opened then.
    pub close_streams: CloseStreams,
    /// This node's own file beside a Redis store; default `munjigi.journal`, `None`: off. A change
    /// needs a restart.
    pub journal: Option<PathBuf>,
}

/// When a WebSocket or a long body ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseStreams {
    /// When its token, or what that belongs to, is revoked.
    Revoked,
    /// Then, and when its token expires.
    Expired,
    /// Never.
    Off,
}

impl CloseStreams {
    pub(crate) const CHOICES: [(&str, Self); 3] =
        [("revoked", Self::Revoked), ("expired", Self::Expired), ("off", Self::Off)];
}

/// Decision about a request while the revocation list is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// 503.
    Reject,
    /// It passes; known revocations are still refused.
    Accept,
    /// The store is asked, once a request.
    Ask,
}

impl WhenStale {
    pub(crate) const CHOICES: [(&str, Self); 3] =
        [("reject", Self::Reject), ("accept", Self::Accept), ("ask", Self::Ask)];
}

const DEFAULT_JOURNAL: &str = "munjigi.journal";

impl Default for RevocationConfig {
    fn default() -> Self {
        Self {
            max_staleness: Duration::from_secs(5),
            when_stale: WhenStale::Reject,
            capacity: 10_000_000,
            close_streams: CloseStreams::Expired,
            journal: Some(PathBuf::from(DEFAULT_JOURNAL)),
        }
    }
}

impl RevocationConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            max_staleness: table.duration("max_staleness", default.max_staleness),
            when_stale: table.choice("when_stale", default.when_stale, &WhenStale::CHOICES),
            capacity: table.integer("capacity", default.capacity, 1..=4_000_000_000),
            close_streams: table.choice(
                "close_streams",
                default.close_streams,
                &CloseStreams::CHOICES,
            ),
            journal: table.read("journal", Some(table.resolve_path(DEFAULT_JOURNAL)), |item| {
                if item.is_empty_text() { Some(None) } else { item.path().map(Some) }
            }),
        };
        table.end();
        config
    }
}
