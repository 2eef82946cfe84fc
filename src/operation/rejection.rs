//! Refusals of requests: the part for the client, and the part for the operator alone.

use std::borrow::Cow;
use std::time::Duration;

use crate::operation::UserId;
use crate::secret::Secret;

/// A refusal on its way to a client; the site's contract turns it into bytes, in one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {reason}")]
pub struct Rejection {
    /// The part that the client may learn.
    pub code: ErrorCode,
    /// The input at fault ([`ErrorCode::InvalidInput`]).
    pub problem: Option<Box<Problem>>,
    /// The reason for the log and `explain`; it never reaches the client.
    pub reason: Cow<'static, str>,
    /// The wait before a retry makes sense (RFC 9110 §10.2.3).
    pub retry_after: Option<Duration>,
    /// The methods that are allowed ([`ErrorCode::MethodNotAllowed`]).
    pub allow: Vec<String>,
    /// The account that was asked for, where there is one; for the audit trail, never the client.
    pub about: Option<UserId>,
    /// What would let the client in.
    pub demand: Option<Box<Demand>>,
}

/// A demand on the client's authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A second factor, to be proved or set up with this challenge.
    SecondFactor(Secret<String>),
    /// A login no older than this (RFC 9470 §3: `max_age`).
    RecentLogin(Duration),
}

/// An input at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The input, by the name that the client knows (`email`, `profileImage`, `body`).
    pub field: String,
    /// The kind of fault.
    pub kind: ProblemKind,
    /// The contract's own message for it, where it has one.
    pub message: Option<String>,
}

/// A kind of fault of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Not there, null, or empty.
    Missing,
    /// Another JSON type, or not of the documented form.
    Malformed,
    /// Shorter or longer than allowed.
    Length,
    /// The body does not parse, has another media type, or is too large.
    Body,
}

/// The public list of refusals, by kind; a contract gives each its status, code and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// 400: an endpoint's input is at fault.
    InvalidInput,
    /// 401: unknown user, wrong password and disabled account alike.
    InvalidCredentials,
    /// 400 or 401: the refresh token is unknown, expired, revoked or reused (RFC 6749 §5.2).
    InvalidGrant,
    /// 409: the email address or user name is taken.
    AccountExists,
    /// 403: sign-up is closed on this site.
    SignupClosed,
    /// 401: no refresh token came, where it travels in a cookie.
    RefreshMissing,
    /// 401: a cookie came with several values, of which only one can be right; the answer clears
    /// it.
    DuplicateCookie,
    /// 400: the mailed code is wrong, used, expired, or guessed too often.
    InvalidCode,
    /// 400: a social provider that is unknown, or not configured.
    UnsupportedProvider,
    /// 401: the social provider refuses the token, or made it for another application.
    InvalidProviderToken,
    /// 502: the social provider cannot be asked.
    ProviderUnavailable,
    /// 403: the password was right, and the second factor has to be proved.
    SecondFactorRequired,
    /// 403: the password was right, and the site wants a second factor, which has to be set up.
    SecondFactorSetupRequired,
    /// 401: a valid token of a login that is too old for this (RFC 9470 §3).
    ReauthenticationRequired,
    /// 404: no such session of this user.
    SessionNotFound,
    /// 503: the user look-up of a login took too long.
    LookupTimeout,
    /// 401: no credentials (RFC 6750 §3: a challenge without an error).
    MissingToken,
    /// 401: the token is malformed, forged, expired or revoked (RFC 6750 §3.1 `invalid_token`).
    InvalidToken,
    /// 400: path, framing, or a header the gateway does not take.
    BadRequest,
    /// 403: a valid token that the route's rules do not let in.
    Forbidden,
    /// 404: no route.
    NotFound,
    /// 405: another method is served here.
    MethodNotAllowed,
    /// 408: the body came too slowly.
    RequestTimeout,
    /// 413: a forwarded body over its limit.
    PayloadTooLarge,
    /// 414: the target is over its limit.
    UriTooLong,
    /// 417: an expectation other than `100-continue`.
    ExpectationFailed,
    /// 429: too many tries.
    RateLimited,
    /// 431: the head is over its limit.
    HeadersTooLarge,
    /// 500: a fault of ours.
    Internal,
    /// 502: the upstream refused, reset or sent what is no HTTP.
    UpstreamUnavailable,
    /// 503: the store is away, revocation is stale, or a queue is full.
    ServiceUnavailable,
    /// 504: the upstream is silent.
    UpstreamTimeout,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 32] = [
        Self::InvalidInput,
        Self::InvalidCredentials,
        Self::InvalidGrant,
        Self::AccountExists,
        Self::SignupClosed,
        Self::RefreshMissing,
        Self::DuplicateCookie,
        Self::InvalidCode,
        Self::UnsupportedProvider,
        Self::InvalidProviderToken,
        Self::ProviderUnavailable,
        Self::SecondFactorRequired,
        Self::SecondFactorSetupRequired,
        Self::ReauthenticationRequired,
        Self::SessionNotFound,
        Self::LookupTimeout,
        Self::MissingToken,
        Self::InvalidToken,
        Self::BadRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::UriTooLong,
        Self::ExpectationFailed,
        Self::RateLimited,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::UpstreamUnavailable,
        Self::ServiceUnavailable,
        Self::UpstreamTimeout,
    ];

    /// The name in a contract file, in metrics and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidGrant => "invalid_grant",
            Self::AccountExists => "account_exists",
            Self::SignupClosed => "signup_closed",
            Self::RefreshMissing => "refresh_missing",
            Self::DuplicateCookie => "duplicate_cookie",
            Self::InvalidCode => "invalid_code",
            Self::UnsupportedProvider => "unsupported_provider",
            Self::InvalidProviderToken => "invalid_provider_token",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::SecondFactorRequired => "second_factor_required",
            Self::SecondFactorSetupRequired => "second_factor_setup_required",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::SessionNotFound => "session_not_found",
            Self::LookupTimeout => "lookup_timeout",
            Self::MissingToken => "missing_token",
            Self::InvalidToken => "invalid_token",
            Self::BadRequest => "bad_request",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::ExpectationFailed => "expectation_failed",
            Self::RateLimited => "rate_limited",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Internal => "internal_error",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::ServiceUnavailable => "service_unavailable",
            Self::UpstreamTimeout => "upstream_timeout",
        }
    }

    /// The status where a contract does not say otherwise (RFC 9110 §15, RFC 6585).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidInput
            | Self::InvalidGrant
            | Self::InvalidCode
            | Self::UnsupportedProvider
            | Self::BadRequest => 400,
            Self::InvalidCredentials
            | Self::RefreshMissing
            | Self::DuplicateCookie
            | Self::InvalidProviderToken
            | Self::MissingToken
            | Self::InvalidToken
            | Self::ReauthenticationRequired => 401,
            Self::SignupClosed
            | Self::Forbidden
            | Self::SecondFactorRequired
            | Self::SecondFactorSetupRequired => 403,
            Self::SessionNotFound | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::AccountExists => 409,
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::ExpectationFailed => 417,
            Self::RateLimited => 429,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::UpstreamUnavailable | Self::ProviderUnavailable => 502,
            Self::ServiceUnavailable | Self::LookupTimeout => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// Whether its answer brings a challenge that the client goes on with.
    #[must_use]
    pub const fn has_challenge(self) -> bool {
        matches!(self, Self::SecondFactorRequired | Self::SecondFactorSetupRequired)
    }

    /// The kind whose words a contract that has none for this one uses.
    #[must_use]
    pub const fn resembles(self) -> Option<Self> {
        match self {
            Self::ReauthenticationRequired => Some(Self::InvalidToken),
            _ => None,
        }
    }
}

impl Rejection {
    /// Makes a refusal; `reason` is for the operator.
    pub fn new(code: ErrorCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            problem: None,
            reason: reason.into(),
            retry_after: None,
            allow: Vec::new(),
            about: None,
            demand: None,
        }
    }

    /// Makes an [`ErrorCode::ServiceUnavailable`] that asks the client to come again soon.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::ServiceUnavailable, reason).retry_after(Duration::from_secs(1))
    }

    /// Makes an [`ErrorCode::Internal`].
    pub fn internal(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Internal, reason)
    }

    /// Makes an [`ErrorCode::InvalidToken`].
    pub fn invalid_token(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidToken, reason)
    }

    /// Makes an [`ErrorCode::InvalidGrant`].
    pub fn invalid_grant(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidGrant, reason)
    }

    /// Makes an [`ErrorCode::InvalidInput`] that names the input.
    pub fn invalid_input(problem: Problem) -> Self {
        let reason = format!("input `{}`: {:?}", problem.field, problem.kind);
        Self { problem: Some(Box::new(problem)), ..Self::new(ErrorCode::InvalidInput, reason) }
    }

    /// Names the account that was asked for.
    #[must_use]
    pub const fn about(mut self, user: Option<UserId>) -> Self {
        self.about = user;
        self
    }

    /// Makes an [`ErrorCode::ReauthenticationRequired`] for a login older than `max_age`.
    #[must_use]
    pub fn login_too_old(max_age: Duration) -> Self {
        let reason = format!("the login is older than {} s", max_age.as_secs());
        let demand = Some(Box::new(Demand::RecentLogin(max_age)));
        Self { demand, ..Self::new(ErrorCode::ReauthenticationRequired, reason) }
    }

    /// The challenge that the client goes on with.
    #[must_use]
    pub fn challenge(&self) -> Option<&Secret<String>> {
        match self.demand.as_deref() {
            Some(Demand::SecondFactor(challenge)) => Some(challenge),
            Some(Demand::RecentLogin(_)) | None => None,
        }
    }

    /// Sets the wait before a retry.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}
