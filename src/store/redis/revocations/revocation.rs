//! Revocations: a set for look-ups and snapshots, and a numbered log for followers.
//!
//! Both are in one slot and written by one script, so that the set has every entry up to the log's
//! newest number. The set takes 16 bytes an entry and its expiry; floors, which only users and
//! sites have, are in a hash of their own.

use std::sync::LazyLock;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::operation::{Revocation, RevocationKey, Revoked};
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::connection::script::{Invocation, Script};
use crate::store::redis::revocations::feed::Feed;
use crate::store::{FeedEntry, FeedEvent, RedisStore, Revocations, StoreError};

static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/append_revocations.lua")));
static FIND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/find_revocations.lua")));
static PURGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/purge_revocations.lua")));

/// About how many entries the log keeps: a follower that is further behind reads the set again.
const LOG_LENGTH: usize = 100_000;

/// The most revocations of one script: a script blocks all other commands.
pub(in crate::store::redis) const BATCH: usize = 500;

/// Scores are doubles, which hold integers up to this exactly.
const LATEST: i64 = (1 << 53) - 1;

/// An instant as the score of a sorted set.
pub(in crate::store::redis) fn score(at: Timestamp) -> i64 {
    at.as_millis().clamp(0, LATEST)
}

/// The origin of entries, on which the precision of their expiry depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum EntryOrigin {
    /// A request: expiries are exact to the millisecond.
    Request,
    /// A node's list: expiries are rounded up to the second, so that two of one second are equal.
    /// An entry that the store lacks is remembered until `lost_until` at least.
    NodeList { lost_until: Option<Timestamp> },
}

/// The entry of a key in the store, expired or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) struct Recorded {
    /// Its expiry; `None`: not recorded.
    pub(in crate::store::redis) expires_at: Option<Timestamp>,
    /// The lowest generation still accepted.
    pub(in crate::store::redis) floor: u64,
}

impl Recorded {
    /// Whether it refuses at `now`.
    pub(in crate::store::redis) fn is_active(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at > now)
    }
}

#[async_trait]
impl Revocations for RedisStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.in_time(self.append(revocations)).await
    }

    async fn find_revocation(
        &self,
        key: RevocationKey,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let found = self.in_time(self.recorded(&[key])).await?;
        Ok(found.first().filter(|entry| entry.is_active(now)).map(|entry| entry.floor))
    }

    async fn site_generation(&self, issuer: &str) -> Result<u64, StoreError> {
        let mut ask = redis::cmd("HGET");
        ask.arg(self.keys.revocations().sites).arg(issuer);
        Ok(self.in_time(self.command::<Option<u64>>(&ask)).await?.unwrap_or(0))
    }

    async fn follow(&self, events: mpsc::Sender<FeedEvent>) {
        let waiting = self.waiting.as_ref().map(|(route, _)| route);
        Feed::new(&self.route, waiting, &self.keys, self.deadlines.command).run(&events).await;
    }
}

impl RedisStore {
    /// Records revocations in order, each batch in one step.
    pub(in crate::store::redis) async fn append(
        &self,
        revocations: &[Revocation],
    ) -> Result<(), StoreError> {
        for batch in revocations.chunks(BATCH) {
            let entries = batch.iter().map(|revocation| {
                let site = match &revocation.revoked {
                    Revoked::Site { issuer, .. } => issuer,
                    _ => "",
                };
                (FeedEntry::from(revocation), site)
            });
            self.replicated_script::<usize>(&self.batch(EntryOrigin::Request, entries)).await?;
        }
        // In another slot. Cut short before, a key is left that is refused all the same; a gateway
        // that finds one revokes it again.
        for Revocation { revoked, .. } in revocations {
            if let Revoked::Key { issuer, key } = revoked {
                self.remove_key_of_site(issuer, key).await?;
            }
        }
        Ok(())
    }

    /// The script that records at most [`BATCH`] entries, each with the issuer if it is a site's;
    /// it returns how many of them changed anything.
    pub(in crate::store::redis) fn batch<'a>(
        &self,
        origin: EntryOrigin,
        entries: impl Iterator<Item = (FeedEntry, &'a str)>,
    ) -> Invocation<'static> {
        let keys = self.keys.revocations();
        let mut script = APPEND.prepare_invoke();
        script.key(&keys.set).key(&keys.floors).key(&keys.sequence);
        script.key(&keys.log).key(&keys.generation).key(&keys.sites).arg(LOG_LENGTH);
        match origin {
            EntryOrigin::Request => script.arg(0).arg(""),
            EntryOrigin::NodeList { lost_until: None } => script.arg(1).arg(""),
            EntryOrigin::NodeList { lost_until: Some(until) } => script.arg(1).arg(score(until)),
        };
        for (entry, site) in entries {
            script.arg(entry.key.0.as_slice()).arg(entry.floor);
            script.arg(score(entry.expires_at)).arg(site);
        }
        script
    }

    /// Looks keys up, in their order.
    pub(in crate::store::redis) async fn recorded(
        &self,
        wanted: &[RevocationKey],
    ) -> Result<Vec<Recorded>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys.revocations();
        let mut script = FIND.prepare_invoke();
        script.key(&keys.set).key(&keys.floors);
        for key in wanted {
            script.arg(key.0.as_slice());
        }
        let answer: Vec<(String, u64)> = self.script(&script).await?;
        let read = |(expiry, floor): (String, u64)| {
            let expires_at =
                if expiry.is_empty() { None } else { Some(parse_expiry(expiry.as_bytes())?) };
            Ok(Recorded { expires_at, floor })
        };
        answer.into_iter().map(read).collect()
    }

    pub(in crate::store::redis) async fn purge_revocations(
        &self,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let keys = self.keys.revocations();
        let mut script = PURGE.prepare_invoke();
        script.key(&keys.set).key(&keys.floors).arg(now.as_millis()).arg(BATCH);
        loop {
            let work = self.script::<usize>(&script);
            if self.in_time(work).await? < BATCH {
                return Ok(());
            }
        }
    }
}

/// Reads an entry of the set or the log.
pub(in crate::store::redis) fn parse_entry(
    key: &[u8],
    floor: &[u8],
    expires: &[u8],
) -> Result<FeedEntry, StoreError> {
    let key = key.try_into().map(RevocationKey).ok().ok_or_else(|| corrupt("revocation", "key"))?;
    let floor = std::str::from_utf8(floor).ok().and_then(|text| text.parse().ok());
    let floor = floor.ok_or_else(|| corrupt("revocation", "floor"))?;
    Ok(FeedEntry { key, floor, expires_at: parse_expiry(expires)? })
}

/// Reads a score, which servers write as a double: `1.7e+12` is one.
pub(in crate::store::redis) fn parse_expiry(text: &[u8]) -> Result<Timestamp, StoreError> {
    let score = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let score = score.filter(|score| score.is_finite() && score.abs() < 9e15);
    let score = score.ok_or_else(|| corrupt("revocation", "expiry"))?;
    #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53, as checked above")]
    let millis = score as i64;
    Ok(Timestamp::from_millis(millis))
}
