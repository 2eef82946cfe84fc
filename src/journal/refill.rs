//! Follows the store's feed, and gives a store that lost data what this node knows.
//!
//! Everything that the feed tells goes into the list, then into the journal. At every
//! connection the store says of which lineage it is. One that this node has not given everything
//! to, because it was wiped, restarted, restored from an old copy, or was a replica until now, may
//! lack the newest: keys, numbers and this node's newest revocations are put back at once, the whole
//! list after them. All of it may be repeated, by every node: a set only grows.
//!
//! Other nodes do the same, and a node may lack what another acknowledged while it was away. So
//! contact with a store that has changed counts only if it was asked for after [`SETTLING`], in which
//! the others put back the newest of theirs; nor is its lineage a known one before.

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

/// How long after a change of the store contact counts again: others find it within a second of
/// its return, and put their newest back first.
const SETTLING: Duration = Duration::from_secs(2);

/// How often the keys are asked for again: another node may have put others back, or made them.
const KEYS_EVERY: Duration = Duration::from_secs(5);

/// Between two attempts to put something back: about doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Enough to keep the reader of a long first read busy, little enough to bound memory.
const QUEUE: usize = 64;

type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What a node does beside reading the feed.
struct Relay<'a> {
    node: &'a JournaledStore,
    /// What must be back before contact counts.
    first: Option<Work<'a>>,
    /// The rest; it waits until the set was read, which it would only slow down.
    rest: Option<Work<'a>>,
    is_read: bool,
    /// A contact that came meanwhile.
    held: Option<BootTime>,
    /// When the store had changed: contact does not count until it has settled.
    changed_at: Option<BootTime>,
    /// When the keys are asked for again.
    keys_at: Instant,
    /// The store contradicted what was read of it before.
    is_contradicted: bool,
    /// Keys of sites: in the feed they have no name.
    sites: Vec<(RevocationKey, String)>,
}

impl JournaledStore {
    /// Follows the feed, and sends it on, until `events` closes.
    pub(super) async fn relay(&self, events: &mpsc::Sender<FeedEvent>) {
        let (sender, mut news) = mpsc::channel(QUEUE);
        let relay = async {
            Relay::new(self).run(&mut news, events).await;
            // The store's side ends when nobody listens any more.
            drop(news);
        };
        tokio::join!(self.store.follow(sender), relay);
    }

    /// Puts keys, numbers and generations back.
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

    /// Puts back what this node knows of a user, before a change that goes by it.
    ///
    /// A store that has lost an earlier change would give its generation once more, and then
    /// nobody could tell that the sessions of before came back.
    pub(super) async fn restore_floor(&self, key: &RevocationKey) -> Result<(), StoreError> {
        let now = Now::read().wall;
        if let Some(known) = self.list.floor(key, now) {
            let lost_until = self.lost_until(now);
            self.store.restore_revocations(&[known], &[], Some(lost_until)).await?;
        }
        Ok(())
    }

    /// Until when a store is to remember what it had lost with the end of a session: for as long as
    /// one may live.
    fn lost_until(&self, now: Timestamp) -> Timestamp {
        now.plus(self.longest_session)
    }

    /// What every connection begins with, until it is done.
    async fn restore_first(&self, is_changed: bool, lost_until: Option<Timestamp>) {
        let mut pause = first_pause();
        while let Err(error) = self.try_restore_first(is_changed, lost_until).await {
            tell(&error);
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
        // An answer may have been lost with the connection, or given by a server that was one no
        // longer.
        self.give_newest(lost_until).await?;
        self.ask_for_keys().await
    }

    /// Puts the newest revocations back, those of the process before included: it may not have
    /// lived to do so.
    async fn give_newest(&self, lost_until: Option<Timestamp>) -> Result<(), StoreError> {
        let now = Now::read().wall;
        let mut newest: Vec<_> = self.journal.state().newest.iter().copied().collect();
        newest.retain(|entry| entry.expires_at > now);
        self.store.restore_revocations(&newest, &self.sites(), lost_until).await?;
        Ok(())
    }

    /// Keys of sites: revocations have no names here.
    fn sites(&self) -> Vec<(RevocationKey, String)> {
        let state = self.journal.state();
        let issuers = state.keys.keys().chain(state.sites.keys());
        issuers.map(|issuer| (RevocationKey::of_site(issuer), issuer.clone())).collect()
    }

    /// Gives what a store that was there did not take, as one that is full.
    async fn replay_unsynced(&self) {
        if self.give_newest(None).await.is_err() {
            self.has_unsynced.store(true, Ordering::Release);
        }
    }

    /// Asks for the keys again: they may be others by now.
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

    /// Puts the whole list back; then the store has everything.
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
                        tell(&error);
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

    /// Takes an event in; says whether it goes on.
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
                // Nobody else has anything to do with it.
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
                    // An outage is met by the feed as well, which begins with the keys then.
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
        // Before anything recent is read: what the store records by itself looks here afterwards.
        node.reconnects.fetch_add(1, Ordering::AcqRel);
        // A node may have been in contact, and have ended before the store had everything of it.
        let (had, had_any) = {
            let state = node.journal.state();
            let had = state.lineage.clone();
            let had_any = had.is_some() || state.contact.is_some();
            (had, had_any)
        };
        let is_contradicted = std::mem::take(&mut self.is_contradicted);
        let is_changed = is_contradicted || !node.is_known(lineage);
        if is_changed && let Some(had) = &had {
            // From now on the one before may lack something, and must not be taken for one that has
            // everything, should it come back before this one has: of its name only the data stay.
            let nobody = format!("{}/", data_of(had));
            node.journal.note(&[JournalRecord::Lineage(nobody)]).await;
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
            // Who knows nothing but what this store will tell has nothing to put back.
            let knows_any = !node.list.is_empty();
            let rest = async move {
                if knows_any {
                    node.restore_all(&sites, lost_until).await;
                }
                // Not before it has settled: who starts anew must not count contact sooner.
                tokio::time::sleep_until(settled_at.into()).await;
                // If it is not written, it will all be put back once more.
                node.journal.note(&[JournalRecord::Lineage(lineage)]).await;
            };
            self.rest = Some(Box::pin(rest));
        }
    }

    /// Until when a store of a lineage is to remember what it has lost.
    ///
    /// One that fell behind, and has the same data otherwise, may have lost the end of a session
    /// together with its revocation: then the revocation stands for as long as a session may live.
    /// One that was emptied has no sessions.
    fn lost_until(&self, had: Option<&str>, lineage: &str) -> Option<Timestamp> {
        let is_behind = data_of(had?) == data_of(lineage);
        is_behind.then(|| self.node.lost_until(Now::read().wall))
    }

    /// Generations of sites, which are remembered beyond the revocations that raised them.
    fn sites_of(&self, entries: &[FeedEntry]) -> Vec<JournalRecord> {
        let floors = entries.iter().filter(|entry| entry.floor > 0);
        let named = floors.filter_map(|entry| {
            let (_, issuer) = self.sites.iter().find(|(key, _)| *key == entry.key)?;
            Some(JournalRecord::Site { issuer: issuer.clone(), generation: entry.floor })
        });
        named.collect()
    }
}

/// Which data a lineage is of, whatever process holds them.
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

/// The pause between attempts; whoever takes it gives up its attempts when the store is met anew.
const fn first_pause() -> Backoff {
    Backoff::between(FIRST_PAUSE, LAST_PAUSE)
}

/// Tells of what no waiting mends; an outage is told by the feed.
fn tell(error: &StoreError) {
    if !error.is_outage() {
        tracing::error!(error = causes(error), "the store does not take back what it lost");
    }
}
