//! `token_from = ["bearer", "cookie", …]`: where a request may carry its token.

use crate::document::{Expected, Item};

/// `token_from`, of a site or a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSources {
    /// `"bearer"`: `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
    pub bearer: bool,
    /// `"cookie"`: the cookies of a browser's session.
    pub cookie: bool,
    /// `"subprotocol"`: `Sec-WebSocket-Protocol: bearer, TOKEN`, which a script in a browser can
    /// send.
    pub subprotocol: bool,
    /// `"query:NAME"`: a ticket in the query's parameter NAME.
    pub query: Option<String>,
}

impl Default for TokenSources {
    fn default() -> Self {
        Self { bearer: true, cookie: false, subprotocol: false, query: None }
    }
}

impl TokenSources {
    /// Reads the list.
    pub(super) fn read(item: &Item<'_>) -> Option<Self> {
        let mut sources = Self { bearer: false, ..Self::default() };
        let items = item.items()?;
        for item in &items {
            item.parse(|text| sources.add(text));
        }
        if items.is_empty() {
            item.bad("expected at least one of bearer, cookie, subprotocol, query:NAME");
            return None;
        }
        Some(sources)
    }

    /// Whether a token may stand elsewhere than in `Authorization`.
    #[must_use]
    pub const fn has_others(&self) -> bool {
        self.cookie || self.subprotocol || self.query.is_some()
    }

    fn add(&mut self, text: &str) -> Result<(), Expected> {
        match text {
            "bearer" => self.bearer = true,
            "cookie" => self.cookie = true,
            "subprotocol" => self.subprotocol = true,
            _ => match text.strip_prefix("query:") {
                Some(name) if is_parameter(name) && self.query.is_none() => {
                    self.query = Some(name.to_owned());
                }
                Some(name) if is_parameter(name) => {
                    return Err(Expected::new("one parameter of the query is enough"));
                }
                Some(_) => {
                    return Err(Expected::new("NAME of query:NAME has letters, digits, `-`, `_`"));
                }
                None => {
                    let names = ["bearer", "cookie", "subprotocol", "query:NAME"];
                    return Err(Expected::one_of(text, &names));
                }
            },
        }
        Ok(())
    }
}

/// Whether a name has one spelling in a query, which needs no percent-encoding.
fn is_parameter(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}
