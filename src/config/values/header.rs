//! Header names that a configuration may give to identity headers and to routes.

use http::HeaderName;

use crate::document::Expected;

/// Reads the name of any header.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, Expected> {
    HeaderName::try_from(text)
        .or(Err("expected a header name such as X-User-Id"))
        .map_err(Expected::new)
}

/// Reads a name that an identity header may have.
///
/// Names that frame a message, that proxies consume, or that already name the user or the client
/// would be changed under way or change the meaning of the request (RFC 9110 §7.6.1).
pub(crate) fn identity_header(text: &str) -> Result<HeaderName, Expected> {
    let name = header_name(text)?;
    if is_framing(&name) || TAKEN.iter().any(|taken| folded(taken) == folded(name.as_str())) {
        return Err(Expected::new("this header has a meaning of its own; name another"));
    }
    Ok(name)
}

/// Reads a name that a route may set or remove.
pub(crate) fn route_header(text: &str) -> Result<HeaderName, Expected> {
    let name = header_name(text)?;
    if name == http::header::HOST {
        return Err(Expected::new("`host = \"client\" | \"upstream\"` says which Host goes out"));
    }
    if is_framing(&name) {
        return Err(Expected::new("the gateway itself writes this header for every connection"));
    }
    Ok(name)
}

/// The letters and digits alone: backends that read `X_User_Id` as `X-User-Id` compare so.
pub(crate) fn folded(name: &str) -> String {
    name.bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

fn is_framing(name: &HeaderName) -> bool {
    FRAMING.iter().any(|framing| folded(framing) == folded(name.as_str()))
}

const FRAMING: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-authenticate",
    "proxy-authorization",
];

const TAKEN: [&str; 15] = [
    "authorization",
    "cookie",
    "set-cookie",
    "content-type",
    "content-encoding",
    "accept",
    "date",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "www-authenticate",
];

#[cfg(test)]
mod tests {
    use super::{identity_header, route_header};

    #[test]
    fn an_identity_header_takes_no_name_with_a_meaning_of_its_own() {
        for name in [
            "Host",
            "Content-Length",
            "content_length",
            "Transfer-Encoding",
            "Connection",
            "TE",
            "Upgrade",
            "Authorization",
            "Cookie",
            "X-Forwarded-For",
            "x.request.id",
            "",
            "X User",
            "X-Üser",
            "X-User:",
        ] {
            assert!(identity_header(name).is_err(), "{name}");
        }
        assert!(identity_header("X-User-Id").is_ok());
    }

    #[test]
    fn a_route_sets_no_framing_header() {
        for name in ["Host", "Content-Length", "Connection", "Keep-Alive", "a b"] {
            assert!(route_header(name).is_err(), "{name}");
        }
        assert!(route_header("Authorization").is_ok());
    }
}
