//! The client and the process that the tests of one gateway have.

#[path = "../gateway/harness/client.rs"]
#[expect(dead_code, reason = "the tests of one gateway ask for more")]
mod client;
#[path = "../gateway/harness/process.rs"]
#[expect(dead_code, reason = "the tests of one gateway ask for more")]
mod process;
#[path = "../gateway/harness/wait.rs"]
mod wait;

pub(crate) use client::{Client, Version, request, trust};
pub(crate) use process::{Process, munjigi};
pub(crate) use wait::{DEADLINE, eventually};
