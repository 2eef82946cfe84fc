//! Holds every store to one behaviour: each check runs on each backend.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]

mod accounts;
mod backend;
mod changes;
mod codes;
mod feed;
mod fixture;
mod keys;
mod mails;
mod migration;
#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "nothing is paused or killed here")]
mod redis_server;
mod revocations;
mod rotation;
mod sessions;
mod sqlite;
mod suite;
