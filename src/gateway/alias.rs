//! Compares header names as a backend may: `X_User_Id` and `X.User.Id` are `X-User-Id` to CGI,
//! WSGI and PHP (CVE-2025-64484), so names are folded to `[a-z0-9]`.

use http::HeaderName;

use crate::gateway::forwarded::ADDRESS_CLAIMS;

/// Says whether `name`, folded, is one of `folded`.
pub(crate) fn is_alias_of(name: &HeaderName, folded: &[String]) -> bool {
    folded.iter().any(|known| folds_to(name.as_str(), known))
}

/// Says whether a backend may take `name` for `other`.
pub(crate) fn is_alike(name: &HeaderName, other: &HeaderName) -> bool {
    letters(name.as_str()).eq(letters(other.as_str()))
}

/// Says whether `name` is a misspelling (`_`, `.`, …) of a header that the gateway states, or
/// that decides about identity or framing.
pub(crate) fn imitates(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return false;
    }
    let mut start = letters(name);
    let forwarded = "xforwarded";
    if forwarded.bytes().all(|byte| start.next() == Some(byte)) {
        return true;
    }
    STATED.iter().chain(&ADDRESS_CLAIMS).any(|known| letters(name).eq(letters(known)))
}

/// What [`imitates`] protects, with [`ADDRESS_CLAIMS`] and every `X-Forwarded-…`.
const STATED: [&str; 16] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

fn folds_to(name: &str, folded: &str) -> bool {
    letters(name).eq(folded.bytes())
}

fn letters(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::imitates;
    use super::is_alias_of;

    #[test]
    fn every_spelling_of_an_identity_header_is_an_alias() {
        let names = ["xuserid".to_owned(), "xuserroles".to_owned()];
        let rows = [
            ("x-user-id", true),
            ("x_user_id", true),
            ("x-user_id", true),
            ("x.user.id", true),
            ("xuserid", true),
            ("x_user_roles", true),
            ("x-user-ids", false),
            ("x-user", false),
        ];

        for (name, expected) in rows {
            assert_eq!(is_alias_of(&HeaderName::from_static(name), &names), expected, "{name}");
        }
    }

    #[test]
    fn only_misspelt_names_imitate() {
        let rows = [
            ("x_forwarded_for", true),
            ("x-forwarded_prefix", true),
            ("content_length", true),
            ("transfer_encoding", true),
            ("x_request_id", true),
            ("true_client_ip", true),
            ("cf.connecting-ip", true),
            ("x-forwarded-for", false),
            ("authorization", false),
            ("x_trace", false),
        ];

        for (name, expected) in rows {
            assert_eq!(imitates(&HeaderName::from_static(name)), expected, "{name}");
        }
    }
}
