//! The account behind a token.

use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{Identifier, Outcome, Principal, Rejection, UserId, UserView};
use crate::store::{Lookup, User, UserChange};

impl Auth {
    pub(in crate::auth) async fn me(
        &self,
        site: &AuthSite,
        principal: &Principal,
    ) -> Result<Outcome, Rejection> {
        let user = self.account_of(site, principal, Lookup::Whole).await?;
        Ok(Outcome::Account { user: UserView::from(&user) })
    }

    /// Changes an account, and records in the list what was revoked; `None` when it is gone.
    pub(in crate::auth) async fn change_account(
        &self,
        site: &AuthSite,
        user: UserId,
        change: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<User>, Rejection> {
        let changed = self.store.change_user(&site.realm, user, change, now, revoked_until).await?;
        Ok(changed.map(|(user, ended)| {
            self.revocations.record(&ended);
            user
        }))
    }

    /// Finds the account that a token speaks for.
    pub(in crate::auth) async fn account_of(
        &self,
        site: &AuthSite,
        principal: &Principal,
        lookup: Lookup,
    ) -> Result<User, Rejection> {
        let user = user_of(principal).ok_or_else(no_account)?;
        let who = Identifier::Id(user);
        let user = self.store.find_user(&site.realm, &who, lookup).await?;
        user.filter(|user| user.enabled && !is_older(principal, user)).ok_or_else(|| {
            Rejection::invalid_token("the token's user is disabled, gone, or another by now")
        })
    }
}

/// Whether a token is older than the account, as one of an account that had its number before a
/// restore. Tokens that others sign have no generation.
const fn is_older(principal: &Principal, user: &User) -> bool {
    let generation = principal.generations.user;
    generation > 0 && generation < user.generation
}

/// The account's number in a token's subject; `None` where an operator's own key names someone
/// else. Only the number as this gateway writes it counts: no sign, no leading zero.
pub(in crate::auth) fn user_of(principal: &Principal) -> Option<UserId> {
    let user = principal.subject.parse().map(UserId).ok()?;
    (user.to_string() == principal.subject).then_some(user)
}

/// The refusal of a token whose subject is no account's number.
pub(in crate::auth) fn no_account() -> Rejection {
    Rejection::invalid_token("the token's subject is no account's number")
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            email: user.email.as_ref().map(|email| email.as_str().to_owned()),
            email_verified: user.email_verified,
            username: user.username.as_ref().map(|name| name.as_str().to_owned()),
            roles: user.roles.clone(),
            permissions: user.permissions.clone(),
            attributes: user.attributes.clone(),
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}
