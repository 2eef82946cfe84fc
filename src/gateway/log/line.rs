//! One line of the access log: a JSON object, or columns for people.

use std::cell::RefCell;
use std::io::Write;
use std::net::IpAddr;
#[cfg(test)]
use std::sync::LazyLock;
use std::time::Duration;

use http::Method;
use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::gateway::context::Who;
use crate::gateway::log::members::{Members, UpstreamName, number, plain, text, word};
use crate::gateway::text::{write_address, write_number};
use crate::message::answer_end::AnswerEnd;
use crate::operation::ErrorCode;
use crate::telemetry::escaped;

/// The fields of one request's line.
#[derive(Clone, Debug)]
pub(crate) struct AccessEntry<'a> {
    /// The time of its arrival.
    pub(crate) time: Timestamp,
    /// `X-Request-Id`
    pub(crate) request_id: &'a str,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// Method.
    pub(crate) method: &'a Method,
    /// Host and port as sent.
    pub(crate) host: &'a str,
    /// The path as sent; no query: it may hold secrets.
    pub(crate) path: &'a str,
    /// HTTP version.
    pub(crate) protocol: &'static str,
    /// Status of the answer; 499 where the client left before it.
    pub(crate) status: u16,
    /// Reason of the refusal, from the [`crate::operation::Rejection`].
    pub(crate) refusal: Option<(Option<ErrorCode>, &'a str)>,
    /// The authenticated principal.
    pub(crate) who: &'a Who,
    /// The name of the site; empty if none is for the host.
    pub(crate) site: &'a str,
    /// The site, and the endpoint's or route's path; empty where none covers the path.
    pub(crate) place: &'a Members,
    /// The upstream that was asked.
    pub(crate) upstream: Option<&'a UpstreamName>,
    /// The end of the answer, and the bytes of both bodies.
    pub(crate) ending: Ending,
    /// From the request's head to the answer's end.
    pub(crate) duration: Duration,
    /// From the request's head to the answer's, where there was one.
    pub(crate) head_time: Option<Duration>,
    /// Time that the upstream took of it.
    pub(crate) upstream_time: Option<Duration>,
    /// Time that verifying the token took of it.
    pub(crate) verify_time: Option<Duration>,
    /// Decision made although revocation was stale.
    pub(crate) stale: Option<&'static str>,
}

/// The end of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// The end of the answer.
    pub(crate) end: AnswerEnd,
    /// Bytes of the request's body.
    pub(crate) received: u64,
    /// Bytes of the answer's body, as they were handed to the connection.
    pub(crate) sent: u64,
    /// Extent of the request that the upstream had when the client left before an answer.
    pub(crate) upstream_sent: Option<&'static str>,
}

/// Appends an object and a line end.
///
/// A line is written for every request: so what stands between two values is one piece, and what is
/// the same for all requests of a token, a route or an upstream is written once ([`Members`]).
pub(crate) fn json(entry: &AccessEntry<'_>, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"time\":\"");
    rfc3339(line, entry.time);
    text(line, b"\",\"request_id\":\"", entry.request_id);
    line.extend_from_slice(b"\",\"client\":\"");
    write_address(line, entry.client);
    plain(line, b"\",\"method\":\"", entry.method.as_str());
    text(line, b"\",\"host\":\"", entry.host);
    text(line, b"\",\"path\":\"", entry.path);
    plain(line, b"\",\"protocol\":\"", entry.protocol);
    number(line, b"\",\"status\":", entry.status.into());
    if let Some((code, reason)) = entry.refusal {
        if let Some(code) = code {
            word(line, b",\"code\":\"", code.name());
        }
        text(line, b",\"reason\":\"", reason);
        line.push(b'"');
    }
    match entry.who {
        Who::Anonymous => {}
        Who::Bearer(verified) => {
            line.extend_from_slice(
                verified.logged(|principal| Members::new(&[("subject", &principal.subject)]).0),
            );
        }
        Who::Account { id, .. } => append(line, format_args!(",\"subject\":\"{id}\"")),
    }
    line.extend_from_slice(&entry.place.0);
    if let Some(upstream) = entry.upstream {
        line.extend_from_slice(&upstream.members.0);
    }
    if let Some(extent) = entry.ending.upstream_sent {
        word(line, b",\"upstream_sent\":\"", extent);
    }
    plain(line, b",\"end\":\"", entry.ending.end.name());
    number(line, b"\",\"bytes_in\":", entry.ending.received);
    number(line, b",\"bytes_out\":", entry.ending.sent);
    thousandths(line, b",\"duration_ms\":", micros(entry.duration));
    if let Some(time) = entry.head_time {
        thousandths(line, b",\"head_ms\":", micros(time));
    }
    if let Some(time) = entry.upstream_time {
        thousandths(line, b",\"upstream_ms\":", micros(time));
    }
    if let Some(time) = entry.verify_time {
        number(line, b",\"verify_us\":", micros(time));
    }
    if let Some(stale) = entry.stale {
        word(line, b",\"stale\":\"", stale);
    }
    line.extend_from_slice(b"}\n");
}

/// Appends a line in columns: time, status, request, duration, principal or reason, and details.
pub(crate) fn columns(entry: &AccessEntry<'_>, colour: bool, line: &mut Vec<u8>) {
    let mut middle = match (&entry.refusal, entry.who) {
        (Some((_, reason)), _) => escaped(reason).into_owned(),
        (None, Who::Anonymous) => String::new(),
        (None, Who::Bearer(verified)) => {
            let principal = &verified.principal;
            let name = principal.email.as_ref().or(principal.username.as_ref());
            escaped(name.unwrap_or(&principal.subject)).into_owned()
        }
        (None, Who::Account { id, name }) => {
            name.as_ref().map_or_else(|| id.to_string(), |name| escaped(name).into_owned())
        }
    };
    if let (Some(upstream), None) = (entry.upstream, entry.refusal) {
        middle.push_str(if middle.is_empty() { "→ " } else { " → " });
        middle.push_str(upstream.as_str());
    }
    let (paint, plain) = if colour { (paint(entry.status), "\u{1b}[0m") } else { ("", "") };
    let time = moment(entry.time);
    append(
        line,
        format_args!(
            "{:02}:{:02}:{:02}  {paint}{}{plain}  {:<5} {:<15}{:>6.1} ms  {middle:<30} {}",
            time.hour(),
            time.minute(),
            time.second(),
            entry.status,
            entry.method.as_str(),
            escaped(entry.path),
            millis(entry.duration),
            details(entry),
        ),
    );
    let end = line.trim_ascii_end().len();
    line.truncate(end);
    line.push(b'\n');
}

fn details(entry: &AccessEntry<'_>) -> String {
    let mut parts = Vec::new();
    match entry.refusal {
        Some((Some(ErrorCode::MissingToken), _)) => {
            parts.push("hint: send Authorization: Bearer …".to_owned());
        }
        Some((Some(ErrorCode::NotFound), _)) => {
            parts.push(format!("hint: no endpoint and no route of site {} is there", entry.site));
        }
        Some((None, _)) => parts.push("hint: name the host among the sites".to_owned()),
        Some(_) => {}
        None => {
            let verified = entry.verify_time.map(|time| format!("verify {:.2} ms", millis(time)));
            let upstream =
                entry.upstream_time.map(|time| format!("upstream {:.1} ms", millis(time)));
            parts.extend(verified.into_iter().chain(upstream));
        }
    }
    if entry.ending.end != AnswerEnd::Done {
        parts.push(entry.ending.end.name().to_owned());
    }
    let extent = entry.ending.upstream_sent;
    parts.extend(extent.map(|extent| format!("the upstream had {extent} of the request")));
    parts.extend(entry.stale.map(|stale| format!("revocation is stale: {stale}")));
    parts.join(", ")
}

thread_local! {
    /// A second, and how RFC 3339 writes it: many lines are of the same.
    static SECOND: RefCell<(i64, Vec<u8>)> = const { RefCell::new((i64::MIN, Vec::new())) };
}

/// An instant as RFC 3339 writes it, in UTC, with milliseconds.
fn rfc3339(line: &mut Vec<u8>, time: Timestamp) {
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != time.as_seconds() {
            *second = time.as_seconds();
            text.clear();
            write_second(text, moment(time));
        }
        line.extend_from_slice(text);
    });
    line.push(b'.');
    write_number(line, time.as_millis().rem_euclid(1000).unsigned_abs(), 3);
    line.push(b'Z');
}

fn write_second(text: &mut Vec<u8>, moment: OffsetDateTime) {
    write_number(text, moment.year().unsigned_abs().into(), 4);
    for (mark, part) in [
        (b'-', u8::from(moment.month())),
        (b'-', moment.day()),
        (b'T', moment.hour()),
        (b':', moment.minute()),
        (b':', moment.second()),
    ] {
        text.push(mark);
        write_number(text, part.into(), 2);
    }
}

/// To the second.
fn moment(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn append(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A Vec takes everything.
    drop(line.write_fmt(text));
}

fn thousandths(line: &mut Vec<u8>, before: &[u8], number: u64) {
    line.extend_from_slice(before);
    write_number(line, number / 1000, 1);
    line.push(b'.');
    write_number(line, number % 1000, 3);
}

const fn paint(status: u16) -> &'static str {
    match status {
        0..=299 => "\u{1b}[32m",
        300..=399 => "\u{1b}[36m",
        400..=499 => "\u{1b}[33m",
        _ => "\u{1b}[31m",
    }
}

/// A request that passed.
#[cfg(test)]
pub(crate) fn sample_entry() -> AccessEntry<'static> {
    static PLACE: LazyLock<Members> =
        LazyLock::new(|| Members::new(&[("site", "*"), ("route", "/*")]));
    static UPSTREAM: LazyLock<UpstreamName> = LazyLock::new(|| UpstreamName::new("whoami"));
    AccessEntry {
        time: Timestamp::from_millis(1_795_171_327_042),
        request_id: "r-1",
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        method: &Method::GET,
        host: "localhost:8443",
        path: "/api/hello",
        protocol: "HTTP/1.1",
        status: 200,
        refusal: None,
        who: &Who::Anonymous,
        site: "*",
        place: &PLACE,
        upstream: Some(&UPSTREAM),
        ending: Ending { end: AnswerEnd::Done, received: 12, sent: 345, upstream_sent: None },
        duration: Duration::from_micros(900),
        head_time: Some(Duration::from_micros(800)),
        upstream_time: Some(Duration::from_micros(500)),
        verify_time: Some(Duration::from_micros(60)),
        stale: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AccessEntry, columns, json, sample_entry};
    use crate::gateway::context::Who;
    use crate::operation::{ErrorCode, UserId};

    fn line(entry: &AccessEntry<'_>) -> String {
        let mut line = Vec::new();
        columns(entry, false, &mut line);
        String::from_utf8(line).unwrap()
    }

    fn object(entry: &AccessEntry<'_>) -> String {
        let mut line = Vec::new();
        json(entry, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_for_people_stands_in_columns() {
        let who = Who::Account { id: UserId(7), name: Some("you@example.com".to_owned()) };
        let passed = AccessEntry { who: &who, ..sample_entry() };
        let refused = AccessEntry {
            status: 401,
            refusal: Some((Some(ErrorCode::MissingToken), "no token")),
            duration: Duration::from_micros(200),
            upstream: None,
            upstream_time: None,
            verify_time: None,
            ..sample_entry()
        };
        assert_eq!(
            line(&refused),
            "10:42:07  401  GET   /api/hello        0.2 ms  no token                       \
             hint: send Authorization: Bearer …\n"
        );
        assert_eq!(
            line(&passed),
            "10:42:07  200  GET   /api/hello        0.9 ms  you@example.com → whoami       \
             verify 0.06 ms, upstream 0.5 ms\n"
        );
    }

    #[test]
    fn no_character_of_an_object_moves_a_terminal() {
        let entry =
            AccessEntry { path: "/가\u{9b}2J\u{7f}\u{202e}\u{1b}\"\\é", ..sample_entry() };

        let written = object(&entry);

        let path = r#""path":"/가\u009b2J\u007f\u202e\u001b\"\\é""#;
        assert!(written.contains(path), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read["path"], entry.path);
    }

    #[test]
    fn an_object_names_what_is_known() {
        let who = Who::Account { id: UserId(7), name: Some("you@example.com".to_owned()) };
        let entry = AccessEntry {
            who: &who,
            status: 503,
            refusal: Some((Some(ErrorCode::ServiceUnavailable), "away")),
            stale: Some("ask"),
            ..sample_entry()
        };
        assert_eq!(
            object(&entry),
            "{\"time\":\"2026-11-20T10:42:07.042Z\",\"request_id\":\"r-1\",\
             \"client\":\"127.0.0.1\",\"method\":\"GET\",\"host\":\"localhost:8443\",\
             \"path\":\"/api/hello\",\"protocol\":\"HTTP/1.1\",\"status\":503,\"code\":\"service_unavailable\",\
             \"reason\":\"away\",\"subject\":\"7\",\"site\":\"*\",\"route\":\"/*\",\
             \"upstream\":\"whoami\",\"end\":\"done\",\"bytes_in\":12,\"bytes_out\":345,\
             \"duration_ms\":0.900,\"head_ms\":0.800,\"upstream_ms\":0.500,\"verify_us\":60,\"stale\":\"ask\"}\n"
        );
    }

    #[test]
    fn one_request_is_one_line_whatever_it_holds() {
        let path = "/a\n\r\u{1b}[31m\u{202e}\"\u{7f}";
        let entry =
            AccessEntry { path, request_id: "\n", host: "h\"\n", site: "s\n", ..sample_entry() };

        let shown = line(&entry);
        assert_eq!(shown.matches('\n').count(), 1);
        assert!(!shown.contains(['\r', '\u{1b}', '\u{202e}', '\u{7f}']), "{shown}");

        let object = object(&entry);
        assert_eq!(object.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&object).unwrap();
        assert_eq!(read["path"], path);
    }
}
