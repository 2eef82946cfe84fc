//! Accounts: their records, and the names that they have claimed.

pub(super) mod name_claim;
pub(super) mod record;
pub(super) mod user;
