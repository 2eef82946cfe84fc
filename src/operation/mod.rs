//! The interface between contracts and accounts: commands, outcomes and refusals.
//!
//! Plain data, no I/O, no HTTP. `contract` turns bytes into a [`Command`] and an [`Outcome`] or
//! [`Rejection`] into bytes; `auth` turns the one into the other. They do not know each other.

mod auth_methods;
mod code;
mod command;
mod identity;
mod input;
mod name;
mod operations;
mod outcome;
pub(crate) mod precis;
mod principal;
mod rejection;
mod revocation;

pub use auth_methods::{AuthMethods, Authentication};
pub(crate) use code::code_as_meant;
pub use command::{
    Caller, Claimant, Command, Language, LogoutScope, OwnerProof, Password, Provider, SecondProof,
};
pub use identity::{Identifier, RefreshHash, SessionId, TokenId, UserId};
pub use input::{Input, InputKind};
pub(crate) use name::trim_blanks;
pub use name::{Email, EmailRule, IdentityError, Name, NameRule, Username, UsernameRule};
pub use operations::Operation;
pub use outcome::{DeviceView, Outcome, SecondFactorView, SessionView, TokenSet, UserView};
pub use principal::{Generations, Principal, SessionName};
pub use rejection::{Demand, ErrorCode, Problem, ProblemKind, Rejection};
pub use revocation::{Revocation, RevocationKey, Revoked};
