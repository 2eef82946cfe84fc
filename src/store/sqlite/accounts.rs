//! Accounts in SQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::operation::{Email, Identifier, Revocation, RevocationKey, Revoked, UserId, Username};
use crate::store::sqlite::fault::{signed, unsigned};
use crate::store::sqlite::{revocations, sessions};
use crate::store::{
    Accounts, Listing, Lookup, SecondFactor, SqliteStore, StoreError, User, UserChange, above,
};

#[async_trait]
impl Accounts for SqliteStore {
    async fn create_user(&self, user: User) -> Result<User, StoreError> {
        let attributes = attributes_text(&user.attributes)?;
        self.write(move |connection| create(connection, user, attributes.as_deref())).await
    }

    async fn find_user(
        &self,
        realm: &str,
        who: &Identifier,
        lookup: Lookup,
    ) -> Result<Option<User>, StoreError> {
        let deadline = match lookup {
            Lookup::Login => self.deadlines.lookup,
            Lookup::Routine | Lookup::Whole => self.deadlines.command,
        };
        let (realm, who) = (realm.to_owned(), who.clone());
        let query = move |connection: &Connection| find(connection, &realm, &who, lookup);
        let found = self.readers.ask(deadline, query).await?;
        found.map(StoredAccount::complete).transpose()
    }

    async fn list_users(
        &self,
        realm: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        let realm = realm.to_owned();
        self.read(move |connection| list(connection, &realm, after, limit)).await
    }

    async fn change_user(
        &self,
        realm: &str,
        user: UserId,
        wanted: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        let realm = realm.to_owned();
        self.write(move |connection| {
            change(connection, &realm, user, &wanted, (now, revoked_until))
        })
        .await
    }
}

/// An account, and its attributes as they are stored, where they were asked for.
///
/// They may be megabytes of JSON, which the caller reads and writes, not a thread that others wait
/// for.
pub(super) struct StoredAccount {
    user: User,
    attributes: Option<String>,
}

impl StoredAccount {
    /// Reads a row of [`COLUMNS`] and `text`.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self { user: user(row)?, attributes: row.get("text")? })
    }

    /// Reads the attributes.
    pub(super) fn complete(self) -> Result<User, StoreError> {
        let Self { mut user, attributes } = self;
        if let Some(text) = attributes {
            user.attributes = parsed("attributes.text", &text)?;
        }
        Ok(user)
    }
}

/// Attributes as JSON, where there are any.
pub(super) fn attributes_text(
    attributes: &BTreeMap<String, serde_json::Value>,
) -> Result<Option<String>, StoreError> {
    if attributes.is_empty() { Ok(None) } else { json(attributes).map(Some) }
}

/// Makes an account; `attributes` are those of `new` as they are stored.
pub(super) fn create(
    connection: &Connection,
    new: User,
    attributes: Option<&str>,
) -> Result<User, StoreError> {
    let names =
        [new.email.clone().map(Identifier::Email), new.username.clone().map(Identifier::Username)];
    // The table keeps only one spelling unique.
    for name in names.into_iter().flatten() {
        if find(connection, &new.realm, &name, Lookup::Routine)?.is_some() {
            return Err(StoreError::Taken);
        }
    }
    let id = insert(connection, None, &new, attributes)?;
    Ok(User { id, ..new })
}

pub(super) fn find(
    connection: &Connection,
    realm: &str,
    who: &Identifier,
    lookup: Lookup,
) -> Result<Option<StoredAccount>, StoreError> {
    let (column, values) = match who {
        Identifier::Id(id) => ("id", vec![Value::Integer(id.0)]),
        Identifier::Email(email) => ("email", texts(email.spellings())),
        Identifier::Username(name) => ("username", texts(name.spellings())),
    };
    let (text, table) = match lookup {
        Lookup::Login | Lookup::Routine => ("NULL AS text", "users"),
        Lookup::Whole => ("text", "users LEFT JOIN attributes ON attributes.user = users.id"),
    };
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, {text} FROM {table} WHERE realm = ?1 AND {column} = ?2"
    ))?;
    let mut found = None;
    for value in values {
        let account = select
            .query_and_then(params![realm, value], StoredAccount::read)?
            .next()
            .transpose()?;
        found = found.or(account);
    }
    Ok(found)
}

fn texts(spellings: Vec<String>) -> Vec<Value> {
    spellings.into_iter().map(Value::Text).collect()
}

/// Accounts without their attributes.
pub(super) fn list(
    connection: &Connection,
    realm: &str,
    after: Option<UserId>,
    limit: usize,
) -> Result<Listing, StoreError> {
    let after = after.map_or(i64::MIN, |id| id.0);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM users WHERE realm = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ))?;
    let mut rows = select.query(params![realm, after, most])?;
    let (mut listing, mut last) = (Listing::default(), None);
    while let Some(row) = rows.next()? {
        let id = UserId(row.get("id")?);
        listing.add(id, user(row))?;
        last = Some(id);
    }
    listing.next = last.filter(|_| listing.len() == limit);
    Ok(listing)
}

pub(super) fn change(
    connection: &Connection,
    realm: &str,
    id: UserId,
    change: &UserChange,
    (now, revoked_until): (Timestamp, Timestamp),
) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
    let found = match find(connection, realm, &Identifier::Id(id), Lookup::Routine) {
        Err(StoreError::Corrupt(_)) if matches!(change, UserChange::Remove) => {
            remains(connection, realm, id)?
        }
        found => found?.map(|account| account.user),
    };
    let Some(before) = found else { return Ok(None) };
    let mut revocations = Vec::new();
    let Some(mut after) = change.applied_to(&before) else {
        return Ok(Some((before, revocations)));
    };
    if change.ends_tokens(&before) {
        let followed = follow_floor(connection, realm, id)?;
        after.generation = above(followed.unwrap_or(before.generation), now);
        let generation = after.generation;
        let revoked = Revoked::User { realm: realm.to_owned(), user: id, generation };
        revocations.push(Revocation { revoked, expires_at: revoked_until });
    }
    revocations::record(connection, &revocations)?;
    if change.ends_sessions() {
        sessions::end_all(connection, id)?;
    }
    if matches!(change, UserChange::Remove) {
        connection.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([id.0])?;
        return Ok(Some((before, revocations)));
    }
    update(connection, &after)?;
    Ok(Some((after, revocations)))
}

/// The remains of an account whose record is unreadable.
fn remains(connection: &Connection, realm: &str, id: UserId) -> Result<Option<User>, StoreError> {
    let generation: Option<i64> = connection
        .prepare_cached("SELECT generation FROM users WHERE id = ?1 AND realm = ?2")?
        .query_row(params![id.0, realm], |row| row.get(0))
        .optional()?;
    let generation = generation.map(|generation| generation.max(0).unsigned_abs());
    Ok(generation.map(|generation| User::remains(realm, id, generation)))
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

/// Raises the generation of an account to its recorded floor, and returns it; `None` where it is no
/// lower.
///
/// A floor above the generation belongs to a change that this database lacks, as one that was
/// copied from a store in which it was cut short or lost. All sessions end, since the change may
/// have ended them.
pub(super) fn follow_floor(
    connection: &Connection,
    realm: &str,
    id: UserId,
) -> Result<Option<u64>, StoreError> {
    let raised = connection
        .prepare_cached(
            "UPDATE users SET generation = floor FROM revocations
             WHERE id = ?1 AND realm = ?2 AND key = ?3 AND floor > generation
             RETURNING generation",
        )?
        .query_row(params![id.0, realm, RevocationKey::of_user(realm, id).0], |row| row.get(0))
        .optional()?;
    if raised.is_some() {
        sessions::end_all(connection, id)?;
    }
    raised.map(unsigned).transpose()
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

/// Imports an account under its number.
pub(super) fn put(connection: &Connection, user: &User) -> Result<(), StoreError> {
    let attributes = attributes_text(&user.attributes)?;
    insert(connection, Some(user.id), user, attributes.as_deref())?;
    Ok(())
}

/// Inserts an account, and its attributes as JSON; without `id` the database chooses the number.
fn insert(
    connection: &Connection,
    id: Option<UserId>,
    user: &User,
    attributes: Option<&str>,
) -> Result<UserId, StoreError> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO users
                 (id, realm, email, email_verified, username, verifier, roles, permissions, enabled,
                  generation, created_at, last_login_at, second_factor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .insert(params![
            id.map(|id| id.0),
            user.realm,
            user.email.as_ref().map(Email::as_str),
            user.email_verified,
            user.username.as_ref().map(Username::as_str),
            user.verifier,
            json(&user.roles)?,
            json(&user.permissions)?,
            user.enabled,
            signed(user.generation)?,
            user.created_at.as_millis(),
            user.last_login_at.map(Timestamp::as_millis),
            second_factor_text(user)?,
        ]);
    let id = match inserted {
        Ok(id) => UserId(id),
        Err(error) if is_taken(&error) => return Err(StoreError::Taken),
        Err(error) => return Err(error.into()),
    };
    if let Some(text) = attributes {
        connection
            .prepare_cached("INSERT INTO attributes (user, text) VALUES (?1, ?2)")?
            .execute(params![id.0, text])?;
    }
    Ok(id)
}

pub(super) const COLUMNS: &str = "id, realm, email, email_verified, username, verifier, roles, permissions, \
                       enabled, generation, created_at, last_login_at, second_factor";

/// The account but for its attributes.
fn user(row: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(row.get("id")?),
        realm: row.get("realm")?,
        email: row.get::<_, Option<String>>("email")?.map(Email::stored),
        email_verified: row.get("email_verified")?,
        username: row.get::<_, Option<String>>("username")?.map(Username::stored),
        verifier: row.get("verifier")?,
        second_factor: second_factor(row)?,
        roles: from_json(row, "roles")?,
        permissions: from_json(row, "permissions")?,
        enabled: row.get("enabled")?,
        generation: unsigned(row.get("generation")?)?,
        attributes: BTreeMap::new(),
        created_at: Timestamp::from_millis(row.get("created_at")?),
        last_login_at: row.get::<_, Option<i64>>("last_login_at")?.map(Timestamp::from_millis),
    })
}

fn update(connection: &Connection, user: &User) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE users
             SET email_verified = ?2, verifier = ?3, roles = ?4, permissions = ?5, enabled = ?6,
                 generation = ?7, second_factor = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            user.id.0,
            user.email_verified,
            user.verifier,
            json(&user.roles)?,
            json(&user.permissions)?,
            user.enabled,
            signed(user.generation)?,
            second_factor_text(user)?,
        ])?;
    Ok(())
}

fn second_factor(row: &Row<'_>) -> Result<Option<SecondFactor>, StoreError> {
    let text = row.get::<_, Option<String>>("second_factor")?;
    text.map(|text| SecondFactor::from_text(&text)).transpose()
}

fn second_factor_text(user: &User) -> Result<Option<String>, StoreError> {
    user.second_factor.as_ref().map(SecondFactor::to_text).transpose()
}

fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_CONSTRAINT_UNIQUE)
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    parsed(column, &text)
}

fn parsed<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(format!("users: {column}: {error}")))
}
