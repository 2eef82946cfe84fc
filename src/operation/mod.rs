//! The interface between contracts and accounts: commands, outcomes and refusals.
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

pub use command::{
    Caller, Command, Input, InputKind, Language, LogoutScope, Operation, Password, Provider,
};
pub use identity::{Identifier, RefreshHash, SessionId, TokenId, UserId};
pub(crate) use name::trim_blanks;
pub use name::{Email, EmailRule, IdentityError, Name, NameRule, Username, UsernameRule};
pub use outcome::{Outcome, SessionView, TokenSet, UserView};
pub use principal::{Generations, Principal, SessionName};
pub use rejection::{ErrorCode, Problem, ProblemKind, Rejection};
pub use revocation::{Revocation, RevocationKey, Revoked};
