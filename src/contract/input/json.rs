//! Reads the members of a JSON object that an endpoint maps, and skips all others.
//!
//! A tree of everything sent would let eight megabytes of small values become hundreds in memory
//! before the client is authenticated.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The content of one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum JsonMember {
    /// Nothing, or `null`.
    #[default]
    Nothing,
    /// A string.
    Text(String),
    /// A value of another type.
    Mistyped,
}

/// Reads an object; the members come in the order of `paths`, names joined by dots.
pub(crate) fn read(text: &str, paths: &[&str]) -> Result<Vec<JsonMember>, serde_json::Error> {
    let mut members = vec![JsonMember::Nothing; paths.len()];
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let paths = paths.iter().enumerate().map(|(index, path)| (index, Some(*path))).collect();
    deserializer.deserialize_map(Value { paths, members: &mut members })?;
    deserializer.end()?;
    Ok(members)
}

/// A value and the paths that end in it (`None`) or lead through it.
struct Value<'p, 'm> {
    paths: Vec<(usize, Option<&'p str>)>,
    members: &'m mut [JsonMember],
}

impl Value<'_, '_> {
    /// Sets what ends here, and forgets what an earlier member of the same name held below.
    ///
    /// The text is not copied again (it may be a picture): of a path given twice the first has it.
    fn set(&mut self, own: JsonMember) {
        let mut own = Some(own);
        for (index, rest) in &self.paths {
            if let Some(member) = self.members.get_mut(*index) {
                let own = if rest.is_none() { own.take() } else { None };
                *member = own.unwrap_or_default();
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.paths.is_empty() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_ignored| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.set(JsonMember::Mistyped);
        while let Some(key) = map.next_key::<String>()? {
            let below = |(index, rest): &(usize, Option<_>)| {
                let (name, rest) = split(rest.unwrap_or_default());
                (name == key && !name.is_empty()).then_some((*index, rest))
            };
            let paths = self.paths.iter().filter_map(below).collect();
            map.next_value_seed(Value { paths, members: &mut *self.members })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.set(JsonMember::Mistyped);
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.set(JsonMember::Text(text.to_owned()));
        Ok(())
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.set(JsonMember::Nothing);
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.set(JsonMember::Mistyped);
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.visit_bool(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.visit_bool(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.visit_bool(false)
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonMember, read};

    #[test]
    fn the_mapped_members_are_read_and_the_last_of_a_name_wins() {
        let text = |text: &str| JsonMember::Text(text.to_owned());
        let rows = [
            (
                r#"{"a":"1","b":{"c":"2"},"x":[{"a":"3"}]}"#,
                [text("1"), JsonMember::Mistyped, text("2")],
            ),
            (r#"{"a":"1","a":"2"}"#, [text("2"), JsonMember::Nothing, JsonMember::Nothing]),
            (
                r#"{"a":"1","a":null}"#,
                [JsonMember::Nothing, JsonMember::Nothing, JsonMember::Nothing],
            ),
            (r#"{"b":{"c":"1"},"b":"2"}"#, [JsonMember::Nothing, text("2"), JsonMember::Nothing]),
            (
                r#"{"b":{"c":"1"},"b":{}}"#,
                [JsonMember::Nothing, JsonMember::Mistyped, JsonMember::Nothing],
            ),
            (
                r#"{"a":1,"b":[],"b.c":"x"}"#,
                [JsonMember::Mistyped, JsonMember::Mistyped, JsonMember::Nothing],
            ),
            (
                r#"{"":"x","a":-1.5e300}"#,
                [JsonMember::Mistyped, JsonMember::Nothing, JsonMember::Nothing],
            ),
            (r#"{"\u0061":"\ud55c"}"#, [text("한"), JsonMember::Nothing, JsonMember::Nothing]),
        ];
        for (json, expected) in rows {
            assert_eq!(read(json, &["a", "b", "b.c"]).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_whole_object_is_refused() {
        for json in
            ["", "[]", "1", "null", "\"a\"", "{", "{} {}", "{\"a\":\"\\ud800\"}", "{\"a\":}"]
        {
            assert!(read(json, &["a"]).is_err(), "{json}");
        }
    }
}
