//! The settings that a reload cannot apply.

use crate::config::Config;

/// Names the keys that differ and need a restart, as `server.listen`.
#[must_use]
pub fn restart_only_changes(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.admin", old.server.admin != new.server.admin),
        ("server.workers", old.server.workers != new.server.workers),
        ("server.max_connections", old.server.max_connections != new.server.max_connections),
        ("store.url", old.store.url != new.store.url),
        ("store.prefix", old.store.prefix != new.store.prefix),
        ("store.durability", old.store.full_durability != new.store.full_durability),
        ("store.timeout", old.store.timeout != new.store.timeout),
        ("store.lookup_timeout", old.store.lookup_timeout != new.store.lookup_timeout),
        ("store.username", old.store.username != new.store.username),
        ("store.password", old.store.password != new.store.password),
        ("store.ca", old.store.ca != new.store.ca),
        ("store.cert", old.store.cert != new.store.cert),
        ("store.key", old.store.key != new.store.key),
        ("store.sentinel_password", old.store.sentinel_password != new.store.sentinel_password),
        ("store.wait_replicas", old.store.wait_replicas != new.store.wait_replicas),
        ("revocation.capacity", old.revocation.capacity != new.revocation.capacity),
        ("revocation.journal", old.revocation.journal != new.revocation.journal),
        ("log.level", old.log.level != new.log.level),
        ("log.format", old.log.format != new.log.format),
        ("log.access", old.log.access != new.log.access),
        ("log.audit", old.log.audit != new.log.audit),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}
