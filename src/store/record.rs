//! The records that a store keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::operation::RefreshHash;
use crate::operation::Revocation;
use crate::operation::SessionId;
use crate::operation::UserId;
use crate::operation::Username;

/// An account.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Number; never reused.
    pub id: UserId,
    /// Realm: sites of one realm share accounts.
    pub realm: String,
    /// Email address, unique in the realm.
    pub email: Option<Email>,
    /// Whether the address was proven.
    pub email_verified: bool,
    /// User name, unique in the realm.
    pub username: Option<Username>,
    /// The password verifier (PHC string); absent when none was ever set.
    pub verifier: Option<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Permissions.
    pub permissions: Vec<String>,
    /// A disabled account opens no session.
    pub enabled: bool,
    /// Session generation: raised whenever all access tokens of the user end.
    pub generation: u64,
    /// Attributes that contracts ask for.
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// The latest login.
    pub last_login_at: Option<Timestamp>,
}

/// An account to be made; at least one of email address and user name is there.
#[derive(Clone, Debug, PartialEq)]
pub struct NewUser {
    /// Realm.
    pub realm: String,
    /// Email address.
    pub email: Option<Email>,
    /// User name.
    pub username: Option<Username>,
    /// The password verifier (PHC string).
    pub verifier: Option<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Permissions.
    pub permissions: Vec<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// When it is made.
    pub created_at: Timestamp,
}

impl NewUser {
    /// The account that it becomes under a number of its own.
    pub(super) fn numbered(self, id: UserId) -> User {
        User {
            id,
            realm: self.realm,
            email: self.email,
            email_verified: false,
            username: self.username,
            verifier: self.verifier,
            roles: self.roles,
            permissions: self.permissions,
            enabled: true,
            generation: 0,
            attributes: self.attributes,
            created_at: self.created_at,
            last_login_at: None,
        }
    }
}

/// A change of one account.
#[derive(Clone, Debug, PartialEq)]
pub enum UserChange {
    /// A new password: all sessions and access tokens end.
    SetPassword {
        /// The new verifier.
        verifier: String,
    },
    /// The same password under a better verifier: nothing ends. Done only while `from` stands.
    UpgradeVerifier {
        /// The verifier until now.
        from: String,
        /// The verifier from now on.
        to: String,
    },
    /// Enabling ends nothing; disabling ends all sessions and access tokens.
    SetEnabled(bool),
    /// New rights: taking one away ends the access tokens (not the sessions); giving ends nothing.
    SetRights {
        /// All roles from now on.
        roles: Vec<String>,
        /// All permissions from now on.
        permissions: Vec<String>,
    },
    /// Nothing but the end of all sessions and access tokens ("log out everywhere").
    EndSessions,
    /// The account goes, and all its sessions and access tokens end.
    Remove,
}

impl UserChange {
    /// Whether all the user's sessions end with it.
    #[must_use]
    pub const fn ends_sessions(&self) -> bool {
        matches!(
            self,
            Self::SetPassword { .. } | Self::SetEnabled(false) | Self::EndSessions | Self::Remove
        )
    }

    /// Whether the user's access tokens end with it, `user` being the account until now.
    #[must_use]
    pub fn ends_tokens(&self, user: &User) -> bool {
        match self {
            Self::SetRights { roles, permissions } => {
                user.roles.iter().any(|role| !roles.contains(role))
                    || user.permissions.iter().any(|held| !permissions.contains(held))
            }
            Self::SetPassword { .. }
            | Self::UpgradeVerifier { .. }
            | Self::SetEnabled(_)
            | Self::EndSessions
            | Self::Remove => self.ends_sessions(),
        }
    }
}

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

/// Deadlines that every store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// One command.
    pub command: Duration,
    /// The user look-up of a login.
    pub lookup: Duration,
}
