//! The record of an account: the fields of a hash.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::operation::{Email, UserId, Username};
use crate::store::redis::connection::fault::corrupt;
use crate::store::{SecondFactor, StoreError, User};

/// An account and its version.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store::redis) struct UserRecord {
    /// The account, but for its attributes.
    pub(in crate::store::redis) user: User,
    /// Rises with every change except a login.
    pub(in crate::store::redis) version: String,
    /// The attributes as JSON, where they were asked for: they may be megabytes, which are read
    /// outside the store's deadline.
    pub(in crate::store::redis) attributes: Option<String>,
}

/// Fields and values for HSET.
pub(in crate::store::redis) type Fields = Vec<(&'static str, String)>;

/// All fields except the attributes, which may be megabytes and are read only where needed.
pub(in crate::store::redis) const BUT_ATTRIBUTES: [&str; 14] = [
    "id",
    "realm",
    "email",
    "email_verified",
    "username",
    "verifier",
    "second_factor",
    "roles",
    "permissions",
    "enabled",
    "generation",
    "created_at",
    "last_login_at",
    "version",
];

impl UserRecord {
    /// Reads a whole hash; `None` where there is none.
    pub(in crate::store::redis) fn read_whole(
        mut fields: HashMap<String, String>,
    ) -> Result<Option<Self>, StoreError> {
        let attributes = fields.remove("attributes");
        let Some(record) = Self::read(&fields)? else { return Ok(None) };
        let attributes = attributes.ok_or_else(|| corrupt("user", "attributes"))?;
        Ok(Some(Self { attributes: Some(attributes), ..record }))
    }

    /// Reads the [`BUT_ATTRIBUTES`] of a hash; `None` where there is none.
    pub(in crate::store::redis) fn read(
        fields: &HashMap<String, String>,
    ) -> Result<Option<Self>, StoreError> {
        if fields.is_empty() {
            return Ok(None);
        }
        let user = User {
            id: UserId(parsed(fields, "id")?),
            realm: required(fields, "realm")?.to_owned(),
            email: fields.get("email").map(Email::stored),
            email_verified: required(fields, "email_verified")? == "1",
            username: fields.get("username").map(Username::stored),
            verifier: fields.get("verifier").cloned(),
            second_factor: second_factor(fields)?,
            roles: json(fields, "roles")?,
            permissions: json(fields, "permissions")?,
            enabled: required(fields, "enabled")? == "1",
            generation: parsed(fields, "generation")?,
            attributes: BTreeMap::new(),
            created_at: Timestamp::from_millis(parsed(fields, "created_at")?),
            last_login_at: optional(fields, "last_login_at")?.map(Timestamp::from_millis),
        };
        let version = required(fields, "version")?.to_owned();
        Ok(Some(Self { user, version, attributes: None }))
    }

    /// The account, with its attributes where they were asked for.
    pub(in crate::store::redis) fn complete(self) -> Result<User, StoreError> {
        let Some(text) = self.attributes else { return Ok(self.user) };
        Ok(User { attributes: parse_json("attributes", &text)?, ..self.user })
    }
}

/// The fields of a new account; an absent value has no field.
pub(in crate::store::redis) fn fields_of(
    user: &User,
    attributes: String,
) -> Result<Fields, StoreError> {
    let mut fields = fields_but_attributes(user)?;
    fields.push(("attributes", attributes));
    fields.push(("version", "0".to_owned()));
    Ok(fields)
}

/// The fields that a change alters; no change alters attributes.
pub(in crate::store::redis) fn fields_changed(
    from: &User,
    to: &User,
) -> Result<Fields, StoreError> {
    let before: HashMap<_, _> = fields_but_attributes(from)?.into_iter().collect();
    let mut fields = fields_but_attributes(to)?;
    fields.retain(|(field, value)| before.get(field) != Some(value));
    Ok(fields)
}

fn fields_but_attributes(user: &User) -> Result<Fields, StoreError> {
    let mut fields = vec![
        ("id", user.id.to_string()),
        ("realm", user.realm.clone()),
        ("email_verified", flag(user.email_verified)),
        ("roles", to_json(&user.roles)?),
        ("permissions", to_json(&user.permissions)?),
        ("enabled", flag(user.enabled)),
        ("generation", user.generation.to_string()),
        ("created_at", user.created_at.as_millis().to_string()),
    ];
    fields.extend(user.email.as_ref().map(|email| ("email", email.to_string())));
    fields.extend(user.username.as_ref().map(|name| ("username", name.to_string())));
    fields.extend(user.verifier.clone().map(|verifier| ("verifier", verifier)));
    // A change sets fields and removes none: without any it is empty.
    let second_factor = user.second_factor.as_ref().map(SecondFactor::to_text).transpose()?;
    fields.push(("second_factor", second_factor.unwrap_or_default()));
    Ok(fields)
}

fn second_factor(fields: &HashMap<String, String>) -> Result<Option<SecondFactor>, StoreError> {
    let text = fields.get("second_factor").filter(|text| !text.is_empty());
    text.map(|text| SecondFactor::from_text(text)).transpose()
}

fn flag(is_set: bool) -> String {
    if is_set { "1" } else { "0" }.to_owned()
}

/// A value as JSON for a field.
pub(in crate::store::redis) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
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
    parse_json(field, required(fields, field)?)
}

fn parse_json<T: DeserializeOwned>(field: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(format!("user: {field}: {error}")))
}
