//! `[password]`: the cost of a hash, and which passwords are taken.

use crate::config::ByteSize;
use crate::document::Table;
use crate::secret::Secret;

/// `[password]`
#[derive(Clone, Debug, PartialEq)]
pub struct PasswordConfig {
    /// Argon2id memory of one hash; default 19 MiB (OWASP's minimum). A reload applies it.
    pub memory: ByteSize,
    /// Argon2id passes; default 2. A reload applies it.
    pub iterations: u32,
    /// Argon2id lanes; default 1. A reload applies it.
    pub parallelism: u32,
    /// Hashes at once; default 0 = cores. Bounds memory in a login storm. A
    /// reload applies it.
    pub concurrency: usize,
    /// Logins that wait for one; default 64, beyond it 503. A reload applies it.
    pub queue: usize,
    /// Shortest password in characters; default 8. A reload applies it.
    pub min_length: usize,
    /// Longest password in bytes; default 256. A reload applies it.
    pub max_length: usize,
    /// Secret mixed into every hash; default empty: none. Another one makes every password
    /// wrong. A reload applies it.
    pub pepper: Secret<String>,
}

impl Default for PasswordConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize(19 << 20),
            iterations: 2,
            parallelism: 1,
            concurrency: 0,
            queue: 64,
            min_length: 8,
            max_length: 256,
            pepper: Secret::from(""),
        }
    }
}

impl PasswordConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            memory: table.parse("memory", default.memory, str::parse),
            iterations: table.integer("iterations", default.iterations, 1..=1000),
            parallelism: table.integer("parallelism", default.parallelism, 1..=64),
            concurrency: table.integer("concurrency", default.concurrency, 0..=1024),
            queue: table.integer("queue", default.queue, 0..=100_000),
            min_length: table.integer("min_length", default.min_length, 1..=1024),
            max_length: table.integer("max_length", default.max_length, 1..=4096),
            pepper: table.secret("pepper"),
        };
        config.check(table);
        table.end();
        config
    }

    fn check(&self, table: &Table<'_>) {
        // RFC 9106 §3.1: at least eight blocks of 1 KiB a lane.
        let least = ByteSize(u64::from(self.parallelism) * 8 * 1024);
        let most = ByteSize(4 << 30);
        if !(least..=most).contains(&self.memory)
            && let Some(item) = table.item("memory").or_else(|| table.item("parallelism"))
        {
            item.bad(format!("Argon2id takes from {least} (8KiB a lane) to {most}"));
        }
        if self.max_length < self.min_length
            && let Some(item) = table.item("max_length").or_else(|| table.item("min_length"))
        {
            item.bad("`max_length` is less than `min_length`");
        }
    }
}
