//! The waist between contracts and accounts: what can be asked, answered and refused.
//!
//! Plain data, no I/O, no HTTP. `contract` turns bytes into a [`Command`] and an [`Outcome`] or
//! [`Rejection`] into bytes; `auth` turns the one into the other. They do not know each other.

mod command;
mod identity;
mod name;
mod outcome;
pub(crate) mod precis;
mod principal;
mod rejection;
mod revocation;

pub use command::Caller;
pub use command::Command;
pub use command::Input;
pub use command::InputKind;
pub use command::Language;
pub use command::LogoutScope;
pub use command::Operation;
pub use command::Password;
pub use command::Provider;
pub use identity::Identifier;
pub use identity::RefreshHash;
pub use identity::SessionId;
pub use identity::TokenId;
pub use identity::UserId;
pub use name::Email;
pub use name::IdentityError;
pub use name::Username;
pub(crate) use name::trim_blanks;
pub use outcome::Outcome;
pub use outcome::SessionView;
pub use outcome::TokenSet;
pub use outcome::UserView;
pub use principal::Generations;
pub use principal::Principal;
pub use principal::SessionName;
pub use rejection::ErrorCode;
pub use rejection::Problem;
pub use rejection::ProblemKind;
pub use rejection::Rejection;
pub use revocation::Revocation;
pub use revocation::RevocationKey;
pub use revocation::Revoked;
