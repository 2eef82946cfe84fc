//! Faults: a gateway is killed or cut off, Redis loses what it has.

use crate::gateway::{Feed, Gateway};
use crate::redis::Redis;
use crate::revoked::RevokedSet;
use crate::step::What;
use crate::walk::Walk;

impl Walk<'_> {
    /// `kill -9` and start of a gateway, and its link to Redis.
    pub(crate) fn faults(&mut self) {
        let gateway = *self.gateway();
        let safeguards = *self.safeguards;
        let may_fail = self.before.left.faults > 0;
        if !gateway.is_up {
            self.does(What::Start, |_, own| {
                let newest =
                    if safeguards.recalls_newest { own.file.list } else { RevokedSet::NONE };
                let started = Gateway::from_file(own.file, newest);
                let acknowledged = own.acknowledged;
                *own = Gateway { is_late: true, is_linked: own.is_linked, acknowledged, ..started };
            });
        } else if may_fail {
            self.does(What::Kill, |fleet, own| {
                fleet.left.faults -= 1;
                let gone = Gateway::from_file(own.file, RevokedSet::NONE);
                let acknowledged = own.acknowledged;
                *own = Gateway { is_up: false, is_linked: own.is_linked, acknowledged, ..gone };
            });
        }
        if !gateway.is_linked {
            self.does(What::Heal, |_, own| own.is_linked = true);
        } else if may_fail && gateway.is_up {
            self.does(What::Cut, |fleet, own| {
                fleet.left.faults -= 1;
                own.is_linked = false;
                own.is_late = true;
                own.feed = Feed::Off;
            });
        }
    }

    /// What Redis may lose.
    pub(crate) fn losses(&mut self) {
        if self.before.left.losses == 0 {
            return;
        }
        if self.before.redis.replica.is_none() {
            self.does(What::ReplicaStops, |fleet, _| fleet.redis.replica = Some(fleet.redis.data));
        }
        self.loses(What::LoseData, Redis::lose_data, false);
        self.loses(What::RestartEmpty, Redis::restart_empty, true);
        self.loses(What::Promote, Redis::promote_replica, true);
    }

    fn loses(&mut self, what: What, change: impl FnOnce(&mut Redis), cuts: bool) {
        self.offer(what, |fleet, _| {
            let before = fleet.redis.data.session;
            change(&mut fleet.redis);
            fleet.left.losses -= 1;
            let redis = fleet.redis;
            for own in &mut fleet.gateways {
                let known = own.knows(&redis);
                // What it could have read is gone.
                own.refreshing.iter_mut().for_each(|request| request.is_late &= known);
            }
            fleet.is_rotation_lost |= fleet.redis.data.session != before;
            if cuts {
                for own in &mut fleet.gateways {
                    own.feed = Feed::Off;
                }
            }
            None
        });
    }
}
