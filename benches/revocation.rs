//! Measures the revocation list: memory an entry, look-up time, and time until ready.
//!
//! `cargo bench --bench revocation`. Each row is measured in a fresh process, so that memory freed
//! by one row does not serve the next. Prints a table; targets are noted, never asserted.

#![expect(clippy::expect_used, reason = "a failed step fails the bench")]
#![expect(clippy::print_stdout, reason = "the table is the bench's answer")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use munjigi::clock::{Now, Timestamp};
use munjigi::drain::Drain;
use munjigi::journal::{Journal, OnDamage};
use munjigi::operation::{Generations, Revocation, RevocationKey, Revoked, TokenId};
use munjigi::revocation::RevocationList;
use munjigi::store::{Deadlines, Durability, FeedEntry, Revocations, SqliteStore};
use munjigi::token::RevocationKeys;
use tokio::sync::mpsc;

const SIZES: [u64; 5] = [10_000, 100_000, 1_000_000, 3_000_000, 10_000_000];
const STORED: u64 = 1_000_000;
const BATCH: usize = 1_000;
const BATCHES: usize = 400;
const CHILD: &str = "--row";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let row = arguments.iter().position(|argument| argument == CHILD);
    match row.map(|at| arguments.split_at(at).1) {
        Some([_, kind, size, ..]) if kind == "memory" => measure_list(size.parse().expect("size")),
        Some([_, kind, path, ..]) if kind == "ready" => measure_ready(Path::new(path)),
        Some([_, kind, path, ..]) if kind == "fill" => fill_journal(Path::new(path)),
        Some([_, kind, path, ..]) if kind == "journal" => measure_journal(Path::new(path)),
        _ => print_table(),
    }
}

fn print_table() {
    println!(
        "{:>10} {:>12} {:>12} {:>11} {:>11} {:>11} {:>10}",
        "entries", "rss B/entry", "own B/entry", "miss ns", "hit ns", "one key ns", "load ms"
    );
    for size in SIZES {
        print!("{}", child(&["memory", &size.to_string()]));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("revocations.db");
    let filled = Instant::now();
    runtime().block_on(fill(&path));
    println!("stored {STORED} revocations in SQLite in {:.1} s", filled.elapsed().as_secs_f64());
    print!("{}", child(&["ready", &path.to_string_lossy()]));
    let path = folder.path().join("munjigi.journal");
    child(&["fill", &path.to_string_lossy()]);
    print!("{}", child(&["journal", &path.to_string_lossy()]));
}

fn child(arguments: &[&str]) -> String {
    let own = std::env::current_exe().expect("own path");
    let output = Command::new(own).arg(CHILD).args(arguments).output().expect("a fresh process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Fills a list and looks up in it; a look-up is a whole check of a token by all its keys, but for
/// the last column, which is one key alone.
fn measure_list(size: u64) {
    let now = Now::read().wall;
    let expires_at = now.plus(Duration::from_hours(1));
    let list = RevocationList::new(usize::MAX);
    let before = resident_bytes();
    let mut numbers = Random(1);
    let started = Instant::now();
    for _ in 0..size / 1_000 {
        let entries: Vec<FeedEntry> =
            (0..1_000).map(|_| FeedEntry { key: numbers.key(), floor: 0, expires_at }).collect();
        list.apply(&entries);
    }
    let load = started.elapsed();
    // One generation floor, so that look-ups of user and site are made too.
    list.apply(&[FeedEntry { key: Random(u64::MAX / 7).key(), floor: 1, expires_at }]);
    let resident = (resident_bytes() - before) as f64 / size as f64;
    let own = list.bytes() as f64 / size as f64;

    let mut known = std::iter::repeat_with(|| Random(1))
        .flat_map(|mut numbers| (0..size / 1_000 * 1_000).map(move |_| numbers.key()));
    let hit = median_lookup(&list, now, || known.next().expect("an endless list"));
    let mut misses = Random(u64::MAX / 2);
    let miss = median_lookup(&list, now, || misses.key());
    let mut single = Random(u64::MAX / 3);
    let one = median_batch(|| single.key(), |key| list.holds(key, now));
    println!(
        "{size:>10} {:>12} {own:>12.1} {:>11} {:>11} {one:>11.0} {:>10.0}",
        noted(resident, if size < 1_000_000 { 40.0 } else { 32.0 }),
        noted(miss, 200.0),
        noted(hit, 200.0),
        load.as_secs_f64() * 1e3,
    );
}

/// Checks tokens whose own keys are drawn from `token`; their sessions, users, site and key are
/// not revoked.
fn median_lookup(
    list: &RevocationList,
    now: Timestamp,
    mut token: impl FnMut() -> RevocationKey,
) -> f64 {
    let mut others = Random(u64::MAX / 5);
    let (site, key) = (others.key(), others.key());
    let generations = Generations { user: 1, site: 1 };
    let make = || RevocationKeys {
        token: token(),
        session: Some(others.key()),
        user: Some(others.key()),
        site,
        key,
        generations,
    };
    median_batch(make, |keys| list.check(keys, now).is_some())
}

/// The median over many batches of nanoseconds a look-up; what is looked up is made beforehand.
fn median_batch<T>(mut make: impl FnMut() -> T, look_up: impl Fn(&T) -> bool) -> f64 {
    let mut nanos: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let asked: Vec<T> = (0..BATCH).map(|_| make()).collect();
            let started = Instant::now();
            for one in &asked {
                black_box(look_up(black_box(one)));
            }
            started.elapsed().as_nanos() as f64 / BATCH as f64
        })
        .collect();
    nanos.sort_by(f64::total_cmp);
    nanos.get(BATCHES / 2).copied().unwrap_or(f64::NAN)
}

fn measure_ready(path: &Path) {
    let started = Instant::now();
    let (entries, ready) = runtime().block_on(async {
        let list = Arc::new(RevocationList::new(usize::MAX));
        let store = Arc::new(open(path));
        let drain = Drain::new();
        let (events, feed) = mpsc::channel(16);
        let following = tokio::spawn(async move { store.follow(events).await });
        let reading = tokio::spawn({
            let (list, guard) = (list.clone(), drain.guard());
            async move { list.run(feed, guard).await }
        });
        list.ready().await;
        let ready = started.elapsed();
        drain.finish(Duration::from_secs(5)).await;
        reading.await.expect("the list's task");
        following.abort();
        (list.len(), ready)
    });
    println!(
        "ready with {entries} entries from SQLite after {} s",
        noted(ready.as_secs_f64(), 2.0)
    );
}

/// A journal that is made where there is none holds what is in the list.
fn fill_journal(path: &Path) {
    let list = Arc::new(RevocationList::new(usize::MAX));
    let expires_at = Now::read().wall.plus(Duration::from_hours(1));
    let mut numbers = Random(1);
    for _ in 0..STORED / 1_000 {
        let entries: Vec<FeedEntry> =
            (0..1_000).map(|_| FeedEntry { key: numbers.key(), floor: 0, expires_at }).collect();
        list.apply(&entries);
    }
    let journal = Journal::open(path, "munjigi:", OnDamage::Refuse, &list).expect("a journal");
    drop(journal);
}

fn measure_journal(path: &Path) {
    let list = Arc::new(RevocationList::new(usize::MAX));
    let bytes = path.metadata().expect("a journal").len();
    let started = Instant::now();
    let journal = Journal::open(path, "munjigi:", OnDamage::Refuse, &list).expect("a journal");
    let read = started.elapsed().as_secs_f64();
    drop(journal);
    println!(
        "read {} entries from a journal of {:.1} MB in {} s",
        list.len(),
        bytes as f64 / 1e6,
        noted(read, 2.0)
    );
}

async fn fill(path: &Path) {
    let store = open(path);
    let expires_at = Now::read().wall.plus(Duration::from_hours(1));
    for batch in 0..STORED / 500 {
        let revocations: Vec<Revocation> = (batch * 500..(batch + 1) * 500)
            .map(|number| Revocation {
                revoked: Revoked::Token {
                    issuer: "https://bench.example".to_owned(),
                    token: TokenId(number.to_string()),
                },
                expires_at,
            })
            .collect();
        store.revoke(&revocations).await.expect("revocations are stored");
    }
}

fn open(path: &Path) -> SqliteStore {
    let deadline = Duration::from_mins(1);
    let deadlines = Deadlines { command: deadline, lookup: deadline };
    SqliteStore::open(path, Durability::Normal, deadlines).expect("the store opens")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

fn noted(value: f64, target: f64) -> String {
    let note = if value <= target { "PASS" } else { "OVER" };
    let decimals = usize::from(value < 100.0);
    format!("{value:.decimals$} {note}")
}

/// Counted page by page by the kernel; `statm` and `status` may lag by some hundred KiB.
fn resident_bytes() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("smaps_rollup");
    let line = rollup.lines().find(|line| line.starts_with("Rss:")).expect("Rss");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") * 1024
}

/// `SplitMix64`: the same numbers in every run, without memory of those drawn.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn key(&mut self) -> RevocationKey {
        let (high, low) = (self.next(), self.next());
        RevocationKey((u128::from(high) << 64 | u128::from(low)).to_le_bytes())
    }
}
