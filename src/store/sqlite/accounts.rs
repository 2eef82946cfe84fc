//! Accounts in SQL.

use std::str::FromStr;

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Row;
use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
use rusqlite::params;
use rusqlite::types::ToSql;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::operation::Identifier;
use crate::operation::Revocation;
use crate::operation::Revoked;
use crate::operation::UserId;
use crate::operation::Username;
use crate::store::NewUser;
use crate::store::StoreError;
use crate::store::User;
use crate::store::UserChange;
use crate::store::sqlite::fault::signed;
use crate::store::sqlite::fault::unsigned;
use crate::store::sqlite::revocations;

pub(super) fn create(connection: &Connection, new: NewUser) -> Result<User, StoreError> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO users
                 (realm, email, username, verifier, roles, permissions, attributes, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .insert(params![
            new.realm,
            new.email.as_ref().map(Email::as_str),
            new.username.as_ref().map(Username::as_str),
            new.verifier,
            json(&new.roles)?,
            json(&new.permissions)?,
            json(&new.attributes)?,
            new.created_at.as_millis(),
        ]);
    let id = match inserted {
        Ok(id) => UserId(id),
        Err(error) if is_taken(&error) => return Err(StoreError::Taken),
        Err(error) => return Err(error.into()),
    };
    Ok(new.numbered(id))
}

pub(super) fn find(
    connection: &Connection,
    realm: &str,
    who: &Identifier,
) -> Result<Option<User>, StoreError> {
    let (column, value): (_, &dyn ToSql) = match who {
        Identifier::Id(id) => ("id", &id.0),
        Identifier::Email(email) => ("email", &email.as_str()),
        Identifier::Username(name) => ("username", &name.as_str()),
    };
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE realm = ?1 AND {column} = ?2"))?
        .query_and_then(params![realm, value], user)?
        .next()
        .transpose()
}

pub(super) fn list(
    connection: &Connection,
    realm: &str,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<User>, StoreError> {
    let after = after.map_or(i64::MIN, |id| id.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM users WHERE realm = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
        ))?
        .query_and_then(params![realm, after, limit], user)?
        .collect()
}

pub(super) fn change(
    connection: &Connection,
    realm: &str,
    id: UserId,
    change: UserChange,
    revoked_until: Timestamp,
) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
    let Some(before) = find(connection, realm, &Identifier::Id(id))? else { return Ok(None) };
    let mut revocations = Vec::new();
    let mut after = before.clone();
    if change.ends_tokens(&before) {
        after.generation = before.generation.saturating_add(1);
        let generation = after.generation;
        let revoked = Revoked::User { realm: realm.to_owned(), user: id, generation };
        revocations.push(Revocation { revoked, expires_at: revoked_until });
    }
    revocations::record(connection, &revocations)?;
    if change.ends_sessions() {
        connection.prepare_cached("DELETE FROM sessions WHERE user = ?1")?.execute([id.0])?;
    }
    match change {
        UserChange::SetPassword { verifier } => after.verifier = Some(verifier),
        UserChange::UpgradeVerifier { from, to } => {
            if after.verifier.as_deref() == Some(&*from) {
                after.verifier = Some(to);
            }
        }
        UserChange::SetEnabled(enabled) => after.enabled = enabled,
        UserChange::SetRights { roles, permissions } => {
            after.roles = roles;
            after.permissions = permissions;
        }
        UserChange::EndSessions => {}
        UserChange::Remove => {
            connection.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([id.0])?;
            return Ok(Some((before, revocations)));
        }
    }
    update(connection, &after)?;
    Ok(Some((after, revocations)))
}

/// The generation of an account that may log in; `None` when there is none.
pub(super) fn generation_if_enabled(
    connection: &Connection,
    realm: &str,
    id: UserId,
) -> Result<Option<u64>, StoreError> {
    connection
        .prepare_cached("SELECT generation FROM users WHERE id = ?1 AND realm = ?2 AND enabled")?
        .query_row(params![id.0, realm], |row| row.get(0))
        .optional()?
        .map(unsigned)
        .transpose()
}

pub(super) fn note_login(
    connection: &Connection,
    id: UserId,
    at: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE users SET last_login_at = ?2 WHERE id = ?1")?
        .execute([id.0, at.as_millis()])?;
    Ok(())
}

const COLUMNS: &str = "id, realm, email, email_verified, username, verifier, roles, permissions, \
                       enabled, generation, attributes, created_at, last_login_at";

fn user(row: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(row.get("id")?),
        realm: row.get("realm")?,
        email: name(row, "email")?,
        email_verified: row.get("email_verified")?,
        username: name(row, "username")?,
        verifier: row.get("verifier")?,
        roles: from_json(row, "roles")?,
        permissions: from_json(row, "permissions")?,
        enabled: row.get("enabled")?,
        generation: unsigned(row.get("generation")?)?,
        attributes: from_json(row, "attributes")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        last_login_at: row.get::<_, Option<i64>>("last_login_at")?.map(Timestamp::from_millis),
    })
}

fn update(connection: &Connection, user: &User) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE users
             SET verifier = ?2, roles = ?3, permissions = ?4, enabled = ?5, generation = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            user.id.0,
            user.verifier,
            json(&user.roles)?,
            json(&user.permissions)?,
            user.enabled,
            signed(user.generation)?,
        ])?;
    Ok(())
}

fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_CONSTRAINT_UNIQUE)
}

fn name<T>(row: &Row<'_>, column: &str) -> Result<Option<T>, StoreError>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    text.parse().map(Some).map_err(|error| StoreError::Corrupt(format!("users.{column}: {error}")))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Corrupt(format!("users.{column}: {error}")))
}
