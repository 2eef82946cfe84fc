//! Connections to a Redis: topology, servers, commands and faults.

pub(super) mod call;
pub(super) mod cluster;
pub(super) mod dialer;
pub(super) mod fault;
pub(super) mod link;
pub(super) mod scan;
pub(super) mod script;
pub(super) mod sentinel;
pub(super) mod server_checks;
pub(super) mod slot_map;
pub(super) mod topology;
pub(super) mod wrong_type;
