//! Starts the real things: gateway, upstream, clients; waits on conditions, never for a time.

pub(crate) mod browser;
pub(crate) mod client;
mod frames;
pub(crate) mod gateway;
mod literal;
pub(crate) mod process;
mod provider;
pub(crate) mod smtp;
mod transcript;
mod upstream;
mod wait;

pub(crate) use browser::Browser;
pub(crate) use browser::Pages;
pub(crate) use client::Client;
pub(crate) use client::Reply;
pub(crate) use client::Version;
pub(crate) use client::raw;
pub(crate) use client::request;
pub(crate) use frames::Frames;
pub(crate) use frames::kind;
pub(crate) use gateway::Backing;
pub(crate) use gateway::Gateway;
pub(crate) use gateway::Setup;
pub(crate) use literal::assert_literal;
pub(crate) use process::Process;
pub(crate) use provider::Double;
pub(crate) use provider::Person;
pub(crate) use provider::Reply as ProviderReply;
pub(crate) use smtp::SmtpServer;
pub(crate) use transcript::assert_case;
pub(crate) use transcript::assert_transcript;
pub(crate) use transcript::everywhere;
pub(crate) use upstream::Upstream;
pub(crate) use wait::DEADLINE;
pub(crate) use wait::eventually;
