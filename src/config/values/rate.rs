//! Reads rates: `"100/s"`, `"60/m burst 30"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::document::Expected;

/// A rate limit: `"60/m burst 30"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Events in [`Rate::period`], in the long run; at least 1.
    pub count: u32,
    /// A second, a minute or an hour.
    pub period: Duration,
    /// Events at once after a rest; at least 1, without `burst` as many as `count`.
    pub burst: u32,
}

impl Rate {
    /// Reads a rate, or `off`.
    ///
    /// # Errors
    /// The expected form, without the given text.
    pub fn parse_or_off(text: &str) -> Result<Option<Self>, Expected> {
        match text {
            "off" => Ok(None),
            text => rate(text).map(Some).ok_or(OR_OFF).map_err(Expected::new),
        }
    }
}

impl FromStr for Rate {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        rate(text).ok_or(EXPECTED).map_err(Expected::new)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.into_iter().find(|(_, seconds)| *seconds == self.period.as_secs());
        write!(formatter, "{}/{}", self.count, unit.map_or("?", |(name, _)| name))?;
        if self.burst == self.count {
            return Ok(());
        }
        write!(formatter, " burst {}", self.burst)
    }
}

fn rate(text: &str) -> Option<Rate> {
    let mut words = text.split(' ');
    let (count, unit) = words.next()?.split_once('/')?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let count = number(count)?;
    let burst = match (words.next(), words.next(), words.next()) {
        (None, _, _) => count,
        (Some("burst"), Some(burst), None) => number(burst)?,
        _ => return None,
    };
    Some(Rate { count, period: Duration::from_secs(seconds), burst })
}

/// A whole number from 1 to a million, without a sign.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (1..=1_000_000).contains(number))
}

const EXPECTED: &str = "expected a rate such as 100/s, 60/m burst 30";
const OR_OFF: &str = "expected a rate such as 100/s, 60/m burst 30, or `off`";

const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 60 * 60)];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rate;

    #[test]
    fn rates_are_read_and_written_alike() {
        for (text, count, seconds, burst) in [
            ("100/s", 100, 1, 100),
            ("60/m burst 30", 60, 60, 30),
            ("1/h burst 5", 1, 3600, 5),
            ("1000000/s", 1_000_000, 1, 1_000_000),
        ] {
            let rate = Rate { count, period: Duration::from_secs(seconds), burst };

            assert_eq!(text.parse(), Ok(rate), "{text}");
            assert_eq!(rate.to_string(), text);
            assert_eq!(Rate::parse_or_off(text), Ok(Some(rate)), "{text}");
        }
        assert_eq!(Rate::parse_or_off("off"), Ok(None));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "60",
            "/m",
            "60/",
            "60/d",
            "60/M",
            "0/m",
            "-1/m",
            "+60/m",
            "1.5/m",
            "60 /m",
            "1000001/s",
            "99999999999/s",
            "60/m burst",
            "60/m burst 0",
            "60/m  burst 30",
            "60/m burst 30 ",
            "60/m bursts 30",
            "Off",
            "off burst 3",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
            let expected = Rate::parse_or_off(text).expect_err(text).to_string();
            assert!(expected.ends_with("or `off`"), "{text}: {expected}");
        }
        assert!("off".parse::<Rate>().is_err());
    }
}
