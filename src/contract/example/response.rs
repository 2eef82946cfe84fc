//! Sample outcomes and refusals, and where an answer holds what a client looks for.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Response, header};
use serde_json::Value;
use uuid::Uuid;

use crate::contract::example::request::needed;
use crate::contract::example::{CHALLENGE, ExampleValues, INSTANT, SESSION, SETUP};
use crate::contract::input::InputRule;
use crate::contract::input::source::InputSource;
use crate::contract::{Contract, Endpoint};
use crate::operation::{
    Demand, ErrorCode, Operation, Outcome, Problem, ProblemKind, Rejection, SecondFactorView,
    SessionId, SessionView, TokenSet, UserId, UserView,
};
use crate::secret::Secret;

/// The place of a value in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerPlace {
    /// In a member of that name, at whatever depth.
    Member(String),
    /// In a header, after some words.
    Header {
        /// Which.
        name: HeaderName,
        /// `Bearer `, for one.
        prefix: String,
    },
    /// In a cookie of that name.
    Cookie(String),
}

impl AnswerPlace {
    /// Looks for a value: in the body first, then in cookies and headers.
    #[must_use]
    pub fn find(answer: &Response<Bytes>, value: &str) -> Option<Self> {
        let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
        if let Some(name) = body.as_ref().and_then(|body| member_with(body, value)) {
            return Some(Self::Member(name.to_owned()));
        }
        answer.headers().iter().find_map(|(name, text)| {
            let (prefix, _) = text.to_str().ok()?.split_once(value)?;
            if name == header::SET_COOKIE {
                return Some(Self::Cookie(prefix.strip_suffix('=')?.to_owned()));
            }
            Some(Self::Header { name: name.clone(), prefix: prefix.to_owned() })
        })
    }
}

fn member_with<'a>(body: &'a Value, value: &str) -> Option<&'a str> {
    let Value::Object(members) = body else { return None };
    members.iter().find_map(|(name, member)| match member {
        Value::String(text) if text == value => Some(name.as_str()),
        member => member_with(member, value),
    })
}

/// A sample outcome of an operation.
pub(super) fn outcome(
    contract: &Contract,
    operation: Operation,
    values: &ExampleValues,
) -> Outcome {
    match operation {
        Operation::SignUp => Outcome::SignedUp { user: user(contract, values) },
        Operation::Me => Outcome::Account { user: user(contract, values) },
        Operation::Login
        | Operation::Refresh
        | Operation::ChangePassword
        | Operation::SocialLogin
        | Operation::SecondFactor => Outcome::TokensIssued {
            user: user(contract, values),
            tokens: tokens(contract, values),
            is_new_user: false,
        },
        Operation::Logout => Outcome::LoggedOut,
        Operation::Sessions => Outcome::Sessions { sessions: vec![session()] },
        Operation::EndSession => Outcome::SessionEnded,
        Operation::CheckToken => Outcome::TokenChecked {
            token: Secret::from(values.access_token.as_str()),
            expires_at: INSTANT.plus(contract.tokens().access_ttl),
        },
        Operation::RequestReset | Operation::RequestVerification => Outcome::CodeRequested,
        Operation::ConfirmReset => Outcome::PasswordReset { user: UserId(1) },
        Operation::ConfirmVerification => Outcome::EmailVerified { user: UserId(1) },
        Operation::SetUpSecondFactor => Outcome::SecondFactorDrawn {
            setup: Secret::from(SETUP),
            secret: Secret::from(CODE_SECRET),
            uri: Secret::from(CODE_URI),
        },
        Operation::ConfirmSecondFactor => {
            let session = Box::new((user(contract, values), tokens(contract, values)));
            recovery_codes(true, Some(session))
        }
        Operation::RenewRecoveryCodes => recovery_codes(false, None),
        Operation::RemoveSecondFactor => Outcome::SecondFactorRemoved,
        Operation::ShowSecondFactor => Outcome::SecondFactorShown {
            second_factor: Some(SecondFactorView {
                since: INSTANT,
                recovery_codes_left: RECOVERY_CODES.len(),
                has_password: true,
                devices: Vec::new(),
            }),
        },
    }
}

/// A refusal of a kind, with that kind's details.
pub(super) fn rejection(endpoint: Option<&Endpoint>, kind: ErrorCode) -> Rejection {
    let problem = (kind == ErrorCode::InvalidInput).then(|| Box::new(missing_input(endpoint)));
    let methods = endpoint.map_or("POST", |endpoint| endpoint.method().as_str());
    Rejection {
        problem,
        retry_after: Some(Duration::from_secs(30)),
        allow: vec![methods.to_owned()],
        demand: demand(kind),
        ..Rejection::new(kind, "an example")
    }
}

fn demand(kind: ErrorCode) -> Option<Box<Demand>> {
    if kind.has_challenge() {
        return Some(Box::new(Demand::SecondFactor(Secret::from(CHALLENGE))));
    }
    let is_old = kind == ErrorCode::ReauthenticationRequired;
    is_old.then(|| Box::new(Demand::RecentLogin(Duration::from_mins(5))))
}

fn recovery_codes(turned_on: bool, session: Option<Box<(UserView, TokenSet)>>) -> Outcome {
    let codes = RECOVERY_CODES.into_iter().map(Secret::from).collect();
    Outcome::RecoveryCodes { user: UserId(7), codes, turned_on, session }
}

/// A sample secret of an app, and its address.
const CODE_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const CODE_URI: &str = "otpauth://totp/api.example.com:user%40example.com\
                        ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=api.example.com";

/// Sample recovery codes, of ten.
const RECOVERY_CODES: [&str; 2] = ["k7m2p-x9rtd", "8wq4z-hn3ve"];

/// The kinds of error of endpoints that read a cookie.
pub(super) const KINDS_OF_COOKIES: [ErrorCode; 2] =
    [ErrorCode::RefreshMissing, ErrorCode::DuplicateCookie];

/// The kinds of error that only some operations have, by operation.
pub(super) const fn kinds_of(operation: Operation) -> &'static [ErrorCode] {
    use ErrorCode::{InvalidCode, InvalidCredentials};
    match operation {
        Operation::SignUp => &[ErrorCode::AccountExists, ErrorCode::SignupClosed],
        Operation::Login => &[InvalidCredentials, ErrorCode::LookupTimeout],
        Operation::Refresh => &[ErrorCode::InvalidGrant],
        Operation::ChangePassword => &[InvalidCredentials],
        Operation::EndSession => &[ErrorCode::SessionNotFound],
        Operation::SocialLogin => &[
            ErrorCode::UnsupportedProvider,
            ErrorCode::InvalidProviderToken,
            ErrorCode::ProviderUnavailable,
        ],
        Operation::CheckToken => &[ErrorCode::InvalidToken],
        Operation::ConfirmReset | Operation::ConfirmVerification => &[InvalidCode],
        Operation::SecondFactor => &[InvalidCredentials, InvalidCode],
        Operation::SetUpSecondFactor => &[InvalidCredentials, ErrorCode::ReauthenticationRequired],
        Operation::ConfirmSecondFactor
        | Operation::RemoveSecondFactor
        | Operation::RenewRecoveryCodes => &[InvalidCredentials, InvalidCode],
        Operation::Logout
        | Operation::Me
        | Operation::Sessions
        | Operation::RequestReset
        | Operation::RequestVerification
        | Operation::ShowSecondFactor => &[],
    }
}

/// The first input that a request may lack.
pub(super) fn first_to_be_missed(endpoint: &Endpoint) -> Option<&InputRule> {
    needed(endpoint).find(|rule| match rule.sources.first() {
        Some(InputSource::Body(_) | InputSource::Query(_) | InputSource::Header(_)) => true,
        // Without its cookie a refresh is refused in another way; a path always has its segment.
        _ => false,
    })
}

fn missing_input(endpoint: Option<&Endpoint>) -> Problem {
    let first = endpoint.and_then(first_to_be_missed);
    Problem {
        field: first.map_or("email", |rule| rule.client_name()).to_owned(),
        kind: ProblemKind::Missing,
        message: first.and_then(|rule| rule.message.clone()),
    }
}

fn user(contract: &Contract, values: &ExampleValues) -> UserView {
    let role = contract.tokens().default_role.as_deref().unwrap_or("user");
    UserView {
        id: UserId(7),
        email: Some(values.email.clone()),
        email_verified: true,
        username: Some(values.username.clone()),
        roles: vec![role.to_owned()],
        permissions: vec!["orders:read".to_owned()],
        attributes: contract.example_attributes(),
        created_at: INSTANT,
        last_login_at: Some(INSTANT),
    }
}

fn tokens(contract: &Contract, values: &ExampleValues) -> TokenSet {
    let settings = contract.tokens();
    TokenSet {
        access_token: Secret::from(values.access_token.as_str()),
        issued_at: INSTANT,
        access_expires_at: INSTANT.plus(settings.access_ttl),
        refresh_token: settings.refresh_ttl.map(|_| Secret::from(values.refresh_token.as_str())),
        refresh_expires_at: settings.refresh_ttl.map(|ttl| INSTANT.plus(ttl)),
        session: session_id(),
        device: None,
    }
}

fn session() -> SessionView {
    SessionView {
        id: session_id(),
        created_at: INSTANT,
        last_used_at: INSTANT,
        address: "192.0.2.7".to_owned(),
        agent: Some("curl/8.10".to_owned()),
        current: true,
    }
}

fn session_id() -> SessionId {
    SessionId(SESSION.parse().unwrap_or(Uuid::nil()))
}
