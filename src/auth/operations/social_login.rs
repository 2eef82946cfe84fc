//! Social login: opens a session for a provider's user, and makes the account where there is none.
//!
//! Accounts are found by address, and only a verified address finds one. An account whose address
//! was never proven here may be a stranger's who registered it beforehand: joining it ends all its
//! earlier sessions, or (`join = "proven-only"`) is refused.

use crate::auth::operations::login::look_up_failure;
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::config::SocialJoin;
use crate::encoding::hex;
use crate::operation::{
    AuthMethods, Caller, Email, ErrorCode, Identifier, IdentityError, Outcome, Provider, Rejection,
};
use crate::secret::Secret;
use crate::social::{Profile, SocialError};
use crate::store::{Lookup, StoreError, User, UserChange};
use crate::telemetry::audit::{Entry, Event};
use crate::telemetry::{audit, causes};

/// The address that a provider's user has here.
#[derive(Debug)]
enum Address {
    /// One that the provider has verified.
    Proven(Email),
    /// One made by the gateway for a user without any: it receives no mail, and cannot be claimed.
    StandIn(Email),
}

impl Auth {
    pub(in crate::auth) async fn social_login(
        &self,
        site: &AuthSite,
        caller: &Caller,
        provider: Provider,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let asked = site.settings.social.ask(provider, token).await;
        let profile = asked.map_err(|error| provider_failure(&error))?;
        let address = self.address_of(site, &profile)?;
        let identifier = Identifier::Email(address.email().clone());
        let mut is_new_user = false;
        // Repeated for a login that raced another first login, or a change of the account.
        for _ in 0..LOOKS {
            let found = self.store.find_user(&site.realm, &identifier, Lookup::Login).await;
            let user = match found.map_err(look_up_failure)? {
                Some(user) if !user.enabled => return Err(refusal("the account is disabled")),
                Some(user) => self.admit(site, provider, &address, user, now).await?,
                None => {
                    let made = self.make_account(site, &address, now).await?;
                    is_new_user |= made.is_some();
                    made
                }
            };
            let Some(user) = user else { continue };
            let (who, methods) = ((&user, is_new_user), AuthMethods::default());
            if let Some(outcome) = self.complete_login(site, caller, who, methods, now).await? {
                return Ok(outcome);
            }
        }
        Err(refusal("the account changed during the login"))
    }

    /// The address to look for: the verified one, or a stable one made of the user's id.
    fn address_of(&self, site: &AuthSite, profile: &Profile) -> Result<Address, Rejection> {
        let verified = profile.verified_email.clone().filter(|email| !email.is_stand_in());
        match (verified, profile.provider) {
            (Some(email), _) => Ok(Address::Proven(email)),
            (None, Provider::Google) => Err(refusal("the provider has not verified the address")),
            (None, Provider::Kakao) => {
                let name = profile.provider.name();
                let parts = [site.realm.as_bytes(), profile.id.as_bytes()];
                let hash = self.own_keys.hash(name, &parts);
                let hash = hex(hash.get(..STAND_IN_BYTES).unwrap_or(&hash));
                let email: Result<Email, IdentityError> =
                    format!("{name}_{hash}@{}", Email::STAND_IN_DOMAIN).parse();
                email
                    .map(Address::StandIn)
                    .map_err(|error| Rejection::internal(format!("the user's address: {error}")))
            }
        }
    }

    /// Lets a provider's user into an account that exists; `None` when it was removed meanwhile.
    async fn admit(
        &self,
        site: &AuthSite,
        provider: Provider,
        address: &Address,
        user: User,
        now: Timestamp,
    ) -> Result<Option<User>, Rejection> {
        // The address as the account has it, perhaps in an older spelling.
        let email = match (address, &user.email) {
            (Address::Proven(_), Some(email)) if !user.email_verified => email.clone(),
            _ => return Ok(Some(user)),
        };
        if site.settings.social_join == SocialJoin::ProvenOnly {
            return Err(refusal("nobody has proven the account's address"));
        }
        let (change, until) =
            (UserChange::JoinSocial { email }, Self::users_revoked_until(site, now));
        let joined = self.store.change_user(&site.realm, user.id, change, now, until).await;
        let Some((user, revocations)) = joined? else {
            return Ok(None);
        };
        if !user.email_verified {
            return Ok(None);
        }
        // Without any, another login of the same user was quicker, and its session stays open.
        if !revocations.is_empty() {
            self.revocations.record(&revocations);
            audit::record(Entry {
                site: Some(site.host.clone()),
                user: Some(user.id.to_string()),
                provider: Some(provider.name()),
                ..Entry::of(Event::SocialJoin)
            });
        }
        Ok(Some(user))
    }

    /// Makes the account of a user's first login; `None` when another login of theirs was quicker.
    async fn make_account(
        &self,
        site: &AuthSite,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<User>, Rejection> {
        if !site.signup {
            return Err(Rejection::new(ErrorCode::SignupClosed, "sign-up is closed on this site"));
        }
        let user = User {
            email: Some(address.email().clone()),
            email_verified: matches!(address, Address::Proven(_)),
            roles: site.default_role.clone().into_iter().collect(),
            ..User::new(&site.realm, now)
        };
        match self.store.create_user(user).await {
            Ok(user) => Ok(Some(user)),
            Err(StoreError::Taken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Address {
    const fn email(&self) -> &Email {
        match self {
            Self::Proven(email) | Self::StandIn(email) => email,
        }
    }
}

fn provider_failure(error: &SocialError) -> Rejection {
    let code = match error {
        SocialError::Unsupported => ErrorCode::UnsupportedProvider,
        SocialError::Refused(_) => ErrorCode::InvalidProviderToken,
        SocialError::Unavailable(_) => ErrorCode::ProviderUnavailable,
    };
    Rejection::new(code, causes(error))
}

/// One code for every state of the account, so that the answer reveals none of them.
fn refusal(reason: &'static str) -> Rejection {
    Rejection::new(ErrorCode::InvalidProviderToken, reason)
}

/// Bytes of the keyed hash: enough that no two ids collide.
const STAND_IN_BYTES: usize = 16;
/// Lookups of the account in one login.
const LOOKS: usize = 3;
