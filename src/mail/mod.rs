//! Mails: written from templates, kept encrypted in the store until sent, sent in the background.
//!
//! An operation writes a mail with [`Outbox::write`], hands it to the store, and calls
//! [`Outbox::nudge`]; the [`Courier`] takes it from there. What is queued says nothing to who reads
//! the store, not even by its length, and a mail for nobody looks like any other.

mod content;
mod courier;
mod folder;
mod line_stream;
mod message;
mod outbox;
mod smtp;
mod template;

pub use courier::Courier;
pub use outbox::{Letter, MailError, Nudge, Outbox};
pub use template::Templates;
