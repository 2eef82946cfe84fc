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
    let start = text.len();
    while number > 0 || text.len() < start + width {
        text.push(b'0' + (number % 10) as u8);
        number /= 10;
    }
    if let Some(digits) = text.get_mut(start..) {
        digits.reverse();
    }
}

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
