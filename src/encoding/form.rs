//! Reads `application/x-www-form-urlencoded` text: form bodies and queries.

use crate::encoding::hex_pair;

/// The fields of the wanted names, each once; `None` where any is no UTF-8.
///
/// Of several fields of one name the last counts, as the last member of a JSON object does.
pub(crate) fn parse(text: &[u8], wanted: &[&str]) -> Option<Vec<(String, String)>> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next().unwrap_or_default())?;
        let value = decode(halves.next().unwrap_or_default())?;
        if !wanted.contains(&name.as_str()) {
            continue;
        }
        match fields.iter_mut().find(|(own, _)| *own == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    Some(fields)
}

/// Decodes `+` and `%XX`; a `%` without two hex digits stands for itself, as browsers read it.
fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, beyond @ ..]) => match hex_pair(*high, *low) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = beyond;
                }
                None => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn wanted_fields_are_decoded_and_the_last_of_a_name_counts() {
        let rows: [(&str, &[(&str, &str)]); 6] = [
            ("", &[]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("refresh+token=x%3Dy&c=1&&d", &[("refresh token", "x=y")]),
            ("a=0&b=&a", &[("a", ""), ("b", "")]),
            ("a=100%&b=%zz", &[("a", "100%"), ("b", "%zz")]),
            ("a=%EA%B0%80=1", &[("a", "가=1")]),
        ];
        for (text, expected) in rows {
            let pairs = parse(text.as_bytes(), &["a", "b", "refresh token"]).unwrap();

            let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(pairs, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_refused() {
        assert_eq!(parse(b"a=%FF", &["a"]), None);
        assert_eq!(parse(b"x=\xff", &["a"]), None);
    }
}
