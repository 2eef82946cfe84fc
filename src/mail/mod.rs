//! Mails: written from templates, queued encrypted in the store, sent in the background.
//!
//! An operation writes a mail with [`Outbox::write`], queues it in the store, and calls
//! [`Outbox::nudge`]; the [`Courier`] sends it. A queued mail reveals nothing to a reader of the
//! store, not even by its length, and a mail without a recipient looks like any other.

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
