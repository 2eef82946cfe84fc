//! Slows down guessing: by address, and by account and address together.
//!
//! An address has a budget of tries, whatever they are for. Wrong passwords of one account from
//! one address are counted besides, alike for accounts that there are and that there are not;
//! nobody is shut out by what others do at another address. Every gateway counts by itself, in
//! bounded memory.

mod budget;
mod table;
mod tally;

use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::config::LoginConfig;
use crate::operation::ErrorCode;
use crate::operation::Identifier;
use crate::operation::Rejection;
use crate::operation::UserId;
use crate::telemetry::metric;

use budget::Budget;
use table::Table;
use tally::Begin;
use tally::Outcome;
use tally::Tally;

/// Counts tries; lives as long as the settings stay.
#[derive(Debug)]
pub struct Throttle {
    config: LoginConfig,
    budgets: Table<Budget>,
    tallies: Table<Tally>,
}

/// Whose password is tried: an account's by number, so that its name and its address are one
/// count; else what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account<'a> {
    Known(UserId),
    Unknown(&'a Identifier),
}

/// A password that is being tried. It counts as wrong unless it is said to be otherwise: also
/// when the client leaves before the answer.
#[derive(Debug)]
#[must_use = "dropped at once, it is a wrong password"]
pub(super) struct Guess<'a> {
    counted: Option<Counted<'a>>,
    outcome: Outcome,
}

#[derive(Debug)]
struct Counted<'a> {
    throttle: &'a Throttle,
    key: u64,
    user: Option<UserId>,
    address: IpAddr,
    now: Timestamp,
}

/// The longest that a try waits for others of the same account and address.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// When a try that waited in vain is told to come again.
const COME_AGAIN: Duration = Duration::from_secs(1);

impl Throttle {
    /// Starts to count.
    #[must_use]
    pub fn new(config: &LoginConfig) -> Self {
        Self { config: config.clone(), budgets: Table::new(), tallies: Table::new() }
    }

    /// Takes one try from an address's budget.
    pub(super) fn admit(&self, address: IpAddr, now: Timestamp) -> Result<(), Rejection> {
        let Some(rate) = &self.config.rate_limit else { return Ok(()) };
        let key = self.budgets.key(&network(address));
        let spent = self.budgets.with(key, now, |budget| budget.spend(rate, now));
        spent.map_err(|wait| turned_away("address", "the address tries too often", wait))
    }

    /// Begins to try a password: counts it before it is judged, so that no number of tries at once
    /// gets past the bound. What might be one too many waits until the others are judged.
    pub(super) async fn guess(
        &self,
        realm: &str,
        account: Account<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Guess<'_>, Rejection> {
        let (limit, window) = (self.config.lock_after, self.config.lock_for);
        if limit == 0 {
            return Ok(Guess { counted: None, outcome: Outcome::Unjudged });
        }
        let key = self.tallies.key(&(realm, account, network(address)));
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            let begun = self.tallies.with(key, now, |tally| tally.begin(limit, window, now));
            match begun {
                Begin::Go => {
                    let user = match account {
                        Account::Known(user) => Some(user),
                        Account::Unknown(_) => None,
                    };
                    let counted = Counted { throttle: self, key, user, address, now };
                    return Ok(Guess { counted: Some(counted), outcome: Outcome::Wrong });
                }
                Begin::Locked(wait) => {
                    let reason = "too many wrong passwords for this account from this address";
                    return Err(turned_away("account", reason, wait));
                }
                Begin::Crowded => return Err(crowded()),
                Begin::Wait(turn) => {
                    if tokio::time::timeout_at(deadline, turn).await.is_err() {
                        return Err(crowded());
                    }
                }
            }
        }
    }
}

impl Guess<'_> {
    /// The password was right: counting starts anew.
    pub(super) fn right(mut self) {
        self.outcome = Outcome::Right;
    }

    /// The password was not judged: the try never was.
    pub(super) fn unjudged(mut self) {
        self.outcome = Outcome::Unjudged;
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        let Some(counted) = &self.counted else { return };
        let Counted { throttle, key, now, .. } = *counted;
        let (limit, window) = (throttle.config.lock_after, throttle.config.lock_for);
        let locked = throttle.tallies.with(key, now, |tally| {
            tally.settle(self.outcome, window, now);
            tally.locks_now(self.outcome, limit)
        });
        if locked {
            // What was typed where there is no account may be a password: it is not logged.
            let user = counted.user.map_or_else(|| "none".to_owned(), |user| user.to_string());
            let address = counted.address;
            tracing::warn!(user, %address, "too many wrong passwords: turned away for a while");
        }
    }
}

/// What one client holds: an IPv4 address, or an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// What a client is told whose try is not judged.
pub(super) fn turned_away(kind: &'static str, reason: &'static str, wait: Duration) -> Rejection {
    metrics::counter!(metric::THROTTLED, "kind" => kind).increment(1);
    Rejection::new(ErrorCode::RateLimited, reason).retry_after(wait)
}

fn crowded() -> Rejection {
    let reason = "too many tries of this account from this address at once";
    Rejection::new(ErrorCode::ServiceUnavailable, reason).retry_after(COME_AGAIN)
}

#[cfg(test)]
mod tests;
