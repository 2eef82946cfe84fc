//! The tables of a configuration, a file each.

pub(super) mod cors;
pub(super) mod identity;
pub(super) mod key;
pub(super) mod limits;
pub(super) mod log;
pub(super) mod login;
pub(super) mod mail;
pub(super) mod pages;
pub(super) mod password;
pub(super) mod revocation;
pub(super) mod route;
pub(super) mod server;
pub(super) mod site;
pub(super) mod social;
pub(super) mod store;
pub(super) mod tls;
pub(super) mod token_from;
pub(super) mod tokens;
pub(super) mod ui;
pub(super) mod upstream;
