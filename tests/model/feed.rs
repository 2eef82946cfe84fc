//! The feed and what is done beside it: reading, putting back, and when contact counts.

use crate::gateway::{Feed, Gateway};
use crate::redis::Lineage;
use crate::revoked::RevokedSet;
use crate::step::What;
use crate::walk::Walk;

impl Walk<'_> {
    /// `store/redis/revocations/feed/mod.rs` and `journal/refill.rs`.
    pub(crate) fn feed(&mut self) {
        let safeguards = *self.safeguards;
        let gateway = *self.gateway();
        if !gateway.relay.is_settled && self.others_had_their_time() {
            self.does(What::Settle, |_, own| own.relay.is_settled = true);
        }
        if !gateway.is_linked {
            return;
        }
        if gateway.relay.first {
            self.does(What::PutBackNewest, |fleet, own| {
                if safeguards.refills {
                    fleet.redis.append(own.recent);
                }
                own.relay.first = false;
                own.is_late = false;
                if let Some(asked) = own.relay.held.take() {
                    count(own, asked);
                }
            });
        } else if let Some(lineage) = gateway.relay.rest {
            self.does(What::PutBackRest, |fleet, own| {
                if safeguards.refills {
                    fleet.redis.append(own.list);
                }
                if own.relay.is_settled || !safeguards.knows_when_settled {
                    own.relay.rest = None;
                    own.lineage = Some(lineage);
                    own.file.lineage = own.lineage;
                }
            });
        }
        match gateway.feed {
            Feed::Off => self.attach(),
            Feed::Attached { generation, asked } => self.does(What::ReadSet, |fleet, own| {
                let data = &fleet.redis.data;
                if !safeguards.unites {
                    own.list = RevokedSet::NONE;
                }
                own.list = own.list.and(data.set);
                own.refused = own.refused.and(own.list);
                own.position = Some((generation, data.newest()));
                own.feed = Feed::Following { asked: None };
                if let Some(asked) = asked {
                    count(own, asked);
                }
            }),
            Feed::Following { asked } => self.follow(asked),
        }
    }

    /// Others find a Redis that changed within a second, and put their newest back: those that are
    /// up and reach it, and did so all the while.
    fn others_had_their_time(&self) -> bool {
        let redis = &self.before.redis;
        let others = self.before.gateways.iter().enumerate().filter(|(at, _)| *at != self.who);
        let met = |other: &Gateway| match (other.feed, other.position) {
            (Feed::Off, _) => false,
            (Feed::Attached { generation, .. }, _) => generation == redis.data.generation,
            (Feed::Following { .. }, Some((generation, _))) => generation == redis.data.generation,
            (Feed::Following { .. }, None) => false,
        };
        others.map(|(_, other)| other).all(|other| {
            let is_there = other.is_up && other.is_linked && !other.is_late;
            !is_there || (met(other) && !other.relay.first)
        })
    }

    fn attach(&mut self) {
        let safeguards = *self.safeguards;
        let asked = self.before.within_reach();
        self.does(What::Attach, |fleet, own| {
            let (generation, newest) = fleet.redis.beat();
            let contradicts = |known: (u8, u8)| known.0 != generation || known.1 > newest;
            if safeguards.compares_positions && own.position.is_some_and(contradicts) {
                own.position = None;
                own.is_contradicted = true;
            }
            let lineage = fleet.redis.lineage();
            let had_any = own.lineage.is_some() || own.contact.is_some();
            let contradicted = std::mem::take(&mut own.is_contradicted);
            let is_changed = contradicted || own.lineage != Some(lineage);
            own.relay.held = None;
            // That it takes its time with nothing to put back is seen only where that delays
            // nothing.
            own.relay.first =
                !own.recent.minus(fleet.redis.data.set).is_empty() || !safeguards.asks_when_settled;
            own.is_late &= own.relay.first;
            if is_changed {
                own.lineage = had_any.then_some(Lineage::UNKNOWN);
                own.file.lineage = own.lineage;
                own.relay.is_settled &= !(had_any && safeguards.settles);
                own.relay.rest = Some(lineage);
            }
            let may_count = own.relay.is_settled || !safeguards.asks_when_settled;
            let asked = (may_count && !safeguards.asks_after_set).then_some(asked);
            own.feed = Feed::Attached { generation, asked };
        });
    }

    fn follow(&mut self, asked: Option<(RevokedSet, u8)>) {
        let safeguards = *self.safeguards;
        let data = self.before.redis.data;
        let (generation, number) = self.gateway().position.unwrap_or_default();
        if let Some(entry) = data.after(number) {
            self.does(What::ReadLog, |_, own| {
                own.learn(RevokedSet::of(entry));
                own.position = Some((generation, number + 1));
            });
        }
        let off = |own: &mut Gateway, is_contradicted: bool| {
            own.feed = Feed::Off;
            own.is_contradicted |= is_contradicted;
            if is_contradicted {
                own.position = None;
            }
        };
        let reach = self.before.within_reach();
        // A beat that tells nothing new changes nothing.
        let contact = self.gateway().contact;
        let tells_more = contact.is_none_or(|held| !reach.minus(held).is_empty())
            || !safeguards.dates_contact_by_question;
        match asked {
            None => self.does(What::Beat, |fleet, own| {
                let (found, newest) = fleet.redis.beat();
                if safeguards.compares_positions && (found != generation || number > newest) {
                    off(own, true);
                } else if tells_more
                    && (own.relay.is_settled || own.relay.first && !safeguards.asks_when_settled)
                {
                    own.feed = Feed::Following { asked: Some((reach, newest)) };
                }
            }),
            Some((asked, newest)) => {
                let asked = if safeguards.dates_contact_by_question { asked } else { reach };
                if number >= newest || !safeguards.catches_up {
                    self.does(What::Contact, |fleet, own| {
                        if safeguards.compares_after_reading && fleet.redis.beat().0 != generation {
                            off(own, true);
                            return;
                        }
                        own.feed = Feed::Following { asked: None };
                        count(own, asked);
                    });
                } else if data.after(number).is_none() {
                    self.does(What::Contact, |_, own| off(own, false));
                }
            }
        }
    }
}

/// Takes a contact in (`refill.rs`, `take`): what it vouches for comes on top of what came before.
///
/// It is written behind all that it vouches for; that it is written at once is the worst case.
fn count(own: &mut Gateway, asked: RevokedSet) {
    if own.relay.first {
        own.relay.held = Some(asked);
    } else if own.relay.is_settled {
        own.contact = Some(own.contact.unwrap_or_default().and(asked));
        own.file.list = own.file.list.and(own.list);
        own.file.contact = own.contact;
    }
}
