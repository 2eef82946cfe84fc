//! A gateway whose wall clock is stepped while it runs: what is revoked stays so, what is good stays
//! good within the leeway, and how old its news are is none of that clock's business.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::driver::{A, B, Fleet, Logout, Session};
use crate::harness::eventually;
use crate::history::{What, now};
use crate::ld_preload::library;
use crate::link::Mode;
use crate::node::Terms;
use crate::redis::RedisServer;

/// Adds what a file says to the wall clock. The kernel's own page, that everybody reads the clocks
/// from without a system call, is led here: not all of them ask the C library.
const STEPPED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static const volatile int64_t *seconds;
static int stepped(clockid_t clock, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += *seconds;
  return result;
}
static void fail(const char *why) {
  dprintf(2, "%s\n", why);
  abort();
}
__attribute__((constructor)) static void begin(void) {
#if defined(__x86_64__)
  const char *name = "__vdso_clock_gettime";
  unsigned char jump[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
  const size_t to = 2;
#elif defined(__aarch64__)
  const char *name = "__kernel_clock_gettime";
  unsigned char jump[] = {0x50, 0, 0, 0x58, 0, 0x02, 0x1f, 0xd6, 0, 0, 0, 0, 0, 0, 0, 0};
  const size_t to = 8;
#endif
  void *file = mmap(0, 8, PROT_READ, MAP_SHARED, open(AHEAD, O_RDONLY), 0);
  void *page = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
  char *code = page ? dlsym(page, name) : 0;
  if (file == MAP_FAILED || code == 0) fail("there is no clock to step");
  seconds = file;
  void *address = (void *)stepped;
  memcpy(jump + to, &address, sizeof address);
  // The kernel lets it be made writable as a whole only, and does not say how long it is.
  void *from = (void *)getauxval(AT_SYSINFO_EHDR);
  size_t pages = 1;
  while (mprotect(from, pages * (size_t)getpagesize(), PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
    if (++pages > 16) fail("this kernel does not let a process step its own clock");
  memcpy(code, jump, sizeof jump);
  __builtin___clear_cache(code, code + sizeof jump);
}
"#;

/// A short life of access tokens: a clock that is that much ahead is past the end of all.
const SHORT: Terms = Terms { access_ttl: Duration::from_mins(5), ..Terms::USUAL };

/// How far a clock is off when it is wrong, in seconds.
const FAR: i64 = 600;

/// How far it may be off (`leeway`, 30 s, and a little time that passes).
const NEAR: i64 = 25;

/// Two gateways, and the clock of the first.
pub(crate) async fn with_a_clock() -> (Fleet, PathBuf) {
    let mut fleet = Fleet::prepare(RedisServer::start().await, SHORT).await;
    let file = fleet.folder().join("ahead");
    std::fs::write(&file, 0_i64.to_ne_bytes()).expect("a file");
    let ahead = format!("AHEAD=\"{}\"", file.display());
    fleet.nodes[A].preload = Some(library(fleet.folder(), "clock", STEPPED, &ahead));
    for node in [A, B] {
        fleet.nodes[node].start().await;
    }
    fleet.settle().await;
    (fleet, file)
}

/// Sets the clock of the first gateway so many seconds ahead of the true one.
fn step(fleet: &Fleet, file: &Path, seconds: i64) {
    // In place: the process has it mapped.
    let file = OpenOptions::new().write(true).open(file).expect("the file");
    file.write_all_at(&seconds.to_ne_bytes(), 0).expect("a write");
    fleet.history.add(fleet.nodes[A].name, 0, now(), What::Stepped { seconds });
}

/// Sessions of each gateway, the second half of each logged out there.
async fn opened(fleet: &Fleet) -> (Vec<Session>, Vec<Session>) {
    let (mut living, mut out) = (Vec::new(), Vec::new());
    for node in [A, B] {
        living.extend(fleet.open(node, 2).await);
        let mut sessions = fleet.open(node, 2).await;
        for logout in fleet.log_all_out(node, &mut sessions).await {
            assert_eq!(logout, Logout::Acknowledged);
        }
        out.extend(sessions);
    }
    fleet.audit(&living).await;
    fleet.audit(&out).await;
    (living, out)
}

/// The clock is a little wrong, and then far off, either way.
pub(crate) async fn wrong(fleet: &Fleet, clock: &Path) {
    let (living, mut out) = opened(fleet).await;

    for seconds in [-NEAR, NEAR] {
        step(fleet, clock, seconds);
        let (new, gone) = opened(fleet).await;
        for session in new.iter().chain(&living) {
            for node in [A, B] {
                assert_eq!(fleet.decided(node, session).await, 204, "{seconds} s ahead");
            }
        }
        out.extend(gone);
    }

    for seconds in [-FAR, FAR] {
        step(fleet, clock, seconds);
        let mut own = fleet.open(A, 2).await;
        for session in &own {
            assert_eq!(fleet.decided(A, session).await, 204, "{seconds} s ahead");
        }
        // They ended long ago, or have not begun.
        for session in &living {
            assert_eq!(fleet.decided(A, session).await, 401, "{seconds} s ahead");
        }
        fleet.audit(&out).await;
        // It goes stale as ever, and is as ever once it is back.
        fleet.cut(A, Mode::Blackhole);
        eventually("the gateway stops deciding", async || {
            (fleet.using(A, &own[0]).await == Some(503)).then_some(())
        })
        .await;
        fleet.heal(A);
        assert_eq!(fleet.decided(A, &own[0]).await, 204, "{seconds} s ahead");
        fleet.log_out_at_last(A, &mut own[1]).await;
        fleet.audit(&own).await;
        step(fleet, clock, 0);
        fleet.audit(&out).await;
        fleet.audit(&own[1..]).await;
        for session in &living {
            assert_eq!(fleet.decided(A, session).await, 204, "the clock is right again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_stepped_revives_nothing_and_makes_nothing_stale() {
    let (mut fleet, clock) = with_a_clock().await;
    wrong(&fleet, &clock).await;
    fleet.judge();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_with_its_clock_ahead_deletes_nothing_that_is_needed() {
    let (mut fleet, clock) = with_a_clock().await;
    let (living, out) = opened(&fleet).await;
    step(&fleet, &clock, FAR);
    fleet.kill(A).await;
    fleet.nodes[A].start().await;
    let own = fleet.open(A, 1).await;
    assert_eq!(fleet.decided(A, &own[0]).await, 204);
    step(&fleet, &clock, 0);
    fleet.audit(&out).await;

    // As one that joins: all that it has is what the store tells.
    fleet.kill(B).await;
    std::fs::remove_file(fleet.nodes[B].journal()).expect("a journal");
    fleet.nodes[B].start().await;
    fleet.audit(&living).await;
    fleet.audit(&out).await;
    fleet.judge();
}
