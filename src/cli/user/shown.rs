//! An account as the command line shows it.

use serde::Serialize;

use crate::cli::output::table;
use crate::store::User;

/// An account as the command line shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: i64,
    realm: String,
    email: Option<String>,
    email_verified: bool,
    username: Option<String>,
    roles: Vec<String>,
    permissions: Vec<String>,
    enabled: bool,
}

impl From<&User> for Shown {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            realm: user.realm.clone(),
            email: user.email.as_ref().map(ToString::to_string),
            email_verified: user.email_verified,
            username: user.username.as_ref().map(ToString::to_string),
            roles: user.roles.clone(),
            permissions: user.permissions.clone(),
            enabled: user.enabled,
        }
    }
}

impl Shown {
    pub(super) const HEADINGS: [&str; 6] =
        ["ID", "EMAIL", "USERNAME", "ROLES", "PERMISSIONS", "STATE"];

    pub(super) fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let list = |items: &[String]| if items.is_empty() { dash() } else { items.join(",") };
        vec![
            self.id.to_string(),
            self.email.clone().unwrap_or_else(dash),
            self.username.clone().unwrap_or_else(dash),
            list(&self.roles),
            list(&self.permissions),
            if self.enabled { "enabled" } else { "disabled" }.to_owned(),
        ]
    }

    pub(super) fn text(&self) -> String {
        table(&Self::HEADINGS, &[self.row()])
    }
}
