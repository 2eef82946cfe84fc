//! The head of an answer, as a backend sends it (RFC 9112 §4 and §6.3).

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use httparse::{ParserConfig, Response, Status};

use super::decoder::Decoder;
use super::malformed;
use crate::gateway::headers::hop;

/// An answer's head: the fields for the client, and the facts for the connection.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    /// Its status, which is final, or 101.
    pub(crate) status: StatusCode,
    /// Its end-to-end header fields. `Content-Length` is among them only where a body that is not
    /// sent has one: an answer to HEAD.
    pub(crate) headers: HeaderMap,
    /// Whether it upgrades to WebSocket, and to nothing else.
    pub(crate) is_websocket: bool,
    /// Its body.
    pub(in crate::gateway::upstream) body: Decoder,
    /// Whether another answer may follow on the connection.
    pub(in crate::gateway::upstream) persists: bool,
    /// Idle time after which the backend closes the connection, if it says so (`Keep-Alive`).
    pub(in crate::gateway::upstream) kept_for: Option<Duration>,
}

/// The rules for reading one answer.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway::upstream) struct Reading {
    /// Whether the request was HEAD, whose answer has no body whatever its head says.
    pub(in crate::gateway::upstream) is_to_head: bool,
    /// Most header lines.
    pub(in crate::gateway::upstream) most_lines: usize,
}

/// Header lines for which there is room without an allocation.
const FEW: usize = 64;

impl AnswerHead {
    /// Takes a final head from the bytes so far; interim ones (1xx) before it are dropped. `None`:
    /// more must come.
    ///
    /// # Errors
    /// When the bytes are no head of HTTP/1, or one with more than one reading.
    pub(in crate::gateway::upstream) fn take(
        came: &mut BytesMut,
        reading: Reading,
    ) -> io::Result<Option<Self>> {
        while let Some((length, head)) = parse(came, reading)? {
            came.advance(length);
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }
}

fn parse(came: &[u8], reading: Reading) -> io::Result<Option<(usize, AnswerHead)>> {
    let Reading { most_lines, is_to_head } = reading;
    let config = ParserConfig::default();
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; FEW], Vec::new());
    let mut response = Response::new(&mut []);
    let mut parsed = config.parse_response_with_uninit_headers(
        &mut response,
        came,
        few.get_mut(..most_lines.min(FEW)).unwrap_or_default(),
    );
    if parsed == Err(httparse::Error::TooManyHeaders) && most_lines > FEW {
        many.resize_with(most_lines, MaybeUninit::uninit);
        parsed = config.parse_response_with_uninit_headers(&mut response, came, &mut many);
    }
    match parsed {
        Ok(Status::Complete(length)) => {
            let bytes = Bytes::copy_from_slice(came.get(..length).unwrap_or_default());
            let at = came.as_ptr().addr();
            let lines = response.headers.iter().map(|line| {
                let start = line.value.as_ptr().addr() - at;
                (line.name, bytes.slice(start..start + line.value.len()))
            });
            let is_http_11 = response.version == Some(1);
            let status = response.code.unwrap_or_default();
            head(status, is_http_11, is_to_head, lines).map(|head| Some((length, head)))
        }
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Makes a head of its parts.
fn head<'n>(
    status: u16,
    is_http_11: bool,
    is_to_head: bool,
    lines: impl ExactSizeIterator<Item = (&'n str, Bytes)>,
) -> io::Result<AnswerHead> {
    let status = StatusCode::from_u16(status).map_err(|_error| malformed("its status is none"))?;
    let headers = HeaderMap::try_with_capacity(lines.len());
    let mut headers = headers.map_err(|_error| malformed("it has too many headers"))?;
    let mut length = None;
    let mut codings = Vec::new();
    let mut connection = Vec::new();
    let mut upgrades = Vec::new();
    let mut kept_for = None;
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_maybe_shared(value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(malformed("a header line does not read"));
        };
        match name.as_str() {
            "content-length" => length = Some(agreed_length(length, value.as_bytes())?),
            "transfer-encoding" => codings.push(value),
            "connection" => connection.push(value),
            "upgrade" => upgrades.push(value),
            "keep-alive" => kept_for = idle_time(&value).or(kept_for),
            name if hop::is_hop_by_hop(name) => {}
            _ => {
                let appended = headers.try_append(name, value);
                appended.map_err(|_error| malformed("it has too many headers"))?;
            }
        }
    }
    let mut persists = if is_http_11 {
        !hop::says(&connection, "close")
    } else {
        hop::says(&connection, "keep-alive")
    };
    for name in hop::named(&connection) {
        headers.remove(name);
    }
    let framed = if codings.is_empty() {
        length.map_or(Decoder::UntilClose, Decoder::of_length)
    } else {
        // RFC 9112 §6.3: with a length beside it, it may be an attempt at response splitting.
        persists &= length.is_none() && codings.len() == 1;
        coded(&codings, is_http_11)?
    };
    let no_body = is_to_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = length.filter(|_| is_to_head && codings.is_empty()) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    let body = if no_body { Decoder::Over } else { framed };
    persists &= body != Decoder::UntilClose && status != StatusCode::SWITCHING_PROTOCOLS;
    let is_websocket =
        matches!(upgrades.as_slice(), [one] if one.as_bytes().eq_ignore_ascii_case(b"websocket"));
    Ok(AnswerHead { status, headers, is_websocket, body, persists, kept_for })
}

/// Reads a `Content-Length` that may be written several times, but with one number (RFC 9112 §6.3).
fn agreed_length(before: Option<u64>, value: &[u8]) -> io::Result<u64> {
    let mut agreed = before;
    for part in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let digits = std::str::from_utf8(part)
            .ok()
            .filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let length = digits.and_then(|digits| digits.parse().ok());
        let Some(length) = length.filter(|length| agreed.is_none_or(|agreed| agreed == *length))
        else {
            return Err(malformed("its Content-Length is no number, or two"));
        };
        agreed = Some(length);
    }
    agreed.ok_or_else(|| malformed("its Content-Length is empty"))
}

/// The framing that `Transfer-Encoding` says. A coding that the gateway does not take off could not
/// be passed on.
fn coded(codings: &[HeaderValue], is_http_11: bool) -> io::Result<Decoder> {
    if !is_http_11 {
        return Err(malformed("HTTP/1.0 has no Transfer-Encoding"));
    }
    let all = |coding: &[u8]| {
        codings.iter().all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(coding))
    };
    if all(b"chunked") {
        Ok(Decoder::chunked())
    } else if all(b"identity") {
        Ok(Decoder::UntilClose)
    } else {
        Err(malformed("its Transfer-Encoding is not `chunked`"))
    }
}

/// Reads `Keep-Alive: timeout=5` (RFC 2068 §19.7.1.1).
fn idle_time(value: &HeaderValue) -> Option<Duration> {
    let parameters = value.to_str().ok()?.split(',');
    let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, seconds) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().parse().ok().map(|seconds: u32| Duration::from_secs(seconds.into()))
}
