//! The whole gateway over loopback TLS, beside a direct baseline and a minimal floor, in one run.
//!
//! Every row is measured in the same rounds, one after the other, and the medians are printed:
//! only rows of one run may be compared. `cpu` is what the process in front spent a request, from
//! the system's own accounting: the gateway, the floor, or (direct) the backend itself.
//!
//! The floor is the least that could do the job: hyper, rustls, one HMAC verification, a look-up
//! in a set, a pooled forward, and none of the features.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a failed step ends the bench"
)]

mod backend;
mod floor;
mod load;
mod process;
mod role;
mod subject;

use std::time::Duration;

use load::Load;
use load::Measured;
use subject::Subject;
use subject::Subjects;

/// Rounds, and requests a round of one subject: bounded whatever happens.
const ROUNDS: usize = 7;
const REQUESTS: usize = 9_600;
const CONNECTIONS: usize = 64;
const ROUND_DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    munjigi::token::install_crypto();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve-backend") => backend::serve(),
        Some("serve-floor") => floor::serve(&arguments[2..]),
        _ => bench(),
    }
}

fn bench() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let subjects = Subjects::start().await;
        let rows = measure(&subjects.list).await;
        print(&subjects.list, &rows);
    });
}

/// Warms every subject, then measures all of them in each round.
async fn measure(subjects: &[Subject]) -> Vec<Vec<Measured>> {
    let mut rows: Vec<Vec<Measured>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for (row, subject) in rows.iter_mut().zip(subjects) {
            let load = Load { subject, requests: REQUESTS, connections: CONNECTIONS };
            let measured = tokio::time::timeout(ROUND_DEADLINE, load.run()).await;
            let measured = measured.expect("a round ends in time");
            if round > 0 {
                row.push(measured);
            }
        }
    }
    rows
}

fn print(subjects: &[Subject], rows: &[Vec<Measured>]) {
    println!(
        "{ROUNDS} rounds of {REQUESTS} requests, {CONNECTIONS} connections; medians (lowest … highest of cpu)"
    );
    println!(
        "{:<34}{:>10}{:>18}{:>11}{:>11}{:>10}",
        "subject", "cpu µs", "", "p50 µs", "p99 µs", "req/s"
    );
    let floor = subjects.iter().position(|subject| subject.is_floor);
    let floor = floor.map(|index| median(&rows[index], |measured| measured.cpu_micros));
    for (subject, row) in subjects.iter().zip(rows) {
        let cpu = median(row, |measured| measured.cpu_micros);
        let low = row.iter().map(|measured| measured.cpu_micros).fold(f64::MAX, f64::min);
        let high = row.iter().map(|measured| measured.cpu_micros).fold(0.0, f64::max);
        let ratio = floor.map_or(String::new(), |floor| format!("   {:.2} × floor", cpu / floor));
        println!(
            "{:<34}{cpu:>10.1}{:>18}{:>11.0}{:>11.0}{:>10.0}{ratio}",
            subject.name,
            format!("({low:.1} … {high:.1})"),
            median(row, |measured| measured.p50_micros),
            median(row, |measured| measured.p99_micros),
            median(row, |measured| measured.per_second),
        );
    }
}

fn median(row: &[Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    let mut figures: Vec<f64> = row.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
