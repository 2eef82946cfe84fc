//! Mailed codes, which prove that a user reads the mail of an address.
//!
//! A code is stored by address as a keyed hash, whether or not an account has that address. Without
//! an account everything is done alike, but the mail is dropped unsent: neither the answer nor its
//! time tells one case from the other.
//!
//! The codes of an address stay valid until they expire, so that a stranger's request cannot end
//! the owner's code. Guesses and mails are limited by address, over all its codes.

use std::sync::LazyLock;
use std::time::Duration;

use crate::auth::random::Alphabet;
use crate::auth::throttle::rate_limited;
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::config::Rate;
use crate::mail::{Letter, MailError, Outbox};
use crate::operation::{Email, ErrorCode, Identifier, Outcome, Rejection};
use crate::secret::Secret;
use crate::store::{Bound, CodePurpose, Lookup, NewCode, Taking, TrySubject, User};
use crate::telemetry::metric;

/// The lifetime of a code.
const LIFETIME: Duration = Duration::from_mins(10);

/// The guesses that a code allows, right or wrong.
const GUESSES: u32 = 5;

/// Digits of a code.
const LENGTH: usize = 6;

/// The codes mailed to one address: three at once, then one a minute, and ten an hour.
static MAILS: LazyLock<[Bound; 2]> = LazyLock::new(|| {
    let rate = Rate { count: 1, period: Duration::from_mins(1), burst: 3 };
    [Bound::rate("a minute", rate), Bound::window("an hour", 10, Duration::from_hours(1))]
});

/// The wrong codes of one address that are judged.
static WRONG: LazyLock<[Bound; 2]> = LazyLock::new(|| {
    [
        Bound::window("an hour", 10, Duration::from_hours(1)),
        Bound::window("a day", 30, Duration::from_hours(24)),
    ]
});

impl Auth {
    /// Mails a code, if an account has the address; an address that is mailed too often gets the
    /// same answer, and no mail.
    pub(in crate::auth) async fn request_code(
        &self,
        site: &AuthSite,
        purpose: CodePurpose,
        email: Email,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let mails = outbox(site)?;
        let mailed = TrySubject::mails(&site.realm, &email);
        let taken = self.store.take_try(&mailed, &*MAILS, now).await?;
        if let Taking::UsedUp { .. } = taken {
            metrics::counter!(metric::THROTTLED, "kind" => "mail").increment(1);
            return Ok(Outcome::CodeRequested);
        }
        let user = self.find_by_address(site, &email).await?;
        let to = user.filter(|user| is_of_use(purpose, user, &email)).map(|_| &email);
        let code = Alphabet::Digits.draw(LENGTH)?;
        let letter = match purpose {
            CodePurpose::Reset => Letter::ResetCode { code: code.expose() },
            CodePurpose::Verification => Letter::VerificationCode { code: code.expose() },
        };
        let expires_at = now.plus(LIFETIME);
        let mail = mails
            .write(letter, to, site.language, &site.host, (now, expires_at))
            .map_err(|error| mail_failure(&error))?;
        let hash = self.hash_code(site, purpose, &email, &code);
        let realm = site.realm.clone();
        let code = NewCode { purpose, realm, email, hash, expires_at, guesses: GUESSES };
        self.store.put_code(code, mail).await?;
        mails.nudge();
        Ok(Outcome::CodeRequested)
    }

    /// Mails the owner of a proven address that it has an account, where somebody wanted to make
    /// one; a code that proves it where it is not proven yet.
    ///
    /// # Errors
    /// 503 where mail is off or the store does not answer.
    pub(crate) async fn announce_account(
        &self,
        site: &AuthSite,
        email: &Email,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let user = self.find_by_address(site, email).await?;
        if !user.is_some_and(|user| user.email_verified && user.enabled) {
            let purpose = CodePurpose::Verification;
            return self.request_code(site, purpose, email.clone(), now).await.map(drop);
        }
        let mails = outbox(site)?;
        let mailed = TrySubject::mails(&site.realm, email);
        if let Taking::UsedUp { .. } = self.store.take_try(&mailed, &*MAILS, now).await? {
            metrics::counter!(metric::THROTTLED, "kind" => "mail").increment(1);
            return Ok(());
        }
        let letter = Letter::AccountExists { email: email.as_str() };
        let times = (now, now.plus(LIFETIME));
        let mail = mails
            .write(letter, Some(email), site.language, &site.host, times)
            .map_err(|error| mail_failure(&error))?;
        self.store.queue_mail(mail).await?;
        mails.nudge();
        Ok(())
    }

    /// Uses a code up; returns the enabled account of the address that it went to.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCode`] for a code that is wrong, used, expired or guessed too often, and
    /// for an address without an account: they cost the same. [`ErrorCode::RateLimited`] where too
    /// many codes of the address were wrong.
    pub(in crate::auth) async fn redeem_code(
        &self,
        site: &AuthSite,
        purpose: CodePurpose,
        (email, code): (&Email, &Secret<String>),
        now: Timestamp,
    ) -> Result<User, Rejection> {
        let tried = TrySubject::codes(&site.realm, email);
        // Before the guess is judged: no number of parallel guesses gets past the bound.
        let taken = self.store.take_try(&tried, &*WRONG, now).await?;
        if let Taking::UsedUp { wait } = taken {
            return Err(rate_limited("code", "too many wrong codes of this address", wait));
        }
        let hash = self.hash_code(site, purpose, email, code);
        let right = self.store.try_code(purpose, &site.realm, email, &hash, now).await?;
        if !right {
            return Err(refusal("wrong, used, expired, or guessed too often"));
        }
        self.store.forget_tries(&tried, None).await?;
        let user = self.find_by_address(site, email).await?;
        user.filter(|user| user.enabled).ok_or_else(no_account)
    }

    async fn find_by_address(
        &self,
        site: &AuthSite,
        email: &Email,
    ) -> Result<Option<User>, Rejection> {
        let who = Identifier::Email(email.clone());
        Ok(self.store.find_user(&site.realm, &who, Lookup::Routine).await?)
    }

    fn hash_code(
        &self,
        site: &AuthSite,
        purpose: CodePurpose,
        email: &Email,
        code: &Secret<String>,
    ) -> [u8; 32] {
        let parts = [purpose.name(), &site.realm, email.as_str(), code.expose()];
        self.own_keys.hash("code", &parts.map(str::as_bytes))
    }
}

/// The outbox of mails.
///
/// # Errors
/// 503 when mail is off.
pub(in crate::auth) fn outbox(site: &AuthSite) -> Result<&Outbox, Rejection> {
    let off = || Rejection::new(ErrorCode::ServiceUnavailable, "mail is off");
    site.settings.mails.as_deref().ok_or_else(off)
}

/// The refusal of an operation whose mail could not be written.
pub(in crate::auth) fn mail_failure(error: &MailError) -> Rejection {
    Rejection::internal(format!("a mail could not be written: {error}"))
}

/// The refusal where a code was right but its account is gone.
pub(in crate::auth) fn no_account() -> Rejection {
    refusal("the code was right, but the account is disabled or gone")
}

fn is_of_use(purpose: CodePurpose, user: &User, email: &Email) -> bool {
    let is_wanted = match purpose {
        CodePurpose::Reset => true,
        CodePurpose::Verification => !user.email_verified,
    };
    user.enabled && is_wanted && !email.is_stand_in()
}

fn refusal(reason: &'static str) -> Rejection {
    Rejection::new(ErrorCode::InvalidCode, reason)
}
