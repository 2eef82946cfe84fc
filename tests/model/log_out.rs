//! Log-outs and revocations: list, then file and Redis at once, then the answer.

use crate::gateway::{Revoking, Stage};
use crate::revoked::{Revoked, RevokedSet};
use crate::step::What;
use crate::walk::Walk;

impl Walk<'_> {
    /// `auth/operations/logout.rs`, `journal/store.rs` (`keep`, `both`), `journal/writer.rs`,
    /// `store/redis/sessions/session.rs` (`log_out`): list, then file and Redis at once, then the answer.
    pub(crate) fn revoking(&mut self) {
        let safeguards = *self.safeguards;
        let gateway = *self.gateway();
        let file_lacks = !gateway.list.minus(gateway.file.list).is_empty();
        let late = gateway.revoking.filter(|_| !safeguards.list_first);
        if safeguards.waits_for_file && (file_lacks || late.is_some()) {
            self.does(What::WriteFile, |_, own| {
                let asked = late.map_or(RevokedSet::NONE, |one| RevokedSet::of(one.what));
                own.file.list = own.file.list.and(own.list).and(asked);
            });
        }
        let Some(request) = gateway.revoking else {
            self.begin_revoking(Revoked::Session, self.before.left.log_outs);
            self.begin_revoking(Revoked::Token, self.before.left.revocations);
            return;
        };
        let what = RevokedSet::of(request.what);
        let has_refreshes = self.before.redis.data.session.is_some();
        let at = |stage| Some(Revoking { stage, ..request });
        if gateway.is_linked {
            match (request.stage, request.what) {
                (Stage::Asked, _) => self.does(What::Append, |fleet, own| {
                    fleet.redis.append(what);
                    // Where nobody refreshes, nobody sees the session.
                    let has_session = request.what == Revoked::Session && has_refreshes;
                    own.revoking = at(if has_session { Stage::Appended } else { Stage::Done });
                }),
                (Stage::Appended, _) => self.does(What::DeleteSession, |fleet, own| {
                    fleet.redis.data.session = None;
                    own.revoking = at(Stage::Done);
                }),
                (Stage::Done, _) => {}
            }
        }
        let in_file = gateway.file.list.has(request.what) || !safeguards.waits_for_file;
        let in_redis = request.stage == Stage::Done || !safeguards.waits_for_redis;
        if gateway.acknowledged.has(request.what) {
            self.does(What::ListLate, |_, own| {
                own.learn(what);
                own.revoking = None;
            });
        } else if in_file && in_redis {
            self.does(What::Acknowledge, |fleet, own| {
                fleet.acknowledged = fleet.acknowledged.and(what);
                own.acknowledged = own.acknowledged.and(what);
                if safeguards.list_first && safeguards.waits_for_redis {
                    own.revoking = None;
                }
            });
        }
        self.does(What::Decline, |_, own| {
            own.revoking = None;
            if !safeguards.keeps_what_failed {
                own.list = own.list.minus(what);
                own.declined = own.declined.and(what);
            }
        });
    }

    fn begin_revoking(&mut self, what: Revoked, left: u8) {
        let is_listed = self.safeguards.list_first;
        let Some(left) = left.checked_sub(1) else { return };
        self.does(What::Revoke(what), |fleet, own| {
            match what {
                Revoked::Session => fleet.left.log_outs = left,
                Revoked::Token => fleet.left.revocations = left,
            }
            if is_listed {
                own.learn(RevokedSet::of(what));
            }
            own.recent = own.recent.and(RevokedSet::of(what));
            own.revoking = Some(Revoking { what, stage: Stage::Asked });
        });
    }
}
