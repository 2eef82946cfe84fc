//! Reads durations: `"250ms"`, `"30s"`, `"15m"`, `"12h"`, `"30d"`, `"1h 30m"`.

use std::time::Duration;

use crate::document::Expected;

/// Reads a duration with its unit; at most 100 years.
///
/// # Errors
/// The expected form, without the given text.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Expected> {
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    match humantime::parse_duration(text) {
        Ok(duration) if duration > LONGEST => {
            Err(Expected::new("expected a duration of at most 100 years"))
        }
        Ok(duration) if has_unit => Ok(duration),
        // humantime's own words ("expected number at 8") count bytes.
        Ok(_) | Err(_) => Err(Expected::new("expected a duration such as 30s, 15m, 2h")),
    }
}

/// Reads a duration longer than zero.
pub(crate) fn parse_duration_above_zero(text: &str) -> Result<Duration, Expected> {
    match parse_duration(text)? {
        Duration::ZERO => Err(Expected::new("expected a duration longer than zero")),
        duration => Ok(duration),
    }
}

/// Added to any instant of ours this does not overflow.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_duration;

    #[test]
    fn units_are_read() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("15m", 900_000),
            ("12h", 43_200_000),
            ("30d", 2_592_000_000),
            ("1h 30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_in_our_words() {
        for text in ["", "30", "0", "s", "5 minits", "-1s", "1e3s", "ten", "3000d 9999999999999y"] {
            let expected = parse_duration(text).expect_err(text).to_string();

            assert_eq!(expected, "expected a duration such as 30s, 15m, 2h", "{text}");
        }
        assert!(parse_duration("101y").expect_err("too long").to_string().contains("100 years"));
    }
}
