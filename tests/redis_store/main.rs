//! What the Redis store promises beyond the suite: outages, lost data, left-overs, refusals.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]

mod attributes;
mod cluster;
mod connecting;
mod fail_overs;
mod fake_sentinel;
mod feed;
mod fixture;
mod follower;
mod journal;
mod left_overs;
#[path = "../support/link.rs"]
mod link;
mod look_ups;
mod mail;
mod node;
mod outages;
#[path = "../support/redis.rs"]
mod redis_server;
#[path = "../support/redis_sets.rs"]
mod redis_sets;
mod replicas;
mod sentinel;
mod server;
mod setup;
mod tls;
mod wrong_types;
