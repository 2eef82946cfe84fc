//! Errors of the verification of tokens.

use std::time::Duration;

/// Reasons for which a token is not accepted; for the log and `explain`, never for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than `[limits] token_bytes`.
    #[error("the token is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not three canonical base64url parts of JSON objects.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// A header parameter that the gateway does not take (RFC 7515 §4.1.11, RFC 8725 §3.10).
    #[error("the token's header has `{0}`, which is not accepted")]
    Header(&'static str),
    /// `kid` names no key of this site.
    #[error("no key of this site is named by the token")]
    UnknownKey,
    /// `alg` is not the algorithm of the key.
    #[error("the token's algorithm is not that of its key")]
    Algorithm,
    /// The signature is invalid.
    #[error("the signature does not hold")]
    Signature,
    /// A claim is missing, of another type, or of another value than this site requires.
    #[error("claim `{claim}` {problem}")]
    Claim {
        /// The claim.
        claim: &'static str,
        /// The fault.
        problem: &'static str,
    },
    /// A claim that the site's `require` names is absent.
    #[error("claim `{0}` is missing, and `require` names it")]
    Required(String),
    /// Past `exp`.
    #[error("the token expired {ago:?} ago")]
    Expired {
        /// The time since.
        ago: Duration,
    },
    /// Before `nbf`, or `iat` in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A refresh token where an access token is due, or the reverse.
    #[error("the token is of another use")]
    Use,
}
