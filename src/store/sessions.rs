//! Sessions, and the rotation of their refresh tokens.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::operation::{AuthMethods, RefreshHash, Revocation, SessionId, UserId};
use crate::store::StoreError;

/// The sessions of a store.
#[async_trait]
pub trait Sessions {
    /// Opens a session and notes the login on the account.
    ///
    /// It happens only if the account is enabled and still of `session.generation`, so that a login
    /// that races a password change opens nothing and returns `None`. Where a floor above that
    /// generation is recorded, the account's generation rises to it, and all its sessions end. With
    /// `session.replaces_others`, the user's other sessions of the same issuer end and are revoked
    /// until `revoked_until`; those revocations are returned.
    async fn open_session(
        &self,
        session: NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError>;

    /// Finds a session that has not ended by any refresh token it ever had.
    async fn find_session_by_refresh(
        &self,
        issuer: &str,
        presented: &RefreshHash,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError>;

    /// Whether a refresh token is the one of its session that was not exchanged yet.
    async fn is_newest_refresh(
        &self,
        session: SessionId,
        presented: &RefreshHash,
    ) -> Result<bool, StoreError>;

    /// Exchanges a refresh token for its successor, atomically.
    ///
    /// If `presented` is the newest token, `successor` replaces it ([`Rotation::Rotated`]). The
    /// parent of the newest gets the same successor again within `grace` of the rotation
    /// ([`Rotation::Repeated`]). Any other token of the session is theft: the session ends and is
    /// revoked until `revoked_until` ([`Rotation::Reused`]). A token that is unknown, or of a
    /// session that ended, expired or is revoked, is refused ([`Rotation::Refused`]); so is one of
    /// a user whose generation is below the recorded floor: the generation rises to it, and all
    /// sessions end.
    async fn rotate(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError>;

    /// Lists a user's sessions of an issuer that have not ended, newest first.
    async fn list_sessions(
        &self,
        realm: &str,
        user: UserId,
        issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends a session and records the revocations, in one step; `false` when there was none.
    ///
    /// The revocations are recorded either way.
    async fn end_session(
        &self,
        session: SessionId,
        revocations: &[Revocation],
    ) -> Result<bool, StoreError>;
}

/// A session (a *family* of refresh tokens): one login and the refreshes that follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// `sid`.
    pub id: SessionId,
    /// The user.
    pub user: UserId,
    /// Realm of the user.
    pub realm: String,
    /// `iss` of its tokens: the site.
    pub issuer: String,
    /// The instant of the login.
    pub created_at: Timestamp,
    /// Latest login or refresh.
    pub last_used_at: Timestamp,
    /// The expiry of the newest refresh token (or, without any, of the access token).
    pub expires_at: Timestamp,
    /// The latest end of the session (`session_ttl`).
    pub ends_at: Timestamp,
    /// Address that it was opened from.
    pub address: String,
    /// User agent that it was opened with.
    pub agent: Option<String>,
    /// How its user proved who they are.
    pub methods: AuthMethods,
}

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The session; `created_at` is the time of the login.
    pub session: Session,
    /// Its first refresh token, where the contract has any.
    pub refresh: Option<RefreshHash>,
    /// The user's generation as read when the password was checked.
    pub generation: u64,
    /// The user's other sessions of this issuer end.
    pub replaces_others: bool,
}

/// The refresh token that replaces a presented one.
#[derive(Clone, Debug)]
pub struct Successor {
    /// Its hash.
    pub hash: RefreshHash,
    /// The token itself, sealed under a key derived from the presented one.
    pub sealed: Vec<u8>,
    /// The instant of the rotation.
    pub now: Timestamp,
    /// Its expiry; the store caps it by the session's `ends_at`.
    pub expires_at: Timestamp,
}

/// The outcome of a rotation.
#[derive(Clone, Debug, PartialEq)]
pub enum Rotation {
    /// The successor has replaced it.
    Rotated(Session),
    /// It was rotated within the grace: the same successor again.
    Repeated {
        /// The session.
        session: Session,
        /// The successor, sealed under a key derived from the presented token.
        sealed: Vec<u8>,
    },
    /// It was rotated earlier: the session was ended as stolen; these revocations were recorded.
    Reused(Vec<Revocation>),
    /// Unknown, expired, or of a session that ended.
    Refused,
}
