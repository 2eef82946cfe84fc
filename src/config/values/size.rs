//! Sizes and rates in bytes: `"64KiB"`, `"5MiB"`, `"256B/s"`.

use std::fmt;
use std::str::FromStr;

use crate::document::Expected;

/// A size in bytes: `"64KiB"`, `"5MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Bytes a second: `"256B/s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate(pub u64);

impl FromStr for ByteSize {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        bytes(text).map(Self).ok_or(EXPECTED_SIZE).map_err(Expected::new)
    }
}

impl FromStr for ByteRate {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        text.strip_suffix("/s")
            .and_then(bytes)
            .map(Self)
            .ok_or("expected a rate such as 256B/s, 64KiB/s")
            .map_err(Expected::new)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = UNITS
            .into_iter()
            .rev()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .map_or((self.0, "B"), |(unit, factor)| (self.0 / factor, unit));
        write!(formatter, "{count}{unit}")
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/s", ByteSize(self.0))
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = UNITS.into_iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

const EXPECTED_SIZE: &str = "expected a size such as 512B, 64KiB, 5MiB";

const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

#[cfg(test)]
mod tests {
    use super::{ByteRate, ByteSize};

    #[test]
    fn sizes_are_read_and_written_alike() {
        for (text, size) in
            [("0B", 0), ("1B", 1), ("64KiB", 65_536), ("5MiB", 5 << 20), ("3GiB", 3 << 30)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(size)), "{text}");
            assert_eq!(ByteSize(size).to_string(), text);
        }
        assert_eq!("256B/s".parse(), Ok(ByteRate(256)));
        assert_eq!(ByteRate(2048).to_string(), "2KiB/s");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "5",
            "KiB",
            "5KB",
            "5 MiB",
            "5mib",
            "-1B",
            "1.5MiB",
            "18446744073709551615GiB",
            "한B",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["256B", "256B/m", "/s", "s"] {
            assert!(text.parse::<ByteRate>().is_err(), "{text}");
        }
    }
}
