//! Refuses requests whose framing or head has more than one reading (RFC 9112 §3, §6).
//!
//! hyper refuses much of this before us, but not all: it takes any list of codings that ends in
//! `chunked`, several `Host` lines, and a target's fragment. What passes here has one meaning for
//! us and for every backend, because the backend's framing is written anew.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::config::{COMMON_METHODS, LimitsConfig};
use crate::message::connection::FragmentSeen;
use crate::operation::{ErrorCode, Rejection};

/// Checks everything about a head that does not depend on the site: `Transfer-Encoding`,
/// `Content-Length`, `Host` and authority, `Expect`, sizes, request target form, method.
///
/// # Errors
/// 400, 405 (CONNECT), 414, 417 or 431; the connection must end after a 400.
pub(crate) fn check<B>(request: &Request<B>, limits: &LimitsConfig) -> Result<(), Rejection> {
    if request.method() == Method::CONNECT {
        let refused = Rejection::new(ErrorCode::MethodNotAllowed, "CONNECT is never tunnelled");
        return Err(Rejection { allow: COMMON_METHODS.map(str::to_owned).to_vec(), ..refused });
    }
    let lines = check_sizes(request, limits)?;
    check_target(request)?;
    check_host(request, lines.host)?;
    check_length(&lines)?;
    check_expect(lines.expect)?;
    match request.version() {
        Version::HTTP_2 => check_http2(request),
        _ => Ok(()),
    }
}

/// The lines of a head that decide how it is read, found in one pass.
#[derive(Default)]
struct Lines<'a> {
    host: Line<'a>,
    coding: Line<'a>,
    length: Line<'a>,
    expect: Line<'a>,
}

/// A header that there is to be one of.
#[derive(Clone, Copy, Default)]
enum Line<'a> {
    #[default]
    None,
    One(&'a HeaderValue),
    /// Several lines that say the same.
    Repeated(&'a HeaderValue),
    /// Several lines that do not.
    Several,
}

impl<'a> Lines<'a> {
    fn take(&mut self, name: &HeaderName, value: &'a HeaderValue) {
        let line = match name {
            name if name == HOST => &mut self.host,
            name if name == TRANSFER_ENCODING => &mut self.coding,
            name if name == CONTENT_LENGTH => &mut self.length,
            name if name == EXPECT => &mut self.expect,
            _ => return,
        };
        *line = match *line {
            Line::None => Line::One(value),
            Line::One(first) | Line::Repeated(first) if first == value => Line::Repeated(first),
            _ => Line::Several,
        };
    }
}

/// The host that a request is for: lower case, without port and final dot, an IPv6 address in its
/// one form; from the authority (HTTP/2, absolute-form) or `Host`, which agree once [`check`] has
/// passed. Another spelling of a site's host must not fall to the site of a wildcard.
pub(crate) fn host<B>(request: &Request<B>) -> Option<Cow<'_, str>> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    let (host, _) = split_authority(authority)?;
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(Cow::Owned(format!("[{address}]")));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return None;
    }
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

fn bad(reason: &'static str) -> Rejection {
    Rejection::new(ErrorCode::BadRequest, reason)
}

fn check_sizes<'a, B>(
    request: &'a Request<B>,
    limits: &LimitsConfig,
) -> Result<Lines<'a>, Rejection> {
    let target = target_bytes(request.uri());
    if target > limits.uri_bytes.0 {
        return Err(Rejection::new(ErrorCode::UriTooLong, "the target is over limits.uri_bytes"));
    }
    let (mut count, mut bytes) = (0, 0);
    let mut joins_cookies = false;
    let mut lines = Lines::default();
    for (name, value) in request.headers() {
        lines.take(name, value);
        bytes += value.len() + ": \r\n".len();
        // A cookie that HTTP/2 splits is one line (RFC 9113 §8.2.3).
        if !(joins_cookies && name == COOKIE) {
            count += 1;
            bytes += name.as_str().len();
        }
        joins_cookies |= name == COOKIE && request.version() == Version::HTTP_2;
    }
    if count > limits.header_count {
        let reason = "more header lines than limits.header_count";
        return Err(Rejection::new(ErrorCode::HeadersTooLarge, reason));
    }
    if target.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)) > limits.header_bytes.0 {
        let reason = "the head is over limits.header_bytes";
        return Err(Rejection::new(ErrorCode::HeadersTooLarge, reason));
    }
    Ok(lines)
}

fn target_bytes(uri: &Uri) -> u64 {
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    u64::try_from(authority + path).unwrap_or(u64::MAX)
}

fn check_target<B>(request: &Request<B>) -> Result<(), Rejection> {
    let uri = request.uri();
    if request.extensions().get::<FragmentSeen>().is_some() {
        return Err(bad("the target has a fragment"));
    }
    if uri.scheme_str().is_some_and(|scheme| scheme != "https" && scheme != "http") {
        return Err(bad("the target's scheme is neither https nor http"));
    }
    match uri.path() {
        "*" if request.method() == Method::OPTIONS => Ok(()),
        path if path.starts_with('/') => Ok(()),
        _ => Err(bad("the target is neither a path nor a URL")),
    }
}

fn check_host<B>(request: &Request<B>, line: Line<'_>) -> Result<(), Rejection> {
    let host = match line {
        Line::Repeated(_) | Line::Several => return Err(bad("more than one Host line")),
        Line::One(value) => match value.to_str() {
            Ok(text) if split_authority(text).is_some() => Some(text),
            _ => return Err(bad("Host is no host and port")),
        },
        Line::None => None,
    };
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    if authority.is_some_and(|text| split_authority(text).is_none()) {
        return Err(bad("the authority is no host and port"));
    }
    match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(bad("Host and the target's authority differ"))
        }
        (Some(_), None) if request.version() == Version::HTTP_11 => Err(bad("no Host line")),
        (None, None) if request.version() != Version::HTTP_10 => Err(bad("no Host line")),
        _ => Ok(()),
    }
}

/// Splits `host[:port]`; `None` when it is not exactly that.
pub(crate) fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
        let (address, rest) = inner.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        (text.get(..address.len() + 2)?, rest)
    } else {
        let is_name = |byte: u8| byte < 128 && NAME_BYTES >> byte & 1 == 1;
        let end = text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len());
        match text.split_at_checked(end)? {
            ("", _) => return None,
            (host, rest) => (host, rest),
        }
    };
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':')?;
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(digits.parse().ok()?)))
}

/// The bytes of a host's name, a bit each: every request's host is checked more than once.
const NAME_BYTES: u128 = {
    let (mut bits, mut byte) = (0, 0_u8);
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            bits |= 1 << byte;
        }
        byte += 1;
    }
    bits
};

/// hyper refuses `Transfer-Encoding` outside HTTP/1.1. It removes a `Content-Length` that comes
/// with one, and reads no other request from the connection (RFC 9112 §6.3).
fn check_length(lines: &Lines<'_>) -> Result<(), Rejection> {
    match lines.coding {
        Line::None => {}
        Line::One(coding) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => return Err(bad("Transfer-Encoding is not one line saying `chunked`")),
    }
    let digits = match lines.length {
        Line::None => return Ok(()),
        Line::One(length) | Line::Repeated(length) => length.as_bytes(),
        Line::Several => return Err(bad("Content-Length lines differ")),
    };
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(bad("Content-Length is no number"));
    }
    Ok(())
}

fn check_expect(line: Line<'_>) -> Result<(), Rejection> {
    match line {
        Line::None => Ok(()),
        Line::One(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        _ => {
            let reason = "Expect asks for something other than 100-continue";
            Err(Rejection::new(ErrorCode::ExpectationFailed, reason))
        }
    }
}

/// Refuses heads that are malformed by RFC 9113 §8.2.1 and §8.3.1, and that h2 accepts.
fn check_http2<B>(request: &Request<B>) -> Result<(), Rejection> {
    if request.uri().path_and_query().is_some_and(|path| path.as_str().starts_with('?')) {
        return Err(bad("the path is empty"));
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for value in request.headers().values().map(HeaderValue::as_bytes) {
        if is_blank(value.first()) || is_blank(value.last()) {
            return Err(bad("a field value begins or ends with a blank"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
