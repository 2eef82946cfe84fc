//! Whether a login is recent enough for something grave (RFC 9470).

use std::time::Duration;

use crate::clock::Timestamp;
use crate::operation::{Principal, Rejection};

/// Refuses a token of a login older than `max_age`, or that does not tell when it was.
///
/// # Errors
/// [`crate::operation::ErrorCode::ReauthenticationRequired`], with `max_age`.
pub(crate) fn check_recent(
    principal: &Principal,
    max_age: Duration,
    now: Timestamp,
) -> Result<(), Rejection> {
    let is_recent = principal.authenticated_at.is_some_and(|at| now.since(at) <= max_age);
    if is_recent { Ok(()) } else { Err(Rejection::login_too_old(max_age)) }
}
