//! The body of a request to an endpoint: JSON or a form, as its media type says.

use crate::contract::input::json;
use crate::contract::input::json::JsonMember;
use crate::encoding::form;
use crate::operation::{Problem, ProblemKind, Rejection};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// A form of body that an endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// A JSON object.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A JSON object under the media type of forms, as `curl -d` sends it.
    JsonInForm,
}

/// The wanted members of a body, by their places.
#[derive(Debug, Default)]
pub(crate) struct Body {
    members: Vec<(String, JsonMember)>,
}

/// The content of one place of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Nothing, `null`, or blank text.
    Nothing,
    /// No text.
    Mistyped,
    /// Text.
    Text(&'a str),
}

impl Accept {
    /// Every form with its name in a contract file.
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("json", Self::Json), ("form", Self::Form), ("json-in-form", Self::JsonInForm)];
}

impl Body {
    /// Reads some places of a body, in one of the accepted media types.
    ///
    /// A place is a path of names joined by dots in JSON, and the name of a field in a form.
    pub(crate) fn read(
        bytes: &[u8],
        headers: &HeaderMap,
        accept: &[Accept],
        places: &[&str],
    ) -> Result<Self, Rejection> {
        // Some editors and libraries begin a text with a byte order mark (RFC 8259 §8.1).
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let json = |bytes| json(bytes, places);
        let form = |bytes| form(bytes, places);
        let takes = |form| accept.contains(&form);
        let looks_like_json = bytes.trim_ascii_start().first() == Some(&b'{');
        match media_type(headers)?.as_deref() {
            // Without a media type the body's first byte decides.
            None if takes(Accept::Form) && !looks_like_json => form(bytes),
            None if takes(Accept::Json) || takes(Accept::JsonInForm) => json(bytes),
            Some(name) if is_json(name) && (takes(Accept::Json) || takes(Accept::JsonInForm)) => {
                json(bytes)
            }
            Some("application/x-www-form-urlencoded") => {
                if takes(Accept::JsonInForm) && (looks_like_json || !takes(Accept::Form)) {
                    json(bytes)
                } else if takes(Accept::Form) {
                    form(bytes)
                } else {
                    Err(refuse("a form, which the endpoint does not take"))
                }
            }
            _ => Err(refuse("a media type that the endpoint does not take")),
        }
    }

    /// The content of one of the places.
    pub(crate) fn find(&self, place: &str) -> Found<'_> {
        match self.members.iter().find(|(own, _)| own == place) {
            None | Some((_, JsonMember::Nothing)) => Found::Nothing,
            Some((_, JsonMember::Mistyped)) => Found::Mistyped,
            Some((_, JsonMember::Text(text))) => Found::of(text),
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

impl<'a> Found<'a> {
    /// Text that is there, unless it is blank.
    pub(crate) fn of(text: &'a str) -> Self {
        if text.trim().is_empty() { Self::Nothing } else { Self::Text(text) }
    }
}

/// The content of a named field.
pub(crate) fn find_field<'a>(fields: &'a [(String, String)], name: &str) -> Found<'a> {
    let field = fields.iter().find(|(own, _)| own == name);
    field.map_or(Found::Nothing, |(_, value)| Found::of(value))
}

/// The media type in lower case, without parameters.
fn media_type(headers: &HeaderMap) -> Result<Option<String>, Rejection> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => {
            let name = text.split(';').next().unwrap_or_default();
            Ok(Some(name.trim().to_ascii_lowercase()))
        }
        _ => Err(refuse("a content type that does not read")),
    }
}

fn is_json(media_type: &str) -> bool {
    let subtype = media_type.strip_prefix("application/");
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

fn json(bytes: &[u8], places: &[&str]) -> Result<Body, Rejection> {
    // Members that the endpoint does not map are skipped unseen: their text is checked here.
    let Ok(text) = std::str::from_utf8(bytes) else { return Err(refuse("JSON that is no UTF-8")) };
    match json::read(text, places) {
        Ok(found) => {
            let places = places.iter().map(|place| (*place).to_owned());
            Ok(Body { members: places.zip(found).collect() })
        }
        Err(error) => {
            // Line and column are enough for the operator; the text may hold a password.
            let place = format!("no JSON object at line {}:{}", error.line(), error.column());
            Err(Rejection { reason: place.into(), ..refuse("") })
        }
    }
}

fn form(bytes: &[u8], places: &[&str]) -> Result<Body, Rejection> {
    let Some(fields) = form::parse(bytes, places) else {
        return Err(refuse("a form that is no UTF-8"));
    };
    let text = |(name, value)| (name, JsonMember::Text(value));
    Ok(Body { members: fields.into_iter().map(text).collect() })
}

fn refuse(reason: &'static str) -> Rejection {
    let problem = Problem { field: "body".to_owned(), kind: ProblemKind::Body, message: None };
    Rejection { reason: reason.into(), ..Rejection::invalid_input(problem) }
}
