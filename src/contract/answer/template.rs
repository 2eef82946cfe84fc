//! Value trees with slots, written as JSON with the values of one answer.
//!
//! A tree is written member by member in the order of the contract's file; nothing is built in
//! between. What a slot stands for keeps its type.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;

use crate::contract::answer::slot::Slot;
use crate::contract::answer::slot_values::{SlotValue, SlotValues};
use crate::contract::answer::time_format::{TimeFormat, WrittenTime};
use crate::secret::Secret;

/// A value with slots.
#[derive(Clone, Debug)]
pub(crate) enum Template {
    /// A value without slots, as JSON.
    Fixed(String),
    /// A slot alone: its value, typed.
    Slot(SlotUse),
    /// Text with slots in it.
    Text(Text),
    /// An object, in the order of the file; each name as JSON, with its colon.
    Object(Vec<(String, Self)>),
    /// An array.
    List(Vec<Self>),
    /// One item for each session.
    EachSession(Box<Self>),
}

/// Text with slots in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    /// The parts, one after the other.
    pub(crate) pieces: Vec<Piece>,
}

/// A part of a text.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Literal text.
    Words(String),
    /// A slot.
    Slot(SlotUse),
}

/// A slot as a template names it.
#[derive(Clone, Debug)]
pub(crate) struct SlotUse {
    /// Which.
    pub(crate) slot: Slot,
    /// `{name?}`: without a value, the member or item with it is left out.
    pub(crate) optional: bool,
    /// The format of an instant.
    pub(crate) time: TimeFormat,
}

impl Template {
    /// Writes it as JSON.
    pub(crate) fn write(&self, values: &SlotValues<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(json) => out.extend_from_slice(json.as_bytes()),
            Self::Slot(slot) => slot.write(values, out),
            Self::Text(text) => json(&text.render(values), out),
            Self::Object(members) => {
                out.push(b'{');
                let present = members.iter().filter(|(_, value)| !value.is_left_out(values));
                for (index, (name, value)) in present.enumerate() {
                    separate(index, out);
                    out.extend_from_slice(name.as_bytes());
                    value.write(values, out);
                }
                out.push(b'}');
            }
            Self::List(items) => {
                out.push(b'[');
                let present = items.iter().filter(|item| !item.is_left_out(values));
                for (index, item) in present.enumerate() {
                    separate(index, out);
                    item.write(values, out);
                }
                out.push(b']');
            }
            Self::EachSession(item) => {
                out.push(b'[');
                if let SlotValue::Sessions(sessions) = values.value(&Slot::Sessions) {
                    for (index, session) in sessions.iter().enumerate() {
                        separate(index, out);
                        item.write(&values.about(session), out);
                    }
                }
                out.push(b']');
            }
        }
    }

    /// The same template, in which what is known beforehand stands as JSON already: `values` has
    /// the slots that `is_known`.
    pub(super) fn folded(&self, values: &SlotValues<'_>, is_known: &dyn Fn(&Slot) -> bool) -> Self {
        let folded = |template: &Self| {
            let is_absent = template.is_known(is_known) && template.is_left_out(values);
            (!is_absent).then(|| template.folded(values, is_known))
        };
        match self {
            Self::Object(members) => {
                let mut all: Vec<(String, Self)> = Vec::new();
                for (name, value) in members {
                    match (all.last_mut(), folded(value)) {
                        (_, None) => {}
                        (Some((before, Self::Fixed(json))), Some(Self::Fixed(value))) => {
                            *before = format!("{before}{json},{name}");
                            *json = value;
                        }
                        (_, Some(value)) => all.push((name.clone(), value)),
                    }
                }
                match all.as_slice() {
                    [(name, Self::Fixed(json))] => Self::Fixed(format!("{{{name}{json}}}")),
                    _ => Self::Object(all),
                }
            }
            Self::List(items) => Self::List(items.iter().filter_map(folded).collect()),
            value if value.is_known(is_known) => Self::Fixed(value.to_json(values)),
            value => value.clone(),
        }
    }

    /// Whether a slot alone, or a text, has no slots but known ones.
    fn is_known(&self, is_known: &dyn Fn(&Slot) -> bool) -> bool {
        match self {
            Self::Slot(slot) => is_known(&slot.slot),
            Self::Text(text) => text.is_known(is_known),
            Self::Fixed(_) | Self::Object(_) | Self::List(_) | Self::EachSession(_) => false,
        }
    }

    fn to_json(&self, values: &SlotValues<'_>) -> String {
        let mut json = Vec::new();
        self.write(values, &mut json);
        String::from_utf8(json).unwrap_or_default()
    }

    fn is_left_out(&self, values: &SlotValues<'_>) -> bool {
        match self {
            Self::Slot(slot) => slot.is_left_out(values),
            Self::Text(text) => text.pieces.iter().any(|piece| match piece {
                Piece::Words(_) => false,
                Piece::Slot(slot) => slot.is_left_out(values),
            }),
            Self::Fixed(_) | Self::Object(_) | Self::List(_) | Self::EachSession(_) => false,
        }
    }
}

impl Text {
    /// Whether there are no slots in it but known ones.
    pub(super) fn is_known(&self, is_known: &dyn Fn(&Slot) -> bool) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Words(_) => true,
            Piece::Slot(slot) => is_known(&slot.slot),
        })
    }

    /// The text, its slots filled; one without a value leaves nothing.
    pub(crate) fn render(&self, values: &SlotValues<'_>) -> Cow<'_, str> {
        if let [Piece::Words(words)] = self.pieces.as_slice() {
            return Cow::Borrowed(words);
        }
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Words(words) => text.push_str(words),
                Piece::Slot(slot) => slot.append(values, &mut text),
            }
        }
        Cow::Owned(text)
    }
}

impl SlotUse {
    fn is_left_out(&self, values: &SlotValues<'_>) -> bool {
        self.optional && values.value(&self.slot) == SlotValue::Nothing
    }

    fn write(&self, values: &SlotValues<'_>, out: &mut Vec<u8>) {
        match values.value(&self.slot) {
            SlotValue::Nothing | SlotValue::Sessions(_) => out.extend_from_slice(b"null"),
            SlotValue::Boolean(value) => json(&value, out),
            SlotValue::Integer(number) => json(&number, out),
            SlotValue::Text(text) => json(&text, out),
            SlotValue::Texts(texts) => json(texts, out),
            SlotValue::Secrets(secrets) => json(&exposed(secrets), out),
            SlotValue::Json(value) => json(value, out),
            SlotValue::Time(instant) => match self.time.write(instant) {
                WrittenTime::Number(number) => json(&number, out),
                WrittenTime::Text(text) => json(&text, out),
            },
        }
    }

    fn append(&self, values: &SlotValues<'_>, text: &mut String) {
        match values.value(&self.slot) {
            SlotValue::Nothing | SlotValue::Sessions(_) => {}
            SlotValue::Text(value) => text.push_str(&value),
            SlotValue::Texts(values) => text.push_str(&values.join(" ")),
            SlotValue::Secrets(secrets) => text.push_str(&exposed(secrets).join(" ")),
            SlotValue::Time(instant) => text.push_str(&self.time.write(instant).into_text()),
            SlotValue::Boolean(value) => append(&value, text),
            SlotValue::Integer(number) => append(&number, text),
            SlotValue::Json(value) => append(value, text),
        }
    }
}

fn exposed(secrets: &[Secret<String>]) -> Vec<&str> {
    secrets.iter().map(|secret| secret.expose().as_str()).collect()
}

/// A value as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    #[expect(clippy::let_underscore_must_use, reason = "text and numbers into memory cannot fail")]
    let _ = serde_json::to_writer(out, value);
}

fn append(value: &impl std::fmt::Display, text: &mut String) {
    #[expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
    let _ = write!(text, "{value}");
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}
