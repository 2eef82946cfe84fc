//! The operations, a file each.

pub(super) mod account;
pub(super) mod change_password;
pub(super) mod check_token;
pub(super) mod code;
pub(super) mod issue;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod refresh;
pub(super) mod reset;
pub(super) mod second_factor;
pub(super) mod sessions;
pub(super) mod sign_up;
pub(super) mod social_login;
pub(super) mod verification;
