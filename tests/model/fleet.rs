//! Two gateways on one Redis, at one moment.

use crate::gateway::{Feed, Gateway};
use crate::redis::Redis;
use crate::revoked::RevokedSet;
use crate::safeguards::Safeguards;
use crate::step::Step;
use crate::walk::Walk;

/// Everything at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fleet {
    pub redis: Redis,
    pub gateways: [Gateway; 2],
    /// What any gateway has told a client to be revoked.
    pub acknowledged: RevokedSet,
    /// The successor that was answered for each refresh token.
    pub successors: [Option<u8>; TOKENS],
    /// Redis lost a rotation (security.md, 9): then there may be two.
    pub is_rotation_lost: bool,
    pub left: Bounds,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Bounds {
    pub log_outs: u8,
    pub revocations: u8,
    pub refreshes: u8,
    /// Gateways that are killed or cut off.
    pub faults: u8,
    /// Redis loses what it has, or some of it.
    pub losses: u8,
}

/// Refresh tokens of the session: the first, and a successor for each refresh.
pub(crate) const TOKENS: usize = 4;

impl Fleet {
    /// A fleet in order: one session, nothing revoked.
    pub(crate) fn new(left: Bounds) -> Self {
        let redis = Redis::new(left.refreshes > 0);
        Self {
            redis,
            gateways: [Gateway::following(redis.lineage()); 2],
            acknowledged: RevokedSet::NONE,
            successors: [None; TOKENS],
            is_rotation_lost: false,
            left,
        }
    }

    /// One of those that differ in nothing that can be seen or will ever matter: gateways have no
    /// names, what no fault can bring back is forgotten.
    pub(crate) fn canonical(mut self) -> Self {
        if self.left.losses == 0 {
            self.redis.replica = None;
        }
        let refreshes = self.gateways.iter().any(|own| own.refreshing.is_some());
        let no_more = self.left.refreshes == 0 && !refreshes;
        for own in &mut self.gateways {
            if self.left.losses == 0 {
                // Only of the newest will it ever matter.
                own.seen &= self.redis.data.session.map_or(0, |held| 1 << held.current);
            }
            if no_more {
                own.seen = 0;
            }
            if own.is_up && self.left.faults == 0 {
                own.file.contact = None;
                own.file.lineage = None;
            }
            if self.left.losses == 0
                && own.lineage == Some(self.redis.lineage())
                && !own.relay.first
            {
                own.recent = RevokedSet::NONE;
            }
            let data = &self.redis.data;
            let is_behind = |at: (u8, u8)| at.0 == data.generation && at.1 <= data.newest();
            let is_read_anew = !matches!(own.feed, Feed::Following { .. });
            if self.left.losses == 0 && is_read_anew && own.position.is_some_and(is_behind) {
                own.position = None;
            }
        }
        self.gateways.sort_unstable();
        self
    }

    /// Every step that can be taken now.
    pub(crate) fn steps(&self, safeguards: &Safeguards) -> Vec<Step> {
        let mut steps = Vec::new();
        for who in 0..self.gateways.len() {
            let mut walk = Walk { before: self, safeguards, who, steps: &mut steps };
            walk.faults();
            if self.gateways[who].is_up {
                walk.revoking();
                walk.refreshing();
                walk.showing();
                walk.feed();
            }
        }
        let mut walk = Walk { before: self, safeguards, who: 0, steps: &mut steps };
        walk.losses();
        steps
    }

    /// What is acknowledged, but for what Redis has lost and no gateway that is there knows:
    /// nobody can tell of that until one of those that know is back.
    pub(crate) fn within_reach(&self) -> RevokedSet {
        let there = self.gateways.iter().filter(|one| one.is_up && one.is_linked && !one.is_late);
        let known = there.fold(self.redis.data.set, |known, one| known.and(one.list));
        self.acknowledged.both(known)
    }
}
