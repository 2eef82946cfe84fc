//! Mails: written from templates, kept encrypted in the store until sent, sent in the background.
//!
//! An operation writes a mail with [`Outbox::write`], hands it to the store, and calls
//! [`Outbox::nudge`]; the [`Courier`] takes it from there. What is queued says nothing to who reads
//! the store, not even by its length, and a mail for nobody looks like any other.

mod courier;
mod draft;
mod folder;
mod line_by_line;
mod message;
mod nudge;
mod outbox;
mod smtp;
mod template;

pub use courier::Courier;
pub use nudge::Nudge;
pub use outbox::{Letter, MailError, Outbox};
pub use template::Templates;
