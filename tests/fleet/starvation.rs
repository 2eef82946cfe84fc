//! Gateways that hardly get a processor, and like Redis are stopped now and then for a moment: what
//! takes too long is unavailable, and never answered wrongly.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join;
use tokio::process::{Child, Command};

use crate::driver::{A, B, Fleet};
use crate::node::Terms;
use crate::random::Random;
use crate::traffic::{audit_and_end, traffic};

/// Processes that take what they can get.
const BUSY: usize = 2;

/// The longest that one of them stands still, beyond the store's deadline, and that all go on then.
const STILL: Duration = Duration::from_millis(1500);
const MOVES: Duration = Duration::from_millis(300);

/// Both gateways share a processor with processes that never rest; they and Redis stand still by
/// turns.
pub(crate) async fn starved(fleet: &mut Fleet, rounds: usize) {
    let all = allowed().await;
    // Not all of the machine: other tests go on beside this one.
    let one = all.split([',', '-']).next().expect("a processor").to_owned();
    let mut jitter = Random::new(fleet.random.next());
    let mut busy = Vec::new();
    for _ in 0..BUSY {
        busy.push(spin(&one));
    }
    for node in [A, B] {
        run_on(&one, &fleet.nodes[node].process().pid()).await;
    }
    let pids = [A, B].map(|node| fleet.nodes[node].process().pid());
    let [a, b] = &pids;
    let redis = fleet.redis.process().to_string();
    let still = [a, b, &redis];
    let is_over = AtomicBool::new(false);
    let work = async {
        let sessions = traffic(fleet, rounds).await;
        is_over.store(true, Ordering::Release);
        sessions
    };
    let stops = async {
        while !is_over.load(Ordering::Acquire) {
            let pid = still[usize::try_from(jitter.below(3)).expect("one of them")];
            signal(pid, "STOP").await;
            tokio::time::sleep(jitter.duration(STILL)).await;
            signal(pid, "CONT").await;
            tokio::time::sleep(jitter.duration(MOVES)).await;
        }
    };
    let (mut sessions, ()) = join(work, stops).await;
    for child in &mut busy {
        child.kill().await.expect("it ends");
    }
    for pid in &pids {
        run_on(&all, pid).await;
    }
    audit_and_end(fleet, &mut sessions).await;
}

/// The processors that this process may use, as a list.
async fn allowed() -> String {
    let status = tokio::fs::read_to_string("/proc/self/status").await.expect("a status");
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.expect("a list of processors").trim().to_owned()
}

fn spin(processors: &str) -> Child {
    let mut command = Command::new("taskset");
    command.args(["-c", processors, "sh", "-c", "while :; do :; done"]);
    command.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("a process")
}

/// Keeps all threads of a process on these processors.
async fn run_on(processors: &str, pid: &str) {
    let mut command = Command::new("taskset");
    command.args(["-a", "-p", "-c", processors, pid]).stdout(Stdio::null());
    let status = command.status().await;
    assert!(status.is_ok_and(|status| status.success()), "taskset -p -c {processors} {pid}");
}

async fn signal(pid: &str, name: &str) {
    let status = Command::new("kill").args(["-s", name, pid]).status().await;
    assert!(status.is_ok_and(|status| status.success()), "no process {pid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_hardly_run_answer_late_and_not_wrongly() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    starved(&mut fleet, 3).await;
    let verdict = fleet.judge();
    assert!(verdict.events("uses accepted") > 0, "{verdict}");
}
