//! The Redis of the fleet: the primary's data, and a replica that may have stopped following it.

use crate::revoked::{Revoked, RevokedSet};

/// What a server holds of one session and of what is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Data {
    pub set: RevokedSet,
    /// The numbered log; a number is a place in it, counted from one.
    log: [Option<Revoked>; 2],
    /// Zero: none since the data was lost.
    pub generation: u8,
    pub session: Option<Session>,
    /// Refresh tokens that lead to the session, one bit each.
    pub index: u8,
}

/// The record of the session: the refresh token that counts, and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session {
    pub current: u8,
    pub parent: Option<u8>,
}

/// Names the data and the process that holds it (`store/redis/revocations/refill.rs`, `lineage_of`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lineage {
    pub generation: u8,
    pub process: u8,
}

/// The server that is reached, and its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Redis {
    pub data: Data,
    /// What the replica has, where it has stopped following; `None`: all.
    pub replica: Option<Data>,
    /// The replication id: another one after every restart and promotion.
    pub process: u8,
    generations: u8,
}

impl Lineage {
    /// Of no store (`journal/refill.rs`).
    pub(crate) const UNKNOWN: Self = Self { generation: 0, process: 0 };
}

impl Redis {
    /// A server with one session whose refresh token is the first.
    pub(crate) fn new(has_session: bool) -> Self {
        let session = has_session.then_some(Session { current: 0, parent: None });
        let data = Data { generation: 1, session, index: 1, ..Data::default() };
        Self { data, replica: None, process: 1, generations: 1 }
    }

    /// What a gateway that asks is told.
    pub(crate) fn lineage(&self) -> Lineage {
        Lineage { generation: self.data.generation, process: self.process }
    }

    /// `append_revocations.lua`: what the set has already is not logged again.
    pub(crate) fn append(&mut self, what: RevokedSet) {
        for one in what.minus(self.data.set).each() {
            let end = self.data.log.iter_mut().find(|place| place.is_none());
            *end.expect("a place for each revocation") = Some(one);
        }
        self.data.set = self.data.set.and(what);
    }

    /// `heartbeat.lua`: makes a generation where there is none.
    pub(crate) fn beat(&mut self) -> (u8, u8) {
        if self.data.generation == 0 {
            self.generations += 1;
            self.data.generation = self.generations;
        }
        (self.data.generation, self.data.newest())
    }

    /// The data are gone, the process goes on (FLUSHALL).
    pub(crate) fn lose_data(&mut self) {
        self.data = Data::default();
    }

    /// The process ends without a file and is started again.
    pub(crate) fn restart_empty(&mut self) {
        *self = Self { data: Data::default(), replica: None, process: self.process + 1, ..*self };
    }

    /// The replica takes over with what it has; the old primary takes no more writes (a fenced one
    /// answers no heartbeat, which is a write).
    pub(crate) fn promote_replica(&mut self) {
        let data = self.replica.unwrap_or(self.data);
        *self = Self { data, replica: None, process: self.process + 1, ..*self };
    }
}

impl Data {
    /// The number of the newest entry.
    pub(crate) fn newest(&self) -> u8 {
        self.log.iter().flatten().fold(0, |count, _| count + 1)
    }

    /// The entry after a number (`feed/log.rs`, `read_log`).
    pub(crate) fn after(&self, number: u8) -> Option<Revoked> {
        self.log.get(usize::from(number)).copied().flatten()
    }
}
