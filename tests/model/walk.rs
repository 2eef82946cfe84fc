//! Collects the steps that a gateway can take; what they are is told beside, a file a part.

use crate::fleet::Fleet;
use crate::gateway::Gateway;
use crate::promise::Promise;
use crate::safeguards::Safeguards;
use crate::step::{Action, Step, What};

/// Collects the steps of one gateway.
pub(crate) struct Walk<'a> {
    pub before: &'a Fleet,
    pub safeguards: &'a Safeguards,
    pub who: usize,
    pub steps: &'a mut Vec<Step>,
}

impl Walk<'_> {
    pub(crate) fn gateway(&self) -> &Gateway {
        &self.before.gateways[self.who]
    }

    /// Offers a step, where it changes anything.
    pub(crate) fn offer(
        &mut self,
        what: What,
        change: impl FnOnce(&mut Fleet, usize) -> Option<Promise>,
    ) {
        let mut after = *self.before;
        let broken = change(&mut after, self.who);
        if after != *self.before || broken.is_some() {
            self.steps.push(Step { action: Action { who: self.who, what }, after, broken });
        }
    }

    /// Offers a step that answers nobody.
    pub(crate) fn does(&mut self, what: What, change: impl FnOnce(&mut Fleet, &mut Gateway)) {
        self.offer(what, |fleet, who| {
            let mut gateway = fleet.gateways[who];
            change(fleet, &mut gateway);
            fleet.gateways[who] = gateway;
            None
        });
    }
}
