//! Compares an answer with a literal document, whose `"<name>"` strings stand for what varies.

use std::collections::BTreeMap;

use serde_json::Value;

/// Holds `actual` to the literal; gives what stood for each `<name>`.
///
/// Types, members and values must be equal; a `"<name>"` in the literal takes any string.
pub(crate) fn assert_literal(actual: &[u8], literal: &str) -> BTreeMap<String, String> {
    let actual: Value = serde_json::from_slice(actual)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(actual)));
    let expected: Value = serde_json::from_str(literal).expect("the literal is JSON");
    let mut found = BTreeMap::new();
    assert!(matches(&actual, &expected, &mut found), "got:      {actual}\nexpected: {expected}");
    found
}

fn matches(actual: &Value, expected: &Value, found: &mut BTreeMap<String, String>) -> bool {
    match (actual, expected) {
        (Value::String(text), Value::String(name)) => {
            match name.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
                Some(name) => {
                    let before = found.insert(name.to_owned(), text.clone());
                    before.is_none_or(|before| before == *text)
                }
                None => text == name,
            }
        }
        (Value::Object(actual), Value::Object(expected)) => {
            actual.len() == expected.len()
                && expected.iter().all(|(key, expected)| {
                    actual.get(key).is_some_and(|actual| matches(actual, expected, found))
                })
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.len() == expected.len()
                && actual
                    .iter()
                    .zip(expected)
                    .all(|(actual, expected)| matches(actual, expected, found))
        }
        _ => actual == expected,
    }
}
