//! The gateway's own file: torn, flipped, without room, and on a disk that fails.

use tokio::process::Command;

use crate::driver::{A, B, Fleet, Logout, Session};
use crate::harness::{eventually, munjigi};
use crate::ld_preload::library;
use crate::node::Terms;

/// Sessions that only gateway A's own file knows to be logged out, in this order: gateway B was away,
/// Redis has lost all it had, and nothing runs.
async fn known_to_a_file(fleet: &mut Fleet, count: usize) -> Vec<Session> {
    let mut sessions = fleet.open(A, count).await;
    fleet.audit(&sessions).await;
    fleet.kill(B).await;
    for session in &mut sessions {
        // While a Redis that was started again settles, it may be refused by 503.
        fleet.log_out_at_last(A, session).await;
    }
    fleet.kill(A).await;
    fleet.kill_redis().await;
    sessions
}

/// Redis comes back empty, and both gateways; then every log-out is known everywhere.
async fn back(fleet: &mut Fleet, sessions: &[Session]) {
    fleet.start_redis().await;
    for node in [A, B] {
        fleet.nodes[node].start().await;
    }
    fleet.audit(sessions).await;
}

/// Where the frames of a file begin: after what it is and its version, each a length, a mark, a
/// checksum, and as many bytes as the length says.
fn frames(bytes: &[u8]) -> Vec<usize> {
    const BEFORE: usize = 20;
    const HEAD: usize = 16;
    let mut begins = Vec::new();
    let mut place = BEFORE;
    while let Some(length) = bytes.get(place..place + 4) {
        begins.push(place);
        let length = u32::from_le_bytes(length.try_into().unwrap());
        place += HEAD + usize::try_from(length).unwrap();
    }
    begins
}

/// Cuts the last revocation's frame, every `step` bytes: the gateway starts, and knows all others.
pub(crate) async fn torn(fleet: &mut Fleet, step: usize) -> usize {
    const REVOKED: u8 = 1;
    let sessions = known_to_a_file(fleet, 4).await;
    let path = fleet.nodes[A].journal();
    let whole = std::fs::read(&path).unwrap();
    let begins = frames(&whole);
    let last = begins.iter().rposition(|begin| whole[begin + 16] == REVOKED).unwrap();
    let end = begins.get(last + 1).copied().unwrap_or(whole.len());
    let cuts: Vec<_> = (begins[last]..=end).rev().step_by(step).collect();
    for cut in &cuts {
        std::fs::write(&path, &whole[..*cut]).unwrap();
        fleet.nodes[A].start().await;
        let known = if *cut == end { &sessions[..] } else { &sessions[..3] };
        for session in known {
            let status = fleet.using_though_stale(A, session).await;
            assert_eq!(status, 401, "cut at {cut}, of a frame at {}", begins[last]);
        }
        fleet.nodes[A].kill().await;
    }
    std::fs::write(&path, &whole).unwrap();
    back(fleet, &sessions).await;
    cuts.len()
}

/// Flips random bits: the gateway refuses to start, and says where the damage is.
pub(crate) async fn flipped(fleet: &mut Fleet, count: usize) {
    let sessions = known_to_a_file(fleet, 4).await;
    let path = fleet.nodes[A].journal();
    let whole = std::fs::read(&path).unwrap();
    let begins = frames(&whole);
    for _ in 0..count {
        let bit = usize::try_from(fleet.random.below(whole.len() as u64 * 8)).unwrap();
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        // What stands before the frames is named by its beginning.
        let header = if bit / 8 < begins[1] { Some(&0) } else { None };
        let frame = begins.iter().rfind(|begin| **begin <= bit / 8);
        let damage = format!("damaged at byte {}:", header.or(frame).unwrap());
        // A gateway that starts does not end: this says on what.
        eprintln!("bit {bit} of {} bytes, {damage}", whole.len());

        let output = munjigi(&fleet.nodes[A].file(), &["run"], "").await;

        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "bit {bit} went unseen");
        assert!(told.contains(&damage), "bit {bit}, {damage} {told}");
    }
    std::fs::write(&path, &whole).unwrap();
    back(fleet, &sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_file_has_all_but_its_end_and_a_flipped_one_is_refused() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    torn(&mut fleet, 17).await;
    flipped(&mut fleet, 12).await;
    fleet.judge();
}

/// Loses everything but the files: gateways and Redis.
pub(crate) async fn only_files_are_left(fleet: &mut Fleet) {
    for node in [A, B] {
        fleet.kill(node).await;
    }
    fleet.kill_redis().await;
    fleet.start_redis().await;
    for node in [A, B] {
        fleet.nodes[node].start().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_acknowledges_nothing_until_there_is_room() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let mut sessions = fleet.open(A, 10).await;
    fleet.audit(&sessions).await;
    limit(&fleet, A, "fsize", "1").await;

    for logout in fleet.log_all_out(A, &mut sessions[..4]).await {
        assert_eq!(logout, Logout::Refused(503));
    }
    for session in &sessions[4..] {
        assert_eq!(fleet.using(A, session).await, Some(204), "others go on");
    }
    limit(&fleet, A, "fsize", "unlimited").await;
    let spare = fleet.open(A, 1).await;
    eventually("log-outs are acknowledged again", async || {
        let mut probe = fleet.open(A, 1).await;
        (fleet.log_out(A, &mut probe[0]).await == Logout::Acknowledged).then_some(())
    })
    .await;
    fleet.log_all_out(A, &mut sessions[4..]).await;

    only_files_are_left(&mut fleet).await;
    fleet.audit(&spare).await;
    fleet.audit(&sessions).await;
    let verdict = fleet.judge();
    assert!(verdict.events("revocations acknowledged") > 6);
}

/// Sets a limit of a gateway's process; the hard one stays, so that it can be raised again.
pub(crate) async fn limit(fleet: &Fleet, node: usize, resource: &str, value: &str) {
    let pid = fleet.nodes[node].process().pid();
    let limit = format!("--{resource}={value}:");
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().await;
    assert!(status.is_ok_and(|status| status.success()), "prlimit {limit}");
}

/// Fails every nth `fdatasync`, and loses what was not on the disk before, as a kernel does that
/// gives up a page; asking again succeeds without having written anything.
const FAILING_DISK: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
static atomic_uint calls;
static off_t synced[4096];
int fdatasync(int fd) {
  struct stat now;
  if (fd < 0 || fd >= 4096 || fstat(fd, &now) != 0) return (int)syscall(SYS_fdatasync, fd);
  if (atomic_fetch_add(&calls, 1) % EVERY == EVERY - 1) {
    if (synced[fd] > 0 && synced[fd] < now.st_size && ftruncate(fd, synced[fd]) != 0) return -1;
    errno = EIO;
    return -1;
  }
  synced[fd] = now.st_size;
  return (int)syscall(SYS_fdatasync, fd);
}
int fsync(int fd) {
  struct stat now;
  if (fd >= 0 && fd < 4096 && fstat(fd, &now) == 0) synced[fd] = now.st_size;
  return (int)syscall(SYS_fsync, fd);
}
"#;

/// Logs sessions out on a disk that fails now and then; then only that gateway's file is left.
pub(crate) async fn failing_syncs(fleet: &mut Fleet, count: usize) {
    let mut sessions = fleet.open(B, count).await;
    fleet.audit(&sessions).await;
    // What the other gateway hears by the feed would hide what this one loses.
    for node in [A, B] {
        fleet.kill(node).await;
    }
    fleet.nodes[A].preload = Some(library(fleet.folder(), "disk", FAILING_DISK, "EVERY=5"));
    fleet.nodes[A].start().await;
    assert_eq!(fleet.decided(A, &sessions[0]).await, 204);
    let mut refused = 0;
    for session in &mut sessions {
        if fleet.log_out(A, session).await != Logout::Acknowledged {
            refused += 1;
            // For a second nothing is written; then the file is made anew.
            eventually("log-outs are acknowledged again", async || {
                let mut probe = fleet.open(A, 1).await;
                (fleet.log_out(A, &mut probe[0]).await == Logout::Acknowledged).then_some(())
            })
            .await;
        }
    }
    assert!(refused > 0, "no sync failed");
    fleet.nodes[A].preload = None;
    fleet.kill(A).await;
    fleet.kill_redis().await;
    back(fleet, &sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_failed_is_not_trusted_the_next_time() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    failing_syncs(&mut fleet, 12).await;
    let verdict = fleet.judge();
    assert!(verdict.events("revocations acknowledged") > 8, "{verdict}");
}
