//! `[site.X.identity]`: the headers that tell a backend who asks.

use http::HeaderName;

use crate::config::Expected;
use crate::config::Item;
use crate::config::Table;
use crate::config::header::folded;
use crate::config::header::identity_header;

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
        let mut config = Self {
            user_id: header("user_id", default.user_id),
            email: header("email", default.email),
            username: header("username", default.username),
            roles: header("roles", default.roles),
            permissions: header("permissions", default.permissions),
            session: header("session", default.session),
            claims: Vec::new(),
        };
        config.claims = table
            .table("claims", "claims")
            .map(|claims| claim_headers(&claims))
            .unwrap_or_default();
        for (item, name) in given {
            if config.is_ambiguous(&name) {
                item.bad(TWICE);
            }
        }
        for (name, _) in table.table("claims", "claims").iter().flat_map(Table::entries) {
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
        fixed.into_iter().flatten().chain(self.claims.iter().map(|(name, _)| name))
    }

    /// Whether a backend may take two of the headers for one.
    fn is_ambiguous(&self, name: &HeaderName) -> bool {
        let alike = |other: &&HeaderName| folded(other.as_str()) == folded(name.as_str());
        self.headers().filter(alike).count() > 1
    }
}

fn claim_headers(table: &Table<'_>) -> Vec<(HeaderName, String)> {
    let entries = table.entries().into_iter();
    entries
        .filter_map(|(name, item)| {
            let header = name.parse(identity_header);
            let claim = item.parse(claim_name);
            header.zip(claim)
        })
        .collect()
}

fn claim_name(text: &str) -> Result<String, Expected> {
    if text.is_empty() {
        return Err(Expected::new("expected the name of a claim"));
    }
    Ok(text.to_owned())
}

const TWICE: &str = "another identity header has this name, or one that some backends read alike";
