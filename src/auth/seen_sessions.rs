//! A bounded table of the newest access token that this gateway has seen of each session.
//!
//! It tells a refresh whose answer was lost from one whose answer arrived: a client that has the
//! answer presents its access token sooner or later. A token is noted when it is first verified
//! here, not with every request. Forgotten sessions count as seen, so that a full table is strict.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::{fmt, mem};

use crate::clock::Timestamp;
use crate::lock::IgnorePoison;
use crate::operation::SessionId;

/// Parts with a lock each, held for one look-up or one change.
const SHARDS: usize = 16;

/// Sessions in one half of a part: in all at most 131,072, some 5 MB.
const HALF: usize = 4096;

/// The newest access token of each session that this gateway has seen.
#[derive(Default)]
pub struct SeenSessions {
    shards: [Mutex<Halves>; SHARDS],
}

/// Two halves: when the younger one is full, the older one is forgotten whole.
#[derive(Default)]
struct Halves {
    younger: HashMap<SessionId, Timestamp>,
    older: HashMap<SessionId, Timestamp>,
    /// The newest instant among forgotten sessions.
    forgotten: Timestamp,
}

impl SeenSessions {
    /// Notes that an access token of a session, issued at an instant, was presented here.
    pub(crate) fn note(&self, session: SessionId, made_at: Timestamp) {
        let Some(mut shard) = self.shard(session) else { return };
        if shard.younger.len() >= HALF {
            let older = mem::take(&mut shard.younger);
            let forgotten = mem::replace(&mut shard.older, older);
            shard.forgotten = forgotten.into_values().fold(shard.forgotten, Timestamp::max);
        }
        let newest = shard.younger.entry(session).or_insert(made_at);
        *newest = made_at.max(*newest);
    }

    /// Whether an access token of a session that was issued at `instant` or later was presented
    /// here.
    pub(crate) fn has_seen_since(&self, session: SessionId, instant: Timestamp) -> bool {
        let Some(shard) = self.shard(session) else { return true };
        let seen = [shard.younger.get(&session), shard.older.get(&session)];
        shard.forgotten >= instant || seen.into_iter().flatten().any(|made_at| *made_at >= instant)
    }

    /// The part of a session; ids are random, so that any byte spreads them.
    fn shard(&self, session: SessionId) -> Option<MutexGuard<'_, Halves>> {
        let [byte, ..] = session.0.into_bytes();
        let shard = self.shards.get(usize::from(byte).checked_rem(SHARDS)?)?;
        // A thread that panicked with the lock left a whole table.
        Some(shard.lock().ignore_poison())
    }
}

impl fmt::Debug for SeenSessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SeenSessions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{HALF, SHARDS, SeenSessions};
    use crate::clock::Timestamp;
    use crate::operation::SessionId;

    #[test]
    fn the_newest_token_of_a_session_counts() {
        let (seen, one, other) = (SeenSessions::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let at = Timestamp::from_millis;

        seen.note(SessionId(one), at(20));
        seen.note(SessionId(one), at(10));

        assert!(seen.has_seen_since(SessionId(one), at(20)));
        assert!(!seen.has_seen_since(SessionId(one), at(21)));
        assert!(!seen.has_seen_since(SessionId(other), at(1)));
    }

    #[test]
    fn what_a_full_table_forgot_counts_as_seen() {
        let seen = SeenSessions::default();
        let first = SessionId(Uuid::nil());
        seen.note(first, Timestamp::from_millis(5));
        // All of one part: two halves, of which the second is newer, and one more.
        for number in 1..=2 * HALF {
            let made_at = Timestamp::from_millis(if number < HALF { 4 } else { 9 });
            seen.note(SessionId(Uuid::from_u128(number as u128)), made_at);
        }

        assert!(seen.has_seen_since(first, Timestamp::from_millis(5)));
        assert!(!seen.has_seen_since(first, Timestamp::from_millis(6)));
        assert!(seen.shards.iter().all(|shard| shard.lock().unwrap().older.len() <= HALF));
        assert_eq!(seen.shards.len(), SHARDS);
    }
}
