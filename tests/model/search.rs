//! Goes through every state that a fleet can come to, the nearest first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;

use crate::fleet::{Bounds, Fleet};
use crate::promise::Promise;
use crate::safeguards::Safeguards;
use crate::step::Kind;

/// What came of a search.
pub(crate) struct Found {
    pub states: usize,
    pub steps: usize,
    /// The sentence that was broken, and the shortest way there.
    pub broken: Option<(Promise, String)>,
}

/// Goes on until a sentence is broken, or every state was seen.
pub(crate) fn explore(safeguards: &Safeguards, bounds: Bounds) -> Found {
    let begin = Fleet::new(bounds).canonical();
    let mut seen = HashMap::from([(begin, ())]);
    let mut queue = vec![(begin, 0)];
    let mut steps = 0;
    let mut next = 0;
    while let Some((fleet, _)) = queue.get(next).copied() {
        let mut is_at_rest = true;
        for step in fleet.steps(safeguards) {
            steps += 1;
            let after = step.after.canonical();
            is_at_rest &= step.action.what.kind() != Kind::Own;
            let broken = step.broken.or_else(|| Promise::broken_by(&after));
            if let Some(promise) = broken {
                let trace = trace(safeguards, &queue, next, Some(after));
                return Found { states: seen.len(), steps, broken: Some((promise, trace)) };
            }
            if let Entry::Vacant(place) = seen.entry(after) {
                place.insert(());
                queue.push((after, next));
            }
        }
        if is_at_rest && let Some(promise) = Promise::broken_at_rest(&fleet) {
            let trace = trace(safeguards, &queue, next, None);
            return Found { states: seen.len(), steps, broken: Some((promise, trace)) };
        }
        next += 1;
    }
    Found { states: seen.len(), steps, broken: None }
}

/// The way to a state, told with the same names of the gateways all along.
fn trace(
    safeguards: &Safeguards,
    queue: &[(Fleet, usize)],
    last: usize,
    end: Option<Fleet>,
) -> String {
    let mut way: Vec<Fleet> = end.into_iter().collect();
    let mut at = last;
    while at != 0 {
        way.push(queue[at].0);
        at = queue[at].1;
    }
    let mut told = String::new();
    let mut fleet = queue[0].0;
    for wanted in way.into_iter().rev() {
        let mut steps = fleet.steps(safeguards);
        steps.retain(|step| step.after.canonical() == wanted);
        // Of two that lead to the same, the one that breaks something.
        steps.sort_by_key(|step| step.broken.is_none());
        let step = steps.first().expect("a step on the way");
        writeln!(told, "  {}", step.action).expect("text is written");
        fleet = step.after;
    }
    told
}
