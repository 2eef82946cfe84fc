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
            for octet in address.octets() {
                let (digits, length) = OCTETS.get(usize::from(octet)).copied().unwrap_or_default();
                let end = text.len() + usize::from(length);
                text.extend_from_slice(&digits);
                text.truncate(end);
            }
            text.pop();
        }
        // A Vec takes everything.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
}

/// Each octet in decimal with a point after it, and the length of that.
#[expect(clippy::indexing_slicing, reason = "a constant: the compiler would find it")]
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut octet = 0;
    while octet < octets.len() {
        let [ones, tens, hundreds] = [octet % 10, octet / 10 % 10, octet / 100];
        let [ones, tens, hundreds] = [b'0' + ones as u8, b'0' + tens as u8, b'0' + hundreds as u8];
        octets[octet] = match octet {
            0..=9 => ([ones, b'.', 0, 0], 2),
            10..=99 => ([tens, ones, b'.', 0], 3),
            _ => ([hundreds, tens, ones, b'.'], 4),
        };
        octet += 1;
    }
    octets
};

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::write_address;

    #[test]
    fn an_address_is_written_as_the_standard_library_does() {
        let octets = (0..=u8::MAX).map(|octet| Ipv4Addr::new(octet, 0, 255 - octet, octet).into());
        for address in octets.chain(["2001:db8::1".parse().unwrap()]) {
            let mut text = b"by ".to_vec();
            write_address(&mut text, address);
            assert_eq!(text, format!("by {}", IpAddr::to_string(&address)).into_bytes());
        }
    }
}
