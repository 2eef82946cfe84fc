//! The values of the slots of one answer.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::contract::ReplyContext;
use crate::contract::answer::slot::Slot;
use crate::operation::{ErrorCode, Outcome, SecondFactorView, SessionView, TokenSet, UserView};
use crate::secret::Secret;

/// The values that the slots of one answer may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotValues<'a> {
    now: Timestamp,
    request_id: &'a str,
    status: StatusCode,
    message: Option<&'a str>,
    subject: Subject<'a>,
}

/// The subject of the answer.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    Nothing,
    User(&'a UserView),
    Tokens { user: &'a UserView, tokens: &'a TokenSet, is_new_user: bool },
    Checked { token: &'a Secret<String>, expires_at: Timestamp },
    Sessions(&'a [SessionView]),
    Session(&'a SessionView),
    Drawn { setup: &'a Secret<String>, secret: &'a Secret<String>, uri: &'a Secret<String> },
    RecoveryCodes { codes: &'a [Secret<String>], session: Option<&'a (UserView, TokenSet)> },
    SecondFactor(Option<&'a SecondFactorView>),
    Refusal { kind: ErrorCode, fault: Option<InputFault<'a>>, challenge: Option<&'a str> },
}

/// An input at fault, in the client's words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputFault<'a> {
    /// The input's name as the client knows it.
    pub(crate) field: &'a str,
    /// The problem, in the contract's words.
    pub(crate) problem: &'a str,
}

/// The value of a slot.
#[derive(Debug, PartialEq)]
pub(crate) enum SlotValue<'a> {
    Nothing,
    Boolean(bool),
    Integer(i64),
    Text(Cow<'a, str>),
    Texts(&'a [String]),
    Secrets(&'a [Secret<String>]),
    Json(&'a Value),
    Time(Timestamp),
    Sessions(&'a [SessionView]),
}

impl<'a> SlotValues<'a> {
    /// The values of an operation's answer.
    pub(crate) fn of_outcome(
        outcome: &'a Outcome,
        status: StatusCode,
        context: ReplyContext<'a>,
    ) -> Self {
        let subject = match outcome {
            Outcome::SignedUp { user } | Outcome::Account { user } => Subject::User(user),
            Outcome::TokensIssued { user, tokens, is_new_user } => {
                Subject::Tokens { user, tokens, is_new_user: *is_new_user }
            }
            Outcome::TokenChecked { token, expires_at } => {
                Subject::Checked { token, expires_at: *expires_at }
            }
            Outcome::Sessions { sessions } => Subject::Sessions(sessions.as_slice()),
            Outcome::SecondFactorDrawn { setup, secret, uri } => {
                Subject::Drawn { setup, secret, uri }
            }
            Outcome::RecoveryCodes { codes, session, .. } => {
                Subject::RecoveryCodes { codes: codes.as_slice(), session: session.as_deref() }
            }
            Outcome::SecondFactorShown { second_factor } => {
                Subject::SecondFactor(second_factor.as_ref())
            }
            Outcome::LoggedOut
            | Outcome::SecondFactorRemoved
            | Outcome::DevicesForgotten
            | Outcome::SessionEnded
            | Outcome::CodeRequested
            | Outcome::PasswordReset { .. }
            | Outcome::EmailVerified { .. } => Subject::Nothing,
        };
        Self::new(subject, status, context)
    }

    /// The values of a refusal.
    pub(crate) const fn of_refusal(
        kind: ErrorCode,
        fault: Option<InputFault<'a>>,
        status: StatusCode,
        context: ReplyContext<'a>,
    ) -> Self {
        Self::new(Subject::Refusal { kind, fault, challenge: None }, status, context)
    }

    /// The same, with the challenge that a refusal brings.
    pub(crate) fn with_challenge(self, challenge: Option<&'a str>) -> Self {
        match self.subject {
            Subject::Refusal { kind, fault, .. } => {
                Self { subject: Subject::Refusal { kind, fault, challenge }, ..self }
            }
            _ => self,
        }
    }

    const fn new(subject: Subject<'a>, status: StatusCode, context: ReplyContext<'a>) -> Self {
        Self { now: context.now, request_id: context.request_id, status, message: None, subject }
    }

    /// The same, with what `{message}` stands for.
    pub(crate) const fn with_message(self, message: Option<&'a str>) -> Self {
        Self { message, ..self }
    }

    /// The values of one session of a list.
    pub(crate) const fn about(self, session: &'a SessionView) -> Self {
        Self { subject: Subject::Session(session), ..self }
    }

    /// The value of a slot; nothing where it has none here.
    pub(crate) fn value(&self, slot: &'a Slot) -> SlotValue<'a> {
        match slot {
            Slot::Null => SlotValue::Nothing,
            Slot::Now => SlotValue::Time(self.now),
            Slot::RequestId => text(self.request_id),
            Slot::Status => SlotValue::Integer(i64::from(self.status.as_u16())),
            Slot::StatusText => self.status.canonical_reason().map_or(SlotValue::Nothing, text),
            Slot::Message => self.message.map_or(SlotValue::Nothing, text),
            _ => self.subject.value(slot),
        }
    }
}

impl<'a> Subject<'a> {
    fn value(self, slot: &'a Slot) -> SlotValue<'a> {
        match self {
            Self::Nothing => SlotValue::Nothing,
            Self::User(user) => of_user(user, slot),
            Self::Tokens { is_new_user, .. } if *slot == Slot::IsNewUser => {
                SlotValue::Boolean(is_new_user)
            }
            Self::Tokens { user, tokens, .. } => match of_tokens(tokens, slot) {
                SlotValue::Nothing => of_user(user, slot),
                value => value,
            },
            Self::Checked { token, expires_at } => match slot {
                Slot::Token => text(token.expose()),
                Slot::TokenExpiresAt => SlotValue::Time(expires_at),
                _ => SlotValue::Nothing,
            },
            Self::Sessions(sessions) => match slot {
                Slot::Sessions => SlotValue::Sessions(sessions),
                _ => SlotValue::Nothing,
            },
            Self::Session(session) => of_session(session, slot),
            Self::Drawn { setup, secret, uri } => match slot {
                Slot::SecondFactorSetup => text(setup.expose()),
                Slot::SecondFactorSecret => text(secret.expose()),
                Slot::SecondFactorUri => text(uri.expose()),
                _ => SlotValue::Nothing,
            },
            Self::RecoveryCodes { codes, session } => match (slot, session) {
                (Slot::RecoveryCodes, _) => SlotValue::Secrets(codes),
                (_, None) => SlotValue::Nothing,
                (_, Some((user, tokens))) => match of_tokens(tokens, slot) {
                    SlotValue::Nothing => of_user(user, slot),
                    value => value,
                },
            },
            Self::SecondFactor(shown) => match slot {
                Slot::SecondFactorOn => SlotValue::Boolean(shown.is_some()),
                Slot::SecondFactorSince => {
                    shown.map_or(SlotValue::Nothing, |shown| SlotValue::Time(shown.since))
                }
                Slot::RecoveryCodesLeft => {
                    let left = shown.map_or(0, |shown| shown.recovery_codes_left);
                    SlotValue::Integer(i64::try_from(left).unwrap_or(i64::MAX))
                }
                _ => SlotValue::Nothing,
            },
            Self::Refusal { kind, fault, challenge } => match slot {
                Slot::Challenge => optional(challenge),
                Slot::ErrorKind => text(kind.name()),
                Slot::InputField => fault.map_or(SlotValue::Nothing, |fault| text(fault.field)),
                Slot::InputProblem => fault.map_or(SlotValue::Nothing, |fault| text(fault.problem)),
                _ => SlotValue::Nothing,
            },
        }
    }
}

fn of_user<'a>(user: &'a UserView, slot: &'a Slot) -> SlotValue<'a> {
    match slot {
        Slot::UserId => SlotValue::Integer(user.id.0),
        Slot::UserEmail => optional(user.email.as_deref()),
        Slot::UserEmailVerified => SlotValue::Boolean(user.email_verified),
        Slot::UserUsername => optional(user.username.as_deref()),
        Slot::UserRole(default) => {
            optional(user.roles.first().or(default.as_ref()).map(String::as_str))
        }
        Slot::UserRoles => SlotValue::Texts(&user.roles),
        Slot::UserPermissions => SlotValue::Texts(&user.permissions),
        Slot::UserCreatedAt => SlotValue::Time(user.created_at),
        Slot::UserLastLoginAt => user.last_login_at.map_or(SlotValue::Nothing, SlotValue::Time),
        Slot::Attribute(name) => match user.attributes.get(name) {
            None | Some(Value::Null) => SlotValue::Nothing,
            Some(Value::String(value)) => text(value),
            Some(value) => SlotValue::Json(value),
        },
        _ => SlotValue::Nothing,
    }
}

fn of_tokens<'a>(tokens: &'a TokenSet, slot: &Slot) -> SlotValue<'a> {
    match slot {
        Slot::AccessToken => text(tokens.access_token.expose()),
        Slot::AccessIssuedAt => SlotValue::Time(tokens.issued_at),
        Slot::AccessExpiresAt => SlotValue::Time(tokens.access_expires_at),
        Slot::ExpiresIn => {
            let lifetime = tokens.access_expires_at.since(tokens.issued_at);
            SlotValue::Integer(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
        }
        Slot::RefreshToken => {
            optional(tokens.refresh_token.as_ref().map(Secret::expose).map(String::as_str))
        }
        Slot::RefreshExpiresAt => {
            tokens.refresh_expires_at.map_or(SlotValue::Nothing, SlotValue::Time)
        }
        Slot::SessionId => SlotValue::Text(Cow::Owned(tokens.session.to_string())),
        _ => SlotValue::Nothing,
    }
}

fn of_session<'a>(session: &'a SessionView, slot: &Slot) -> SlotValue<'a> {
    match slot {
        Slot::SessionId => SlotValue::Text(Cow::Owned(session.id.to_string())),
        Slot::SessionCreatedAt => SlotValue::Time(session.created_at),
        Slot::SessionLastUsedAt => SlotValue::Time(session.last_used_at),
        Slot::SessionAddress => text(&session.address),
        Slot::SessionAgent => optional(session.agent.as_deref()),
        Slot::SessionCurrent => SlotValue::Boolean(session.current),
        _ => SlotValue::Nothing,
    }
}

const fn text(text: &str) -> SlotValue<'_> {
    SlotValue::Text(Cow::Borrowed(text))
}

fn optional(value: Option<&str>) -> SlotValue<'_> {
    value.map_or(SlotValue::Nothing, text)
}
