//! `[site.X.identity]`: the headers that name the authenticated user to a backend.

use http::HeaderName;

use crate::config::values::header::{folded, identity_header};
use crate::document::{Expected, Item, Table};

/// `[site.X.identity]`: header names, `None` (written `""`): not sent. A reload applies them.
///
/// Incoming headers of these names, and look-alikes with `_` or `.`, never reach a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityConfig {
    /// The user's id; default `X-User-Id`.
    pub user_id: Option<HeaderName>,
    /// The address, where the account has one; default `X-User-Email`.
    pub email: Option<HeaderName>,
    /// The name, where the account has one; default `X-User-Name`.
    pub username: Option<HeaderName>,
    /// The roles, joined by commas; default `X-User-Roles`.
    pub roles: Option<HeaderName>,
    /// The permissions, joined by commas; default `X-User-Permissions`.
    pub permissions: Option<HeaderName>,
    /// The session's id; default `X-Session-Id`.
    pub session: Option<HeaderName>,
    /// Header → claim of the token; default none.
    pub claims: Vec<(HeaderName, String)>,
    /// Header → text attribute of the account, which tokens then carry; default none, at most 8.
    pub attributes: Vec<(HeaderName, String)>,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        let name = |name| Some(HeaderName::from_static(name));
        Self {
            user_id: name("x-user-id"),
            email: name("x-user-email"),
            username: name("x-user-name"),
            roles: name("x-user-roles"),
            permissions: name("x-user-permissions"),
            session: name("x-session-id"),
            claims: Vec::new(),
            attributes: Vec::new(),
        }
    }
}

impl IdentityConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let mut given: Vec<(Item<'_>, HeaderName)> = Vec::new();
        let mut header = |key, default: Option<HeaderName>| match table.item(key) {
            None => default,
            Some(item) if item.is_empty_text() => None,
            Some(item) => {
                let name = item.parse(identity_header)?;
                given.push((item, name.clone()));
                Some(name)
            }
        };
        let config = Self {
            user_id: header("user_id", default.user_id),
            email: header("email", default.email),
            username: header("username", default.username),
            roles: header("roles", default.roles),
            permissions: header("permissions", default.permissions),
            session: header("session", default.session),
            claims: named_headers(table.table("claims", "claims").as_ref(), "a claim"),
            attributes: named_headers(
                table.table("attributes", "attributes").as_ref(),
                "an attribute",
            ),
        };
        if let Some(item) = table.item("attributes")
            && config.attributes.len() > MOST_ATTRIBUTES
        {
            item.bad(format!("expected at most {MOST_ATTRIBUTES}: every token carries them"));
        }
        for (item, name) in given {
            if config.is_ambiguous(&name) {
                item.bad(TWICE);
            }
        }
        let named = [table.table("claims", "claims"), table.table("attributes", "attributes")];
        for (name, _) in named.iter().flatten().flat_map(Table::entries) {
            if identity_header(name.text).is_ok_and(|header| config.is_ambiguous(&header)) {
                name.fault(format!("bad name `{}`", name.text), TWICE);
            }
        }
        table.end();
        config
    }

    /// Every header of the site's identity.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        let fixed = [
            &self.user_id,
            &self.email,
            &self.username,
            &self.roles,
            &self.permissions,
            &self.session,
        ];
        let named = self.claims.iter().chain(&self.attributes).map(|(name, _)| name);
        fixed.into_iter().flatten().chain(named)
    }

    /// Whether a backend may take two of the headers for one.
    fn is_ambiguous(&self, name: &HeaderName) -> bool {
        let alike = |other: &&HeaderName| folded(other.as_str()) == folded(name.as_str());
        self.headers().filter(alike).count() > 1
    }
}

fn named_headers(table: Option<&Table<'_>>, what: &str) -> Vec<(HeaderName, String)> {
    let entries = table.into_iter().flat_map(Table::entries);
    entries
        .filter_map(|(name, item)| {
            let header = name.parse(identity_header);
            let source = item.parse(|text| match text {
                "" => Err(Expected::new(format!("expected the name of {what}"))),
                text => Ok(text.to_owned()),
            });
            header.zip(source)
        })
        .collect()
}

/// With their longest values a quarter of a token.
const MOST_ATTRIBUTES: usize = 8;

const TWICE: &str = "another identity header has this name, or one that some backends read alike";
