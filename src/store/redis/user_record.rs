//! An account as the fields of a hash.

use std::collections::HashMap;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::operation::UserId;
use crate::store::StoreError;
use crate::store::User;
use crate::store::redis::fault::corrupt;

/// An account and what tells whether it has changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UserRecord {
    /// The account.
    pub(super) user: User,
    /// Rises with every change but the note of a login.
    pub(super) version: String,
}

/// Fields and values, as HSET takes them.
pub(super) type Fields = Vec<(&'static str, String)>;

impl UserRecord {
    /// Reads a hash; `None` where there is none.
    pub(super) fn read(fields: &HashMap<String, String>) -> Result<Option<Self>, StoreError> {
        if fields.is_empty() {
            return Ok(None);
        }
        let user = User {
            id: UserId(parsed(fields, "id")?),
            realm: required(fields, "realm")?.to_owned(),
            email: optional(fields, "email")?,
            email_verified: required(fields, "email_verified")? == "1",
            username: optional(fields, "username")?,
            verifier: fields.get("verifier").cloned(),
            roles: json(fields, "roles")?,
            permissions: json(fields, "permissions")?,
            enabled: required(fields, "enabled")? == "1",
            generation: parsed(fields, "generation")?,
            attributes: json(fields, "attributes")?,
            created_at: Timestamp::from_millis(parsed(fields, "created_at")?),
            last_login_at: optional(fields, "last_login_at")?.map(Timestamp::from_millis),
        };
        Ok(Some(Self { user, version: required(fields, "version")?.to_owned() }))
    }
}

/// The fields of an account that is made; what is absent has no field.
pub(super) fn fields_of(user: &User) -> Result<Fields, StoreError> {
    let mut fields = vec![
        ("id", user.id.to_string()),
        ("realm", user.realm.clone()),
        ("email_verified", flag(user.email_verified)),
        ("roles", to_json(&user.roles)?),
        ("permissions", to_json(&user.permissions)?),
        ("enabled", flag(user.enabled)),
        ("generation", user.generation.to_string()),
        ("attributes", to_json(&user.attributes)?),
        ("created_at", user.created_at.as_millis().to_string()),
        ("version", "0".to_owned()),
    ];
    fields.extend(user.email.as_ref().map(|email| ("email", email.to_string())));
    fields.extend(user.username.as_ref().map(|name| ("username", name.to_string())));
    fields.extend(user.verifier.clone().map(|verifier| ("verifier", verifier)));
    Ok(fields)
}

/// The fields that differ between an account and what it becomes.
pub(super) fn fields_changed(from: &User, to: &User) -> Result<Fields, StoreError> {
    let before: HashMap<_, _> = fields_of(from)?.into_iter().collect();
    let mut fields = fields_of(to)?;
    fields.retain(|(field, value)| before.get(field) != Some(value));
    Ok(fields)
}

fn flag(is_set: bool) -> String {
    if is_set { "1" } else { "0" }.to_owned()
}

fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(format!("user: {error}")))
}

fn required<'a>(fields: &'a HashMap<String, String>, field: &str) -> Result<&'a str, StoreError> {
    fields.get(field).map(String::as_str).ok_or_else(|| corrupt("user", field))
}

fn parsed<T: FromStr>(fields: &HashMap<String, String>, field: &str) -> Result<T, StoreError> {
    required(fields, field)?.parse().ok().ok_or_else(|| corrupt("user", field))
}

fn optional<T: FromStr>(
    fields: &HashMap<String, String>,
    field: &str,
) -> Result<Option<T>, StoreError> {
    fields.get(field).map(|_| parsed(fields, field)).transpose()
}

fn json<T: DeserializeOwned>(
    fields: &HashMap<String, String>,
    field: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(required(fields, field)?)
        .map_err(|error| StoreError::Corrupt(format!("user: {field}: {error}")))
}
