//! Counts of tries, which limit guessing for all gateways of a store together.
//!
//! A count is a number and its expiry. Counts of one subject are stored together: a try is taken
//! from all in one step, and they are listed and forgotten together.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::config::Rate;
use crate::encoding::hex;
use crate::operation::{Email, UserId};
use crate::store::StoreError;

/// The counts of tries.
#[async_trait]
pub trait Tries {
    /// Takes a try from each of a subject's counts, or from none, in one step: under any
    /// concurrency no more are taken than the bounds allow.
    async fn take_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<Taking, StoreError>;

    /// Gives a try back to each of a subject's counts.
    async fn give_back_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Forgets one count of a subject, or all of them.
    async fn forget_tries(
        &self,
        subject: &TrySubject,
        name: Option<&str>,
    ) -> Result<(), StoreError>;

    /// The counts of a subject that have not expired, by name.
    async fn tries(
        &self,
        subject: &TrySubject,
        now: Timestamp,
    ) -> Result<Vec<TryCount>, StoreError>;
}

/// The subject of counts, as stores write it; no two read alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrySubject(String);

/// One bound on the tries of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The count's name among those of its subject.
    pub name: String,
    /// The most tries.
    pub limit: Limit,
}

/// A limit on tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// At most so many in a window, which begins with the first.
    Window {
        /// The most tries.
        most: u32,
        /// The length of the window.
        window: Duration,
    },
    /// A budget that refills (the generic cell rate algorithm). Only the instant when it is full
    /// again is stored.
    Rate(Rate),
}

/// The outcome of taking a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It was taken from all counts.
    Taken {
        /// The tries that are left in the fullest window.
        left: u32,
    },
    /// It was taken from none: one is used up.
    UsedUp {
        /// The time until it is not.
        wait: Duration,
    },
}

/// A count that has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryCount {
    /// Its name among those of its subject.
    pub name: String,
    /// Tries in the window; zero for a rate.
    pub count: u32,
    /// Its expiry in microseconds since 1970: at 2,000 a second a try is worth half a millisecond.
    pub ends_at: i64,
}

impl TrySubject {
    /// The network of one client: an IPv4 address, or an IPv6 /64.
    #[must_use]
    pub fn network(network: IpAddr) -> Self {
        Self(format!("network:{network}"))
    }

    /// An account.
    #[must_use]
    pub fn account(realm: &str, user: UserId) -> Self {
        Self(format!("account:{user}:{realm}"))
    }

    /// A keyed hash of the typed identifier of no account: it may be a password.
    #[must_use]
    pub fn no_account(hash: &[u8; 32]) -> Self {
        Self(format!("nobody:{}", hex(hash)))
    }

    /// The mails to an address, whether or not an account has it.
    #[must_use]
    pub fn mails(realm: &str, email: &Email) -> Self {
        Self(format!("mails:{}:{realm}:{email}", realm.len()))
    }

    /// The wrong codes of an address, whether or not an account has it.
    #[must_use]
    pub fn codes(realm: &str, email: &Email) -> Self {
        Self(format!("codes:{}:{realm}:{email}", realm.len()))
    }

    /// The wrong proofs of an account's second factor.
    #[must_use]
    pub fn second_factor(realm: &str, user: UserId) -> Self {
        Self(format!("factor:{user}:{realm}"))
    }

    /// The uses of a ticket, by its keyed hash.
    #[must_use]
    pub fn ticket(hash: &[u8; 32]) -> Self {
        Self(format!("ticket:{}", hex(hash)))
    }

    /// Reads a subject as a store wrote it.
    pub(super) const fn from_text(text: String) -> Self {
        Self(text)
    }

    /// As stores write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Bound {
    /// A bound on a window.
    #[must_use]
    pub fn window(name: impl Into<String>, most: u32, window: Duration) -> Self {
        Self { name: name.into(), limit: Limit::Window { most, window } }
    }

    /// A bound on a rate.
    #[must_use]
    pub fn rate(name: impl Into<String>, rate: Rate) -> Self {
        Self { name: name.into(), limit: Limit::Rate(rate) }
    }
}

impl Limit {
    /// The most tries at once, and the microseconds of the window, or of a rate's interval.
    pub(super) fn parts(&self) -> (u32, i64) {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(LONGEST);
        match self {
            Self::Window { most, window } => (*most, micros(*window).clamp(1, LONGEST)),
            Self::Rate(rate) => {
                (rate.burst, (micros(rate.period) / i64::from(rate.count.max(1))).max(1))
            }
        }
    }

    /// Takes one try from a held count; the error is the wait in microseconds.
    ///
    /// The expiry of a held count is capped, lest a clock that was set back prolongs it.
    pub(super) fn take(&self, held: Option<(u32, i64)>, now: i64) -> Result<(u32, i64), i64> {
        let (most, span) = self.parts();
        let (count, ends_at) = held.unwrap_or((0, now));
        match self {
            Self::Window { .. } => match (count, ends_at.min(now.saturating_add(span))) {
                (_, ends_at) if ends_at <= now => Ok((1, now.saturating_add(span))),
                (count, ends_at) if count >= most => Err(ends_at - now),
                (count, ends_at) => Ok((count + 1, ends_at)),
            },
            Self::Rate(_) => {
                let reach = span.saturating_mul(i64::from(most));
                let whole_at = ends_at.clamp(now, now.saturating_add(reach));
                let next = whole_at.saturating_add(span);
                let wait = next.saturating_sub(now).saturating_sub(reach);
                if wait > 0 { Err(wait) } else { Ok((0, next)) }
            }
        }
    }

    /// Gives one try back; `None` where no count remains.
    pub(super) fn give_back(&self, (count, ends_at): (u32, i64), now: i64) -> Option<(u32, i64)> {
        let (count, ends_at) = match self {
            Self::Window { .. } if count <= 1 => return None,
            Self::Window { .. } => (count - 1, ends_at),
            Self::Rate(_) => (count, ends_at.saturating_sub(self.parts().1)),
        };
        (ends_at > now).then_some((count, ends_at))
    }

    /// The tries that are left after `count`.
    pub(super) fn left(&self, count: u32) -> u32 {
        match self {
            Self::Window { most, .. } => most.saturating_sub(count),
            Self::Rate(_) => u32::MAX,
        }
    }
}

impl TryCount {
    /// Its expiry.
    #[must_use]
    pub const fn ends(&self) -> Timestamp {
        Timestamp::from_millis(self.ends_at / 1000)
    }
}

/// An instant in microseconds since 1970.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_millis().saturating_mul(1000)
}

/// A wait in microseconds.
pub(super) fn wait(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The longest window, in microseconds: sums with an instant stay exact integers in Lua as well.
const LONGEST: i64 = 1 << 50;
