//! Accounts: their records, and the names that they claim.

pub(super) mod name_claim;
pub(super) mod record;
pub(super) mod user;
