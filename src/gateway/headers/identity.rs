//! Identity headers for the backend, set from the verified token alone.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::config::{IdentityConfig, folded_name};
use crate::encoding::push_percent;
use crate::gateway::text::all_bytes;
use crate::operation::Principal;
use crate::token::{ATTRIBUTES_CLAIM, IdentityHeaders};

/// A site's identity headers.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    config: IdentityConfig,
    names: Vec<String>,
}

impl Identity {
    /// Takes a site's choice of names.
    pub(crate) fn new(config: &IdentityConfig) -> Self {
        // Backends that were set up for the default names look for them, whatever a site chose.
        let default = IdentityConfig::default();
        let headers = config.headers().chain(default.headers());
        let mut names: Vec<String> = headers.map(|name| folded_name(name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        Self { config: config.clone(), names }
    }

    /// The names, folded and sorted: every header that folds to one is removed.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The headers for an identity: once each; none for a claim that the token lacks.
    pub(crate) fn headers(&self, principal: &Principal) -> IdentityHeaders {
        let mut headers = Vec::with_capacity(8);
        let mut set = |name: &Option<HeaderName>, value: Option<HeaderValue>| {
            if let (Some(name), Some(value)) = (name, value) {
                put(&mut headers, name, value);
            }
        };
        let config = &self.config;
        let text = |text: &Option<String>| text.as_deref().and_then(header_value);
        let list = |items: &[String]| list_value(items.iter().map(Into::into));
        set(&config.user_id, header_value(&principal.subject));
        set(&config.email, text(&principal.email));
        set(&config.username, text(&principal.username));
        set(&config.roles, list(&principal.roles));
        set(&config.permissions, list(&principal.permissions));
        if config.session.is_some() {
            let session = principal.session.as_ref().map(ToString::to_string);
            set(&config.session, text(&session));
        }
        for (name, claim) in &config.claims {
            if let Some(value) = principal.claims.get(claim).and_then(claim_value) {
                put(&mut headers, name, value);
            }
        }
        let attributes = principal.claims.get(ATTRIBUTES_CLAIM).and_then(Value::as_object);
        for (name, attribute) in &config.attributes {
            let text = attributes.and_then(|all| all.get(attribute)).and_then(Value::as_str);
            if let Some(value) = text.and_then(header_value) {
                put(&mut headers, name, value);
            }
        }
        IdentityHeaders::new(headers)
    }
}

/// The later of two under one name counts.
fn put(headers: &mut Vec<(HeaderName, HeaderValue)>, name: &HeaderName, value: HeaderValue) {
    headers.retain(|(known, _)| known != name);
    headers.push((name.clone(), value));
}

/// Joins by commas, each item encoded by itself, so that no item reads as two.
fn list_value<'a, I>(items: I) -> Option<HeaderValue>
where
    I: IntoIterator<Item = Cow<'a, str>>,
{
    let mut text = String::new();
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        percent_encode(&mut text, &item, true);
    }
    HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
}

/// A claim as a header: a list of plain values as roles are, what has more structure as JSON.
fn claim_value(claim: &Value) -> Option<HeaderValue> {
    let items = claim.as_array().map(|items| items.iter().map(scalar));
    match items.and_then(Iterator::collect::<Option<Vec<_>>>) {
        Some(items) => list_value(items),
        None if claim.is_null() => None,
        None => header_value(&scalar(claim).unwrap_or_else(|| claim.to_string().into())),
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text as a header's value; none for an empty one.
fn header_value(text: &str) -> Option<HeaderValue> {
    if text.is_empty() {
        return None;
    }
    if is_plain(text, false) {
        return HeaderValue::from_str(text).ok();
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    percent_encode(&mut encoded, text, false);
    HeaderValue::try_from(encoded).ok()
}

/// Percent-encodes what is not printable ASCII, `%` itself, and blanks at either end, which a
/// reader would trim; within a list also commas. Two texts never come out alike.
fn percent_encode(encoded: &mut String, text: &str, in_list: bool) {
    if is_plain(text, in_list) {
        encoded.push_str(text);
        return;
    }
    let start = text.len() - text.trim_start_matches(' ').len();
    let end = text.trim_end_matches(' ').len();
    for (index, byte) in text.bytes().enumerate() {
        let blank_at_end = byte == b' ' && (index < start || index >= end);
        if stands_for_itself(byte, in_list) && !blank_at_end {
            encoded.push(char::from(byte));
        } else {
            push_percent(encoded, byte);
        }
    }
}

fn is_plain(text: &str, in_list: bool) -> bool {
    all_bytes(text, |byte| stands_for_itself(byte, in_list))
        && !text.starts_with(' ')
        && !text.ends_with(' ')
}

const fn stands_for_itself(byte: u8, in_list: bool) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'%' && !(in_list && byte == b',')
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use serde_json::json;

    use super::Identity;
    use crate::config::folded_name;
    use crate::gateway::fixtures::{identity_config, principal};

    #[test]
    fn every_spelling_of_an_identity_header_folds_to_its_name() {
        let identity = Identity::new(&identity_config());
        for name in ["X-User-Id", "x_user_id", "X.User.Id", "X-User_Id", "XUSERID", "x-plan"] {
            assert!(identity.names().contains(&folded_name(name)), "{name}");
        }
        for name in ["X-User", "X-Request-Id", "Authorization"] {
            assert!(!identity.names().contains(&folded_name(name)), "{name}");
        }
        assert!(identity.names().is_sorted());
    }

    #[test]
    fn default_names_are_stripped_where_a_site_sends_none() {
        let mut config = identity_config();
        config.user_id = Some(HeaderName::from_static("remote-user"));
        config.roles = None;

        let identity = Identity::new(&config);

        for name in ["remoteuser", "xuserid", "xuserroles"] {
            assert!(identity.names().contains(&name.to_owned()), "{name}");
        }
    }

    #[test]
    fn each_header_goes_out_once_with_the_tokens_value() {
        let identity = Identity::new(&identity_config());
        let mut principal = principal();
        principal.email = Some("you@example.com".to_owned());
        principal.roles = ["a", "b,admin", "b%2Cadmin", " c"].map(str::to_owned).into();
        principal.claims.insert("plan".to_owned(), json!(["pro", 2, "5%"]));

        let headers = identity.headers(&principal);

        let mut lines: Vec<_> = headers
            .fields()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "x-plan: pro,2,5%25",
                "x-user-email: you@example.com",
                "x-user-id: 7",
                "x-user-roles: a,b%2Cadmin,b%252Cadmin,%20c"
            ]
        );
    }

    #[test]
    fn a_value_beyond_printable_ascii_is_percent_encoded() {
        let identity = Identity::new(&identity_config());
        let rows = [
            ("plain name", "plain name"),
            ("이", "%EC%9D%B4"),
            ("a\r\nX-User-Id: 1", "a%0D%0AX-User-Id: 1"),
            (" admin ", "%20admin%20"),
            ("\u{7f}", "%7F"),
            ("50%", "50%25"),
            ("adm%69n", "adm%2569n"),
            ("%EC%9D%B4", "%25EC%259D%25B4"),
            ("a,b", "a,b"),
        ];
        for (name, sent) in rows {
            let mut principal = principal();
            principal.username = Some(name.to_owned());
            let headers = identity.headers(&principal);
            let (_, value) =
                headers.fields().iter().find(|(name, _)| name == "x-user-name").unwrap();
            assert_eq!(value, sent, "{name:?}");
        }
    }

    #[test]
    fn attributes_come_from_the_tokens_own_claim_alone() {
        let mut config = identity_config();
        let nickname = HeaderName::from_static("x-user-nickname");
        config.attributes.push((nickname, "nickname".to_owned()));
        let identity = Identity::new(&config);
        assert!(identity.names().contains(&"xusernickname".to_owned()));
        let rows = [
            (
                json!({ "attributes": { "nickname": "문지기 50%", "phone": "1" } }),
                Some("%EB%AC%B8%EC%A7%80%EA%B8%B0 50%25"),
            ),
            (json!({ "nickname": "a" }), None),
            (json!({ "attributes": { "nickname": 7 } }), None),
            (json!({ "attributes": { "nickname": "" } }), None),
            (json!({ "attributes": "nickname" }), None),
        ];
        for (claims, expected) in rows {
            let mut principal = principal();
            principal.claims = claims.as_object().unwrap().clone();
            let headers = identity.headers(&principal);
            let sent = headers.fields().iter().find(|(name, _)| name == "x-user-nickname");
            assert_eq!(sent.map(|(_, value)| value.to_str().unwrap()), expected, "{claims}");
        }
    }

    #[test]
    fn an_empty_or_null_claim_sends_nothing() {
        let identity = Identity::new(&identity_config());
        for claim in [json!(null), json!(""), json!([])] {
            let mut principal = principal();
            principal.claims.insert("plan".to_owned(), claim.clone());
            let headers = identity.headers(&principal);
            assert!(headers.fields().iter().all(|(name, _)| name != "x-plan"), "{claim}");
        }
    }
}
