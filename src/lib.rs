//! Munjigi (문지기, "gatekeeper"): a reverse-proxy authentication gateway.
//!
//! `ARCHITECTURE.md` has the modules in order: each may use only those above it, and
//! `tests/architecture.rs` holds the code to that.

pub mod admin;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod document;
pub mod drain;
pub mod edge;
mod encoding;
pub mod gateway;
pub mod journal;
mod lock;
pub mod mail;
pub mod message;
pub mod operation;
pub mod own_keys;
pub mod pages;
pub mod path;
pub mod reload;
pub mod revocation;
pub mod secret;
pub mod social;
pub mod store;
pub mod telemetry;
pub mod token;
