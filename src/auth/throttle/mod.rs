//! Slows down guessing: by address, and by account and address together.
//!
//! An address has a budget of tries, whatever they are for; a login gives its place back. Wrong
//! passwords of one account from one address are counted besides, alike for accounts that there are
//! and that there are not; nobody is shut out by what others do at another address. The counts lie
//! in the store and are taken before a try is judged: neither parallel tries nor several gateways
//! get more. What might be one too many waits while others are judged here.

mod line;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::config::LoginConfig;
use crate::operation::{ErrorCode, Identifier, Rejection, UserId};
use crate::store::{Bound, Store, StoreError, Taking, TrySubject, User};
use crate::telemetry::{causes, metric};

use line::{Lines, Place};

/// Bounds tries; lives as long as the settings stay.
#[derive(Debug)]
pub struct Throttle {
    config: LoginConfig,
    lines: Lines,
}

/// Whose password is tried: an account's by number, so that its name and its address are one
/// count; else what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account<'a> {
    Known(UserId),
    Unknown(&'a Identifier),
}

/// A try that was counted. It counts for good unless it is given back: also when the client leaves
/// before the answer.
#[must_use = "dropped at once, it is a failure"]
pub(super) struct Try<'a>(Option<Counted<'a>>);

struct Counted<'a> {
    store: &'a dyn Store,
    subject: TrySubject,
    bound: Bound,
    now: Timestamp,
    /// What to say where this is the last failure that is let through.
    warning: Option<(String, IpAddr)>,
    _place: Place<'a>,
}

/// The longest that a try waits for others of its count.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Throttle {
    /// Bounds tries as configured.
    #[must_use]
    pub fn new(config: &LoginConfig) -> Self {
        Self { config: config.clone(), lines: Lines::default() }
    }
}

impl Auth {
    /// Takes one try from an address's budget.
    pub(super) async fn begin_try<'a>(
        &'a self,
        site: &'a AuthSite,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Try<'a>, Rejection> {
        let throttle = &*site.settings.throttle;
        let Some(rate) = throttle.config.rate_limit else { return Ok(Try(None)) };
        let (subject, bound) = (TrySubject::network(network(address)), Bound::rate("tries", rate));
        let refused = ("address", "the address tries too often");
        let (counted, _left) = self.take(throttle, (subject, bound), refused, now).await?;
        Ok(Try(Some(counted)))
    }

    /// Begins to try a password: counts it before it is judged, so that no number of tries at once
    /// gets past the bound. What might be one too many waits until the others are judged.
    pub(super) async fn guess<'a>(
        &'a self,
        site: &'a AuthSite,
        account: Account<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Try<'a>, Rejection> {
        let throttle = &*site.settings.throttle;
        let (limit, window) = (throttle.config.lock_after, throttle.config.lock_for);
        if limit == 0 {
            return Ok(Try(None));
        }
        let (subject, user) = match account {
            Account::Known(user) => (TrySubject::account(&site.realm, user), user.to_string()),
            // What was typed where there is no account may be a password: it is neither kept nor
            // logged.
            Account::Unknown(typed) => {
                let typed = typed.to_string();
                let hash = self.vault.hash("try", &[site.realm.as_bytes(), typed.as_bytes()]);
                (TrySubject::nobody(&hash), "none".to_owned())
            }
        };
        let bound = Bound::window(network(address).to_string(), limit, window);
        let refused = ("account", "too many wrong passwords for this account from this address");
        let (mut counted, left) = self.take(throttle, (subject, bound), refused, now).await?;
        counted.warning = (left == 0).then_some((user, address));
        Ok(Try(Some(counted)))
    }

    /// Forgets the wrong passwords and codes of an account whose password was set anew. That they
    /// cannot be forgotten is no failure of what was done.
    pub(super) async fn forget_failures(&self, user: &User) {
        if let Err(error) = forget_failures(self.store.as_ref(), user).await {
            let error = causes(&error);
            tracing::warn!(user = %user.id, error, "failed tries of the account still count");
        }
    }

    async fn take<'a>(
        &'a self,
        throttle: &'a Throttle,
        (subject, bound): (TrySubject, Bound),
        (kind, reason): (&'static str, &'static str),
        now: Timestamp,
    ) -> Result<(Counted<'a>, u32), Rejection> {
        let key = format!("{} {}", subject.as_str(), bound.name);
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut turn = None;
        loop {
            let place = throttle.lines.enter(&key);
            let taking = self.store.take_try(&subject, std::slice::from_ref(&bound), now).await;
            let wait = match taking? {
                Taking::Taken { left } => {
                    let store = self.store.as_ref();
                    let counted =
                        Counted { store, subject, bound, now, warning: None, _place: place };
                    return Ok((counted, left));
                }
                Taking::UsedUp { wait } => wait,
            };
            let Some(waiting) = place.waiting() else {
                return Err(turned_away(kind, reason, wait));
            };
            if turn.is_none() {
                let first = timeout_at(deadline, waiting.turn.lock_owned()).await;
                turn = Some(first.map_err(|_elapsed| crowded())?);
            } else if !waiting.has_news {
                timeout_at(deadline, waiting.next).await.map_err(|_elapsed| crowded())?;
            }
        }
    }
}

/// Where an account is locked, and until when: by network.
///
/// # Errors
/// When the store does not answer.
pub async fn locks(
    store: &dyn Store,
    config: &LoginConfig,
    user: &User,
    now: Timestamp,
) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let counts = store.tries(&TrySubject::account(&user.realm, user.id), now).await?;
    let locked = counts
        .into_iter()
        .filter(|count| config.lock_after > 0 && count.count >= config.lock_after);
    Ok(locked.map(|count| (count.name.clone(), count.ends())).collect())
}

/// Forgets the wrong passwords and codes of an account, from wherever they came.
///
/// # Errors
/// When the store does not answer.
pub async fn forget_failures(store: &dyn Store, user: &User) -> Result<(), StoreError> {
    store.forget_tries(&TrySubject::account(&user.realm, user.id), None).await?;
    if let Some(email) = &user.email {
        store.forget_tries(&TrySubject::codes(&user.realm, email), None).await?;
    }
    Ok(())
}

impl Try<'_> {
    /// The password was right: counting starts anew.
    pub(super) async fn forget(mut self) {
        let Some(counted) = &mut self.0 else { return };
        counted.warning = None;
        let name = Some(counted.bound.name.as_str());
        told(counted.store.forget_tries(&counted.subject, name).await);
    }

    /// The try was no failure: it never was.
    pub(super) async fn give_back(mut self) {
        let Some(counted) = &mut self.0 else { return };
        counted.warning = None;
        let bounds = std::slice::from_ref(&counted.bound);
        told(counted.store.give_back_try(&counted.subject, bounds, counted.now).await);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some((user, address)) = self.warning.take() {
            tracing::warn!(user, %address, "too many wrong passwords: turned away for a while");
        }
    }
}

/// A try that cannot be given back still counts, which ends nothing but the patience of an address.
fn told(given_back: Result<(), StoreError>) {
    if let Err(error) = given_back {
        tracing::debug!(error = causes(&error), "a try that did not fail still counts");
    }
}

/// What one client holds: an IPv4 address, or an IPv6 /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
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
    Rejection::unavailable(reason)
}
