//! A model of the fleet: every way in which two gateways and a Redis can come to break the promise.
//!
//! [`log_out`], [`refresh`], [`feed`] and [`faults`] have the steps of the product in its order,
//! each beside the name of the file that it mirrors; [`promise`] has the sentences of the promise;
//! [`search`] goes through every state that the steps lead to, the nearest first, and tells the
//! shortest way to one in which a sentence is broken. [`safeguards`] lists what the promise depends on:
//! each is switched off in turn, and the search must see it.
//!
//! There is no clock. A contact is what had been acknowledged when it was asked for: a gateway that
//! lacks a revocation goes stale in time if its contact is older than the acknowledgement, and
//! never if it is younger. A deadline may end any request at any moment. Of time it is assumed that
//! gateways which are up and reach Redis find one that changed before the others have waited for
//! them (`SETTLING`), and that a primary that was replaced takes no more writes.
//!
//! Outside the promise, and so outside the search:
//! - Redis has lost a revocation, and every gateway that knows it is down, cut off, or just back:
//!   nobody can tell of it until one of them is.
//! - A gateway is killed after its list took a revocation in and before its file had it: started
//!   anew it does not know it until it meets Redis, or its contact is too old.
//! - A gateway that never met this fleet (it has no file) takes the word of the Redis it finds.
//! - Where Redis has lost that a session ended, a refresh goes by what the gateway knows.

#![expect(clippy::expect_used, clippy::panic, reason = "a failed step fails the test")]
#![expect(clippy::indexing_slicing, reason = "a gateway is named by its place among two")]
#![expect(clippy::print_stdout, reason = "how much was searched is the test's answer")]

mod faults;
mod feed;
mod fleet;
mod gateway;
mod log_out;
mod promise;
mod redis;
mod refresh;
mod revoked;
mod safeguards;
mod search;
mod step;
mod walk;

use std::time::Instant;

use crate::fleet::Bounds;
use crate::promise::Promise;
use crate::safeguards::Safeguards;
use crate::search::explore;

const NOTHING: Bounds = Bounds { log_outs: 0, revocations: 0, refreshes: 0, faults: 0, losses: 0 };
const LOG_OUT: Bounds = Bounds { log_outs: 1, ..NOTHING };
const TWO_THINGS: Bounds = Bounds { revocations: 1, ..LOG_OUT };
const REFRESHES: Bounds = Bounds { refreshes: 2, ..LOG_OUT };

const THERE: Promise = Promise::ThereOrStale;

/// What a gateway does wrong, how, what it is searched with, and what it breaks.
type Row = (&'static str, fn(&mut Safeguards), Bounds, Promise);

/// Searches all that the bounds allow; the promise must hold throughout.
fn hold(rows: &[(&str, Bounds)]) {
    for (name, bounds) in rows {
        let begun = Instant::now();
        let found = explore(&Safeguards::HONEST, *bounds);
        if let Some((promise, way)) = found.broken {
            panic!("{name}: it does not hold that {promise}:\n{way}");
        }
        println!(
            "{name}: {} states, {} steps in {:.1} s",
            found.states,
            found.steps,
            begun.elapsed().as_secs_f64()
        );
    }
}

#[test]
fn the_promise_holds_whatever_redis_loses_while_a_gateway_fails() {
    hold(&[("a log-out", Bounds { faults: 1, losses: 1, ..LOG_OUT })]);
}

#[test]
fn the_promise_holds_for_all_that_goes_on_at_once() {
    hold(&[
        ("a log-out and a revocation", TWO_THINGS),
        ("a log-out and a revocation, and a fault", Bounds { faults: 1, ..TWO_THINGS }),
        ("a log-out and three refreshes", Bounds { refreshes: 3, ..REFRESHES }),
        ("a log-out and a refresh, and a fault", Bounds { refreshes: 1, faults: 1, ..LOG_OUT }),
    ]);
}

/// `cargo test --release --test model -- --ignored --nocapture`
#[test]
#[ignore = "minutes, and some GiB of memory"]
fn the_promise_holds_through_two_losses_two_faults_and_more() {
    hold(&[
        ("a log-out, two losses", Bounds { losses: 2, ..LOG_OUT }),
        ("a log-out, two faults and a loss", Bounds { faults: 2, losses: 1, ..LOG_OUT }),
        (
            "a log-out twice, a fault and a loss",
            Bounds { log_outs: 2, faults: 1, losses: 1, ..LOG_OUT },
        ),
        ("a log-out and a revocation, a loss", Bounds { losses: 1, ..TWO_THINGS }),
        ("a log-out and a refresh, a loss", Bounds { refreshes: 1, losses: 1, ..LOG_OUT }),
        ("a log-out and two refreshes, a loss", Bounds { losses: 1, ..REFRESHES }),
    ]);
}

#[test]
fn the_search_sees_each_step_that_the_promise_hangs_on() {
    let fails = Bounds { faults: 1, losses: 1, ..LOG_OUT };
    let lost = Bounds { losses: 1, ..TWO_THINGS };
    let refreshed = Bounds { refreshes: 1, losses: 1, ..LOG_OUT };
    let rows: [Row; 18] = [
        ("lists after the answer", |it| it.list_first = false, LOG_OUT, Promise::HereAtOnce),
        ("skips the journal", |it| it.waits_for_file = false, fails, Promise::Durable),
        ("does not wait for Redis", |it| it.waits_for_redis = false, LOG_OUT, THERE),
        ("forgets what failed", |it| it.keeps_what_failed = false, LOG_OUT, Promise::ToldOtherwise),
        ("trusts an old heartbeat", |it| it.dates_contact_by_question = false, LOG_OUT, THERE),
        (
            "does not compare positions",
            |it| it.compares_positions = false,
            fails,
            Promise::InTheEndEverywhere,
        ),
        ("does not catch up", |it| it.catches_up = false, LOG_OUT, THERE),
        ("does not compare after reading", |it| it.compares_after_reading = false, lost, THERE),
        ("asks before it reads the set", |it| it.asks_after_set = false, fails, THERE),
        ("puts nothing back", |it| it.refills = false, fails, THERE),
        ("counts contact at once", |it| it.settles = false, fails, THERE),
        ("counts what was asked too early", |it| it.asks_when_settled = false, fails, THERE),
        ("knows a lineage too early", |it| it.knows_when_settled = false, fails, THERE),
        ("forgets its newest in a restart", |it| it.recalls_newest = false, fails, THERE),
        ("lists the set alone", |it| it.unites = false, fails, Promise::NoResurrection),
        (
            "refreshes what is revoked",
            |it| it.refresh_asks = false,
            refreshed,
            Promise::LogOutBeatsRefresh,
        ),
        (
            "ends a session for a lost answer",
            |it| it.gives_lost_answers = false,
            REFRESHES,
            Promise::LostAnswer,
        ),
        ("rotates in two steps", |it| it.rotates_at_once = false, REFRESHES, Promise::OneSuccessor),
    ];
    for (name, breaks, bounds, expected) in rows {
        let mut safeguards = Safeguards::HONEST;
        breaks(&mut safeguards);
        let found = explore(&safeguards, bounds);
        let (promise, way) = found.broken.unwrap_or_else(|| panic!("{name}: not seen"));
        println!(
            "A gateway that {name}, after {} states: not that {promise}:\n{way}",
            found.states
        );
        assert_eq!(promise, expected, "{name}:\n{way}");
    }
}
