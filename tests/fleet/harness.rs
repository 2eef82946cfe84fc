//! The client and the process that the tests of one gateway have.

#[path = "../gateway/harness/client.rs"]
#[expect(dead_code, reason = "the tests of one gateway ask for more")]
mod client;
#[path = "../gateway/harness/process.rs"]
#[expect(dead_code, reason = "the tests of one gateway ask for more")]
mod process;
#[path = "../gateway/harness/wait.rs"]
mod wait;

pub(crate) use client::Client;
pub(crate) use client::Version;
pub(crate) use client::request;
pub(crate) use client::trust;
pub(crate) use process::Process;
pub(crate) use process::munjigi;
pub(crate) use wait::DEADLINE;
pub(crate) use wait::eventually;
