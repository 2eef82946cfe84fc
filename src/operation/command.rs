//! Requests to the auth API, decoded and typed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use uuid::Uuid;

use crate::operation::{Email, Identifier, Principal, SessionId, Username};
use crate::secret::Secret;

/// The scope of a logout, besides the presented access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogoutScope {
    /// The token's session: its refresh token and its access tokens.
    #[default]
    Session,
    /// The refresh tokens of all the user's sessions; other access tokens stay valid until they
    /// expire.
    RefreshTokens,
    /// All the user's sessions and access tokens.
    Global,
}

/// The provider of a social login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Google.
    Google,
    /// Kakao.
    Kakao,
}

/// The language of texts that the gateway adds: mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// `en`
    #[default]
    English,
    /// `ko`
    Korean,
}

/// A password as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// The text as sent.
    pub text: Secret<String>,
    /// Whether the contract lets 64 hex digits stand for the password's SHA-256.
    pub may_be_hashed: bool,
}

/// Who sets a second factor up.
#[derive(Clone, Debug)]
pub enum Claimant {
    /// A user who is signed in.
    SignedIn(Box<Principal>),
    /// A user whose login waits for it: the challenge that it gave.
    LoggingIn(Secret<String>),
}

/// A proof of the second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondProof {
    /// A code of the app.
    Code(Secret<String>),
    /// A recovery code.
    RecoveryCode(Secret<String>),
}

/// What shows, beside an access token, that the account's owner wants a grave change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerProof {
    /// The password.
    Password(Password),
    /// A proof of the second factor; for accounts that have no password.
    SecondFactor(SecondProof),
}

/// The client of a request, as its connection and head show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address (after `trusted_proxies`).
    pub address: IpAddr,
    /// `User-Agent`, cut to 256 bytes; absent when none was sent.
    pub agent: Option<String>,
    /// What it presents as a remembered device: the values of the cookie.
    pub devices: Vec<Secret<String>>,
}

/// A request to the auth API, decoded and typed.
#[derive(Clone, Debug)]
pub enum Command {
    /// [`crate::operation::Operation::SignUp`]
    SignUp {
        /// Address of the account, where the contract has one.
        email: Option<Email>,
        /// Name of the account, where the contract has one; at least one of the two is there.
        username: Option<Username>,
        /// The plain password.
        password: Password,
        /// The role asked for; granted only where the site allows it.
        role: Option<String>,
        /// The contract's own attributes, checked against its types and limits.
        attributes: BTreeMap<String, serde_json::Value>,
    },
    /// [`crate::operation::Operation::Login`]
    Login {
        /// The account.
        identifier: Identifier,
        /// The password that proves it.
        password: Password,
    },
    /// [`crate::operation::Operation::Refresh`]
    Refresh {
        /// The presented refresh token; several where a cookie of that name came several times.
        refresh_tokens: Vec<Secret<String>>,
        /// The access token that the contract wants as well, expired or not; both must be of one
        /// session.
        previous_access_token: Option<Secret<String>>,
    },
    /// [`crate::operation::Operation::Logout`]
    Logout {
        /// The identity that the access token proves.
        principal: Principal,
        /// The scope.
        scope: LogoutScope,
    },
    /// [`crate::operation::Operation::Me`]
    Me {
        /// The identity that the access token proves.
        principal: Principal,
    },
    /// [`crate::operation::Operation::ChangePassword`]
    ChangePassword {
        /// The identity that the access token proves.
        principal: Principal,
        /// The present password.
        old: Password,
        /// The new password.
        new: Password,
    },
    /// [`crate::operation::Operation::Sessions`]
    Sessions {
        /// The identity that the access token proves.
        principal: Principal,
    },
    /// [`crate::operation::Operation::EndSession`]
    EndSession {
        /// The identity that the access token proves.
        principal: Principal,
        /// The session to end.
        session: SessionId,
    },
    /// [`crate::operation::Operation::SocialLogin`]
    SocialLogin {
        /// The provider.
        provider: Provider,
        /// The provider's access token.
        token: Secret<String>,
    },
    /// [`crate::operation::Operation::CheckToken`]
    CheckToken {
        /// The access token to be checked.
        token: Secret<String>,
    },
    /// [`crate::operation::Operation::RequestReset`]
    RequestReset {
        /// The address that gets the code, if an account has it.
        email: Email,
    },
    /// [`crate::operation::Operation::ConfirmReset`]
    ConfirmReset {
        /// The address that the code went to.
        email: Email,
        /// The code.
        code: Secret<String>,
        /// The new password; `None`: one is generated and mailed.
        new: Option<Password>,
    },
    /// [`crate::operation::Operation::RequestVerification`]
    RequestVerification {
        /// The address that gets the code, if an account has it and has not proven it.
        email: Email,
    },
    /// [`crate::operation::Operation::ConfirmVerification`]
    ConfirmVerification {
        /// The address that the code went to.
        email: Email,
        /// The code.
        code: Secret<String>,
    },
    /// [`crate::operation::Operation::SecondFactor`]
    SecondFactor {
        /// The login's challenge.
        challenge: Secret<String>,
        /// The proof.
        proof: SecondProof,
        /// Whether this device need not be asked again for a while.
        remember: bool,
    },
    /// [`crate::operation::Operation::SetUpSecondFactor`]
    SetUpSecondFactor {
        /// Who asks.
        claimant: Claimant,
        /// A secret drawn before, to be shown again; `None`: a new one.
        setup: Option<Secret<String>>,
    },
    /// [`crate::operation::Operation::ConfirmSecondFactor`]
    ConfirmSecondFactor {
        /// Who asks.
        claimant: Claimant,
        /// The text that came with the secret.
        setup: Secret<String>,
        /// A code of the app.
        code: Secret<String>,
    },
    /// [`crate::operation::Operation::RemoveSecondFactor`]
    RemoveSecondFactor {
        /// The identity that the access token proves.
        principal: Principal,
        /// The proof that the owner wants it.
        proof: OwnerProof,
    },
    /// [`crate::operation::Operation::RenewRecoveryCodes`]
    RenewRecoveryCodes {
        /// The identity that the access token proves.
        principal: Principal,
        /// The proof that the owner wants it.
        proof: OwnerProof,
    },
    /// [`crate::operation::Operation::ShowSecondFactor`]
    ShowSecondFactor {
        /// The identity that the access token proves.
        principal: Principal,
    },
    /// Forgets a remembered device, or all of them; for the hosted pages, since only browsers are
    /// remembered.
    ForgetDevices {
        /// The identity that the access token proves.
        principal: Principal,
        /// The one; `None`: all.
        device: Option<Uuid>,
    },
}

impl LogoutScope {
    /// The scope of a name; anything unknown ends this session, the least that was asked for.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "global" => Self::Global,
            "refresh_tokens" => Self::RefreshTokens,
            _ => Self::Session,
        }
    }
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::Google, Self::Kakao];

    /// The name that clients know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Kakao => "kakao",
        }
    }

    /// The provider of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// Its tag (RFC 5646).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The language of a tag.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }
}
