//! Behaviour over the wire: a real gateway, real TLS, a real upstream, a real store.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a failed step fails the test"
)]

mod harness;
#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "no server is killed here")]
mod redis;

mod accounts;
mod audit;
mod auth_api;
mod backends;
mod browser;
mod browser_pages;
mod ca;
mod capacity;
mod cli;
mod cli_accounts;
mod cli_pages;
mod codes;
mod contract_verbs;
mod cookie_sessions;
mod corrupt_records;
mod cors;
mod deadlines;
mod dev;
mod disk;
mod drain;
mod durability;
mod early_answers;
mod endings;
mod fame;
mod fleet;
mod foreign_tokens;
mod framing;
mod handshakes;
mod hosts;
mod http2;
mod http2_heads;
mod identity;
mod import;
mod journal;
mod lifecycle;
mod limits;
mod logs;
mod mail;
mod names;
mod operators;
mod own_contract;
mod own_keys;
mod pages;
mod paths;
mod policy;
mod proxies;
mod readme;
mod refreshing;
mod revoke_verbs;
mod second_factor;
mod secrets;
mod slow_readers;
mod social;
mod stale;
mod standard;
mod store_verbs;
mod streams;
mod tickets;
mod tokens;
mod upstreams;
mod username;
mod zdm;
mod zipcheck;
