//! Starts the real things: gateway, upstream, clients; waits on conditions, never for a time.

pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod devtools;
pub(crate) mod disk;
mod frames;
pub(crate) mod gateway;
mod literal;
pub(crate) mod process;
mod provider;
pub(crate) mod smtp;
mod transcript;
mod upstream;
mod wait;

pub(crate) use browser::{Browser, Pages};
pub(crate) use client::{Client, Reply, Version, raw, request};
pub(crate) use disk::Disk;
pub(crate) use frames::{Frames, kind};
pub(crate) use gateway::{Backing, Gateway, Setup};
pub(crate) use literal::assert_literal;
pub(crate) use process::Process;
pub(crate) use provider::{Double, Person, Reply as ProviderReply};
pub(crate) use smtp::SmtpServer;
pub(crate) use transcript::{assert_case, assert_transcript, everywhere};
pub(crate) use upstream::Upstream;
pub(crate) use wait::{DEADLINE, eventually};
