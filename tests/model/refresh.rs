//! Refreshes: the session is looked up, then whether it is revoked, then one script decides.

use crate::fleet::TOKENS;
use crate::gateway::{Exchange, Refreshing};
use crate::promise::Promise;
use crate::redis::Session;
use crate::revoked::{Revoked, RevokedSet};
use crate::step::What;
use crate::walk::Walk;

impl Walk<'_> {
    /// `auth/operations/refresh.rs`, `store/redis/sessions/rotation.rs`, `rotate_refresh.lua`.
    pub(crate) fn refreshing(&mut self) {
        let safeguards = *self.safeguards;
        if !self.gateway().is_linked {
            return;
        }
        let Some(request) = self.gateway().refreshing else {
            self.begin_refresh();
            return;
        };
        match request.stage {
            Exchange::Found => self.does(What::ReadRevoked, |fleet, own| {
                let data = &mut fleet.redis.data;
                if safeguards.refresh_asks && data.set.has(Revoked::Session) {
                    data.session = None;
                    own.refreshing = None;
                    return;
                }
                let is_current = !safeguards.rotates_at_once
                    && data.session.is_some_and(|it| it.current == request.presented);
                data.index |= 1 << request.offered;
                own.refreshing =
                    Some(Refreshing { stage: Exchange::Sound { is_current }, ..request });
            }),
            Exchange::Sound { is_current } => {
                self.rotate(request, is_current);
            }
        }
    }

    /// `find_refreshable`: the session stands in Redis and is not in the list.
    fn begin_refresh(&mut self) {
        let safeguards = self.safeguards;
        let (fleet, own) = (self.before, self.gateway());
        let Some(left) = fleet.left.refreshes.checked_sub(1) else { return };
        let is_late = fleet.acknowledged.has(Revoked::Session) && own.knows(&fleet.redis);
        let offered = TOKENS as u8 - 1 - left;
        let data = &fleet.redis.data;
        let revoked = own.list.and(data.set).has(Revoked::Session) && safeguards.refresh_asks;
        let seen = own.seen;
        let answered = fleet.successors.iter().flatten().copied();
        for presented in [0].into_iter().chain(answered) {
            if data.session.is_none() || data.index & (1 << presented) == 0 || revoked {
                continue;
            }
            let is_reuse = data.session.is_some_and(|held| {
                let is_alive = seen & (1 << held.current) != 0;
                held.parent == Some(presented) && (is_alive || !safeguards.gives_lost_answers)
            });
            let stage = Exchange::Found;
            let request = Refreshing { presented, offered, stage, is_reuse, is_late };
            self.does(What::Refresh, |fleet, own| {
                fleet.left.refreshes = left;
                own.refreshing = Some(request);
            });
        }
    }

    /// A client shows the access token that came with a refresh token (`auth/access_token.rs`).
    pub(crate) fn showing(&mut self) {
        for refresh in self.before.successors.into_iter().flatten() {
            self.does(What::Show, |_, own| own.seen |= 1 << refresh);
        }
    }

    /// The script, and its answer, which may be lost on the way.
    fn rotate(&mut self, request: Refreshing, is_decided: bool) {
        let mut rotated = *self.before;
        rotated.gateways[self.who].refreshing = None;
        let data = &mut rotated.redis.data;
        let successor = match data.session {
            Some(held) if held.current == request.presented || is_decided => {
                let parent = Some(request.presented);
                data.session = Some(Session { current: request.offered, parent });
                Some(request.offered)
            }
            // Within the grace.
            Some(held) if held.parent == Some(request.presented) => Some(held.current),
            _ => None,
        };
        let is_rotation = rotated.redis.data.session != self.before.redis.data.session;
        self.does(What::LoseAnswer, |fleet, own| {
            *fleet = rotated;
            own.refreshing = None;
        });
        if let Some(successor) = successor {
            self.offer(What::Rotate, |fleet, _| {
                *fleet = rotated;
                let answered = &mut fleet.successors[usize::from(request.presented)];
                let first = *answered.get_or_insert(successor);
                if request.is_late {
                    Some(Promise::LogOutBeatsRefresh)
                } else if first != successor && !fleet.is_rotation_lost {
                    Some(Promise::OneSuccessor)
                } else {
                    None
                }
            });
        }
        let held = self.before.redis.data.session;
        let is_parent = held.is_some_and(|held| held.parent == Some(request.presented));
        if held.is_some() && !is_rotation && (request.is_reuse || !is_parent) {
            let is_alive = held.is_some_and(|held| self.gateway().seen & (1 << held.current) != 0);
            // After the grace, or one that was rotated long ago: revoked as by a log-out.
            self.offer(What::FindTheft, |fleet, who| {
                let own = &mut fleet.gateways[who];
                let stolen = RevokedSet::of(Revoked::Session);
                own.learn(stolen);
                own.recent = own.recent.and(stolen);
                own.refreshing = None;
                fleet.redis.append(stolen);
                fleet.redis.data.session = None;
                (is_parent && !is_alive).then_some(Promise::LostAnswer)
            });
        }
    }
}
