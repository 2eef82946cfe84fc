//! Holds every store to one behaviour: each check runs on each backend.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]

mod accounts;
mod archive;
mod backend;
mod changes;
mod codes;
mod events;
mod feed;
mod fixture;
mod keys;
mod mails;
mod migration;
#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "nothing is paused, killed or asked here")]
mod redis_server;
#[path = "../support/redis_sets.rs"]
#[expect(dead_code, reason = "nothing fails over here")]
mod redis_sets;
mod revocations;
mod rotation;
mod sessions;
mod sqlite;
mod suite;
mod tries;
