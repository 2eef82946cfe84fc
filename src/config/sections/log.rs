//! `[log]`: what is printed, and how it looks.

use crate::document::{Expected, Table};
use crate::telemetry::audit::AuditTo;

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `error` `warn` `info` `debug` `trace` `off`, or with targets: `info,munjigi=debug`;
    /// default `info`. A change needs a restart.
    pub level: String,
    /// Shape; default `auto`. A change needs a restart.
    pub format: LogFormat,
    /// One line a request; default `true`. A change needs a restart.
    pub access: bool,
    /// Destination of security events: `log` (default; whatever `level` is), `file:PATH` (an object
    /// a line, appended, mode 0600), `off`. Changes by verbs are recorded by a running gateway, or
    /// the next; a verb with `off` records nothing. A change needs a restart.
    pub audit: AuditTo,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON, an object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Auto,
            access: true,
            audit: AuditTo::Log,
        }
    }
}

impl LogConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let formats =
            [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
        let config = Self {
            level: table.parse("level", default.level, level),
            format: table.choice("format", default.format, &formats),
            access: table.flag("access", default.access),
            audit: table
                .read("audit", default.audit, |item| item.destination(|text| audit(table, text))),
        };
        table.end();
        config
    }
}

fn audit(table: &Table<'_>, text: &str) -> Result<AuditTo, Expected> {
    match (text, text.strip_prefix("file:")) {
        ("log", _) => Ok(AuditTo::Log),
        ("off", _) => Ok(AuditTo::Off),
        (_, Some(path)) if !path.is_empty() => Ok(AuditTo::File(table.resolve_path(path))),
        _ => Err(Expected::new("expected log, file:PATH or off")),
    }
}

/// Without this a misspelt level would be taken for the name of a target.
fn level(text: &str) -> Result<String, Expected> {
    for part in text.split(',') {
        let (target, level) = part.split_once('=').map_or(("munjigi", part), |pair| pair);
        let is_target = !target.is_empty()
            && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte));
        if !is_target {
            return Err(Expected::new("expected levels such as info,munjigi=debug"));
        }
        if !LEVELS.contains(&level) {
            return Err(Expected::one_of(level, &LEVELS));
        }
    }
    Ok(text.to_owned())
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
