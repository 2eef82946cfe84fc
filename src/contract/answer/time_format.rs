//! Formats of instants: RFC 3339, counts since the epoch, or patterns of its own.

use std::borrow::Cow;
use std::fmt::Write;

use time::{OffsetDateTime, UtcOffset};

use crate::clock::Timestamp;
use crate::document::{NodeTable, Report, suggestion};

/// One way to write an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// Milliseconds since the epoch, as a number.
    EpochMillis,
    /// Seconds since the epoch, as a number.
    EpochSeconds,
    /// Text.
    Pattern {
        /// The parts, one after the other.
        pieces: Vec<TimePiece>,
        /// The offset from UTC that the fields are given in.
        offset: UtcOffset,
    },
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimePiece {
    /// A field of the date or time, with leading zeros.
    Field(Field),
    /// Literal text.
    Words(String),
}

/// A field of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

/// The formats of a contract: `[time]`.
#[derive(Clone, Debug)]
pub(crate) struct TimeFormats {
    named: Vec<(String, TimeFormat)>,
    default: TimeFormat,
}

/// A number or a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WrittenTime {
    Number(i64),
    Text(String),
}

const RFC_3339: &str = "YYYY-MM-DDTHH:mm:ssZ";

const FIELDS: [(&str, Field); 7] = [
    ("YYYY", Field::Year),
    ("MM", Field::Month),
    ("DD", Field::Day),
    ("HH", Field::Hour),
    ("mm", Field::Minute),
    ("ss", Field::Second),
    ("SSS", Field::Millisecond),
];

impl TimeFormats {
    /// Reads `[time]`; without it, times are RFC 3339.
    pub(crate) fn read(section: Option<NodeTable<'_>>, report: &mut Report) -> Self {
        let rfc_3339 =
            TimeFormat::pattern(RFC_3339, UtcOffset::UTC).unwrap_or(TimeFormat::EpochSeconds);
        let mut formats = Self {
            named: vec![
                ("rfc3339".to_owned(), rfc_3339.clone()),
                ("epoch_millis".to_owned(), TimeFormat::EpochMillis),
                ("epoch_seconds".to_owned(), TimeFormat::EpochSeconds),
            ],
            default: rfc_3339,
        };
        let Some(mut section) = section else { return formats };
        let default = section.text("default", report);
        for (key, node) in section.rest() {
            let format = NodeTable::of(node, report).and_then(|own| read_pattern(own, report));
            if formats.named.iter().any(|(name, _)| *name == key.name) {
                let title = format!("`{}` is a time format already", key.name);
                report.fault(&key.span, title, "choose another name");
            }
            formats.named.extend(format.map(|format| (key.name.clone(), format)));
        }
        if let Some(name) = default {
            match formats.find(name.get_ref()) {
                Ok(format) => formats.default = format,
                Err(hint) => report.fault(
                    &name.span(),
                    format!("unknown time format `{}`", name.get_ref()),
                    hint,
                ),
            }
        }
        formats
    }

    /// The format of a name, or what to write instead.
    pub(crate) fn find(&self, name: &str) -> Result<TimeFormat, String> {
        match self.named.iter().find(|(own, _)| own == name) {
            Some((_, format)) => Ok(format.clone()),
            None => Err(suggestion(name, self.named.iter().map(|(name, _)| name.as_str()))),
        }
    }

    /// The format where a slot names none.
    pub(crate) const fn default(&self) -> &TimeFormat {
        &self.default
    }
}

impl TimeFormat {
    /// Reads a pattern such as `YYYY-MM-DD HH:mm:ss`; fails with letters that mean nothing.
    fn pattern(text: &str, offset: UtcOffset) -> Result<Self, char> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let field = FIELDS.iter().find_map(|(letters, field)| {
                rest.strip_prefix(letters).map(|after| (*field, after))
            });
            if let Some((field, after)) = field {
                pieces.push(TimePiece::Field(field));
                rest = after;
                continue;
            }
            if first.is_ascii_alphabetic() && !matches!(first, 'T' | 'Z') {
                return Err(first);
            }
            match pieces.last_mut() {
                Some(TimePiece::Words(words)) => words.push(first),
                _ => pieces.push(TimePiece::Words(first.to_string())),
            }
            rest = rest.strip_prefix(first).unwrap_or_default();
        }
        Ok(Self::Pattern { pieces, offset })
    }

    /// Writes an instant.
    pub(crate) fn write(&self, instant: Timestamp) -> WrittenTime {
        match self {
            Self::EpochMillis => WrittenTime::Number(instant.as_millis()),
            Self::EpochSeconds => WrittenTime::Number(instant.as_seconds()),
            Self::Pattern { pieces, offset } => WrittenTime::Text(fill(pieces, instant, *offset)),
        }
    }
}

impl WrittenTime {
    /// The same as text.
    pub(crate) fn into_text(self) -> Cow<'static, str> {
        match self {
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Owned(text),
        }
    }
}

fn fill(pieces: &[TimePiece], instant: Timestamp, offset: UtcOffset) -> String {
    let utc = OffsetDateTime::from_unix_timestamp(instant.as_seconds());
    // Instants beyond the year 9999 have no such form: the epoch stands for them.
    let local = utc.ok().and_then(|utc| utc.checked_to_offset(offset));
    let local = local.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = String::with_capacity(24);
    for piece in pieces {
        let (number, width) = match piece {
            TimePiece::Words(words) => {
                text.push_str(words);
                continue;
            }
            TimePiece::Field(Field::Year) => (i64::from(local.year()), 4),
            TimePiece::Field(Field::Month) => (i64::from(u8::from(local.month())), 2),
            TimePiece::Field(Field::Day) => (i64::from(local.day()), 2),
            TimePiece::Field(Field::Hour) => (i64::from(local.hour()), 2),
            TimePiece::Field(Field::Minute) => (i64::from(local.minute()), 2),
            TimePiece::Field(Field::Second) => (i64::from(local.second()), 2),
            TimePiece::Field(Field::Millisecond) => (instant.as_millis().rem_euclid(1000), 3),
        };
        #[expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
        let _ = write!(text, "{number:0width$}");
    }
    text
}

fn read_pattern(mut section: NodeTable<'_>, report: &mut Report) -> Option<TimeFormat> {
    let pattern = section.needed_text("pattern", report);
    let offset = section.text("offset", report);
    section.finish(report);
    let offset = match offset {
        None => Some(UtcOffset::UTC),
        Some(text) => {
            let offset = parse_offset(text.get_ref());
            if offset.is_none() {
                let title = format!("`{}` is no offset from UTC", text.get_ref());
                report.fault(&text.span(), title, "such as \"+09:00\"");
            }
            offset
        }
    };
    let (pattern, offset) = (pattern?, offset?);
    match TimeFormat::pattern(pattern.get_ref(), offset) {
        Ok(format) => Some(format),
        Err(letter) => {
            let title = format!("`{letter}` means nothing in a time pattern");
            let hint = "YYYY, MM, DD, HH, mm, ss, SSS; T, Z and all but letters stand as they are";
            report.fault(&pattern.span(), title, hint);
            None
        }
    }
}

fn parse_offset(text: &str) -> Option<UtcOffset> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let (hours, minutes): (i8, i8) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours < 0 || minutes < 0 {
        return None;
    }
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

#[cfg(test)]
mod tests {
    use time::UtcOffset;

    use super::{RFC_3339, TimeFormat, WrittenTime, parse_offset};
    use crate::clock::Timestamp;

    #[test]
    fn an_instant_is_written_in_the_contracts_own_way() {
        let instant = Timestamp::from_millis(1_711_983_599_042);
        let korean = parse_offset("+09:00").unwrap();
        let rows = [
            (RFC_3339, UtcOffset::UTC, "2024-04-01T14:59:59Z"),
            ("YYYY-MM-DD HH:mm:ss", korean, "2024-04-01 23:59:59"),
            ("YYYY년 MM월 DD일", korean, "2024년 04월 01일"),
            ("HH:mm:ss.SSS", parse_offset("-03:30").unwrap(), "11:29:59.042"),
        ];
        for (pattern, offset, expected) in rows {
            let written = TimeFormat::pattern(pattern, offset).unwrap().write(instant);

            assert_eq!(written, WrittenTime::Text(expected.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn an_instant_without_a_calendar_date_does_not_panic() {
        for millis in [i64::MIN, i64::MAX] {
            let format = TimeFormat::pattern(RFC_3339, UtcOffset::UTC).unwrap();

            assert_eq!(
                format.write(Timestamp::from_millis(millis)),
                WrittenTime::Text("1970-01-01T00:00:00Z".to_owned())
            );
        }
    }

    #[test]
    fn letters_that_mean_nothing_and_wrong_offsets_are_refused() {
        assert_eq!(TimeFormat::pattern("yyyy", UtcOffset::UTC), Err('y'));
        for text in ["9", "+9", "Asia/Seoul", "+09:99", "+-1:00", "+99:00"] {
            assert_eq!(parse_offset(text), None, "{text}");
        }
    }
}
