//! What the Redis store promises beyond the suite: outages, lost data, left-overs, refusals.
#![expect(clippy::expect_used, clippy::panic, reason = "a failed step fails the test")]

mod attributes;
mod connecting;
mod feed;
mod fixture;
mod journal;
mod left_overs;
mod look_ups;
mod mail;
mod outages;
#[path = "../support/redis.rs"]
mod redis_server;
mod server;
mod tls;
