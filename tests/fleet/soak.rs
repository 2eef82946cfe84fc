//! The large counts, with progress: `tests/soak` runs them.

use std::time::{Duration, Instant};

use crate::checker::Verdict;
use crate::driver::{A, B, Fleet};
use crate::kills::{Fault, round};
use crate::link::Mode;
use crate::node::Terms;
use crate::partitions::{HASTY, PATIENT};
use crate::propagation::Delays;
use crate::random::{Random, seed};
use crate::replica::Replica;
use crate::split_brain::{Loser, split};
use crate::{clock, journals, partitions, refreshes, starvation};

/// How much of everything is done.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Of a hundred.
    percent: usize,
}

impl Scale {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration to read it from")]
    fn read() -> Self {
        let given = std::env::var("MUNJIGI_SOAK_PERCENT").ok();
        Self { percent: given.map_or(100, |text| text.parse().expect("a number")) }
    }

    const fn of(self, count: usize) -> usize {
        (count * self.percent).div_ceil(100)
    }
}

/// Acknowledged log-outs under which gateways and stores are killed.
const LOG_OUTS: usize = 10_000;

/// What is told when it is reached.
struct Progress {
    began: Instant,
    verdict: Verdict,
}

impl Progress {
    fn tell(&self, what: &str) {
        eprintln!("{:>5} s  {what}", self.began.elapsed().as_secs());
    }

    fn take(&mut self, what: &str, mut fleet: Fleet) {
        self.tell(what);
        self.verdict.join(fleet.judge());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes: tests/soak"]
async fn soak() {
    let scale = Scale::read();
    let mut progress = Progress { began: Instant::now(), verdict: Verdict::default() };
    kills(scale, &mut progress).await;
    splits(scale, &mut progress).await;
    let delays = propagation(scale, &mut progress).await;
    let uses = uses(scale, &mut progress).await;
    refresh(scale, &mut progress).await;
    cuts(scale, &mut progress).await;
    scarcity(scale, &mut progress).await;
    files(scale, &mut progress).await;

    let seconds = progress.began.elapsed().as_secs();
    eprintln!("\nseed {}, {seconds} s, {} % of the counts", seed(), scale.percent);
    eprint!("{}", progress.verdict);
    let [p50, p99, most] = [500, 990, 1000].map(|share| delays.per_mille(share));
    let count = delays.len();
    eprintln!("  known elsewhere after     p50 {p50:?}, p99 {p99:?}, at most {most:?} ({count})");
    for (redis, delays) in uses {
        let ([p50, p99], count) = ([500, 990].map(|share| delays.per_mille(share)), delays.len());
        eprintln!("  verified, Redis {redis:<10}p50 {p50:?}, p99 {p99:?} ({count})");
    }
    assert!(p99 <= Duration::from_millis(50), "p99 {p99:?}");
}

/// Gateways and stores are killed, wiped and failed over under log-outs.
async fn kills(scale: Scale, progress: &mut Progress) {
    let mut faults = Vec::new();
    for (fault, count) in [
        (Fault::Gateway, 85),
        (Fault::BothInSilence, 15),
        (Fault::Redis, 5),
        (Fault::Wipe, 5),
        (Fault::FailOver, 5),
    ] {
        faults.extend(vec![fault; scale.of(count)]);
    }
    let mut fleet = Fleet::start(Terms::USUAL).await;
    Random::new(seed()).shuffle(&mut faults);
    let mut replica = Replica::of(&fleet.redis).await;
    let living = fleet.open(A, 20).await;
    let share = scale.of(LOG_OUTS).div_ceil(faults.len());
    let mut all = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let at = if fleet.random.below(2) == 0 { A } else { B };
        let more = round(&mut fleet, (at, share), *fault, Some(&mut replica), &all).await;
        all.extend(more);
        let due = u64::try_from((number + 1) * share).expect("a count");
        let missing = due.saturating_sub(fleet.acknowledged());
        let mut more = fleet.open(at, usize::try_from(missing).expect("a count")).await;
        fleet.log_all_out(at, &mut more).await;
        all.extend(more);
        fleet.audit(&living).await;
        let acknowledged = fleet.acknowledged();
        let faults = faults.len();
        progress.tell(&format!("{}/{faults} {fault:?}: {acknowledged} log-outs", number + 1));
    }
    fleet.audit(&all).await;
    progress.tell("every log-out is known to both; now both, and Redis, are killed");
    journals::only_files_are_left(&mut fleet).await;
    fleet.audit(&all).await;
    assert!(fleet.acknowledged() >= u64::try_from(scale.of(LOG_OUTS)).expect("a count"));
    progress.take("kills: done", fleet);
}

async fn propagation(scale: Scale, progress: &mut Progress) -> Delays {
    let fleet = Fleet::start(Terms::USUAL).await;
    let delays = Delays::measure(&fleet, scale.of(1000)).await;
    progress.take("log-outs known elsewhere: measured", fleet);
    delays
}

/// Verified requests while Redis answers at once, late, and never: nobody asks it.
async fn uses(scale: Scale, progress: &mut Progress) -> Vec<(&'static str, Delays)> {
    let terms = Terms { max_staleness: Duration::from_mins(1), ..Terms::USUAL };
    let fleet = Fleet::start(terms).await;
    let session = fleet.open(A, 1).await.remove(0);
    let late = Mode::Delay { by: Duration::from_millis(500), jitter: Duration::ZERO };
    let mut all = Vec::new();
    for (name, mode) in [("quiet", Mode::Pass), ("late", late), ("silent", Mode::Blackhole)] {
        fleet.nodes[A].link.set(mode);
        all.push((name, Delays::of_uses(&fleet, &session, scale.of(5000)).await));
    }
    progress.take("verified requests: measured", fleet);
    all
}

/// Two masters at once, each with a gateway; then one again.
async fn splits(scale: Scale, progress: &mut Progress) {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let mut replica = Replica::of(&fleet.redis).await;
    for turn in 0..scale.of(10) {
        let loser = if turn % 2 == 0 { Loser::IsKilled } else { Loser::Lives };
        let sessions = split(&mut fleet, &mut replica, 20, loser).await;
        progress.tell(&format!("parted and joined: {} sessions", sessions.len()));
    }
    progress.take("splits: done", fleet);
}

/// Little of a processor, packets that are lost, and a clock that is wrong.
async fn scarcity(scale: Scale, progress: &mut Progress) {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    starvation::starved(&mut fleet, scale.of(100)).await;
    progress.take("little of a processor: done", fleet);

    let mut fleet = Fleet::start(Terms::USUAL).await;
    for _ in 0..scale.of(10) {
        let percent = 1 + u8::try_from(fleet.random.below(15)).expect("a share");
        partitions::lossy(&mut fleet, percent, 5).await;
        progress.tell(&format!("{percent} % of packets lost"));
    }
    progress.take("lost packets: done", fleet);

    let (fleet, clock) = clock::with_a_clock().await;
    for _ in 0..scale.of(5) {
        clock::wrong(&fleet, &clock).await;
    }
    progress.take("clocks that were wrong: done", fleet);
}

/// Many refreshes of one token at once, at both gateways, and log-outs beside them.
async fn refresh(scale: Scale, progress: &mut Progress) {
    let fleet = Fleet::start(Terms::USUAL).await;
    let mut session = fleet.open(A, 1).await.remove(0);
    for _ in 0..scale.of(200) {
        session = refreshes::at_once(&fleet, &session, 50).await;
    }
    progress.tell("fifty refreshes at once: done");
    for round in 0..scale.of(200) {
        refreshes::beside_a_log_out(&fleet, [A, B][round % 2]).await;
    }
    fleet.audit(&[session]).await;
    progress.take("refreshes beside log-outs: done", fleet);
}

/// Links that are cut, slow or silent; processes that are stopped.
async fn cuts(scale: Scale, progress: &mut Progress) {
    let mut fleet = Fleet::start(HASTY).await;
    for _ in 0..scale.of(20) {
        let (node, choice) = (fleet.random.below(2), fleet.random.below(5));
        let bytes = usize::try_from(fleet.random.below(200)).expect("a count");
        let mode = match choice {
            0 => Mode::Blackhole,
            1 => Mode::Half { after: 0 },
            2 => Mode::Refuse,
            3 => Mode::Reset,
            _ => Mode::CutAfter { bytes: bytes % 4 },
        };
        progress.tell(&format!("a gateway behind {mode:?}"));
        partitions::cut_off(&fleet, usize::from(node == 1), mode).await;
    }
    for turn in 0..scale.of(6) {
        partitions::stopped(&fleet, [A, B][turn % 2]).await;
        partitions::paused(&fleet).await;
    }
    progress.take("cuts and stops: done", fleet);

    let mut fleet = Fleet::start(PATIENT).await;
    for _ in 0..scale.of(10) {
        let by = Duration::from_millis(50 + fleet.random.below(4000));
        let after = fleet.random.duration(Duration::from_millis(1500));
        let mode = match fleet.random.below(3) {
            0 => Mode::Delay { by, jitter: by / 2 },
            1 => Mode::Late { by },
            _ => Mode::Drip { bytes: u32::try_from(by.as_millis()).expect("a rate") },
        };
        progress.tell(&format!("a gateway behind {mode:?}"));
        partitions::late(&fleet, mode, after, 2 * PATIENT.max_staleness).await;
        partitions::trimmed(&fleet).await;
    }
    progress.take("late news: done", fleet);
}

/// The gateway's own file.
async fn files(scale: Scale, progress: &mut Progress) {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let step = 100 / scale.percent.clamp(1, 100);
    let cuts = journals::torn(&mut fleet, step).await;
    progress.tell(&format!("a file torn at {cuts} places"));
    let flips = scale.of(1000);
    journals::flipped(&mut fleet, flips).await;
    progress.tell(&format!("{flips} bits of a file flipped"));
    journals::failing_syncs(&mut fleet, scale.of(60).max(12)).await;
    progress.take("files: done", fleet);
}
