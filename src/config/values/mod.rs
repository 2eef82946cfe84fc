//! Types of single values, each read from its text.

pub(super) mod algorithm;
pub(super) mod header;
pub(super) mod host;
pub(super) mod host_port;
pub(super) mod rate;
pub(super) mod redis_url;
pub(super) mod secret_format;
pub(super) mod size;
