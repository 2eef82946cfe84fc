//! An account as a record of a file: read by `user import`, written by `user export`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::auth::passwords::imported::{HashFault, ImportedHash};
use crate::auth::passwords::pool::fault_of_verifier;
use crate::clock::Timestamp;
use crate::operation::IdentityError;
use crate::store::User;
use crate::token::KeyError;

/// The fields of a line.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccountRecord {
    /// Written for reference; an imported account gets a number of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// A hash of the password itself, in the notation of wherever it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<String>,
    /// A stored verifier of another gateway, word for word.
    #[serde(skip_serializing_if = "Option::is_none")]
    verifier: Option<String>,
    roles: Vec<String>,
    permissions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

/// A fault of a line. The words never repeat a hash.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowFault {
    #[error("{field}: {source}")]
    Name {
        field: &'static str,
        #[source]
        source: IdentityError,
    },
    #[error("neither email nor username")]
    Nameless,
    #[error("password_hash: {0}")]
    Hash(#[from] HashFault),
    #[error("verifier: {0}")]
    Verifier(String),
    #[error("password_hash and verifier are both there")]
    TwoHashes,
    #[error("{0}: expected true or false")]
    Flag(&'static str),
    #[error("attributes: expected a JSON object")]
    Attributes,
    #[error("created_at: expected an instant such as 2025-01-31T09:00:00Z")]
    Instant,
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    #[error("{0}")]
    Csv(#[source] csv::Error),
    #[error(transparent)]
    Rights(#[from] KeyError),
    #[error("an account with this email or username exists")]
    Exists,
    #[error("line {0} has this email or username as well")]
    Twice(u64),
}

impl AccountRecord {
    /// The columns of a CSV file.
    pub(super) const COLUMNS: [&str; 11] = [
        "id",
        "email",
        "username",
        "password_hash",
        "verifier",
        "roles",
        "permissions",
        "email_verified",
        "enabled",
        "attributes",
        "created_at",
    ];

    /// Sets the value of a column of a CSV file; an empty one is ignored.
    pub(super) fn set(&mut self, column: &'static str, value: &str) -> Result<(), RowFault> {
        if value.is_empty() {
            return Ok(());
        }
        let text = || Some(value.to_owned());
        match column {
            "email" => self.email = text(),
            "username" => self.username = text(),
            "password_hash" => self.password_hash = text(),
            "verifier" => self.verifier = text(),
            "roles" => self.roles = list(value),
            "permissions" => self.permissions = list(value),
            "email_verified" => self.email_verified = Some(flag(column, value)?),
            "enabled" => self.enabled = Some(flag(column, value)?),
            "attributes" => {
                self.attributes = serde_json::from_str(value).or(Err(RowFault::Attributes))?;
            }
            "created_at" => self.created_at = text(),
            _ => {}
        }
        Ok(())
    }

    /// The values of all columns; `None` if a list could be read as two.
    pub(super) fn columns(&self) -> anyhow::Result<Option<[String; 11]>> {
        let mut items = self.roles.iter().chain(&self.permissions);
        if items.any(|item| item.contains(LIST_MARK) || item.trim() != item || item.is_empty()) {
            return Ok(None);
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let flag = |value: Option<bool>| value.map(|flag| flag.to_string()).unwrap_or_default();
        let attributes = if self.attributes.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&self.attributes)?
        };
        Ok(Some([
            self.id.map(|id| id.to_string()).unwrap_or_default(),
            text(&self.email),
            text(&self.username),
            text(&self.password_hash),
            text(&self.verifier),
            self.roles.join(";"),
            self.permissions.join(";"),
            flag(self.email_verified),
            flag(self.enabled),
            attributes,
            text(&self.created_at),
        ]))
    }

    /// The account that it describes.
    pub(super) fn new_user(self, realm: &str, now: Timestamp) -> Result<User, RowFault> {
        let verifier = verifier(self.password_hash, self.verifier)?;
        let named = |field| move |source| RowFault::Name { field, source };
        let email = self.email.map(|text| text.parse()).transpose().map_err(named("email"))?;
        let username =
            self.username.map(|text| text.parse()).transpose().map_err(named("username"))?;
        if email.is_none() && username.is_none() {
            return Err(RowFault::Nameless);
        }
        let created_at = self.created_at.map_or(Ok(now), |text| instant(&text))?;
        Ok(User {
            email_verified: self.email_verified.unwrap_or(false) && email.is_some(),
            email,
            username,
            verifier,
            roles: self.roles,
            permissions: self.permissions,
            enabled: self.enabled.unwrap_or(true),
            attributes: self.attributes,
            ..User::new(realm, created_at)
        })
    }

    /// The record of an account.
    pub(super) fn of(user: User, with_hash: bool) -> Self {
        Self {
            id: Some(user.id.0),
            email: user.email.map(|email| email.to_string()),
            username: user.username.map(|username| username.to_string()),
            password_hash: None,
            verifier: user.verifier.filter(|_| with_hash),
            roles: user.roles,
            permissions: user.permissions,
            email_verified: Some(user.email_verified),
            enabled: Some(user.enabled),
            attributes: user.attributes,
            created_at: user.created_at.to_rfc3339(),
        }
    }
}

/// The separator of a list's items in a CSV file.
const LIST_MARK: char = ';';

/// The verifier to store, from a hash or another gateway's verifier.
fn verifier(hash: Option<String>, verifier: Option<String>) -> Result<Option<String>, RowFault> {
    match (hash, verifier) {
        (Some(_), Some(_)) => Err(RowFault::TwoHashes),
        (None, None) => Ok(None),
        // Django's mark of an account without a password.
        (Some(hash), None) if hash.is_empty() || hash.starts_with('!') => Ok(None),
        (Some(hash), None) => Ok(Some(ImportedHash::read(&hash)?.stored())),
        (None, Some(verifier)) => match fault_of_verifier(&verifier) {
            Some(fault) => Err(RowFault::Verifier(fault)),
            None => Ok(Some(verifier)),
        },
    }
}

fn list(value: &str) -> Vec<String> {
    let items = value.split(LIST_MARK).map(str::trim).filter(|item| !item.is_empty());
    items.map(ToOwned::to_owned).collect()
}

/// Databases write `t` and `f`, or `1` and `0`.
fn flag(column: &'static str, value: &str) -> Result<bool, RowFault> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(RowFault::Flag(column)),
    }
}

fn instant(text: &str) -> Result<Timestamp, RowFault> {
    Timestamp::from_rfc3339(text).ok_or(RowFault::Instant)
}

#[cfg(test)]
mod tests {
    use super::{AccountRecord, RowFault};
    use crate::clock::Timestamp;
    use crate::operation::UserId;
    use crate::store::User;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_123);

    fn read(json: &str) -> Result<User, RowFault> {
        let record: AccountRecord = serde_json::from_str(json).map_err(RowFault::Json)?;
        record.new_user("default", NOW)
    }

    fn user() -> User {
        User {
            id: UserId(7),
            realm: "default".to_owned(),
            email: Some("ann@example.com".parse().unwrap()),
            email_verified: true,
            username: Some("ann".parse().unwrap()),
            verifier: Some(
                "imported:$2b$04$xtDYl31Wtd8.g6Il7m8p.umyUEfAqlEt9W5UlsGwaoWtF7a001aDG".to_owned(),
            ),
            second_factor: None,
            roles: vec!["user".to_owned(), "editor".to_owned()],
            permissions: vec!["SMS".to_owned()],
            enabled: false,
            generation: 3,
            attributes: [("phone".to_owned(), "+82 10".into())].into(),
            created_at: NOW,
            last_login_at: None,
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_account_in_both_formats() {
        let record = AccountRecord::of(user(), true);
        let json = serde_json::to_string(&record).unwrap();
        let mut from_csv = AccountRecord::default();
        for (column, value) in
            AccountRecord::COLUMNS.into_iter().zip(record.columns().unwrap().unwrap())
        {
            from_csv.set(column, &value).unwrap();
        }

        for (format, new) in [("JSON", read(&json)), ("CSV", from_csv.new_user("default", NOW))] {
            let new = new.unwrap_or_else(|fault| panic!("{format}: {fault}"));
            assert_eq!(new.email, user().email, "{format}");
            assert_eq!(new.username, user().username, "{format}");
            assert_eq!(new.verifier, user().verifier, "{format}");
            assert_eq!(new.roles, user().roles, "{format}");
            assert_eq!(new.permissions, user().permissions, "{format}");
            assert_eq!((new.email_verified, new.enabled), (true, false), "{format}");
            assert_eq!(new.attributes, user().attributes, "{format}");
            assert_eq!(new.created_at, NOW, "{format}");
        }
    }

    #[test]
    fn hashes_are_written_only_on_request() {
        let json = serde_json::to_string(&AccountRecord::of(user(), false)).unwrap();

        assert!(!json.contains("verifier") && !json.contains("$2b$"), "{json}");
    }

    #[test]
    fn a_list_that_csv_cannot_hold_is_not_written() {
        for role in ["a;b", " a", ""] {
            let user = User { roles: vec![role.to_owned()], ..user() };
            assert!(AccountRecord::of(user, false).columns().unwrap().is_none(), "{role:?}");
        }
    }

    #[test]
    fn a_line_at_fault_says_what_is_wrong() {
        let ours = "$argon2id$v=19$m=8,t=1,p=1$Vx01LbRXaldPtILXDt7xYA\
                    $kWaxUooYfVn9wuYEtd/m3jh6enqM6ODGjugjNwtU/pg";
        let two =
            format!(r#"{{"email": "a@b.c", "password_hash": "{ours}", "verifier": "{ours}"}}"#);
        let rows = [
            (r#"{"email": "no"}"#, "email: not an email address"),
            (r#"{"email": "a@b.c", "username": "a  b"}"#, "username: not a user name"),
            (r#"{"roles": []}"#, "neither email nor username"),
            (r#"{"email": "a@b.c", "pasword": "x"}"#, "unknown field `pasword`"),
            (r#"{"email": "a@b.c", "password_hash": "{noop}x"}"#, "password_hash: plain text"),
            (r#"{"email": "a@b.c", "verifier": "x"}"#, "verifier: it is no PHC string"),
            (two.as_str(), "both there"),
            (r#"{"email": "a@b.c", "created_at": "yesterday"}"#, "created_at: expected"),
            (r#"{"email": "a@b.c", "enabled": "yes"}"#, "expected a boolean"),
            (r#"["a@b.c"]"#, "invalid type"),
            (r#"{"email": "a@b.c""#, "EOF"),
        ];
        for (line, expected) in rows {
            let fault = read(line).expect_err(line).to_string();
            assert!(fault.contains(expected), "{line}: {fault}");
        }
        let fault = AccountRecord::default().set("enabled", "maybe").unwrap_err().to_string();
        assert_eq!(fault, "enabled: expected true or false");
        let fault = AccountRecord::default().set("attributes", "[1]").unwrap_err().to_string();
        assert_eq!(fault, "attributes: expected a JSON object");
    }

    #[test]
    fn our_own_verifiers_and_foreign_hashes_are_told_apart() {
        let argon2 = "$argon2id$v=19$m=8,t=1,p=1$Vx01LbRXaldPtILXDt7xYA\
                      $kWaxUooYfVn9wuYEtd/m3jh6enqM6ODGjugjNwtU/pg";
        let line =
            |field: &str, hash: &str| format!(r#"{{"username": "ann", "{field}": "{hash}"}}"#);

        let foreign = read(&line("password_hash", argon2)).unwrap().verifier.unwrap();
        let ours = read(&line("verifier", argon2)).unwrap().verifier.unwrap();

        assert_eq!(foreign, format!("imported:{argon2}"));
        assert_eq!(ours, argon2);
        assert_eq!(read(&line("verifier", &foreign)).unwrap().verifier.unwrap(), foreign);
        assert_eq!(read(&line("password_hash", "!x9")).unwrap().verifier, None);
        assert_eq!(read(r#"{"username": "ann"}"#).unwrap().verifier, None);
    }
}
