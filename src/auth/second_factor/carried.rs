//! Texts that carry an unfinished login or set-up from one request to the next: encrypted, so that
//! the client can neither read nor change them, and good for a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::auth::AuthSite;
use crate::auth::second_factor::one_time_code::CodeSecret;
use crate::clock::Timestamp;
use crate::operation::{AuthMethods, ErrorCode, Rejection, UserId};
use crate::own_keys::OwnKeys;
use crate::secret::Secret;
use crate::store::User;

/// The lifetime of the challenge of a login whose second factor has to be proved.
const PROVE_WITHIN: Duration = Duration::from_mins(10);

/// The time to find an app, put the secret into it, and confirm.
const SET_UP_WITHIN: Duration = Duration::from_mins(30);

/// A login that waits for a second factor.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::auth) struct Challenge {
    /// The account.
    pub(in crate::auth) user: UserId,
    /// Its generation when it logged in: whatever ends its sessions ends the login as well.
    pub(in crate::auth) generation: u64,
    /// `amr` so far.
    methods: String,
    /// Whether this login made the account.
    pub(in crate::auth) is_new_user: bool,
    ends: Timestamp,
}

/// A secret that waits for its confirmation.
#[derive(Serialize, Deserialize)]
pub(in crate::auth) struct Setup {
    user: UserId,
    secret: Zeroizing<Vec<u8>>,
    ends: Timestamp,
}

impl Challenge {
    /// The challenge of a login that proved `methods`.
    pub(in crate::auth) fn new(
        user: &User,
        methods: AuthMethods,
        is_new_user: bool,
        now: Timestamp,
    ) -> Self {
        let lifetime = if user.second_factor.is_some() { PROVE_WITHIN } else { SET_UP_WITHIN };
        Self {
            user: user.id,
            generation: user.generation,
            methods: methods.to_string(),
            is_new_user,
            ends: now.plus(lifetime),
        }
    }

    /// What the login has proved.
    pub(in crate::auth) fn methods(&self) -> AuthMethods {
        AuthMethods::from_text(&self.methods)
    }

    /// Encrypts it for a site.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(in crate::auth) fn seal(
        &self,
        keys: &OwnKeys,
        site: &AuthSite,
    ) -> Result<Secret<String>, Rejection> {
        seal(keys, &purpose("challenge", site), self)
    }

    /// Opens the challenge of a site.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCredentials`] where it is none, or has expired: the client has to log in
    /// again.
    pub(in crate::auth) fn open(
        keys: &OwnKeys,
        site: &AuthSite,
        text: &Secret<String>,
        now: Timestamp,
    ) -> Result<Self, Rejection> {
        let refused = |reason| Rejection::new(ErrorCode::InvalidCredentials, reason);
        let challenge: Self = keys
            .open_text(&purpose("challenge", site), text.expose())
            .ok_or_else(|| refused("it is no challenge of this site"))?;
        if now >= challenge.ends {
            return Err(refused("the challenge has expired").about(Some(challenge.user)));
        }
        Ok(challenge)
    }
}

impl Setup {
    /// The set-up of a user's second factor.
    pub(in crate::auth) fn new(user: UserId, secret: &CodeSecret, now: Timestamp) -> Self {
        let secret = Zeroizing::new(secret.bytes().to_vec());
        Self { user, secret, ends: now.plus(SET_UP_WITHIN) }
    }

    /// Encrypts it for a site.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(in crate::auth) fn seal(
        &self,
        keys: &OwnKeys,
        site: &AuthSite,
    ) -> Result<Secret<String>, Rejection> {
        seal(keys, &purpose("set-up", site), self)
    }

    /// Opens the set-up of a user; returns the secret.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCode`] where it is none of theirs, or has expired.
    pub(in crate::auth) fn open(
        keys: &OwnKeys,
        site: &AuthSite,
        text: &Secret<String>,
        (user, now): (UserId, Timestamp),
    ) -> Result<CodeSecret, Rejection> {
        let setup: Option<Self> = keys.open_text(&purpose("set-up", site), text.expose());
        let setup = setup.filter(|setup| setup.user == user && now < setup.ends);
        let refused = || Rejection::new(ErrorCode::InvalidCode, "no set-up of this user, or old");
        setup.map(|setup| CodeSecret::of(setup.secret)).ok_or_else(refused)
    }
}

/// The purpose of the encryption: a text of one site is none of another's.
fn purpose(what: &str, site: &AuthSite) -> String {
    format!("{what} {} {}", site.realm, site.tokens.policy().issuer)
}

fn seal(
    keys: &OwnKeys,
    purpose: &str,
    content: &impl Serialize,
) -> Result<Secret<String>, Rejection> {
    let sealed = keys.seal_text(purpose, content);
    sealed.map_err(|error| Rejection::internal(format!("sealing: {error}")))
}
