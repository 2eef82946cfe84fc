//! The second factor: asked for after a login, set up, confirmed, turned off.
//!
//! A login that proved its first factor gets no session but a challenge, which the second factor's
//! proof brings along. Every proof is taken from a budget before it is judged, and counted in the
//! store in the same step that lets it in: no code counts twice, on whatever gateway.

use std::sync::LazyLock;
use std::time::Duration;

use uuid::Uuid;

use crate::auth::recent_login::check_recent;
use crate::auth::second_factor::carried::{Challenge, Setup};
use crate::auth::second_factor::factor::Owner;
use crate::auth::second_factor::one_time_code::CodeSecret;
use crate::auth::throttle::{network, rate_limited};
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::config::Mfa;
use crate::operation::{
    AuthMethods, Caller, Claimant, Demand, DeviceView, ErrorCode, Identifier, Outcome, OwnerProof,
    Principal, Rejection, SecondFactorView, SecondProof, TokenSet, UserView,
};
use crate::secret::Secret;
use crate::store::{Bound, Lookup, SecondFactor, Taking, TrySubject, User, UserChange};

/// The greatest age of the login of a user who sets a second factor up: whoever finds an unlocked
/// browser must not put a lock of their own on the account.
const SET_UP_LOGIN_AGE: Duration = Duration::from_mins(10);

/// Wrong proofs of an account from one network, and from all.
const FROM_NETWORK: (u32, Duration) = (5, Duration::from_mins(10));
static FROM_ALL: LazyLock<Bound> =
    LazyLock::new(|| Bound::window("a day", 50, Duration::from_hours(24)));

/// Tries of a change that others may race.
const LOOKS: usize = 3;

/// A user whose second factor was proved, and what their device presents from now on.
type Proved = (User, Option<(Secret<String>, Timestamp)>);

impl Auth {
    /// Opens the session of a user who proved `methods`, or asks for the second factor.
    ///
    /// `None` when the account changed since `user` was read.
    ///
    /// # Errors
    /// [`ErrorCode::SecondFactorRequired`] and [`ErrorCode::SecondFactorSetupRequired`], with the
    /// challenge.
    pub(in crate::auth) async fn complete_login(
        &self,
        site: &AuthSite,
        caller: &Caller,
        (user, is_new_user): (&User, bool),
        methods: AuthMethods,
        now: Timestamp,
    ) -> Result<Option<Outcome>, Rejection> {
        let (code, reason) = match (site.mfa, &user.second_factor) {
            (Mfa::Off, _) | (Mfa::Optional, None) => {
                return self.open_login(site, caller, (user, is_new_user), methods, now).await;
            }
            (Mfa::Optional | Mfa::Required, Some(factor)) => {
                if self.owner(site, user).presented(factor, caller, now).is_some() {
                    let methods = methods.with_remembered_device();
                    return self.open_login(site, caller, (user, is_new_user), methods, now).await;
                }
                (ErrorCode::SecondFactorRequired, "the second factor has to be proved")
            }
            (Mfa::Required, None) => {
                (ErrorCode::SecondFactorSetupRequired, "a second factor has to be set up")
            }
        };
        let challenge = Challenge::new(user, methods, is_new_user, now);
        let demand = Demand::SecondFactor(challenge.seal(&self.own_keys, site)?);
        let demand = Some(Box::new(demand));
        Err(Rejection { demand, ..Rejection::new(code, reason) }.about(Some(user.id)))
    }

    async fn open_login(
        &self,
        site: &AuthSite,
        caller: &Caller,
        (user, is_new_user): (&User, bool),
        methods: AuthMethods,
        now: Timestamp,
    ) -> Result<Option<Outcome>, Rejection> {
        let opened = self.open_session(site, caller, (user, methods), now).await?;
        Ok(opened.map(|(user, tokens)| Outcome::TokensIssued { user, tokens, is_new_user }))
    }

    /// Opens the session that a login waits for.
    pub(in crate::auth) async fn second_factor(
        &self,
        site: &AuthSite,
        caller: &Caller,
        challenge: &Secret<String>,
        (proof, remember): (&SecondProof, bool),
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        self.check_signer(site, now)?;
        let (challenge, user) = self.waiting_login(site, challenge, now).await?;
        let (user, device) = self.prove_second(site, caller, user, (proof, remember), now).await?;
        let (user, tokens) = self.open_waiting(site, caller, (user, &challenge), now).await?;
        let tokens = TokenSet { device, ..tokens };
        Ok(Outcome::TokensIssued { user, tokens, is_new_user: challenge.is_new_user })
    }

    /// Draws a secret, or shows one again; nothing is stored.
    pub(in crate::auth) async fn set_up_second_factor(
        &self,
        site: &AuthSite,
        claimant: &Claimant,
        before: Option<&Secret<String>>,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        if let Claimant::SignedIn(principal) = claimant {
            check_recent(principal, SET_UP_LOGIN_AGE, now)?;
        }
        let (user, _) = self.claiming_user(site, claimant, now).await?;
        let before = before.map(|text| Setup::open(&self.own_keys, site, text, (user.id, now)));
        let secret = before.and_then(Result::ok).map_or_else(CodeSecret::draw, Ok)?;
        let setup = Setup::new(user.id, &secret, now).seal(&self.own_keys, site)?;
        let (email, username) = (user.email.as_ref(), user.username.as_ref());
        let account = email.map(ToString::to_string);
        let account = account.or_else(|| username.map(ToString::to_string));
        let account = account.unwrap_or_else(|| user.id.to_string());
        let uri = secret.uri(&site.name, &account);
        Ok(Outcome::SecondFactorDrawn { setup, secret: secret.base32(), uri })
    }

    /// Turns the second factor on, and opens the session of a login that waits for it.
    pub(in crate::auth) async fn confirm_second_factor(
        &self,
        site: &AuthSite,
        caller: &Caller,
        claimant: &Claimant,
        (setup, code): (&Secret<String>, &Secret<String>),
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        self.check_signer(site, now)?;
        let (user, challenge) = self.claiming_user(site, claimant, now).await?;
        let secret = Setup::open(&self.own_keys, site, setup, (user.id, now))?;
        let step = secret.step_of(code, now, 0).ok_or_else(|| wrong_code(&user))?;
        let owner = self.owner(site, &user);
        let (codes, hashes) = owner.draw_codes()?;
        let factor = owner.factor(&secret, hashes, (step, now))?;
        let user = self.replace_factor(site, &user, Some(factor), now).await?;
        let user = user.ok_or_else(|| Rejection::new(ErrorCode::Forbidden, HAS_ONE))?;
        let id = user.id;
        let session = match challenge {
            Some(challenge) => {
                let opened = self.open_waiting(site, caller, (user, &challenge), now).await?;
                Some(Box::new(opened))
            }
            None => None,
        };
        Ok(Outcome::RecoveryCodes { user: id, codes, turned_on: true, session })
    }

    /// Turns the second factor off.
    pub(in crate::auth) async fn remove_second_factor(
        &self,
        site: &AuthSite,
        caller: &Caller,
        (principal, proof): (&Principal, &OwnerProof),
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let user = self.owning_user(site, caller, (principal, proof), now).await?;
        self.change_factor(site, user, |_| Ok((None, ())), now).await?;
        Ok(Outcome::SecondFactorRemoved)
    }

    /// Replaces the recovery codes.
    pub(in crate::auth) async fn renew_recovery_codes(
        &self,
        site: &AuthSite,
        caller: &Caller,
        (principal, proof): (&Principal, &OwnerProof),
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let user = self.owning_user(site, caller, (principal, proof), now).await?;
        let renew = |user: &User| {
            let factor = user.second_factor.clone().ok_or_else(has_none)?;
            let (codes, recovery_codes) = self.owner(site, user).draw_codes()?;
            Ok((Some(SecondFactor { recovery_codes, ..factor }), codes))
        };
        let (user, codes) = self.change_factor(site, user, renew, now).await?;
        Ok(Outcome::RecoveryCodes { user: user.id, codes, turned_on: false, session: None })
    }

    /// Tells the state of the second factor.
    pub(in crate::auth) async fn show_second_factor(
        &self,
        site: &AuthSite,
        caller: &Caller,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let user = self.account_of(site, principal, Lookup::Routine).await?;
        let view = |factor: &SecondFactor| {
            let current = self.owner(site, &user).presented(factor, caller, now);
            let current = current.map(|device| device.id);
            let living = factor.devices.iter().filter(|device| device.until > now);
            SecondFactorView {
                since: factor.since,
                recovery_codes_left: factor.recovery_codes.len(),
                has_password: user.verifier.is_some(),
                devices: living
                    .map(|device| DeviceView {
                        id: device.id,
                        agent: device.agent.clone(),
                        since: device.since,
                        until: device.until,
                        current: current == Some(device.id),
                    })
                    .collect(),
            }
        };
        let second_factor = user.second_factor.as_ref().map(view);
        Ok(Outcome::SecondFactorShown { second_factor })
    }

    /// Forgets remembered devices: one, or all.
    pub(in crate::auth) async fn forget_devices(
        &self,
        site: &AuthSite,
        principal: &Principal,
        device: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let user = self.account_of(site, principal, Lookup::Routine).await?;
        let forget = |user: &User| {
            let mut factor = user.second_factor.clone();
            if let Some(factor) = &mut factor {
                factor.devices.retain(|own| device.is_some_and(|device| own.id != device));
            }
            Ok((factor, ()))
        };
        self.change_factor(site, user, forget, now).await?;
        Ok(Outcome::DevicesForgotten)
    }

    /// Takes a proof from the account's budget, judges it, and counts it.
    async fn prove_second(
        &self,
        site: &AuthSite,
        caller: &Caller,
        user: User,
        (proof, remember): (&SecondProof, bool),
        now: Timestamp,
    ) -> Result<Proved, Rejection> {
        let tried = TrySubject::second_factor(&site.realm, user.id);
        let (most, window) = FROM_NETWORK;
        let network = Bound::window(network(caller.address).to_string(), most, window);
        let taken = self.store.take_try(&tried, &[network, FROM_ALL.clone()], now).await?;
        if let Taking::UsedUp { wait } = taken {
            let reason = "too many wrong proofs of the second factor";
            return Err(rate_limited("second factor", reason, wait).about(Some(user.id)));
        }
        let count = |user: &User| {
            let factor = user.second_factor.as_ref().ok_or_else(has_none)?;
            let owner = self.owner(site, user);
            let mut after = owner.prove(factor, proof, now)?.ok_or_else(|| wrong_code(user))?;
            let device = match remember {
                true => Some(owner.remember(&mut after, caller, now)?),
                false => None,
            };
            Ok((Some(after), device))
        };
        let proved = self.change_factor(site, user, count, now).await?;
        self.store.forget_tries(&tried, None).await?;
        Ok(proved)
    }

    /// Changes a second factor; anew, where another change of it was quicker.
    async fn change_factor<T>(
        &self,
        site: &AuthSite,
        mut user: User,
        change: impl Fn(&User) -> Result<(Option<SecondFactor>, T), Rejection>,
        now: Timestamp,
    ) -> Result<(User, T), Rejection> {
        for _ in 0..LOOKS {
            let (to, made) = change(&user)?;
            if let Some(user) = self.replace_factor(site, &user, to, now).await? {
                return Ok((user, made));
            }
            let who = Identifier::Id(user.id);
            let again = self.store.find_user(&site.realm, &who, Lookup::Routine).await?;
            let same = again.filter(|it| it.enabled && it.generation == user.generation);
            user = same.ok_or_else(|| changed_meanwhile(&user))?;
        }
        Err(Rejection::unavailable("the second factor changes all the time"))
    }

    /// Puts another second factor, under a new revision, in the place of the one that `user` was read
    /// with; `None` where another change was quicker.
    async fn replace_factor(
        &self,
        site: &AuthSite,
        user: &User,
        to: Option<SecondFactor>,
        now: Timestamp,
    ) -> Result<Option<User>, Rejection> {
        let from = user.second_factor.as_ref().map(|factor| factor.revision);
        let to = to.map(|factor| SecondFactor { revision: Uuid::new_v4(), ..factor });
        let wanted = to.as_ref().map(|factor| factor.revision);
        let change = UserChange::ReplaceSecondFactor { from, to };
        let until = Self::users_revoked_until(site, now);
        let changed = self.change_account(site, user.id, change, now, until).await?;
        let changed = changed.ok_or_else(|| changed_meanwhile(user))?;
        let is_ours = changed.second_factor.as_ref().map(|factor| factor.revision) == wanted;
        Ok(is_ours.then_some(changed))
    }

    /// Opens the session of a login that waited, now that its second factor is proved.
    ///
    /// It is opened under the generation of the login: whatever ended all sessions since then, even
    /// a moment ago, ended the login as well.
    async fn open_waiting(
        &self,
        site: &AuthSite,
        caller: &Caller,
        (user, challenge): (User, &Challenge),
        now: Timestamp,
    ) -> Result<(UserView, TokenSet), Rejection> {
        let user = User { generation: challenge.generation, ..user };
        let methods = challenge.methods().with_one_time_code();
        let opened = self.open_session(site, caller, (&user, methods), now).await?;
        opened.ok_or_else(|| changed_meanwhile(&user))
    }

    /// The login that a challenge stands for, and its account as it is now.
    async fn waiting_login(
        &self,
        site: &AuthSite,
        challenge: &Secret<String>,
        now: Timestamp,
    ) -> Result<(Challenge, User), Rejection> {
        let challenge = Challenge::open(&self.own_keys, site, challenge, now)?;
        let who = Identifier::Id(challenge.user);
        let user = self.store.find_user(&site.realm, &who, Lookup::Login).await?;
        let user = user.filter(|user| user.enabled && user.generation == challenge.generation);
        let ended = || {
            let reason = "the account was disabled, or its sessions ended, since the login";
            Rejection::new(ErrorCode::InvalidCredentials, reason).about(Some(challenge.user))
        };
        let user = user.ok_or_else(ended)?;
        Ok((challenge, user))
    }

    /// The user who sets a second factor up: they have none, and the site takes it.
    async fn claiming_user(
        &self,
        site: &AuthSite,
        claimant: &Claimant,
        now: Timestamp,
    ) -> Result<(User, Option<Challenge>), Rejection> {
        let (user, challenge) = match claimant {
            Claimant::SignedIn(principal) => {
                (self.account_of(site, principal, Lookup::Routine).await?, None)
            }
            Claimant::LoggingIn(challenge) => {
                let (challenge, user) = self.waiting_login(site, challenge, now).await?;
                (user, Some(challenge))
            }
        };
        if site.mfa == Mfa::Off {
            return Err(Rejection::new(ErrorCode::Forbidden, "this site has no second factor"));
        }
        if user.second_factor.is_some() {
            return Err(Rejection::new(ErrorCode::Forbidden, HAS_ONE).about(Some(user.id)));
        }
        Ok((user, challenge))
    }

    /// The user of a token, who proves to own the account.
    async fn owning_user(
        &self,
        site: &AuthSite,
        caller: &Caller,
        (principal, proof): (&Principal, &OwnerProof),
        now: Timestamp,
    ) -> Result<User, Rejection> {
        let user = self.account_of(site, principal, Lookup::Routine).await?;
        match proof {
            OwnerProof::Password(password) => {
                self.prove_password(site, caller, &user, password, now).await.map(|()| user)
            }
            OwnerProof::SecondFactor(proof) => {
                let proved = self.prove_second(site, caller, user, (proof, false), now).await;
                proved.map(|(user, _)| user)
            }
        }
    }

    fn owner<'a>(&'a self, site: &'a AuthSite, user: &User) -> Owner<'a> {
        Owner { keys: &self.own_keys, realm: &site.realm, user: user.id }
    }
}

const HAS_ONE: &str = "the account has a second factor: it has to be turned off first";

fn has_none() -> Rejection {
    Rejection::new(ErrorCode::InvalidCode, "the account has no second factor")
}

fn wrong_code(user: &User) -> Rejection {
    let reason = "the second factor's code is wrong, used, or old";
    Rejection::new(ErrorCode::InvalidCode, reason).about(Some(user.id))
}

fn changed_meanwhile(user: &User) -> Rejection {
    let reason = "the account changed during the login";
    Rejection::new(ErrorCode::InvalidCredentials, reason).about(Some(user.id))
}
