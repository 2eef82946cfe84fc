//! Sign-up: makes an account, and grants no role that the operator did not allow.

use std::collections::BTreeMap;

use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{
    Email, ErrorCode, Identifier, Input, Outcome, Password, Problem, ProblemKind, Rejection,
    UserView, Username,
};
use crate::store::{Lookup, User};

/// The account that a sign-up asks for.
#[derive(Debug)]
pub(in crate::auth) struct NewAccount {
    pub(in crate::auth) email: Option<Email>,
    pub(in crate::auth) username: Option<Username>,
    pub(in crate::auth) password: Password,
    pub(in crate::auth) role: Option<String>,
    pub(in crate::auth) attributes: BTreeMap<String, serde_json::Value>,
}

impl Auth {
    pub(in crate::auth) async fn sign_up(
        &self,
        site: &AuthSite,
        account: NewAccount,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        if !site.signup {
            return Err(Rejection::new(ErrorCode::SignupClosed, "sign-up is closed on this site"));
        }
        // A provider's user who logs in later would share the account with whoever made it.
        if account.email.as_ref().is_some_and(Email::is_stand_in) {
            return Err(Rejection::invalid_input(Problem {
                field: Input::Email.name().to_owned(),
                kind: ProblemKind::Malformed,
                message: None,
            }));
        }
        let verifier = site.settings.passwords.hash(&account.password, Input::Password).await?;
        let user = User {
            email: account.email,
            username: account.username,
            verifier: Some(verifier),
            roles: granted_role(site, account.role).into_iter().collect(),
            attributes: account.attributes,
            ..User::new(&site.realm, now)
        };
        let user = self.store.create_user(user).await?;
        Ok(Outcome::SignedUp { user: UserView::from(&user) })
    }

    /// Whether an account has a user name; unlike an address, that is no secret.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn is_name_taken(
        &self,
        site: &AuthSite,
        name: Username,
    ) -> Result<bool, Rejection> {
        let who = Identifier::Username(name);
        Ok(self.store.find_user(&site.realm, &who, Lookup::Routine).await?.is_some())
    }
}

fn granted_role(site: &AuthSite, asked: Option<String>) -> Option<String> {
    asked.filter(|role| site.signup_roles.contains(role)).or_else(|| site.default_role.clone())
}
