//! Hex and percent-encoding (RFC 3986 §2.1), and forms.

pub(crate) mod form;

/// Writes bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| digits(*byte)).collect()
}

fn digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'))
}

/// Reads pairs of hex digits, in either case.
pub(crate) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| hex_pair(*high, *low));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

/// Reads a byte from two hex digits.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// Percent-encodes all but ASCII letters, digits and `kept`.
pub(crate) fn percent_encode(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            push_percent(&mut encoded, byte);
        }
    }
    encoded
}

/// Writes one byte as `%XX`.
pub(crate) fn push_percent(encoded: &mut String, byte: u8) {
    encoded.push('%');
    encoded.extend(digits(byte).map(|digit| digit.to_ascii_uppercase()));
}

/// Decodes `%XX`; `None` where a percent sign is not followed by two hex digits.
pub(crate) fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            decoded.push(hex_pair(bytes.next()?, bytes.next()?)?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}
