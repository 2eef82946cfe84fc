//! Splits a compact JWS (RFC 7515 §7.1), and reads its JOSE header before any key is touched.
//!
//! RFC 7515 §3.1, §4.1. A parameter that would change the signed content is refused, not ignored,
//! as the RFCs demand of `crit` and `b64`. A key comes from the ring alone (RFC 8725 §3.10):
//! parameters of other issuers that name keys are ignored, and the gateway's own tokens have none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::token::key::Origin;
use crate::token::{TokenError, json};

/// The parts of a compact JWS as presented, and its header as read.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    /// `alg`, unchecked.
    pub(super) algorithm: String,
    /// `kid`.
    pub(super) kid: Option<String>,
    /// The signed message: header, dot, payload.
    pub(super) message: &'a str,
    /// The payload in base64url.
    pub(super) payload: &'a str,
    /// The signature in base64url.
    pub(super) signature: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits a token into its parts.
    ///
    /// # Errors
    /// When it is not three parts, or its header is not acceptable.
    pub(super) fn parse(token: &'a str, origin: Origin) -> Result<Self, TokenError> {
        const PARTS: TokenError = TokenError::Malformed("it is not three parts");
        let (message, signature) = token.rsplit_once('.').ok_or(PARTS)?;
        let (header, payload) = message.split_once('.').ok_or(PARTS)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.')
        {
            return Err(PARTS);
        }
        let header = json::object(&decode(header)?)
            .ok_or(TokenError::Malformed("the header is no JSON object, or has a member twice"))?;
        refuse_parameters(&header, origin)?;
        check_type(&header)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(TokenError::Malformed("`kid` is no string")),
        };
        let Some(Value::String(algorithm)) = header.get("alg") else {
            return Err(TokenError::Malformed("`alg` is missing or no string"));
        };
        Ok(Self { algorithm: algorithm.clone(), kid, message, payload, signature })
    }
}

/// Decodes canonical base64url without padding (RFC 7515 §2, RFC 4648 §3.5).
///
/// # Errors
/// For anything else, non-zero trailing bits included: a text has one spelling only.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    let decoded = URL_SAFE_NO_PAD.decode(part).ok();
    decoded.ok_or(TokenError::Malformed("a part is not canonical base64url"))
}

fn refuse_parameters(header: &Map<String, Value>, origin: Origin) -> Result<(), TokenError> {
    const CHANGE_MEANING: [&str; 4] = ["crit", "b64", "zip", "enc"];
    const CHOOSE_KEY: [&str; 4] = ["jwk", "jku", "x5u", "x5c"];
    let choose_key = CHOOSE_KEY.into_iter().filter(|_| origin == Origin::Stored);
    let found =
        CHANGE_MEANING.into_iter().chain(choose_key).find(|name| header.contains_key(*name));
    found.map_or(Ok(()), |name| Err(TokenError::Header(name)))
}

/// `typ` is absent, `JWT` or `at+jwt`; `cty` is not `JWT` (RFC 7519 §5, RFC 9068 §2.1).
fn check_type(header: &Map<String, Value>) -> Result<(), TokenError> {
    match header.get("typ") {
        None => {}
        Some(Value::String(kind)) if is_jwt(kind) => {}
        Some(_) => return Err(TokenError::Header("typ")),
    }
    match header.get("cty") {
        None => Ok(()),
        Some(Value::String(kind)) if !kind.eq_ignore_ascii_case("JWT") => Ok(()),
        Some(_) => Err(TokenError::Header("cty")),
    }
}

/// Whether a type is a JWT's; `application/` may precede it (RFC 7515 §4.1.9).
fn is_jwt(kind: &str) -> bool {
    let short = match kind.split_once('/') {
        Some((tree, short)) if tree.eq_ignore_ascii_case("application") => short,
        _ => kind,
    };
    short.eq_ignore_ascii_case("JWT") || short.eq_ignore_ascii_case("at+jwt")
}
