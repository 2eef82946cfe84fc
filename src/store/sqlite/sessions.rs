//! Sessions in SQL.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{AuthMethods, RefreshHash, Revocation, SessionId, UserId};
use crate::store::sqlite::{accounts, revocations, rotation};
use crate::store::{
    Exchange, NewSession, Rotation, Session, Sessions, SqliteStore, StoreError, StoredSession,
    Successor,
};

#[async_trait]
impl Sessions for SqliteStore {
    async fn open_session(
        &self,
        session: NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        self.write(move |connection| open(connection, &session, revoked_until)).await
    }

    async fn find_session_by_refresh(
        &self,
        issuer: &str,
        presented: &RefreshHash,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let (issuer, presented) = (issuer.to_owned(), *presented);
        self.read(move |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM refresh JOIN sessions ON sessions.id = refresh.session
                     WHERE hash = ?1 AND issuer = ?2 AND expires_at > ?3"
                ))?
                .query_and_then(params![presented.0, issuer, now.as_millis()], session)?
                .next()
                .transpose()
        })
        .await
    }

    async fn is_newest_refresh(
        &self,
        session: SessionId,
        presented: &RefreshHash,
    ) -> Result<bool, StoreError> {
        let presented = *presented;
        self.read(move |connection| {
            let mut ask = connection
                .prepare_cached("SELECT 1 FROM sessions WHERE id = ?1 AND newest = ?2")?;
            Ok(ask.exists(params![session.0.as_bytes(), presented.0])?)
        })
        .await
    }

    async fn rotate(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let presented = *presented;
        self.write(move |connection| {
            rotation::rotate(connection, session, &presented, &successor, grace, revoked_until)
        })
        .await
    }

    async fn list_sessions(
        &self,
        realm: &str,
        user: UserId,
        issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let (realm, issuer) = (realm.to_owned(), issuer.map(str::to_owned));
        self.read(move |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM sessions
                     WHERE user = ?1 AND realm = ?2 AND issuer = coalesce(?3, issuer)
                         AND expires_at > ?4
                     ORDER BY created_at DESC, id DESC"
                ))?
                .query_and_then(params![user.0, realm, issuer, now.as_millis()], session)?
                .collect()
        })
        .await
    }

    async fn end_session(
        &self,
        session: SessionId,
        revocations: &[Revocation],
    ) -> Result<bool, StoreError> {
        let revocations = revocations.to_vec();
        self.write(move |connection| {
            revocations::record(connection, &revocations)?;
            end(connection, session)
        })
        .await
    }
}

pub(super) fn open(
    connection: &Connection,
    new: &NewSession,
    revoked_until: Timestamp,
) -> Result<Option<Vec<Revocation>>, StoreError> {
    let session = &new.session;
    let generation = accounts::generation_if_enabled(connection, &session.realm, session.user)?;
    if generation != Some(new.generation)
        || accounts::follow_floor(connection, &session.realm, session.user)?.is_some()
    {
        return Ok(None);
    }
    let mut revocations = Vec::new();
    if new.replaces_others {
        revocations = end_others(connection, session, revoked_until)?;
    }
    accounts::note_login(connection, session.user, session.created_at)?;
    let expires_at = session.expires_at.min(session.ends_at);
    let session = Session { expires_at, ..session.clone() };
    put(connection, &StoredSession { session, newest: new.refresh, exchange: None })?;
    if let Some(hash) = new.refresh {
        remember(connection, new.session.id, &hash)?;
    }
    Ok(Some(revocations))
}

/// Inserts a session without its refresh tokens.
pub(super) fn put(connection: &Connection, stored: &StoredSession) -> Result<(), StoreError> {
    let StoredSession { session, newest, exchange } = stored;
    let exchange = exchange.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO sessions (id, user, realm, issuer, created_at, last_used_at, expires_at,
                                   ends_at, address, agent, methods, newest, parent, rotated_at,
                                   sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            session.id.0.as_bytes(),
            session.user.0,
            session.realm,
            session.issuer,
            session.created_at.as_millis(),
            session.last_used_at.as_millis(),
            session.expires_at.as_millis(),
            session.ends_at.as_millis(),
            session.address,
            session.agent,
            session.methods.to_string(),
            newest.map(|hash| hash.0),
            exchange.map(|exchange| exchange.parent.0),
            exchange.map(|exchange| exchange.at.as_millis()),
            exchange.map(|exchange| &exchange.sealed),
        ])?;
    Ok(())
}

/// Deletes a session and its refresh tokens; returns whether there was one.
pub(super) fn end(connection: &Connection, session: SessionId) -> Result<bool, StoreError> {
    let ended = connection
        .prepare_cached("DELETE FROM sessions WHERE id = ?1")?
        .execute([session.0.as_bytes()])?;
    Ok(ended > 0)
}

/// Deletes all sessions of a user.
pub(super) fn end_all(connection: &Connection, user: UserId) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE user = ?1")?.execute([user.0])?;
    Ok(())
}

/// Adds a refresh token to those of a session.
pub(super) fn remember(
    connection: &Connection,
    session: SessionId,
    hash: &RefreshHash,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO refresh (hash, session) VALUES (?1, ?2)")?
        .execute(params![hash.0, session.0.as_bytes()])?;
    Ok(())
}

/// The columns of a session.
const COLUMNS: &str = "sessions.id, user, realm, issuer, created_at, last_used_at, expires_at, \
                       ends_at, address, agent, methods";

/// The columns of a session and its newest refresh tokens.
pub(super) const STORED_COLUMNS: &str = "sessions.id, user, realm, issuer, created_at, last_used_at, \
                                       expires_at, ends_at, address, agent, methods, newest, \
                                       parent, rotated_at, sealed";

/// Reads a row of [`STORED_COLUMNS`].
pub(super) fn stored_session(row: &Row<'_>) -> Result<StoredSession, StoreError> {
    let exchange = match row.get::<_, Option<[u8; 32]>>("parent")? {
        Some(parent) => Some(Exchange {
            parent: RefreshHash(parent),
            at: Timestamp::from_millis(row.get("rotated_at")?),
            sealed: row.get("sealed")?,
        }),
        None => None,
    };
    let newest = row.get::<_, Option<[u8; 32]>>("newest")?.map(RefreshHash);
    Ok(StoredSession { session: session(row)?, newest, exchange })
}

fn session(row: &Row<'_>) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId(Uuid::from_bytes(row.get("id")?)),
        user: UserId(row.get("user")?),
        realm: row.get("realm")?,
        issuer: row.get("issuer")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        last_used_at: Timestamp::from_millis(row.get("last_used_at")?),
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
        ends_at: Timestamp::from_millis(row.get("ends_at")?),
        address: row.get("address")?,
        agent: row.get("agent")?,
        methods: AuthMethods::from_text(&row.get::<_, String>("methods")?),
    })
}

/// Ends and revokes all sessions that the user of `session` has at its issuer.
fn end_others(
    connection: &Connection,
    session: &Session,
    revoked_until: Timestamp,
) -> Result<Vec<Revocation>, StoreError> {
    let others = connection
        .prepare_cached("DELETE FROM sessions WHERE user = ?1 AND issuer = ?2 RETURNING id")?
        .query_map(params![session.user.0, session.issuer], |row| row.get(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let revocations: Vec<_> = others
        .into_iter()
        .map(|id| SessionId(Uuid::from_bytes(id)))
        .map(|id| Revocation::of_session(&session.issuer, id, revoked_until))
        .collect();
    revocations::record(connection, &revocations)?;
    Ok(revocations)
}
