//! Path patterns of routes: `/*`, `/a/*`, `/users/{id}`, `/exact`.
//!
//! A pattern is written as the canonical path that it has to match; one that no canonical path
//! can match is refused, so that a rule never waits for a request that cannot come.

use crate::config::Expected;

/// Checks that a pattern can match a canonical path.
pub(crate) fn check_pattern(path: &str) -> Result<(), Expected> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Expected::new("a path begins with `/`"));
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let mut names: Vec<&str> = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match *segment {
            "" if is_last => {}
            "" => return Err(Expected::new("`//` is never matched")),
            "*" if is_last => {}
            _ if segment.contains('*') => {
                return Err(Expected::new("`*` stands alone as the last segment: /a/*"));
            }
            _ if segment.contains(['{', '}']) => {
                let name = parameter(segment)?;
                if names.contains(&name) {
                    return Err(Expected::new(format!("`{{{name}}}` stands here twice")));
                }
                names.push(name);
            }
            _ => check_segment(segment)?,
        }
    }
    Ok(())
}

/// The pattern with its names left out: two patterns of one shape match the same paths.
pub(crate) fn pattern_shape(path: &str) -> String {
    path.split('/')
        .map(|segment| if segment.starts_with('{') { "{}" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

/// Decodes `%XX`; `None` where a percent sign is not followed by two hex digits.
pub(crate) fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            decoded.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

fn parameter(segment: &str) -> Result<&str, Expected> {
    segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|name| !name.is_empty())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .ok_or("`{name}` is a whole segment, its name letters, digits and `_`")
        .map_err(Expected::new)
}

fn check_segment(segment: &str) -> Result<(), Expected> {
    if matches!(segment, "." | "..") || segment.starts_with(".;") || segment.starts_with("..;") {
        return Err(Expected::new("`.` and `..` are resolved before a path is matched"));
    }
    for character in segment.chars() {
        match character {
            '?' | '#' => return Err(Expected::new("a path has neither a query nor a fragment")),
            '%' => {}
            _ if is_plain(character) => {}
            _ => {
                let encoded: String =
                    character.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
                return Err(Expected::new(format!("write this character as {encoded}")));
            }
        }
    }
    check_encoding(segment)
}

fn check_encoding(segment: &str) -> Result<(), Expected> {
    let decoded = percent_decode(segment).map(String::from_utf8);
    let Some(Ok(decoded)) = decoded else {
        return Err(Expected::new("expected two hex digits after `%`, and UTF-8 when decoded"));
    };
    for escape in segment.split('%').skip(1) {
        let digits = escape.get(..2).unwrap_or_default();
        if digits.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(Expected::new("write percent-encoding in upper case"));
        }
        let byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            return Err(Expected::new(format!("write `%{digits}` as `{}`", char::from(byte))));
        }
    }
    let is_never_matched = segment.contains('%')
        && (decoded.contains(['/', '\\', '／'])
            || decoded.chars().any(|character| character.is_ascii_control())
            || percent_decode(&decoded).is_none_or(|twice| twice != decoded.as_bytes()));
    if is_never_matched {
        return Err(Expected::new("this encoding is refused before a path is matched"));
    }
    Ok(())
}

/// RFC 3986 §3.3 `pchar`, percent-encoding aside.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(character)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::{check_pattern, pattern_shape};

    #[test]
    fn canonical_patterns_are_taken() {
        for path in [
            "/",
            "/*",
            "/a",
            "/a/",
            "/a/*",
            "/users/{id}",
            "/users/{id}/orders/{order_id}/*",
            "/a;v=1/b",
            "/%ED%95%9C",
            "/a%20b",
            "/a%23b",
            "/.well-known/x",
            "/a@b:c",
        ] {
            assert_eq!(check_pattern(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn patterns_that_no_path_matches_are_refused() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "/a//b",
            "/a/./b",
            "/a/..",
            "/..;/x",
            "/a?b",
            "/a#b",
            "/a/*/b",
            "/a*",
            "/{}",
            "/{a b}",
            "/x{id}",
            "/{id}x",
            "/{id}/{id}",
            "/한",
            "/a b",
            "/a\\b",
            "/%",
            "/%4",
            "/%zz",
            "/%ed%95%9c",
            "/%41",
            "/%2F",
            "/%5C",
            "/%00",
            "/%7F",
            "/%FF",
            "/%EF%BC%8F",
            "/%2541",
            "/a|b",
        ] {
            assert!(check_pattern(path).is_err(), "{path}");
        }
    }

    #[test]
    fn names_do_not_tell_patterns_apart() {
        assert_eq!(pattern_shape("/users/{id}/*"), pattern_shape("/users/{name}/*"));
        assert_ne!(pattern_shape("/users/{id}"), pattern_shape("/users/id"));
    }
}
