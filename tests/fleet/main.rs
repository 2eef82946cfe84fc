//! Two gateways as processes of their own, behind links that can be cut, on a Redis that dies: what
//! they answered is written down and held against the promise.
//!
//! A failure names its seed, its history and the gateways' folders. Counts are small here;
//! `tests/soak` runs the large ones.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::print_stderr,
    reason = "a failed step fails the test, and says what led to it"
)]

mod harness;

mod backend;
mod checker;
mod driver;
mod history;
mod ld_preload;
#[path = "../support/link.rs"]
mod link;
mod node;
mod random;
#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "sentinels and clusters are tested elsewhere")]
mod redis;
mod replica;
mod traffic;

mod clock;
mod descriptors;
mod journals;
mod kills;
mod memory;
mod partitions;
mod propagation;
mod redis_load;
mod refreshes;
mod soak;
mod split_brain;
mod starvation;
mod tampering;
