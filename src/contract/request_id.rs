//! The form of request ids: `[request_id]`.

use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

use crate::document::{NodeTable, Report};

/// The form of a contract's request ids, made from random bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestIdForm {
    prefix: String,
    /// Letters and digits after the prefix; `None`: a UUID.
    length: Option<usize>,
}

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// 36¹² is the highest power of 36 below 2⁶⁴.
const HALF: usize = 12;
const LENGTHS: std::ops::RangeInclusive<usize> = 6..=2 * HALF;

impl RequestIdForm {
    /// Reads `[request_id]`; without it, ids are UUIDs.
    pub(super) fn read(section: Option<NodeTable<'_>>, report: &mut Report) -> Self {
        let mut form = Self { prefix: String::new(), length: None };
        let Some(mut section) = section else { return form };
        if let Some(prefix) = section.text("prefix", report) {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if prefix.get_ref().len() > 32 || !prefix.get_ref().chars().all(plain) {
                let hint = "at most 32 letters, digits, `-`, `_`, `.`: it stands in headers";
                report.fault(&prefix.span(), "a prefix that does not fit a header", hint);
            }
            form.prefix = prefix.into_inner();
        }
        if let Some(length) = section.count("length", report) {
            if !LENGTHS.contains(length.get_ref()) {
                report.fault(&length.span(), "a length out of range", "6 to 24");
            }
            form.length = Some(length.into_inner());
        }
        section.finish(report);
        form
    }

    /// A new id.
    pub(super) fn make(&self, random: [u8; 16]) -> String {
        // Exactly as long as it will be: as a header it keeps its memory.
        let mut id =
            String::with_capacity(self.prefix.len() + self.length.unwrap_or(Hyphenated::LENGTH));
        id.push_str(&self.prefix);
        match self.length {
            None => {
                let uuid = Builder::from_random_bytes(random).into_uuid();
                id.push_str(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            }
            Some(length) => {
                let (high, low) = Uuid::from_bytes(random).as_u64_pair();
                let first = length.min(HALF);
                for (mut number, digits) in [(low, first), (high, length - first)] {
                    for _ in 0..digits {
                        let digit = ALPHABET.get((number % 36) as usize);
                        id.push(digit.map_or('0', |byte| char::from(*byte)));
                        number /= 36;
                    }
                }
            }
        }
        id
    }
}
