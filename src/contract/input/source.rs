//! The source of an input: `body:user.email`, `query:scope`, `cookie:refresh`, `bearer`.

use crate::document::suggestion;
use std::fmt;

use http::HeaderName;

/// The place in a request that an input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputSource {
    /// A member of JSON, names joined by dots, or the field of a form of that very name.
    Body(String),
    /// A parameter of the query.
    Query(String),
    /// The segment that stands for `{name}` in the endpoint's path.
    Path(String),
    /// A request header.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// No place: this very text.
    Fixed(String),
    /// The access token in `Authorization`, verified before the contract sees the request.
    Bearer,
}

const KINDS: [&str; 7] = ["body", "query", "path", "header", "cookie", "fixed", "bearer"];

impl InputSource {
    /// Reads a source, or says what to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match (kind, name) {
            ("bearer", "") if text == "bearer" => Ok(Self::Bearer),
            ("bearer", _) => Err("`bearer` takes no name".to_owned()),
            ("body" | "query" | "path" | "header" | "cookie", "") => Err(format!("`{kind}:NAME`")),
            ("fixed", "") => Err("`fixed:TEXT`".to_owned()),
            ("body", name) => Ok(Self::Body(name.to_owned())),
            ("query", name) => Ok(Self::Query(name.to_owned())),
            ("path", name) => Ok(Self::Path(name.to_owned())),
            ("cookie", name) => Ok(Self::Cookie(name.to_owned())),
            ("fixed", text) => Ok(Self::Fixed(text.to_owned())),
            ("header", name) => match HeaderName::try_from(name) {
                Ok(header) => Ok(Self::Header(header)),
                Err(_) => Err(format!("`{name}` is no header name")),
            },
            _ => Err(suggestion(kind, KINDS)),
        }
    }

    /// The place in the body.
    pub(crate) fn as_body(&self) -> Option<&str> {
        match self {
            Self::Body(path) => Some(path),
            _ => None,
        }
    }

    /// The parameter of the query.
    pub(crate) fn as_query(&self) -> Option<&str> {
        match self {
            Self::Query(name) => Some(name),
            _ => None,
        }
    }

    /// The cookie's name.
    pub(crate) fn as_cookie(&self) -> Option<&str> {
        match self {
            Self::Cookie(name) => Some(name),
            _ => None,
        }
    }

    /// The constant.
    pub(crate) fn as_fixed(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) => Some(text),
            _ => None,
        }
    }

    /// The name that a client knows it by.
    pub(crate) fn client_name(&self) -> &str {
        match self {
            Self::Body(name)
            | Self::Query(name)
            | Self::Path(name)
            | Self::Cookie(name)
            | Self::Fixed(name) => name,
            Self::Header(name) => name.as_str(),
            Self::Bearer => "Authorization",
        }
    }
}

impl fmt::Display for InputSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Body(_) => "body",
            Self::Query(_) => "query",
            Self::Path(_) => "path",
            Self::Header(_) => "header",
            Self::Cookie(_) => "cookie",
            Self::Fixed(_) => "fixed",
            Self::Bearer => return formatter.write_str("bearer"),
        };
        write!(formatter, "{kind}:{}", self.client_name())
    }
}
