//! `--reason`: the reason for a change, for the audit trail.

use clap::Args;

use crate::telemetry::escaped;

/// The reason for a change.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,
}

/// Longest reason, in characters.
const LONGEST: usize = 500;

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST || escaped(text) != text {
        return Err(format!("expected one line of 1 to {LONGEST} characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, reason};

    #[test]
    fn a_reason_is_one_line() {
        let longest = "ж".repeat(LONGEST);
        for text in ["left", "a \"quoted\" reason", "사고 7 → 재발급", longest.as_str()] {
            assert_eq!(reason(&format!(" {text} ")).as_deref(), Ok(text));
        }
        for text in ["", " \t", "a\nb", "a\u{1b}[2J", "\u{202e}a", &format!("{longest}x")] {
            assert!(reason(text).is_err(), "{text:?}");
        }
    }
}
