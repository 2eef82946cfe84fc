//! The promise: what must hold at every moment, as design.md and security.md say it.

use std::fmt;

use crate::fleet::Fleet;
use crate::revoked::RevokedSet;

/// A sentence of the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    Durable,
    HereAtOnce,
    ThereOrStale,
    ToldOtherwise,
    NoResurrection,
    InTheEndEverywhere,
    OneSuccessor,
    LogOutBeatsRefresh,
    LostAnswer,
}

impl Promise {
    /// The sentence that does not hold now.
    pub(crate) fn broken_by(fleet: &Fleet) -> Option<Self> {
        let files = fleet.gateways.iter().fold(RevokedSet::NONE, |all, one| all.and(one.file.list));
        if !fleet.acknowledged.minus(files.and(fleet.redis.data.set)).is_empty() {
            return Some(Self::Durable);
        }
        for one in &fleet.gateways {
            let accepted = |what: RevokedSet| what.each().any(|one_of| one.may_accept(one_of));
            if accepted(one.acknowledged) {
                return Some(Self::HereAtOnce);
            }
            if accepted(one.declined) {
                return Some(Self::ToldOtherwise);
            }
            if accepted(one.refused) {
                return Some(Self::NoResurrection);
            }
            if accepted(fleet.acknowledged.both(one.contact.unwrap_or_default())) {
                return Some(Self::ThereOrStale);
            }
        }
        None
    }

    /// The sentence that does not hold when nothing more happens by itself.
    pub(crate) fn broken_at_rest(fleet: &Fleet) -> Option<Self> {
        let vouched = |what| fleet.acknowledged.minus(what).is_empty();
        let everywhere = fleet.gateways.iter().all(|one| {
            !one.is_up || !one.is_linked || (vouched(one.list) && one.contact.is_some_and(vouched))
        });
        let is_kept = vouched(fleet.redis.data.set);
        (!everywhere || !is_kept).then_some(Self::InTheEndEverywhere)
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Durable => {
                "acknowledged, so it is kept: losing Redis or a gateway's process loses nothing"
            }
            Self::HereAtOnce => "acknowledged, so it is refused here at once, and ever after",
            Self::ThereOrStale => {
                "acknowledged, so every other gateway refuses it or goes stale, and a stale one \
                 does not decide"
            }
            Self::ToldOtherwise => "what is not acknowledged is said so, and is refused here",
            Self::NoResurrection => {
                "what a gateway has refused it never accepts again, whatever became of Redis"
            }
            Self::InTheEndEverywhere => {
                "when all is mended, every gateway and Redis know what was acknowledged"
            }
            Self::OneSuccessor => "a refresh token has one successor, whoever asks, however often",
            Self::LogOutBeatsRefresh => {
                "a refresh that begins after a log-out was acknowledged gets nothing"
            }
            Self::LostAnswer => {
                "a refresh whose answer nobody has shown to have is answered again, and ends nothing"
            }
        })
    }
}
