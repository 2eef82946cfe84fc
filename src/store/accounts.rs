//! Accounts: their records, and the changes that are made to them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{Email, Identifier, Revocation, UserId, Username};
use crate::store::{SecondFactor, StoreError};

/// The accounts of a store.
#[async_trait]
pub trait Accounts {
    /// Makes an account, and gives it the next number in place of `user.id`.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the realm has the email address or user name already.
    async fn create_user(&self, user: User) -> Result<User, StoreError>;

    /// Finds an account; with its attributes for [`Lookup::Whole`] alone.
    ///
    /// By email address or user name, the other look-ups take as many steps whether or not an
    /// account has it, however large the account is: their time must not reveal which it is.
    async fn find_user(
        &self,
        realm: &str,
        who: &Identifier,
        lookup: Lookup,
    ) -> Result<Option<User>, StoreError>;

    /// Lists accounts of a realm by number, after `after`, at most `limit`; without attributes. An
    /// unreadable one is named, and hides no other.
    async fn list_users(
        &self,
        realm: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Listing, StoreError>;

    /// Changes an account, and ends the sessions and tokens that the change ends, in the same step.
    ///
    /// Where [`UserChange::ends_tokens`], the user's generation rises ([`crate::store::above`]) and
    /// a [`crate::operation::Revoked::User`] until `revoked_until` is recorded; where
    /// [`UserChange::ends_sessions`], all the user's sessions go as well. They go, too, where a
    /// floor above the user's generation is recorded, which the generation then rises above:
    /// another change was cut short or lost, and may have ended them. A change that does not apply
    /// (as its variant says) changes and ends nothing. Returns the account as it is now (as it was,
    /// for [`UserChange::Remove`]) without attributes, and the revocations that were recorded;
    /// `None` when there is no such account. An unreadable one can be removed all the same.
    async fn change_user(
        &self,
        realm: &str,
        user: UserId,
        change: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError>;
}

/// An account.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Number, given by the store; never reused.
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
    /// The second factor, where it is on.
    pub second_factor: Option<SecondFactor>,
    /// Roles.
    pub roles: Vec<String>,
    /// Permissions.
    pub permissions: Vec<String>,
    /// A disabled account opens no session.
    pub enabled: bool,
    /// Session generation, of the clock: raised whenever all access tokens of the user end.
    pub generation: u64,
    /// Attributes of contracts. They may be megabytes: only `create_user` and a whole look-up
    /// return them; elsewhere this is empty.
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// The latest login.
    pub last_login_at: Option<Timestamp>,
}

/// The kind of a user look-up: its deadline, and whether it reads the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The look-up of a login: `lookup_timeout`, without attributes.
    Login,
    /// Any other that does not show the account: `timeout`, without attributes.
    Routine,
    /// To show the account to its owner or to an operator: `timeout`, with attributes.
    Whole,
}

/// Some accounts of a realm, by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The readable ones.
    pub users: Vec<User>,
    /// The unreadable ones.
    pub unreadable: Vec<Unreadable>,
    /// The number after which to continue; none at the end.
    pub next: Option<UserId>,
}

/// An account whose record does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number.
    pub id: UserId,
    /// The part that is unreadable.
    pub what: String,
}

/// A change of one account.
#[derive(Clone, Debug, PartialEq)]
pub enum UserChange {
    /// A new password: all sessions and access tokens end.
    SetPassword {
        /// The new verifier.
        verifier: String,
    },
    /// A new password for a code that was mailed: as [`UserChange::SetPassword`], and the address
    /// is proven.
    ResetPassword {
        /// The new verifier.
        verifier: String,
    },
    /// The address was proven; nothing ends. Done only if it still is the account's.
    ProveEmail {
        /// The address.
        email: Email,
    },
    /// A social provider proved an address that was not proven: all sessions and access tokens end,
    /// because the user who opened them never proved it.
    ///
    /// Done only if it still is the account's, and still not proven; the returned account shows it.
    JoinSocial {
        /// The address.
        email: Email,
    },
    /// The same password under a better verifier: nothing ends. Done only while `from` is
    /// unchanged.
    UpgradeVerifier {
        /// The verifier until now.
        from: String,
        /// The verifier from now on.
        to: String,
    },
    /// Another second factor, or none; nothing ends. Done only while it is of revision `from`.
    ReplaceSecondFactor {
        /// The revision until now; `None` where there is none.
        from: Option<Uuid>,
        /// The second factor from now on, of a new revision.
        to: Option<SecondFactor>,
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
    /// All sessions end, and with them their refresh tokens; access tokens stay valid until they
    /// expire.
    EndRefreshTokens,
    /// Nothing but the end of all sessions and access tokens ("log out everywhere").
    EndSessions,
    /// The account goes, and all its sessions and access tokens end.
    Remove,
}

impl User {
    /// An account to be made, which lacks its names: at least one of email address and user name
    /// has to be set.
    #[must_use]
    pub fn new(realm: impl Into<String>, created_at: Timestamp) -> Self {
        Self {
            id: UserId(0),
            realm: realm.into(),
            email: None,
            email_verified: false,
            username: None,
            verifier: None,
            second_factor: None,
            roles: Vec::new(),
            permissions: Vec::new(),
            enabled: true,
            // Above the generation in tokens of an account that had this number before a restore.
            generation: u64::try_from(created_at.as_millis()).unwrap_or(0),
            attributes: BTreeMap::new(),
            created_at,
            last_login_at: None,
        }
    }

    /// The remains of an account whose record does not read, so that it can be removed.
    pub(super) fn remains(realm: &str, id: UserId, generation: u64) -> Self {
        let created_at = Timestamp::from_millis(0);
        Self { id, generation, enabled: false, ..Self::new(realm, created_at) }
    }
}

impl Listing {
    /// Adds an account, or the fact that it is unreadable.
    ///
    /// # Errors
    /// Any other than [`StoreError::Corrupt`].
    pub(super) fn add(
        &mut self,
        id: UserId,
        read: Result<User, StoreError>,
    ) -> Result<(), StoreError> {
        match read {
            Ok(user) => self.users.push(user),
            Err(StoreError::Corrupt(what)) => self.unreadable.push(Unreadable { id, what }),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The number of accounts, unreadable ones included.
    pub(super) fn len(&self) -> usize {
        self.users.len() + self.unreadable.len()
    }
}

impl UserChange {
    /// Whether all the user's sessions end with it, where it applies.
    #[must_use]
    pub const fn ends_sessions(&self) -> bool {
        matches!(
            self,
            Self::SetPassword { .. }
                | Self::ResetPassword { .. }
                | Self::JoinSocial { .. }
                | Self::SetEnabled(false)
                | Self::EndRefreshTokens
                | Self::EndSessions
                | Self::Remove
        )
    }

    /// Whether the user's access tokens end with it, where it applies; `user` is the account
    /// before.
    #[must_use]
    pub fn ends_tokens(&self, user: &User) -> bool {
        match self {
            Self::SetRights { roles, permissions } => {
                user.roles.iter().any(|role| !roles.contains(role))
                    || user.permissions.iter().any(|held| !permissions.contains(held))
            }
            Self::EndRefreshTokens => false,
            Self::SetPassword { .. }
            | Self::ResetPassword { .. }
            | Self::ProveEmail { .. }
            | Self::JoinSocial { .. }
            | Self::UpgradeVerifier { .. }
            | Self::ReplaceSecondFactor { .. }
            | Self::SetEnabled(_)
            | Self::EndSessions
            | Self::Remove => self.ends_sessions(),
        }
    }

    /// The account as the change makes it, but for its generation; `None` where the change does not
    /// apply: then nothing changes and nothing ends.
    pub(super) fn applied_to(&self, user: &User) -> Option<User> {
        let is_own = |email: &Email| user.email.as_ref() == Some(email);
        let mut after = user.clone();
        // Whoever had to be shut out may hold one of the devices.
        if self.ends_sessions() && !matches!(self, Self::EndRefreshTokens) {
            after.second_factor.iter_mut().for_each(SecondFactor::forget_devices);
        }
        match self {
            Self::SetPassword { verifier } => after.verifier = Some(verifier.clone()),
            Self::ResetPassword { verifier } => {
                after.verifier = Some(verifier.clone());
                after.email_verified = user.email.is_some();
            }
            Self::ProveEmail { email } | Self::JoinSocial { email } => {
                if user.email_verified || !is_own(email) {
                    return None;
                }
                after.email_verified = true;
                // Set up by somebody who never proved the address.
                if matches!(self, Self::JoinSocial { .. }) {
                    after.second_factor = None;
                }
            }
            Self::UpgradeVerifier { from, to } => {
                if user.verifier.as_ref() != Some(from) {
                    return None;
                }
                after.verifier = Some(to.clone());
            }
            Self::ReplaceSecondFactor { from, to } => {
                if user.second_factor.as_ref().map(|factor| factor.revision) != *from {
                    return None;
                }
                after.second_factor.clone_from(to);
            }
            Self::SetEnabled(enabled) => after.enabled = *enabled,
            Self::SetRights { roles, permissions } => {
                after.roles.clone_from(roles);
                after.permissions.clone_from(permissions);
            }
            Self::EndRefreshTokens | Self::EndSessions | Self::Remove => {}
        }
        Some(after)
    }
}
