//! Fast checks and writes of plain text, for every request: the standard library's general ways
//! take several times as long.

use std::io::Write;
use std::net::IpAddr;

/// Whether a predicate holds for all bytes of a text.
///
/// Without a branch a byte, many bytes are checked in one step: `is` must not branch either.
pub(crate) fn all_bytes(text: &str, is: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & is(byte))
}

/// Appends a number, with zeros before it up to `width`.
pub(crate) fn write_number(text: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; LONGEST];
    let mut first = LONGEST;
    for digit in digits.iter_mut().rev() {
        if number == 0 && LONGEST - first >= width {
            break;
        }
        *digit += (number % 10) as u8;
        number /= 10;
        first -= 1;
    }
    text.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// The digits of the largest number.
const LONGEST: usize = 20;

/// Appends an address. Most are IPv4.
pub(crate) fn write_address(text: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push(b'.');
                }
                write_number(text, octet.into(), 1);
            }
        }
        // A Vec takes everything.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
}
