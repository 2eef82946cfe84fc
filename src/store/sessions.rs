//! Sessions, and the rotation of their refresh tokens.

use crate::clock::Timestamp;
use crate::operation::{RefreshHash, Revocation, SessionId, UserId};

/// A session (a *family* of refresh tokens): one login and the refreshes that follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// `sid`.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Realm of the user.
    pub realm: String,
    /// `iss` of its tokens: the site.
    pub issuer: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Latest login or refresh.
    pub last_used_at: Timestamp,
    /// When the newest refresh token ends (or, without any, the access token).
    pub expires_at: Timestamp,
    /// When the session ends at the latest (`session_ttl`).
    pub ends_at: Timestamp,
    /// Address that it was opened from.
    pub address: String,
    /// User agent that it was opened with.
    pub agent: Option<String>,
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

/// The refresh token that takes a presented one's place.
#[derive(Clone, Debug)]
pub struct Successor {
    /// Its hash.
    pub hash: RefreshHash,
    /// Itself, sealed under a key derived from the presented token.
    pub sealed: Vec<u8>,
    /// The instant of the rotation.
    pub now: Timestamp,
    /// When it ends; the store caps it by the session's `ends_at`.
    pub expires_at: Timestamp,
}

/// What came of a presented refresh token.
#[derive(Clone, Debug, PartialEq)]
pub enum Rotation {
    /// The successor has taken its place.
    Rotated(Session),
    /// It was rotated within the grace: here is the same successor again.
    Repeated {
        /// The session.
        session: Session,
        /// The successor, sealed under a key derived from the presented token.
        sealed: Vec<u8>,
    },
    /// It was rotated long ago: the session was ended as stolen; these revocations were recorded.
    Reused(Vec<Revocation>),
    /// Unknown, expired, or of a session that ended.
    Refused,
}
