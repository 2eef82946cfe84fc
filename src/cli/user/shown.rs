//! An account as the command line shows it.

use serde::Serialize;

use crate::cli::output::table;
use crate::cli::session::rfc3339;
use crate::clock::Timestamp;
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
    /// Whether it has a second factor.
    second_factor: bool,
    /// Addresses with too many wrong passwords; shown of one account alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    locks: Option<Vec<Lock>>,
}

/// The clients that an account is locked for.
#[derive(Debug, Serialize)]
struct Lock {
    network: String,
    until: String,
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
            second_factor: user.second_factor.is_some(),
            locks: None,
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

    /// The account with the networks that it is locked for, each until an instant.
    pub(super) fn locked(mut self, locks: Vec<(String, Timestamp)>) -> Self {
        let lock = |(network, until)| Lock { network, until: rfc3339(until) };
        self.locks = Some(locks.into_iter().map(lock).collect());
        self
    }

    pub(super) fn text(&self) -> String {
        let locks = self.locks.iter().flatten();
        let locks = locks.map(|lock| format!("\nlocked for {} until {}", lock.network, lock.until));
        let factor = if self.second_factor { "\nhas a second factor" } else { "" };
        table(&Self::HEADINGS, &[self.row()]) + factor + &locks.collect::<String>()
    }
}
