//! Histories with each way of breaking the promise, and those in which a fault excuses it.

use std::time::Duration;

use super::{Class, check};
use crate::history::{Event, What};

const TOKEN: u64 = 1;
const OUT: What = What::RevokeSent { token: TOKEN };
const ACK: What = What::RevokeAck { token: TOKEN };
const YES: What = What::UseAccepted { token: TOKEN };
const NO: What = What::UseRefused { token: TOKEN, status: 401 };

/// An event of a gateway, from the one to the other millisecond.
fn event(gateway: &str, begun: u64, at: u64, what: What) -> Event {
    let session = match what {
        What::Killed | What::CutOff | What::Reachable | What::Stepped { .. } => 0,
        What::StoreLost { .. } | What::Parted | What::Joined => 0,
        _ => 1,
    };
    let gateway = gateway.to_owned();
    Event {
        at: at * 1000,
        begun: begun * 1000,
        wall: i64::try_from(at).unwrap(),
        gateway,
        session,
        what,
    }
}

fn refresh(presented: u64, successor: Option<u64>, status: u16) -> What {
    What::Refresh { presented, successor, token: None, status }
}

fn nack(status: u16) -> What {
    What::RevokeNack { token: TOKEN, status }
}

fn stepped(seconds: i64) -> What {
    What::Stepped { seconds }
}

fn lost() -> What {
    What::StoreLost { how: "wiped".to_owned() }
}

/// Issued at once, for a minute; may stay unknown elsewhere for two seconds.
fn anomalies(events: Vec<Event>) -> Vec<(Class, u64)> {
    let issue = event("a", 0, 1, What::Issue { token: TOKEN, expires: 60_000 });
    let events: Vec<_> = [issue].into_iter().chain(events).collect();
    let verdict = check(&events, Duration::from_secs(2));
    verdict.anomalies.iter().map(|anomaly| (anomaly.class, anomaly.late)).collect()
}

#[test]
fn a_history_as_it_should_be_has_no_anomaly() {
    let events = vec![
        event("a", 10, 12, YES),
        event("b", 10, 12, refresh(1, Some(2), 200)),
        event("b", 13, 14, refresh(1, Some(2), 200)),
        event("a", 20, 20, OUT),
        event("a", 20, 30, ACK),
        event("a", 29, 31, YES),
        event("a", 31, 32, NO),
        event("b", 31, 32, YES),
        event("b", 2029, 2032, YES),
        event("b", 2040, 2041, NO),
        event("b", 2041, 2042, refresh(2, None, 400)),
        event("a", 2042, 2043, What::UseRefused { token: TOKEN, status: 503 }),
    ];

    assert_eq!(anomalies(events), []);
}

#[test]
fn each_anomaly_of_a_use_is_seen_and_named() {
    let out = || vec![event("a", 20, 20, OUT), event("a", 20, 30, ACK)];
    let after = |events: Vec<Event>| [out(), events].concat();
    for (name, events, expected) in [
        ("lost here", after(vec![event("a", 31, 32, YES)]), (Class::LostRevocation, 1)),
        ("lost there", after(vec![event("b", 2031, 2032, YES)]), (Class::LostRevocation, 2001)),
        (
            "late here",
            after(vec![event("a", 33, 34, YES), event("a", 35, 36, NO)]),
            (Class::StaleAccept, 3),
        ),
        (
            "late there",
            after(vec![event("b", 2532, 2533, YES), event("b", 2600, 2601, NO)]),
            (Class::StaleAccept, 2502),
        ),
        (
            "accepted again",
            after(vec![event("b", 31, 32, NO), event("b", 40, 41, YES)]),
            (Class::Resurrection, 10),
        ),
        (
            "accepted again, of a log-out that was never acknowledged",
            vec![event("a", 20, 20, OUT), event("a", 31, 32, NO), event("a", 40, 41, YES)],
            (Class::Resurrection, 0),
        ),
        (
            "decided though cut off",
            vec![
                event("b", 5, 5, What::CutOff),
                event("b", 2006, 2007, YES),
                event("b", 2010, 2010, What::Reachable),
            ],
            (Class::DecidedBlind, 0),
        ),
    ] {
        assert_eq!(anomalies(events), [expected], "{name}");
    }
}

#[test]
fn each_anomaly_of_a_split_or_a_clock_is_seen_and_named() {
    let out = || vec![event("a", 20, 20, OUT), event("a", 20, 30, ACK)];
    for (name, events, expected) in [
        (
            "lost in a split",
            [
                vec![event("", 5, 6, What::Parted)],
                out(),
                vec![event("", 3000, 3001, What::Joined), event("b", 5002, 5003, YES)],
            ]
            .concat(),
            (Class::LostRevocation, 4972),
        ),
        (
            "forgotten on its own side of a split",
            [vec![event("", 5, 6, What::Parted)], out(), vec![event("a", 31, 32, YES)]].concat(),
            (Class::LostRevocation, 1),
        ),
        ("accepted after its end", vec![event("b", 61_001, 61_001, YES)], (Class::Expired, 0)),
        (
            "accepted after its end by a clock that is ahead",
            vec![event("b", 5, 5, stepped(60)), event("b", 1001, 1002, YES)],
            (Class::Expired, 0),
        ),
        (
            "refused, its clock less behind than the leeway",
            vec![event("b", 5, 5, stepped(-28)), event("b", 10, 11, NO)],
            (Class::FalseRefusal, 0),
        ),
        (
            "accepted again after its clock was wrong for a while",
            [
                out(),
                vec![
                    event("b", 40, 41, stepped(600)),
                    event("b", 50, 51, NO),
                    event("b", 60, 61, stepped(0)),
                    event("b", 2070, 2071, YES),
                ],
            ]
            .concat(),
            (Class::LostRevocation, 2040),
        ),
    ] {
        assert_eq!(anomalies(events), [expected], "{name}");
    }
}

#[test]
fn what_a_split_or_a_clock_excuses_is_no_anomaly() {
    for (name, events) in [
        (
            "neither side of a split hears of the other before they are joined",
            vec![
                event("a", 20, 20, OUT),
                event("a", 20, 30, ACK),
                event("", 1900, 1901, What::Parted),
                event("b", 2900, 2901, YES),
                event("", 3000, 3001, What::Joined),
                event("b", 5000, 5001, YES),
                event("b", 5002, 5003, NO),
            ],
        ),
        (
            "a clock that is wrong refuses what has ended or not begun by it",
            vec![
                event("b", 5, 5, stepped(-600)),
                event("b", 10, 11, NO),
                event("b", 12, 12, stepped(600)),
                event("b", 13, 14, NO),
                event("b", 15, 15, stepped(0)),
                event("b", 16, 17, YES),
            ],
        ),
        ("an access token ends by itself", vec![event("a", 60_100, 60_101, NO)]),
    ] {
        assert_eq!(anomalies(events), [], "{name}");
    }
}

#[test]
fn each_anomaly_of_another_answer_is_seen_and_named() {
    let out = || vec![event("a", 20, 20, OUT), event("a", 20, 30, ACK)];
    let after = |events: Vec<Event>| [out(), events].concat();
    for (name, events, expected) in [
        (
            "acknowledged though cut off",
            [vec![event("a", 5, 5, What::CutOff)], out()].concat(),
            (Class::AckWhileUnstored, 0),
        ),
        (
            "two successors",
            vec![
                event("a", 2, 3, refresh(1, Some(2), 200)),
                event("b", 2, 4, refresh(1, Some(3), 200)),
            ],
            (Class::DoubleSuccessor, 0),
        ),
        (
            "renewed after its end",
            after(vec![event("b", 35, 36, refresh(1, Some(2), 200))]),
            (Class::RefreshedAfterLogout, 5),
        ),
        (
            "renewed by a store that lost its end, long ago",
            after(vec![
                event("", 31, 32, lost()),
                event("b", 2040, 2041, refresh(1, Some(2), 200)),
            ]),
            (Class::RefreshedAfterLogout, 2010),
        ),
        (
            "renewed although its gateway is back",
            after(vec![
                event("", 31, 32, lost()),
                event("a", 33, 33, What::Killed),
                Event { session: 2, ..event("a", 2000, 2001, What::UseAccepted { token: 9 }) },
                event("b", 4040, 4041, refresh(1, Some(2), 200)),
            ]),
            (Class::RefreshedAfterLogout, 4010),
        ),
        ("refused for nothing", vec![event("b", 31, 32, NO)], (Class::FalseRefusal, 0)),
        (
            "refused before it was asked for",
            vec![event("b", 3, 4, NO), event("a", 20, 20, OUT)],
            (Class::FalseRefusal, 0),
        ),
        (
            "a log-out that failed as invalid",
            vec![event("a", 20, 20, OUT), event("a", 20, 30, nack(401))],
            (Class::InvalidForOutage, 0),
        ),
        (
            "a refresh that failed as invalid",
            vec![event("a", 20, 30, refresh(1, None, 400))],
            (Class::InvalidForOutage, 0),
        ),
        (
            "a use that failed as a fault",
            vec![event("a", 20, 30, What::UseRefused { token: TOKEN, status: 500 })],
            (Class::InvalidForOutage, 0),
        ),
    ] {
        assert_eq!(anomalies(events), [expected], "{name}");
    }
}

#[test]
fn what_a_fault_excuses_is_no_anomaly() {
    for (name, events) in [
        (
            "a log-out that nobody acknowledged is forgotten by a killed gateway",
            vec![
                event("a", 20, 20, OUT),
                event("a", 20, 25, nack(503)),
                event("a", 31, 32, NO),
                event("a", 33, 33, What::Killed),
                event("a", 40, 41, YES),
            ],
        ),
        (
            "the second attempt finds the first",
            vec![
                event("a", 20, 20, OUT),
                event("a", 20, 25, nack(503)),
                event("a", 26, 26, OUT),
                event("a", 26, 27, nack(401)),
            ],
        ),
        (
            "decided while the last news was young enough, and after the return",
            vec![
                event("b", 5, 5, What::CutOff),
                event("b", 2004, 2007, YES),
                event("b", 2010, 2010, What::Reachable),
                event("b", 2011, 2012, YES),
            ],
        ),
        (
            "a store that lost its sessions refuses a refresh",
            vec![event("", 5, 6, lost()), event("a", 20, 30, refresh(1, None, 400))],
        ),
        (
            "a store that lost the end of a session has it back when its gateway is back",
            vec![
                event("a", 20, 20, OUT),
                event("a", 20, 30, ACK),
                event("", 25, 31, lost()),
                event("b", 32, 33, refresh(1, Some(2), 200)),
                event("a", 34, 34, What::Killed),
                event("b", 4040, 4041, refresh(1, Some(2), 200)),
            ],
        ),
        (
            "a store that lost the exchange repeats it otherwise",
            vec![
                event("a", 2, 3, refresh(1, Some(2), 200)),
                event("", 5, 6, lost()),
                event("b", 7, 8, refresh(1, Some(3), 200)),
            ],
        ),
        (
            "cut off twice at once, and back",
            vec![
                event("b", 5, 5, What::CutOff),
                event("b", 6, 6, What::CutOff),
                event("b", 7, 7, What::Reachable),
                event("b", 8, 8, What::Reachable),
                event("b", 2100, 2101, YES),
            ],
        ),
    ] {
        assert_eq!(anomalies(events), [], "{name}");
    }
}
