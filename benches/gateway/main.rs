//! The whole gateway over loopback TLS, beside a direct baseline and a minimal floor, in one run.
//!
//! Every row is measured in every round, one after the other, beginning at another row each time:
//! only rows of one run may be compared. `cpu` is what the process in front spent a request, from
//! the system's own accounting: the gateway, the floor, or (direct) the backend itself. A ratio is
//! taken in each round against the floor of that round, and the median of the ratios is printed,
//! with the quartiles: what slows the machine for a while slows both.
//!
//! The floor is the least that could do the job: hyper, rustls, one HMAC verification, a look-up
//! in a set, a pooled forward, and none of the features. Its refusal looks at one header. Both are
//! built by one profile.
//!
//! `cargo bench --bench gateway -- growth` shows what a request costs as there is more of everything.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a failed step ends the bench"
)]

mod backend;
mod growth;
mod helper_process;
mod load;
mod minimal_proxy;
mod process;
mod target;

use std::time::Duration;

use load::{CLIENTS, Load, Measured};
use target::{Target, Targets};

/// Rounds, and requests a round of one target: bounded whatever happens.
const ROUNDS: usize = 24;
const REQUESTS: usize = 30 * CLIENTS;
const ROUND_DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    munjigi::token::install_crypto();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve-backend") => backend::serve(),
        Some("serve-floor") => minimal_proxy::serve(&arguments[2..]),
        Some("growth") => bench(&Targets::growth()),
        _ => bench(&Targets::start()),
    }
}

fn bench(targets: &Targets) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rows = measure(&targets.list).await;
        print(&targets.list, &rows);
    });
}

/// Warms every target, then measures all of them in each round.
async fn measure(targets: &[Target]) -> Vec<Vec<Measured>> {
    let mut loads = Vec::new();
    for target in targets {
        let mut load = Load::connect(target).await;
        run(&mut load, WARM_UP).await;
        loads.push(load);
    }
    let mut rows: Vec<Vec<Measured>> = targets.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for step in 0..targets.len() {
            let row = (round + step) % targets.len();
            let measured = run(&mut loads[row], REQUESTS).await;
            rows[row].push(measured);
        }
    }
    rows
}

/// Enough that every token of the longest list was seen.
const WARM_UP: usize = 160 * CLIENTS;

async fn run(load: &mut Load<'_>, requests: usize) -> Measured {
    let measured = tokio::time::timeout(ROUND_DEADLINE, load.run(requests)).await;
    measured.expect("a round ends in time")
}

fn print(targets: &[Target], rows: &[Vec<Measured>]) {
    println!("{ROUNDS} rounds of {REQUESTS} requests, {CLIENTS} clients; medians (quartiles)");
    println!(
        "{:<34}{:>8}{:>18}{:>9}{:>9}{:>8}{:>9}",
        "target", "cpu µs", "", "p50 µs", "p99 µs", "req/s", "ratio"
    );
    let mut floor: Option<&[Measured]> = None;
    for (target, row) in targets.iter().zip(rows) {
        if target.is_floor {
            floor = Some(row);
        }
        let cpu = Spread::of(row.iter().map(|measured| measured.cpu_micros));
        let ratio = floor.map_or(String::new(), |floor| {
            let ratios = row.iter().zip(floor);
            let ratio = Spread::of(ratios.map(|(row, floor)| row.cpu_micros / floor.cpu_micros));
            format!("{:>9.2} ({:.2} … {:.2})", ratio.median, ratio.low, ratio.high)
        });
        println!(
            "{:<34}{:>8.1}{:>18}{:>9.0}{:>9.0}{:>8.0}{ratio}",
            target.name,
            cpu.median,
            format!("({:.1} … {:.1})", cpu.low, cpu.high),
            Spread::of(row.iter().map(|measured| measured.p50_micros)).median,
            Spread::of(row.iter().map(|measured| measured.p99_micros)).median,
            Spread::of(row.iter().map(|measured| measured.per_second)).median,
        );
    }
}

/// A median with its quartiles.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |quarters: usize| figures[(figures.len() - 1) * quarters / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }
}
