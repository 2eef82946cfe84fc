//! `[limits]`: how large and how slow a request may be.

use std::time::Duration;

use crate::config::{ByteRate, ByteSize};
use crate::document::Table;

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    /// Head of a request; default 32 KiB, beyond it 431. A reload applies it.
    pub header_bytes: ByteSize,
    /// Header lines; default 100, beyond it 431. A reload applies it.
    pub header_count: usize,
    /// Target of a request; default 8 KiB, beyond it 414. A reload applies it.
    pub uri_bytes: ByteSize,
    /// Forwarded body; default 10 MiB, beyond it 413. A reload applies it.
    pub body: ByteSize,
    /// Body of an auth endpoint; default 8 MiB, beyond it the contract's validation error. A reload
    /// applies it.
    pub auth_body: ByteSize,
    /// Bearer token; default 8 KiB, beyond it 401. A reload applies it.
    pub token_bytes: ByteSize,
    /// From the first to the last byte of a head; default 10 s. A reload applies it.
    pub header_timeout: Duration,
    /// Between two parts of a body; default 30 s. A reload applies it.
    pub body_idle_timeout: Duration,
    /// Slowest body, averaged over 10 s; default 256 B/s, zero: any. A reload applies it.
    pub body_rate: ByteRate,
    /// From accept to a finished TLS handshake; default 10 s. A reload applies it.
    pub handshake_timeout: Duration,
    /// An idle connection; default 75 s, longer than the 60 s of common load balancers, so that it
    /// is they who close it. A reload applies it.
    pub keep_alive: Duration,
    /// Most that all clients together may leave unread of their answers, beyond a part each;
    /// default 256 MiB, beyond it backends wait. A reload applies it to new connections.
    pub buffers: ByteSize,
    /// Streams of one HTTP/2 connection; default 256. A reload applies it.
    pub http2_streams: u32,
    /// Pending resets of one HTTP/2 connection; default 200. A reload applies it.
    pub http2_resets: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            header_bytes: ByteSize(32 << 10),
            header_count: 100,
            uri_bytes: ByteSize(8 << 10),
            body: ByteSize(10 << 20),
            auth_body: ByteSize(8 << 20),
            token_bytes: ByteSize(8 << 10),
            header_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(30),
            body_rate: ByteRate(256),
            handshake_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            buffers: ByteSize(256 << 20),
            http2_streams: 256,
            http2_resets: 200,
        }
    }
}

impl LimitsConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            header_bytes: held(table, "header_bytes", default.header_bytes, ByteSize(8 << 10)),
            header_count: table.integer("header_count", default.header_count, 1..=10_000),
            uri_bytes: held(table, "uri_bytes", default.uri_bytes, ByteSize(64)),
            body: table.parse("body", default.body, str::parse),
            auth_body: held(table, "auth_body", default.auth_body, ByteSize(1024)),
            token_bytes: held(table, "token_bytes", default.token_bytes, ByteSize(256)),
            header_timeout: table.duration("header_timeout", default.header_timeout),
            body_idle_timeout: table.duration("body_idle_timeout", default.body_idle_timeout),
            body_rate: table.parse("body_rate", default.body_rate, str::parse),
            handshake_timeout: table.duration("handshake_timeout", default.handshake_timeout),
            keep_alive: table.duration("keep_alive", default.keep_alive),
            buffers: table.parse("buffers", default.buffers, str::parse),
            http2_streams: table.integer("http2_streams", default.http2_streams, 1..=65_536),
            http2_resets: table.integer("http2_resets", default.http2_resets, 1..=65_536),
        };
        table.end();
        config
    }
}

/// Reads the size of something that is held in memory whole.
fn held(table: &Table<'_>, key: &'static str, default: ByteSize, least: ByteSize) -> ByteSize {
    table.read(key, default, |item| {
        let size = item.parse(str::parse)?;
        if (least..=LARGEST_HELD).contains(&size) {
            return Some(size);
        }
        item.bad(format!("expected a size from {least} to {LARGEST_HELD}"));
        None
    })
}

/// Most memory that one request may occupy.
const LARGEST_HELD: ByteSize = ByteSize(256 << 20);
