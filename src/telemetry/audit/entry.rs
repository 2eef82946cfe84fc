//! One entry of the audit trail.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::TARGET;
use crate::clock::Timestamp;

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An account was asked for.
    SignUp,
    /// A password was tried.
    Login,
    /// A social provider's token was presented.
    SocialLogin,
    /// A session, or all of a user, was to end.
    Logout,
    /// A user was to end a session by its id.
    SessionEnd,
    /// A password was to be changed by its user.
    PasswordChange,
    /// A password was to be reset by a mailed code.
    PasswordReset,
    /// An address was to be proven by a mailed code.
    EmailVerification,
    /// A second factor was to be proved.
    SecondFactor,
    /// A second factor was to be turned on.
    SecondFactorOn,
    /// A second factor was to be turned off.
    SecondFactorOff,
    /// Recovery codes were to be replaced.
    RecoveryCodes,
    /// Remembered devices were to be forgotten.
    DevicesForgotten,
    /// A provider proved an account's address, which was not proven before.
    SocialJoin,
    /// A refresh token was used again: its session was ended.
    RefreshReused,
    /// A signing key was made.
    KeyMade,
    /// An operator revoked something.
    Revocation,
    /// An operator made or changed an account.
    AccountChange,
    /// An operator made accounts of a file.
    AccountImport,
    /// An operator read what passwords are checked with.
    AccountExport,
    /// An operator made a token.
    TokenIssue,
    /// An operator saved the store in a file.
    StoreBackup,
    /// An operator copied the store into another.
    StoreCopy,
    /// An operator put a backup in the store's place.
    StoreRestore,
}

/// One event; what does not apply is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The instant (RFC 3339); added when it is recorded, if it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The event.
    pub event: Event,
    /// `success`, or the refusal's code; absent for an operator's actions.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub result: Option<&'static str>,
    /// The reason of the refusal, or the one that the operator gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The site, by its key in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The realm, where it is not of one site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The account's number, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The social provider; absent for an operator's actions.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub provider: Option<&'static str>,
    /// The kind of the named object, or of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
    /// The name of the object that was made, changed or revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The change, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The number of objects, where it is not one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The operating system's user who typed the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The user who ran `sudo` or `doas`, as those name them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sudo_by: Option<String>,
}

impl Event {
    /// The name in the trail.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Login => "login",
            Self::SocialLogin => "social_login",
            Self::Logout => "logout",
            Self::SessionEnd => "session_end",
            Self::PasswordChange => "password_change",
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
            Self::SecondFactor => "second_factor",
            Self::SecondFactorOn => "second_factor_on",
            Self::SecondFactorOff => "second_factor_off",
            Self::RecoveryCodes => "recovery_codes",
            Self::DevicesForgotten => "devices_forgotten",
            Self::SocialJoin => "social_join",
            Self::RefreshReused => "refresh_reused",
            Self::KeyMade => "key_made",
            Self::Revocation => "revocation",
            Self::AccountChange => "account_change",
            Self::AccountImport => "account_import",
            Self::AccountExport => "account_export",
            Self::TokenIssue => "token_issue",
            Self::StoreBackup => "store_backup",
            Self::StoreCopy => "store_copy",
            Self::StoreRestore => "store_restore",
        }
    }

    /// The message of its line in the log.
    const fn message(self) -> &'static str {
        match self {
            Self::SocialJoin => {
                "a provider proved an account's address; its earlier sessions ended"
            }
            Self::RefreshReused => "a refresh token was used again: session ended",
            _ => "audit",
        }
    }
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Entry {
    /// An entry with nothing but an event.
    #[must_use]
    pub const fn of(event: Event) -> Self {
        Self {
            at: None,
            event,
            result: None,
            reason: None,
            site: None,
            realm: None,
            user: None,
            session: None,
            address: None,
            request: None,
            provider: None,
            kind: None,
            name: None,
            detail: None,
            count: None,
            by: None,
            sudo_by: None,
        }
    }

    /// Sets the instant, unless there is one.
    pub(super) fn stamped(mut self, now: Timestamp) -> Self {
        self.at.get_or_insert_with(|| now.to_rfc3339().unwrap_or_default());
        self
    }

    /// The entry as one line, without its end.
    #[must_use]
    pub fn json(&self) -> String {
        // It always becomes JSON; control characters are escaped, so that it is one line.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn log(&self) {
        tracing::info!(
            target: TARGET,
            at = self.at.as_deref(),
            event = self.event.name(),
            result = self.result,
            reason = self.reason.as_deref(),
            site = self.site.as_deref(),
            realm = self.realm.as_deref(),
            user = self.user.as_deref(),
            session = self.session.as_deref(),
            address = self.address.as_deref(),
            request = self.request.as_deref(),
            provider = self.provider,
            kind = self.kind.as_deref(),
            name = self.name.as_deref(),
            detail = self.detail.as_deref(),
            count = self.count,
            by = self.by.as_deref(),
            sudo_by = self.sudo_by.as_deref(),
            "{}", self.event.message()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Event};
    use crate::clock::Timestamp;

    #[test]
    fn an_entry_is_one_line_of_what_is_known() {
        let entry = Entry {
            reason: Some("a\nb\u{2028}".to_owned()),
            user: Some("7".to_owned()),
            ..Entry::of(Event::Login)
        };

        let entry = entry.stamped(Timestamp::from_millis(1_500));

        assert_eq!(
            entry.json(),
            "{\"at\":\"1970-01-01T00:00:01.5Z\",\"event\":\"login\",\
             \"reason\":\"a\\nb\u{2028}\",\"user\":\"7\"}"
        );
        assert_eq!(entry.clone().stamped(Timestamp::from_millis(9_000)), entry);
    }

    #[test]
    fn what_an_operator_did_reads_back_as_it_was_written() {
        for event in [
            Event::KeyMade,
            Event::Revocation,
            Event::AccountChange,
            Event::AccountImport,
            Event::AccountExport,
            Event::TokenIssue,
            Event::StoreBackup,
            Event::StoreCopy,
            Event::StoreRestore,
        ] {
            let text = || Some("ж\"\\\n".to_owned());
            let entry = Entry {
                at: text(),
                reason: text(),
                site: text(),
                realm: text(),
                user: text(),
                session: text(),
                kind: text().map(Into::into),
                name: text(),
                detail: text(),
                count: Some(u64::MAX),
                by: text(),
                sudo_by: text(),
                ..Entry::of(event)
            };
            assert_eq!(serde_json::from_str::<Entry>(&entry.json()).unwrap(), entry);
        }
    }
}
