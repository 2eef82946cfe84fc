//! Holds a history against what is promised of revocation and refresh.
//!
//! A request is judged by when it was begun, what an answer proves by when it was over: what the two
//! leave open in between is never held against a gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::history::{Event, What};

/// A way in which the promise can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Accepted past its time after an acknowledged log-out, and never refused again there.
    LostRevocation,
    /// Accepted where it was refused before.
    Resurrection,
    /// Accepted past its time after an acknowledged log-out, and refused there later.
    StaleAccept,
    /// Accepted after its end, by the gateway's own clock.
    Expired,
    /// Accepted by a gateway that had been cut off for longer than it may decide.
    DecidedBlind,
    /// Acknowledged although the store was out of reach all the while.
    AckWhileUnstored,
    /// One refresh token was answered with two others.
    DoubleSuccessor,
    /// A refresh begun after the acknowledged log-out of its session was served.
    RefreshedAfterLogout,
    /// Refused as invalid although nobody asked for that and it had not expired.
    FalseRefusal,
    /// A log-out, refresh or use that failed was answered as neither revoked nor unavailable.
    InvalidForOutage,
}

/// One breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anomaly {
    pub class: Class,
    pub session: u64,
    pub gateway: String,
    pub at: u64,
    /// How long after the log-out's acknowledgement, in milliseconds; zero where there is none.
    pub late: u64,
}

/// What a history proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    counts: BTreeMap<String, usize>,
    pub anomalies: Vec<Anomaly>,
}

/// What happened to a gateway or to the store.
#[derive(Default)]
struct Faults {
    /// Gateway, when, and when it showed that it is back in contact.
    kills: Vec<(String, u64, u64)>,
    /// Gateway, from, until.
    cuts: Vec<(String, u64, u64)>,
    losses: Vec<(u64, u64)>,
    /// While there were two masters: from, until.
    splits: Vec<(u64, u64)>,
    /// How far ahead a gateway's wall clock is, in milliseconds, since when.
    steps: Vec<(String, u64, i64)>,
}

/// A session's events, in the order of their beginnings.
type Story<'a> = Vec<&'a Event>;

/// The clock of the tokens has whole seconds.
const SECOND: i64 = 1000;

/// `[site.X.tokens] leeway`: how far ahead of a gateway's clock a token may have been issued.
const LEEWAY: i64 = 30 * SECOND;

/// Judges a history.
pub(crate) fn check(events: &[Event], max_staleness: Duration) -> Verdict {
    let staleness = u64::try_from(max_staleness.as_micros()).unwrap_or(u64::MAX);
    let faults = Faults::of(events);
    let mut verdict = Verdict::default();
    let mut stories: BTreeMap<u64, Story<'_>> = BTreeMap::new();
    for event in events {
        *verdict.counts.entry(event.what.name()).or_default() += 1;
        if event.session != 0 {
            stories.entry(event.session).or_default().push(event);
        }
    }
    for mut story in stories.into_values() {
        story.sort_by_key(|event| event.begun);
        for event in &story {
            let breach = match event.what {
                What::UseAccepted { token } => accepted(event, token, &story, &faults, staleness),
                What::UseRefused { token, status } => {
                    refused(event, token, status, &story, &faults)
                }
                What::RevokeAck { .. } => faults
                    .cut(&event.gateway, event.begun, event.at)
                    .then_some((Class::AckWhileUnstored, 0)),
                What::RevokeNack { status, .. } => nacked(event, status, &story),
                What::Refresh { successor, status, .. } => {
                    refreshed(event, (successor, status), &story, &faults, staleness)
                }
                _ => None,
            };
            if let Some((class, late)) = breach {
                verdict.note(class, event, late);
            }
        }
        verdict.count_successors(&story, &faults);
    }
    verdict
}

type Breach = Option<(Class, u64)>;

/// Rules 2, 3, 4, 6 and 7: after which moment a token may not pass any more.
fn accepted(
    event: &Event,
    token: u64,
    story: &Story<'_>,
    faults: &Faults,
    staleness: u64,
) -> Breach {
    let here = |other: &&&Event| other.gateway == event.gateway;
    let is_401 = |what: &What| matches!(what, What::UseRefused { status: 401, .. });
    let acks = || story.iter().filter(|other| matches!(other.what, What::RevokeAck { .. }));
    let since_ack = acks().map(|ack| ack.at).filter(|at| *at < event.begun).min();
    let late = since_ack.map_or(0, |at| (event.begun - at) / 1000);
    // A log-out that was never acknowledged may have been kept nowhere but in memory.
    let is_forgotten = |refusal: &Event| {
        since_ack.is_none() && faults.killed(&event.gateway, refusal.at, event.begun)
    };
    // A clock that went wrong and was put right again.
    let is_of_its_time = |refusal: &Event| match refusal.what {
        What::UseRefused { token, .. } => !faults.is_out_of_time(refusal, token, story),
        _ => true,
    };
    let mut refusals = story.iter().filter(here).filter(|other| is_401(&other.what));
    if refusals.any(|refusal| {
        refusal.at <= event.begun && !is_forgotten(refusal) && is_of_its_time(refusal)
    }) {
        return Some((Class::Resurrection, late));
    }
    let is_past = acks().any(|ack| {
        let is_here = ack.gateway == event.gateway;
        event.begun > if is_here { ack.at } else { faults.known_elsewhere(ack.at, staleness) }
    });
    if is_past {
        let mut later = story.iter().filter(here).filter(|other| other.begun > event.begun);
        let is_found = later.any(|other| is_401(&other.what));
        return Some((if is_found { Class::StaleAccept } else { Class::LostRevocation }, late));
    }
    let end = faults.life(token, story).map(|(_, end)| end);
    if end.is_some_and(|end| faults.clock(event).0 >= end + SECOND) {
        return Some((Class::Expired, 0));
    }
    let blind = event.begun.saturating_sub(staleness);
    faults.cut(&event.gateway, blind, event.at).then_some((Class::DecidedBlind, late))
}

fn refused(event: &Event, token: u64, status: u16, story: &Story<'_>, faults: &Faults) -> Breach {
    match status {
        503 => None,
        401 if faults.is_out_of_time(event, token, story) || is_revoked(story, event.at) => None,
        401 => Some((Class::FalseRefusal, 0)),
        _ => Some((Class::InvalidForOutage, 0)),
    }
}

/// Rule 5: what is not acknowledged is unavailable, unless an earlier attempt took hold.
fn nacked(event: &Event, status: u16, story: &Story<'_>) -> Breach {
    let is_known = status == 401 && is_revoked(story, event.begun.saturating_sub(1));
    (status != 503 && !is_known).then_some((Class::InvalidForOutage, 0))
}

/// Whether a log-out had been sent by then.
fn is_revoked(story: &Story<'_>, at: u64) -> bool {
    let mut sent = story.iter().filter(|other| matches!(other.what, What::RevokeSent { .. }));
    sent.any(|other| other.at <= at)
}

/// Rule 9: a session that ended is not renewed, one that lives is not refused.
fn refreshed(
    event: &Event,
    (successor, status): (Option<u64>, u16),
    story: &Story<'_>,
    faults: &Faults,
    staleness: u64,
) -> Breach {
    let mut acks = story.iter().filter(|other| matches!(other.what, What::RevokeAck { .. }));
    match successor {
        Some(_) => acks
            .find(|ack| ack.at < event.begun && !faults.owes(ack, event.begun, staleness))
            .map(|ack| (Class::RefreshedAfterLogout, (event.begun - ack.at) / 1000)),
        None if status == 503 || is_revoked(story, event.at) => None,
        // Sessions are as durable as the store is.
        None if faults.lost(story.first().map_or(0, |first| first.begun), event.at) => None,
        None => Some((Class::InvalidForOutage, 0)),
    }
}

impl Faults {
    fn of(events: &[Event]) -> Self {
        let mut faults = Self::default();
        for event in events {
            let gateway = || event.gateway.clone();
            match &event.what {
                What::Killed => faults.kills.push((gateway(), event.at, u64::MAX)),
                What::UseAccepted { .. } | What::RevokeAck { .. } => {
                    let away = faults.kills.iter_mut().filter(|kill| kill.2 == u64::MAX);
                    for kill in away.filter(|kill| kill.0 == event.gateway) {
                        kill.2 = event.at;
                    }
                }
                What::CutOff => faults.cuts.push((gateway(), event.at, u64::MAX)),
                What::Reachable => {
                    let mut open = faults.cuts.iter_mut().rev().filter(|cut| cut.2 == u64::MAX);
                    if let Some(cut) = open.find(|cut| cut.0 == event.gateway) {
                        cut.2 = event.begun;
                    }
                }
                What::StoreLost { .. } => faults.losses.push((event.begun, event.at)),
                What::Stepped { seconds } => {
                    faults.steps.push((gateway(), event.at, seconds * SECOND));
                }
                What::Parted => faults.splits.push((event.begun, u64::MAX)),
                What::Joined => {
                    if let Some(split) = faults.splits.last_mut() {
                        split.1 = event.at;
                    }
                }
                _ => {}
            }
        }
        faults
    }

    fn killed(&self, gateway: &str, from: u64, until: u64) -> bool {
        self.kills.iter().any(|(name, at, _)| name == gateway && from <= *at && *at <= until)
    }

    /// Whether the gateway was cut off from the store all that while.
    fn cut(&self, gateway: &str, from: u64, until: u64) -> bool {
        self.cuts.iter().any(|(name, cut, back)| name == gateway && *cut < from && until < *back)
    }

    /// Between which times of the gateway's own wall clock an event lies.
    fn clock(&self, event: &Event) -> (i64, i64) {
        let mut steps = self.steps.iter().rev();
        let ahead = steps
            .find(|(name, at, _)| *name == event.gateway && *at <= event.begun)
            .map_or(0, |(_, _, ahead)| *ahead);
        let took = i64::try_from((event.at - event.begun) / 1000).unwrap_or(i64::MAX);
        (event.wall - took + ahead, event.wall + ahead)
    }

    /// From when to when a token is good, leeway aside, by the clock of who issued it.
    fn life(&self, token: u64, story: &Story<'_>) -> Option<(i64, i64)> {
        story.iter().find_map(|other| match other.what {
            What::Issue { token: issued, expires } if issued == token => {
                let (_, at) = self.clock(other);
                Some((at, expires + at - other.wall))
            }
            _ => None,
        })
    }

    /// Whether a token is not good yet, or no more, by the clock of who answers.
    fn is_out_of_time(&self, event: &Event, token: u64, story: &Story<'_>) -> bool {
        let (begun, over) = self.clock(event);
        let life = self.life(token, story);
        life.is_some_and(|(begin, end)| over + SECOND >= end || begun + LEEWAY < begin + SECOND)
    }

    /// When what one gateway acknowledged has to be known at the other: each side of a split is in
    /// contact with its own master, and hears of the other's once they are joined.
    fn known_elsewhere(&self, acknowledged: u64, staleness: u64) -> u64 {
        let due = acknowledged + staleness;
        let mut splits = self.splits.iter();
        let split = splits.rfind(|(from, until)| *from <= due && acknowledged <= *until);
        split.map_or(due, |(_, until)| due.max(until.saturating_add(staleness)))
    }

    /// Whether a store that lost what a gateway acknowledged need not have it back by then: the
    /// gateway is away, or has not been back for long.
    fn owes(&self, ack: &Event, by: u64, staleness: u64) -> bool {
        let since = by.saturating_sub(staleness);
        let (gateway, acknowledged) = (&ack.gateway, ack.at);
        let of = |name: &String| name == gateway;
        let is_lost =
            |until| self.losses.iter().any(|(from, at)| *from <= until && acknowledged <= *at);
        let is_fresh =
            self.losses.iter().any(|(from, at)| *from <= by && since < *at && acknowledged <= *at);
        let is_away =
            self.kills.iter().any(|(name, at, back)| {
                of(name) && acknowledged <= *at && *at <= by && since < *back
            }) || self.cuts.iter().any(|(name, at, back)| of(name) && *at <= by && since < *back);
        is_fresh || is_lost(by) && is_away
    }

    fn lost(&self, from: u64, until: u64) -> bool {
        self.losses.iter().any(|(begun, at)| *begun <= until && from <= *at)
    }
}

impl Verdict {
    /// How many events of a name there are.
    pub(crate) fn events(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Adds what another history proves.
    pub(crate) fn join(&mut self, other: Self) {
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.anomalies.extend(other.anomalies);
    }

    fn note(&mut self, class: Class, event: &Event, late: u64) {
        let (session, gateway, at) = (event.session, event.gateway.clone(), event.at);
        self.anomalies.push(Anomaly { class, session, gateway, at, late });
    }

    fn count_successors(&mut self, story: &Story<'_>, faults: &Faults) {
        let mut successors: BTreeMap<u64, (BTreeSet<u64>, &Event)> = BTreeMap::new();
        for event in story {
            if let What::Refresh { presented, successor: Some(successor), .. } = event.what {
                let (known, first) =
                    successors.entry(presented).or_insert((BTreeSet::new(), event));
                known.insert(successor);
                // A fail-over may have lost the first: then either branch ends the family.
                if known.len() > 1 && !faults.lost(first.begun, event.at) {
                    self.note(Class::DoubleSuccessor, event, 0);
                }
            }
        }
    }
}

impl Class {
    const ALL: [Self; 10] = [
        Self::LostRevocation,
        Self::Resurrection,
        Self::StaleAccept,
        Self::Expired,
        Self::DecidedBlind,
        Self::AckWhileUnstored,
        Self::DoubleSuccessor,
        Self::RefreshedAfterLogout,
        Self::FalseRefusal,
        Self::InvalidForOutage,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::LostRevocation => "lost-revocation",
            Self::Resurrection => "resurrection",
            Self::StaleAccept => "stale-accept",
            Self::Expired => "accepted-expired",
            Self::DecidedBlind => "decided-blind",
            Self::AckWhileUnstored => "ack-while-unstored",
            Self::DoubleSuccessor => "double-successor",
            Self::RefreshedAfterLogout => "refreshed-after-logout",
            Self::FalseRefusal => "false-refusal",
            Self::InvalidForOutage => "invalid-for-outage",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.counts {
            writeln!(formatter, "  {name:<24}{count:>8}")?;
        }
        for class in Class::ALL {
            let of_class = || self.anomalies.iter().filter(|anomaly| anomaly.class == class);
            write!(formatter, "  {:<24}{:>8}", class.name(), of_class().count())?;
            match of_class().map(|anomaly| anomaly.late).max() {
                Some(late @ 1..) => writeln!(formatter, "   (at most {late} ms late)")?,
                _ => writeln!(formatter)?,
            }
            for anomaly in of_class().take(3) {
                let Anomaly { session, gateway, at, late, .. } = anomaly;
                writeln!(formatter, "    session {session} at {gateway}, {at} µs: {late} ms late")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
