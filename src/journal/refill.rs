//! Follows the store's feed, and refills a store that lost data.
//!
//! Entries of the feed go into the list, then into the journal. At every connection the store sends
//! its lineage. A store of an unknown lineage was wiped, restarted, restored from an old copy, or
//! was a replica until now, and may lack the newest writes: keys, numbers and this node's newest
//! revocations are written back at once, the whole list after them. All of it may be repeated, by
//! every node, since a set only grows.
//!
//! Other nodes do the same, and a node may lack revocations that another acknowledged while it was
//! away. So contact with a changed store counts only if it was asked for after [`SETTLING`], within
//! which the others write their newest back; its lineage is not known before either.

use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::clock::{BootTime, Now, Timestamp};
use crate::journal::record::JournalRecord;
use crate::journal::store::JournaledStore;
use crate::operation::{RevocationKey, UserId};
use crate::revocation::SHARDS;
use crate::store::backoff::Backoff;
use crate::store::{FeedEntry, FeedEvent, FeedInterruption, Revocations, StoreError};
use crate::telemetry::{causes, metric};

/// The time after a change of the store before contact counts again: other nodes find it within a
/// second of its return, and write their newest back first.
const SETTLING: Duration = Duration::from_secs(2);

/// The interval of reading the keys: another node may have written others back, or made them.
const KEYS_EVERY: Duration = Duration::from_secs(5);

/// Back-off of attempts to write back.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Enough to keep the reader of a long first read busy, little enough to bound memory.
const QUEUE: usize = 64;

type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The relay of the feed to the list, with the work of a refill.
struct Relay<'a> {
    node: &'a JournaledStore,
    /// The part of a refill before contact counts.
    first: Option<Work<'a>>,
    /// The rest; it starts after the set was read, which it would slow down.
    rest: Option<Work<'a>>,
    is_read: bool,
    /// A contact that came during `first`.
    held: Option<BootTime>,
    /// The instant of the store's change: contact does not count until it has settled.
    changed_at: Option<BootTime>,
    /// The instant of the next reading of the keys.
    keys_at: Instant,
    /// The store contradicted its earlier data.
    is_contradicted: bool,
    /// Revocation keys of sites, with their issuers, which the feed lacks.
    sites: Vec<(RevocationKey, String)>,
}

impl JournaledStore {
    /// Follows the feed, and sends it on, until `events` closes.
    pub(super) async fn relay(&self, events: &mpsc::Sender<FeedEvent>) {
        let (sender, mut news) = mpsc::channel(QUEUE);
        let relay = async {
            Relay::new(self).run(&mut news, events).await;
            // The store's side ends when its receiver is gone.
            drop(news);
        };
        tokio::join!(self.store.follow(sender), relay);
    }

    /// Writes keys, numbers and generations back.
    pub(super) async fn restore_names(&self) -> Result<(), StoreError> {
        let state = self.journal.state().clone();
        for (issuer, keys) in &state.keys {
            self.store.restore_signing_keys(issuer, keys).await?;
        }
        for (issuer, generation) in &state.sites {
            self.store.raise_site_generation(issuer, *generation).await?;
        }
        if state.number > 0 {
            self.store.raise_user_numbers(UserId(state.number)).await?;
        }
        Ok(())
    }

    /// Writes back the floor of a user, before a change that depends on it.
    ///
    /// A store that has lost an earlier change would give its generation once more, so that
    /// sessions which came back with the loss could not be told from later ones.
    pub(super) async fn restore_floor(&self, key: &RevocationKey) -> Result<(), StoreError> {
        let now = Now::read().wall;
        if let Some(known) = self.list.floor(key, now) {
            let lost_until = self.lost_until(now);
            self.store.restore_revocations(&[known], &[], Some(lost_until)).await?;
        }
        Ok(())
    }

    /// The expiry of a lost revocation that may have ended a session: the longest life of one.
    fn lost_until(&self, now: Timestamp) -> Timestamp {
        now.plus(self.longest_session)
    }

    /// Performs the first part of a refill at a connection, with retries.
    async fn restore_first(&self, is_changed: bool, lost_until: Option<Timestamp>) {
        let mut pause = first_pause();
        while let Err(error) = self.try_restore_first(is_changed, lost_until).await {
            log_failure(&error);
            pause.wait().await;
        }
    }

    async fn try_restore_first(
        &self,
        is_changed: bool,
        lost_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        if is_changed || !self.is_checked.load(Ordering::Acquire) {
            self.store.check().await?;
            self.is_checked.store(true, Ordering::Release);
        }
        if is_changed {
            self.restore_names().await?;
        }
        // An answer may have been lost with the connection, or given by a server that was no longer
        // the master.
        self.give_newest(lost_until).await?;
        self.ask_for_keys().await
    }

    /// Writes the newest revocations back, those of the previous process included, which may have
    /// died before it could.
    async fn give_newest(&self, lost_until: Option<Timestamp>) -> Result<(), StoreError> {
        let now = Now::read().wall;
        let mut newest: Vec<_> = self.journal.state().newest.iter().copied().collect();
        newest.retain(|entry| entry.expires_at > now);
        self.store.restore_revocations(&newest, &self.sites(), lost_until).await?;
        Ok(())
    }

    /// The revocation keys of sites, with their issuers.
    fn sites(&self) -> Vec<(RevocationKey, String)> {
        let state = self.journal.state();
        let issuers = state.keys.keys().chain(state.sites.keys());
        issuers.map(|issuer| (RevocationKey::of_site(issuer), issuer.clone())).collect()
    }

    /// Writes back revocations that a reachable store did not take, as a full one.
    async fn replay_unsynced(&self) {
        if self.give_newest(None).await.is_err() {
            self.has_unsynced.store(true, Ordering::Release);
        }
    }

    /// Reads the keys again, which may have changed.
    async fn ask_for_keys(&self) -> Result<(), StoreError> {
        let known = self.journal.state().keys.clone();
        let mut is_changed = false;
        for (issuer, known) in known {
            let keys = self.stored_keys(&issuer).await?;
            is_changed |= keys != known;
            self.note_keys(&issuer, &keys).await;
        }
        if is_changed {
            self.keys_changed.send_replace(());
        }
        Ok(())
    }

    /// Writes the whole list back; then the store has everything.
    async fn restore_all(&self, sites: &[(RevocationKey, String)], lost_until: Option<Timestamp>) {
        let mut restored = 0;
        for number in 0..SHARDS {
            let now = Now::read().wall;
            let mut part = self.list.part(u8::try_from(number).unwrap_or(u8::MAX));
            part.retain(|entry| entry.expires_at > now);
            let mut pause = first_pause();
            restored += loop {
                match self.store.restore_revocations(&part, sites, lost_until).await {
                    Ok(restored) => break restored,
                    Err(error) => {
                        log_failure(&error);
                        pause.wait().await;
                    }
                }
            };
        }
        if restored > 0 {
            metrics::counter!(metric::STORE_REFILLS).increment(1);
            tracing::warn!(restored, "the store had lost revocations, which were put back");
        }
    }
}

impl<'a> Relay<'a> {
    fn new(node: &'a JournaledStore) -> Self {
        Self {
            node,
            first: None,
            rest: None,
            is_read: false,
            held: None,
            changed_at: None,
            keys_at: Instant::now() + KEYS_EVERY,
            is_contradicted: false,
            sites: Vec::new(),
        }
    }

    async fn run(mut self, news: &mut mpsc::Receiver<FeedEvent>, events: &mpsc::Sender<FeedEvent>) {
        loop {
            let event = tokio::select! {
                () = events.closed() => return,
                () = finished(&mut self.first) => {
                    self.first = None;
                    match self.held.take() {
                        Some(asked_at) => FeedEvent::Contact { asked_at },
                        None => continue,
                    }
                }
                () = finished(&mut self.rest), if self.first.is_none() && self.is_read => {
                    self.rest = None;
                    continue;
                }
                event = news.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
            };
            if self.take(&event).await && events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Processes an event; returns whether it is passed on.
    async fn take(&mut self, event: &FeedEvent) -> bool {
        match event {
            FeedEvent::Attached { lineage } => self.attach(lineage).await,
            FeedEvent::Revoked(entries) => {
                let fresh = self.node.list.learn(entries);
                let sites = self.sites_of(&fresh);
                if !fresh.is_empty() {
                    self.node.journal.note_entries(&fresh).await;
                }
                if !sites.is_empty() {
                    self.node.journal.note(&sites).await;
                }
                // The list has taken them in already.
                return false;
            }
            FeedEvent::Contact { asked_at } => {
                self.is_read = true;
                let is_settled = self.changed_at.is_none_or(|at| asked_at.since(at) >= SETTLING);
                if self.first.is_some() {
                    self.held = Some(*asked_at);
                }
                if self.first.is_some() || !is_settled {
                    return false;
                }
                self.changed_at = None;
                self.node.journal.note_contact(*asked_at).await;
                if self.rest.is_none() && self.node.has_unsynced.swap(false, Ordering::AcqRel) {
                    self.rest = Some(Box::pin(self.node.replay_unsynced()));
                }
                if self.rest.is_none() && self.keys_at <= Instant::now() {
                    self.keys_at = Instant::now() + KEYS_EVERY;
                    self.sites = self.node.sites();
                    let node = self.node;
                    // After an outage the feed reconnects, which reads the keys first.
                    self.rest = Some(Box::pin(async move { drop(node.ask_for_keys().await) }));
                }
            }
            FeedEvent::Interrupted { cause } => {
                self.is_contradicted |= *cause == FeedInterruption::Swapped;
            }
        }
        true
    }

    async fn attach(&mut self, lineage: &str) {
        let node = self.node;
        // Before anything recent is read: `keep_recorded` compares the count afterwards.
        node.reconnects.fetch_add(1, Ordering::AcqRel);
        // A node may have been in contact, and have stopped before the store had everything.
        let (had, had_any) = {
            let state = node.journal.state();
            let had = state.lineage.clone();
            let had_any = had.is_some() || state.contact.is_some();
            (had, had_any)
        };
        let is_contradicted = std::mem::take(&mut self.is_contradicted);
        let is_changed = is_contradicted || !node.is_known(lineage);
        if is_changed && let Some(had) = &had {
            // From now on the previous store may lack something: should it come back before this
            // one has everything, its lineage must not be known. Only the data part is kept.
            let unknown = format!("{}/", data_of(had));
            node.journal.note(&[JournalRecord::Lineage(unknown)]).await;
        }
        self.sites = self.node.sites();
        self.held = None;
        self.is_read = false;
        let lost_until = self.lost_until(had.as_deref(), lineage);
        self.first = Some(Box::pin(node.restore_first(is_changed, lost_until)));
        if is_changed {
            if had_any {
                self.changed_at = Some(Now::read().boot);
            }
            let settling = if had_any { SETTLING } else { Duration::ZERO };
            let settled_at = Instant::now() + settling;
            let (lineage, sites) = (lineage.to_owned(), self.sites.clone());
            // A node with an empty list has nothing to write back.
            let knows_any = !node.list.is_empty();
            let rest = async move {
                if knows_any {
                    node.restore_all(&sites, lost_until).await;
                }
                // Not before it has settled: a restarted node must not count contact sooner.
                tokio::time::sleep_until(settled_at.into()).await;
                // If this is not written, the next start writes everything back once more.
                node.journal.note(&[JournalRecord::Lineage(lineage)]).await;
            };
            self.rest = Some(Box::pin(rest));
        }
    }

    /// The least expiry of revocations that a store of a lineage has lost.
    ///
    /// A store that fell behind may have lost the end of a session together with its revocation:
    /// then the revocation is kept for as long as a session may live. An emptied store has no
    /// sessions.
    fn lost_until(&self, had: Option<&str>, lineage: &str) -> Option<Timestamp> {
        let is_behind = data_of(had?) == data_of(lineage);
        is_behind.then(|| self.node.lost_until(Now::read().wall))
    }

    /// The generations of sites in entries, which outlive the revocations that raised them.
    fn sites_of(&self, entries: &[FeedEntry]) -> Vec<JournalRecord> {
        let floors = entries.iter().filter(|entry| entry.floor > 0);
        let named = floors.filter_map(|entry| {
            let (_, issuer) = self.sites.iter().find(|(key, _)| *key == entry.key)?;
            Some(JournalRecord::Site { issuer: issuer.clone(), generation: entry.floor })
        });
        named.collect()
    }
}

/// The data part of a lineage, without the process.
fn data_of(lineage: &str) -> &str {
    lineage.split_once('/').map_or("", |(data, _process)| data)
}

/// Waits for work, where there is any.
async fn finished(work: &mut Option<Work<'_>>) {
    match work {
        Some(work) => work.await,
        None => pending().await,
    }
}

/// The back-off of a refill, whose attempts end when the feed reconnects.
const fn first_pause() -> Backoff {
    Backoff::between(FIRST_PAUSE, LAST_PAUSE)
}

/// Logs an error that no retry mends; the feed reports outages.
fn log_failure(error: &StoreError) {
    if !error.is_outage() {
        tracing::error!(error = causes(error), "the store does not take back what it lost");
    }
}
