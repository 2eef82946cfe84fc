//! One gateway: its list, its file, its feed, and what it is asked at the moment.

use crate::redis::{Lineage, Redis};
use crate::revoked::{Revoked, RevokedSet};

/// What a gateway has in memory, and what is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Gateway {
    pub is_up: bool,
    /// Whether it reaches Redis.
    pub is_linked: bool,
    /// It was down or cut off, and has not met Redis since.
    pub is_late: bool,
    pub list: RevokedSet,
    /// What it puts back first (`journal/state.rs`, `newest`): at least the newest of its own.
    pub recent: RevokedSet,
    pub contact: Contact,
    /// The Redis that was given everything (`Image::lineage`).
    pub lineage: Option<Lineage>,
    pub file: File,
    pub feed: Feed,
    /// How far the feed had come; another store would contradict it.
    pub position: Option<(u8, u8)>,
    pub is_contradicted: bool,
    pub relay: Relay,
    pub revoking: Option<Revoking>,
    pub refreshing: Option<Refreshing>,
    /// The refresh tokens whose access tokens it has seen in this process (`auth/seen_sessions.rs`).
    pub seen: u8,
    /// What it has told a client to be revoked.
    pub acknowledged: RevokedSet,
    /// What it has told a client to be not, in this process.
    pub declined: RevokedSet,
    /// What it has refused, in this process or since it was in its file.
    pub refused: RevokedSet,
}

/// The last contact that counts: what had been acknowledged when it was asked for.
///
/// Hence no clock: a gateway without the revocation whose contact is older than the
/// acknowledgement goes stale in time, one whose contact is younger never does.
pub(crate) type Contact = Option<RevokedSet>;

/// What survives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct File {
    pub list: RevokedSet,
    pub contact: Contact,
    pub lineage: Option<Lineage>,
}

/// Where a round of the feed is (`store/redis/revocations/feed/mod.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Feed {
    Off,
    /// A heartbeat was answered and the lineage told; the set is to be read.
    Attached {
        generation: u8,
        asked: Contact,
    },
    /// The log is followed; a heartbeat was answered with this newest number.
    Following {
        asked: Option<(RevokedSet, u8)>,
    },
}

/// What is done beside reading (`journal/refill.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Relay {
    /// The newest are to be put back before contact counts.
    pub first: bool,
    /// All the rest, to this lineage.
    pub rest: Option<Lineage>,
    pub held: Contact,
    /// Whether contact counts.
    pub is_settled: bool,
}

/// A log-out or a revocation under way (`journal/store.rs`, `both`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Revoking {
    pub what: Revoked,
    pub stage: Stage,
}

/// How far its Redis half is (`store/redis/sessions/session.rs`, `log_out`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    Asked,
    Appended,
    /// The session is deleted too, where one ends with it.
    Done,
}

/// A refresh under way (`auth/operations/refresh.rs`, `store/redis/sessions/rotation.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Refreshing {
    pub presented: u8,
    /// The successor that it offers.
    pub offered: u8,
    pub stage: Exchange,
    /// It was exchanged when this began, and its successor has shown a sign of life here: within
    /// the grace it gets that again, after it the session ends.
    pub is_reuse: bool,
    /// It began when the log-out was acknowledged, and here or in Redis known.
    pub is_late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Exchange {
    /// The session was found; whether it is revoked is to be read.
    Found,
    /// It was not; the script is to be run. Whether the presented token was the current one.
    Sound { is_current: bool },
}

impl Gateway {
    /// One that has followed a store from its beginning.
    pub(crate) fn following(lineage: Lineage) -> Self {
        let file = File {
            list: RevokedSet::NONE,
            contact: Some(RevokedSet::NONE),
            lineage: Some(lineage),
        };
        let position = Some((lineage.generation, 0));
        let feed = Feed::Following { asked: None };
        Self { is_linked: true, feed, position, ..Self::from_file(file, RevokedSet::NONE) }
    }

    /// One that was just started (`journal/mod.rs`, `Journal::open`).
    pub(crate) fn from_file(file: File, recent: RevokedSet) -> Self {
        Self {
            is_up: true,
            is_linked: true,
            is_late: false,
            list: file.list,
            recent,
            contact: file.contact,
            lineage: file.lineage,
            file,
            feed: Feed::Off,
            position: None,
            is_contradicted: false,
            relay: Relay { first: false, rest: None, held: None, is_settled: true },
            revoking: None,
            refreshing: None,
            seen: 0,
            acknowledged: RevokedSet::NONE,
            declined: RevokedSet::NONE,
            refused: file.list,
        }
    }

    /// Whether it may let pass what is revoked: it is not stale for certain, and does not know.
    pub(crate) fn may_accept(&self, what: Revoked) -> bool {
        self.is_up && self.contact.is_some() && !self.list.has(what)
    }

    /// Whether it must know that the session is revoked, once that is acknowledged: by its list, by
    /// Redis, or because its contact is younger.
    pub(crate) fn knows(&self, redis: &Redis) -> bool {
        let known = self.list.and(redis.data.set).and(self.contact.unwrap_or_default());
        known.has(Revoked::Session)
    }

    /// The list first, whoever tells it.
    pub(crate) fn learn(&mut self, what: RevokedSet) {
        self.list = self.list.and(what);
        self.refused = self.refused.and(what);
    }
}
