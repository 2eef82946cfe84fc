//! Rotation of refresh tokens in SQL.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::clock::Timestamp;
use crate::operation::{RefreshHash, Revocation, RevocationKey, SessionId};
use crate::store::sqlite::{accounts, revocations, sessions};
use crate::store::{Rotation, Session, StoreError, StoredSession, Successor};

pub(super) fn rotate(
    connection: &Connection,
    session: SessionId,
    presented: &RefreshHash,
    successor: &Successor,
    grace: Duration,
    revoked_until: Timestamp,
) -> Result<Rotation, StoreError> {
    let now = successor.now;
    let Some(stored) = find(connection, session, presented)? else { return Ok(Rotation::Refused) };
    let StoredSession { session, newest, exchange: latest } = stored;
    let key = RevocationKey::of_session(&session.issuer, session.id);
    if session.expires_at <= now || revocations::find(connection, key, now)?.is_some() {
        return Ok(Rotation::Refused);
    }
    if accounts::follow_floor(connection, &session.realm, session.user)?.is_some() {
        return Ok(Rotation::Refused);
    }
    if newest == Some(*presented) {
        return exchange(connection, session, presented, successor).map(Rotation::Rotated);
    }
    match latest {
        Some(latest) if latest.parent == *presented && now.since(latest.at) <= grace => {
            Ok(Rotation::Repeated { session, sealed: latest.sealed })
        }
        _ => {
            let revocations =
                vec![Revocation::of_session(&session.issuer, session.id, revoked_until)];
            revocations::record(connection, &revocations)?;
            sessions::end(connection, session.id)?;
            Ok(Rotation::Reused(revocations))
        }
    }
}

fn find(
    connection: &Connection,
    session: SessionId,
    presented: &RefreshHash,
) -> Result<Option<StoredSession>, StoreError> {
    let columns = sessions::STORED_COLUMNS;
    connection
        .prepare_cached(&format!(
            "SELECT {columns} FROM refresh JOIN sessions ON sessions.id = refresh.session
             WHERE hash = ?1 AND sessions.id = ?2"
        ))?
        .query_and_then(params![presented.0, session.0.as_bytes()], sessions::stored_session)?
        .next()
        .transpose()
}

fn exchange(
    connection: &Connection,
    session: Session,
    presented: &RefreshHash,
    successor: &Successor,
) -> Result<Session, StoreError> {
    let session = Session {
        last_used_at: successor.now,
        expires_at: successor.expires_at.min(session.ends_at),
        ..session
    };
    sessions::remember(connection, session.id, &successor.hash)?;
    connection
        .prepare_cached(
            "UPDATE sessions
             SET newest = ?2, parent = ?3, rotated_at = ?4, sealed = ?5, last_used_at = ?4,
                 expires_at = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            session.id.0.as_bytes(),
            successor.hash.0,
            presented.0,
            successor.now.as_millis(),
            successor.sealed,
            session.expires_at.as_millis(),
        ])?;
    Ok(session)
}
