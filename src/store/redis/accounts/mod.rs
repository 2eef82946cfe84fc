//! Accounts: their records, and the names that they have claimed.

pub(super) mod claim;
pub(super) mod record;
pub(super) mod user;
