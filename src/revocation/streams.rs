//! Streams that go on under a token after their response has begun: WebSockets, long bodies.
//!
//! A stream is registered when it is known to last, so that a short exchange costs nothing here.
//! Its [`StreamGuard`] tells when it must end: its token was revoked, even after it expired, or
//! expires. A revocation that is recorded before a guard is taken is found in the list, and one
//! that is recorded after it finds the guard: none slips between.
//!
//! The streams are in eight shards, each under a short lock, never held over an `.await`. One sweep
//! ends those that expire, without a timer for each. A stream that ends early deregisters when its
//! guard is dropped, so that memory is bounded by the open streams.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::lock::IgnorePoison;
use crate::operation::RevocationKey;
use crate::store::FeedEntry;
use crate::telemetry::metric;
use crate::token::RevocationKeys;

/// The token that a stream goes on under, and how long it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOwner {
    /// The keys by which its token can be revoked.
    pub keys: RevocationKeys,
    /// `iat` of its token.
    pub issued_at: Timestamp,
    /// The expiry of its token.
    pub expires_at: Timestamp,
    /// Whether the stream ends when its token expires.
    pub ends_with_token: bool,
}

/// The reason for which a stream must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its token, session, user, site or key was revoked.
    Revoked,
    /// Its token has expired.
    Expired,
    /// Its token has expired, and a revocation may have been recorded and expired without contact.
    Unknown,
}

/// The guard of a registered stream; dropping it deregisters the stream.
#[derive(Debug)]
pub struct StreamGuard {
    shard: Arc<StreamShard>,
    number: u64,
    notice: oneshot::Receiver<EndReason>,
    ended: Option<EndReason>,
    end_flag: EndFlag,
}

/// A flag that a stream must end, for code that cannot poll its guard: a connection whose client
/// reads nothing, so that the stream is not polled.
#[derive(Clone, Debug, Default)]
pub struct EndFlag(Arc<AtomicBool>);

/// All streams that are open.
#[derive(Debug, Default)]
pub(super) struct Streams {
    shards: [Arc<StreamShard>; SHARDS],
}

const SHARDS: usize = 8;

#[derive(Debug, Default)]
struct StreamShard {
    /// Lets a revocation skip an empty shard.
    open: AtomicUsize,
    register: Mutex<Register>,
}

#[derive(Debug, Default)]
struct Register {
    streams: HashMap<u64, Stream>,
    /// Every key of every stream, with the stream's number.
    keys: BTreeSet<(RevocationKey, u64)>,
    next: u64,
    /// No stream ends with its token before this; `None`: none does.
    soonest: Option<Timestamp>,
}

#[derive(Debug)]
struct Stream {
    owner: StreamOwner,
    /// `None` once it was used.
    notice: Option<oneshot::Sender<EndReason>>,
    end_flag: EndFlag,
}

impl EndReason {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Revoked => "the token was revoked meanwhile",
            Self::Expired => "the token expired meanwhile",
            Self::Unknown => "the token expired while revocations were out of sight",
        })
    }
}

impl StreamOwner {
    /// Whether an entry of the feed refuses the token.
    fn is_refused_by(&self, entry: &FeedEntry) -> bool {
        self.keys.refused_by(|own| (own.key == entry.key).then_some(entry.floor)).is_some()
    }

    fn all_keys(&self) -> impl Iterator<Item = RevocationKey> {
        self.keys.all().map(|revocable| revocable.key)
    }

    fn ends_at(&self) -> Option<Timestamp> {
        self.ends_with_token.then_some(self.expires_at)
    }

    /// Whether a revocation of the token can have been recorded since `since` and have expired by
    /// `now`: it is remembered for as long as such a token lives, or until this one expires.
    fn may_have_missed(&self, since: Timestamp, now: Timestamp) -> bool {
        let life = self.expires_at.since(self.issued_at);
        self.expires_at <= now && (self.expires_at >= since || now.since(since) >= life)
    }
}

impl StreamGuard {
    /// Polls whether the stream must end, and for which reason.
    pub fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<EndReason> {
        if self.ended.is_none() {
            match Pin::new(&mut self.notice).poll(context) {
                Poll::Pending => return Poll::Pending,
                // The sender is dropped only with this guard, or after it was used.
                Poll::Ready(told) => self.ended = Some(told.unwrap_or(EndReason::Unknown)),
            }
        }
        self.ended.map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits until the stream must end; cancel-safe.
    pub async fn ended(&mut self) -> EndReason {
        poll_fn(|context| self.poll_ended(context)).await
    }

    /// The reason for which the stream must end already.
    pub fn has_ended(&mut self) -> Option<EndReason> {
        if self.ended.is_none() {
            self.ended = self.notice.try_recv().ok();
        }
        self.ended
    }

    /// The flag that is set when the stream must end.
    #[must_use]
    pub fn end_flag(&self) -> EndFlag {
        self.end_flag.clone()
    }

    /// Ends the stream before it begins.
    pub(super) fn refuse(&mut self, ended: EndReason) {
        self.ended = Some(ended);
    }
}

impl EndFlag {
    /// Whether the stream must end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.shard.change(|register| register.remove(self.number));
    }
}

impl Streams {
    /// Registers a stream. A check of the list after this call misses no revocation.
    #[expect(clippy::indexing_slicing, reason = "a remainder by the length is an index")]
    pub(super) fn open(&self, owner: StreamOwner) -> StreamGuard {
        let shard = &self.shards[usize::from(owner.keys.token.0[0]) % SHARDS];
        let (sender, notice) = oneshot::channel();
        let end_flag = EndFlag::default();
        let stream = Stream { owner, notice: Some(sender), end_flag: end_flag.clone() };
        let number = shard.change(|register| register.add(stream));
        // With the fence in `end_revoked`: of a stream that is registered and a revocation that is
        // recorded at the same time, at least one sees the other.
        fence(Ordering::SeqCst);
        StreamGuard { shard: Arc::clone(shard), number, notice, ended: None, end_flag }
    }

    /// Ends streams whose tokens were revoked. The list must have the entries already.
    pub(super) fn end_revoked(&self, entries: &[FeedEntry]) {
        fence(Ordering::SeqCst);
        self.end(EndReason::Revoked, |register| register.refused_by(entries));
    }

    /// Ends streams whose tokens have expired.
    pub(super) fn end_expired(&self, now: Timestamp) {
        self.end(EndReason::Expired, |register| register.expired(now));
    }

    /// Ends streams whose revocation may have expired without contact, from `since` until now. A
    /// token that has not expired is covered by the entries that were read again.
    pub(super) fn end_unknown(&self, since: Timestamp, now: Timestamp) {
        self.end(EndReason::Unknown, |register| {
            let missed = |stream: &&mut Stream| stream.owner.may_have_missed(since, now);
            register.streams.values_mut().filter(missed).filter_map(Stream::give_notice).collect()
        });
    }

    /// The number of streams that are open.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.open.load(Ordering::Relaxed)).sum()
    }

    fn end(
        &self,
        ended: EndReason,
        choose: impl Fn(&mut Register) -> Vec<oneshot::Sender<EndReason>>,
    ) {
        for shard in &self.shards {
            if shard.open.load(Ordering::Acquire) == 0 {
                continue;
            }
            let chosen = choose(&mut shard.lock());
            if chosen.is_empty() {
                continue;
            }
            let count = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
            metrics::counter!(metric::STREAMS_ENDED, "reason" => ended.name()).increment(count);
            for notice in chosen {
                // A stream that has just ended by itself has no receiver.
                let _unheard = notice.send(ended);
            }
        }
    }
}

impl StreamShard {
    fn change<T>(&self, change: impl FnOnce(&mut Register) -> T) -> T {
        let mut register = self.lock();
        let result = change(&mut register);
        self.open.store(register.streams.len(), Ordering::Release);
        result
    }

    // A register is whole after every step of its methods.
    fn lock(&self) -> MutexGuard<'_, Register> {
        self.register.lock().ignore_poison()
    }
}

impl Register {
    fn add(&mut self, stream: Stream) -> u64 {
        let number = self.next;
        self.next += 1;
        self.keys.extend(stream.owner.all_keys().map(|key| (key, number)));
        self.soonest = earlier(self.soonest, stream.owner.ends_at());
        self.streams.insert(number, stream);
        number
    }

    fn remove(&mut self, number: u64) {
        let Some(stream) = self.streams.remove(&number) else { return };
        for key in stream.owner.all_keys() {
            self.keys.remove(&(key, number));
        }
    }

    fn refused_by(&mut self, entries: &[FeedEntry]) -> Vec<oneshot::Sender<EndReason>> {
        let mut chosen = Vec::new();
        for entry in entries {
            for (_, number) in self.keys.range((entry.key, 0)..=(entry.key, u64::MAX)) {
                let stream = self.streams.get_mut(number);
                let refused = stream.filter(|stream| stream.owner.is_refused_by(entry));
                chosen.extend(refused.and_then(Stream::give_notice));
            }
        }
        chosen
    }

    /// Looks at all streams, but only when one of them is due.
    fn expired(&mut self, now: Timestamp) -> Vec<oneshot::Sender<EndReason>> {
        if self.soonest.is_none_or(|soonest| soonest > now) {
            return Vec::new();
        }
        let (mut chosen, mut soonest) = (Vec::new(), None);
        for stream in self.streams.values_mut().filter(|stream| stream.notice.is_some()) {
            let ends_at = stream.owner.ends_at();
            if ends_at.is_some_and(|ends_at| ends_at <= now) {
                chosen.extend(stream.give_notice());
            } else {
                soonest = earlier(soonest, ends_at);
            }
        }
        self.soonest = soonest;
        chosen
    }
}

impl Stream {
    fn give_notice(&mut self) -> Option<oneshot::Sender<EndReason>> {
        self.end_flag.0.store(true, Ordering::Release);
        self.notice.take()
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
