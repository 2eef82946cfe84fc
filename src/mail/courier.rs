//! Sends queued mails, in the background.
//!
//! A mail is taken from the store under a lease that hides it from other nodes; it is deleted once
//! the server has it, and postponed after a temporary failure. A mail whose taker died is sent by
//! another node, or the next process, when the lease is over. So a mail is sent twice only where
//! its sender died, was stopped, or could not reach the store between the server's receipt and the
//! deletion, or where the receipt itself was lost; both have the same `Message-ID`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use crate::clock::{Now, Timestamp};
use crate::drain::Guard;
use crate::mail::outbox::SendError;
use crate::mail::{Nudge, Outbox};
use crate::store::{QueuedMail, Store, StoreError};
use crate::telemetry::{causes, metric};

/// Takes mails from the store and sends them; one a process.
pub struct Courier {
    store: Arc<dyn Store>,
    nudge: Nudge,
    /// Deliveries; each returns the instant when its mail is due again, if it is.
    sending: JoinSet<Option<Instant>>,
    /// The instant when the next mail that was postponed here is due.
    due: Option<Instant>,
    /// The last look at the queue failed, which is logged once.
    store_is_away: bool,
}

/// The outcome of one attempt to send a mail.
enum Delivery {
    Sent,
    /// It has no recipient.
    Decoy,
    /// It is tried again after this.
    Postponed(Duration),
    GivenUp,
}

impl Courier {
    /// Prepares to send the mails of `store`, at once when `nudge` is received.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, nudge: Nudge) -> Self {
        Self { store, nudge, sending: JoinSet::new(), due: None, store_is_away: false }
    }

    /// Sends mails until the stop signal, each by the `outbox` of the moment when it is taken;
    /// while there is none, mails wait in the store.
    pub async fn run(mut self, outbox: impl Fn() -> Option<Arc<Outbox>>, mut guard: Guard) {
        loop {
            if let Some(outbox) = outbox() {
                self.take(&outbox).await;
            }
            let now = Instant::now();
            let due = self.due.map_or(POLL, |due| due.saturating_duration_since(now));
            tokio::select! {
                () = guard.signalled() => break,
                () = self.nudge.received() => {}
                Some(ended) = self.sending.join_next() => self.ended(ended),
                () = tokio::time::sleep(due.min(POLL)) => {}
            }
            self.due = self.due.filter(|due| *due > Instant::now());
        }
        let rest = async { while self.sending.join_next().await.is_some() {} };
        // Mails that are not sent by then are aborted; the next process sends them.
        drop(tokio::time::timeout(FINISH, rest).await);
    }

    /// Takes as many mails as may be sent at once, and begins to send them.
    async fn take(&mut self, outbox: &Arc<Outbox>) {
        let free = AT_ONCE.saturating_sub(self.sending.len());
        if free == 0 {
            return;
        }
        let now = Now::read().wall;
        // One sending, and as long again to delete or postpone the mail.
        let hidden_until = now.plus(outbox.timeout().saturating_mul(2));
        match self.store.take_mails(now, hidden_until, free).await {
            Ok(mails) => {
                self.store_is_away = false;
                for mail in mails {
                    let (store, outbox) = (Arc::clone(&self.store), Arc::clone(outbox));
                    self.sending.spawn(async move { deliver(&*store, &outbox, &mail).await });
                }
            }
            Err(error) => {
                if !self.store_is_away {
                    tracing::warn!(error = causes(&error), "queued mails cannot be read");
                }
                self.store_is_away = true;
            }
        }
    }

    fn ended(&mut self, ended: Result<Option<Instant>, JoinError>) {
        match ended {
            Ok(due) => self.due = self.due.into_iter().chain(due).min(),
            Err(error) => tracing::error!(%error, "a mail was not sent to the end"),
        }
    }
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Courier").finish_non_exhaustive()
    }
}

/// Sends one mail, and deletes or postpones it; returns the instant when it is due again.
async fn deliver(store: &dyn Store, outbox: &Outbox, mail: &QueuedMail) -> Option<Instant> {
    let pause = match Box::pin(send(outbox, mail)).await {
        Delivery::Postponed(pause) => Some(pause),
        Delivery::Sent | Delivery::Decoy | Delivery::GivenUp => None,
    };
    let until = pause.map(|pause| Now::read().wall.plus(pause));
    if let Err(error) = note_outcome(store, mail.id, until, outbox.timeout()).await {
        let error = causes(&error);
        tracing::error!(id = %mail.id, error, "the store was not told of a mail: it may come twice");
    }
    pause.map(|pause| Instant::now() + pause)
}

/// Sends one mail; logs failures, but neither recipient nor body.
async fn send(outbox: &Outbox, mail: &QueuedMail) -> Delivery {
    let id = mail.id;
    let Some(content) = outbox.open_mail(&mail.sealed) else {
        count("given_up");
        tracing::error!(%id, "a queued mail cannot be decrypted; it is given up");
        return Delivery::GivenUp;
    };
    let Some(to) = &content.to else { return Delivery::Decoy };
    let failure = match outbox.send(id, to, &content).await {
        Ok(()) => {
            count("sent");
            let waited = Now::read().wall.since(content.at);
            metrics::histogram!(metric::MAIL_SECONDS).record(waited);
            return Delivery::Sent;
        }
        Err(failure) => failure,
    };
    let pause = outbox.pause(mail.attempts);
    let is_in_time = Now::read().wall.plus(pause) < mail.expires_at;
    match failure {
        SendError::Temporary(reason) if is_in_time => {
            count("postponed");
            tracing::warn!(%id, reason, "a mail was not sent; it is tried again");
            Delivery::Postponed(pause)
        }
        SendError::Temporary(reason) => {
            count("given_up");
            tracing::warn!(%id, reason, "a mail was not sent in time; it is given up");
            Delivery::GivenUp
        }
        SendError::Permanent(reason) => {
            count("given_up");
            tracing::warn!(%id, reason, "a mail was refused; it is given up");
            Delivery::GivenUp
        }
    }
}

/// Deletes or postpones a mail; retries while the store is away, since otherwise it is sent twice.
async fn note_outcome(
    store: &dyn Store,
    id: Uuid,
    until: Option<Timestamp>,
    patience: Duration,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    loop {
        let told = match until {
            Some(until) => store.postpone_mail(id, until).await,
            None => store.drop_mail(id).await,
        };
        match told {
            Err(StoreError::TimedOut(_) | StoreError::Outage(_) | StoreError::Unavailable(_))
                if begun.elapsed() + AGAIN < patience =>
            {
                tokio::time::sleep(AGAIN).await;
            }
            told => return told,
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!(metric::MAILS, "result" => result).increment(1);
}

/// Mails that are sent at once, a connection each.
const AT_ONCE: usize = 8;

/// Interval of looks at the queue without a nudge, for mails that other nodes did not send.
const POLL: Duration = Duration::from_secs(2);

/// The longest that a stop waits for mails that are being sent.
const FINISH: Duration = Duration::from_millis(800);

/// Pause between two attempts to update the store.
const AGAIN: Duration = Duration::from_millis(200);
