//! `[login]`: how often one may try.

use std::time::Duration;

use crate::config::Rate;
use crate::document::Table;

/// `[login]`
#[derive(Clone, Debug, PartialEq)]
pub struct LoginConfig {
    /// Per client address (IPv6: /64), over all gateways of a store: logins that fail, sign-ups,
    /// resets and codes; default `60/m burst 30`, `off` = `None`. A reload applies it.
    pub rate_limit: Option<Rate>,
    /// Wrong passwords of one account from one address within [`LoginConfig::lock_for`] before
    /// that address is turned away; default 10, 0 = never. A reload applies it.
    pub lock_after: u32,
    /// Time that wrong passwords are counted, from the first; default 15 m. A reload applies it.
    pub lock_for: Duration,
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            rate_limit: Some(Rate { count: 60, period: Duration::from_mins(1), burst: 30 }),
            lock_after: 10,
            lock_for: Duration::from_mins(15),
        }
    }
}

impl LoginConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            rate_limit: table.parse("rate_limit", default.rate_limit, Rate::parse_or_off),
            lock_after: table.integer("lock_after", default.lock_after, 0..=1_000_000),
            lock_for: table.duration("lock_for", default.lock_for),
        };
        table.end();
        config
    }
}
