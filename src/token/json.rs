//! A strict reader of JSON objects: no member twice, few levels, nothing after the end.
//!
//! RFC 7515 §4 and RFC 7519 §4 let a reader refuse duplicate members; otherwise two readers of one
//! token could see different claims. Names are compared as decoded, so that an escaped spelling is
//! a duplicate too.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one object; `None` for anything else.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { levels: LEVELS }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The most levels of nesting, beyond any useful claim.
const LEVELS: usize = 16;

/// Reads a value that may nest `levels` deep.
#[derive(Clone, Copy)]
struct Strict {
    levels: usize,
}

impl Strict {
    fn below<E: Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom("too many levels"))?;
        Ok(Self { levels })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("no finite number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("a member stands twice"));
            }
            object.insert(name, members.next_value_seed(below)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{LEVELS, object};

    #[test]
    fn what_is_no_single_object_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1500), "]".repeat(1500));
        let beyond = format!("{{\"a\":{}{}}}", "[".repeat(LEVELS), "]".repeat(LEVELS));
        let rows: &[(&str, &[u8])] = &[
            ("empty", b""),
            ("array", b"[]"),
            ("string", b"\"a\""),
            ("null", b"null"),
            ("cut", b"{\"a\":1"),
            ("NaN", b"{\"a\":NaN}"),
            ("infinity", b"{\"a\":1e400}"),
            ("comment", b"{\"a\":1/* */}"),
            ("trailing comma", b"{\"a\":1,}"),
            ("byte order mark", b"\xef\xbb\xbf{\"a\":1}"),
            ("UTF-16", b"{\0\"\0a\0\"\0:\x001\0}\0"),
            ("invalid UTF-8", b"{\"a\":\"\xff\"}"),
            ("lone surrogate", b"{\"a\":\"\\ud800\"}"),
            ("raw control byte", b"{\"a\":\"\n\"}"),
            ("junk after", b"{\"a\":1}x"),
            ("two objects", b"{}{}"),
            ("duplicate", b"{\"a\":1,\"a\":1}"),
            ("escaped duplicate", b"{\"a\":1,\"\\u0061\":2}"),
            ("nested duplicate", b"{\"a\":{\"b\":1,\"b\":2}}"),
            ("1,500 levels", deep.as_bytes()),
            ("a level too deep", beyond.as_bytes()),
        ];

        for (name, bytes) in rows {
            assert!(object(bytes).is_none(), "{name} passed");
        }
    }

    #[test]
    fn an_object_keeps_its_types() {
        let read = object(br#" {"s":"x","n":-1,"f":1.5,"b":true,"z":null,"l":[{"k":1}]} "#);

        let expected = serde_json::json!(
            {"s": "x", "n": -1, "f": 1.5, "b": true, "z": null, "l": [{"k": 1}]}
        );
        assert_eq!(read.map(serde_json::Value::Object), Some(expected));
    }
}
