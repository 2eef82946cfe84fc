//! Slows down guessing: by address, and by account and address together.
//!
//! An address has a budget of attempts, whatever they are for; a login that succeeds does not count.
//! Wrong passwords of one account from one address are counted as well, alike for accounts that
//! exist and that do not; failures at one address never shut out a user at another. The counts lie
//! in the store and are taken before an attempt is judged: neither parallel attempts nor several
//! gateways get more. An attempt that might be one too many waits while others are judged here.

mod queue;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::config::LoginConfig;
use crate::operation::{ErrorCode, Identifier, Rejection, UserId};
use crate::store::{Bound, Store, StoreError, Taking, TrySubject, User};
use crate::telemetry::{causes, metric};

use queue::{OpenAttempt, Queues};

/// The limits on attempts; lives as long as the settings stay.
#[derive(Debug)]
pub struct Throttle {
    config: LoginConfig,
    queues: Queues,
}

/// The account whose password is tried: by number, so that its name and its address are one count;
/// else by what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account<'a> {
    Known(UserId),
    Unknown(&'a Identifier),
}

/// An attempt that was counted. Dropped, it counts as a failure: also when the client leaves before
/// the answer.
#[must_use = "dropped at once, it is a failure"]
pub(super) struct Attempt<'a>(Option<Counted<'a>>);

struct Counted<'a> {
    store: &'a dyn Store,
    subject: TrySubject,
    bound: Bound,
    now: Timestamp,
    /// The user and address to log, where this is the last failure that is let through.
    warning: Option<(String, IpAddr)>,
    _open: OpenAttempt<'a>,
}

/// The longest that an attempt waits for others of its count.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Throttle {
    /// Makes the limits that are configured.
    #[must_use]
    pub fn new(config: &LoginConfig) -> Self {
        Self { config: config.clone(), queues: Queues::default() }
    }
}

impl Auth {
    /// Counts an attempt against an address's budget.
    pub(super) async fn begin_attempt<'a>(
        &'a self,
        site: &'a AuthSite,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt<'a>, Rejection> {
        let throttle = &*site.settings.throttle;
        let Some(rate) = throttle.config.rate_limit else { return Ok(Attempt(None)) };
        let (subject, bound) = (TrySubject::network(network(address)), Bound::rate("tries", rate));
        let refused = ("address", "the address tries too often");
        let (counted, _left) = self.take(throttle, (subject, bound), refused, now).await?;
        Ok(Attempt(Some(counted)))
    }

    /// Counts an attempt at a password before it is judged, so that no number of parallel attempts
    /// gets past the bound. One that might be too many waits until the others are judged.
    pub(super) async fn begin_password_attempt<'a>(
        &'a self,
        site: &'a AuthSite,
        account: Account<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt<'a>, Rejection> {
        let throttle = &*site.settings.throttle;
        let (limit, window) = (throttle.config.lock_after, throttle.config.lock_for);
        if limit == 0 {
            return Ok(Attempt(None));
        }
        let (subject, user) = match account {
            Account::Known(user) => (TrySubject::account(&site.realm, user), user.to_string()),
            // What was typed may be a password: it is neither stored nor logged.
            Account::Unknown(typed) => {
                let typed = typed.to_string();
                let hash = self.own_keys.hash("try", &[site.realm.as_bytes(), typed.as_bytes()]);
                (TrySubject::no_account(&hash), "none".to_owned())
            }
        };
        let bound = Bound::window(network(address).to_string(), limit, window);
        let refused = ("account", "too many wrong passwords for this account from this address");
        let (mut counted, left) = self.take(throttle, (subject, bound), refused, now).await?;
        counted.warning = (left == 0).then_some((user, address));
        Ok(Attempt(Some(counted)))
    }

    /// Forgets the wrong passwords and codes of an account whose password was set anew. A failure to
    /// do so is only logged: the password is set.
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
            let open = throttle.queues.open(&key);
            let taking = self.store.take_try(&subject, std::slice::from_ref(&bound), now).await;
            let wait = match taking? {
                Taking::Taken { left } => {
                    let store = self.store.as_ref();
                    let counted =
                        Counted { store, subject, bound, now, warning: None, _open: open };
                    return Ok((counted, left));
                }
                Taking::UsedUp { wait } => wait,
            };
            let Some(waiting) = open.wait() else {
                return Err(rate_limited(kind, reason, wait));
            };
            if turn.is_none() {
                let first = timeout_at(deadline, waiting.turn.lock_owned()).await;
                turn = Some(first.map_err(|_elapsed| too_many_waiting())?);
            } else if !waiting.has_news {
                timeout_at(deadline, waiting.next).await.map_err(|_elapsed| too_many_waiting())?;
            }
        }
    }
}

/// The networks for which an account is locked, and until when.
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
    store.forget_tries(&TrySubject::second_factor(&user.realm, user.id), None).await?;
    if let Some(email) = &user.email {
        store.forget_tries(&TrySubject::codes(&user.realm, email), None).await?;
    }
    Ok(())
}

impl Attempt<'_> {
    /// Ends an attempt whose password was right: counting starts anew.
    pub(super) async fn succeed(mut self) {
        let Some(counted) = &mut self.0 else { return };
        counted.warning = None;
        let name = Some(counted.bound.name.as_str());
        log_failure(counted.store.forget_tries(&counted.subject, name).await);
    }

    /// Ends an attempt that does not count.
    pub(super) async fn cancel(mut self) {
        let Some(counted) = &mut self.0 else { return };
        counted.warning = None;
        let bounds = std::slice::from_ref(&counted.bound);
        log_failure(counted.store.give_back_try(&counted.subject, bounds, counted.now).await);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some((user, address)) = self.warning.take() {
            tracing::warn!(user, %address, "too many wrong passwords: turned away for a while");
        }
    }
}

/// Logs that an attempt could not be uncounted: it still counts as a failure of its address.
fn log_failure(uncounted: Result<(), StoreError>) {
    if let Err(error) = uncounted {
        tracing::debug!(error = causes(&error), "an attempt that did not fail still counts");
    }
}

/// The network of one client: an IPv4 address, or an IPv6 /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The refusal of an attempt that is not judged.
pub(super) fn rate_limited(kind: &'static str, reason: &'static str, wait: Duration) -> Rejection {
    metrics::counter!(metric::THROTTLED, "kind" => kind).increment(1);
    Rejection::new(ErrorCode::RateLimited, reason).retry_after(wait)
}

fn too_many_waiting() -> Rejection {
    let reason = "too many tries of this account from this address at once";
    Rejection::unavailable(reason)
}
