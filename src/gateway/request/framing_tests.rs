//! Heads with one reading, and with more.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Version};
use proptest::prelude::*;

use super::{check, host};
use crate::config::{ByteSize, LimitsConfig};
use crate::message::connection::FragmentSeen;
use crate::operation::ErrorCode;

type Row =
    (&'static str, Version, &'static str, &'static str, &'static [(&'static str, &'static str)]);

fn request(row: &Row) -> Request<()> {
    let (_, version, method, target, headers) = row;
    let mut builder = Request::builder().version(*version).method(*method).uri(*target);
    for (name, value) in *headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

fn small() -> LimitsConfig {
    LimitsConfig {
        header_bytes: ByteSize(200),
        header_count: 5,
        uri_bytes: ByteSize(40),
        ..LimitsConfig::default()
    }
}

const H1: Version = Version::HTTP_11;
const H2: Version = Version::HTTP_2;

const LONG: &str = "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const FAT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const REFUSED: &[(ErrorCode, Row)] = &[
    (ErrorCode::MethodNotAllowed, ("connect", H1, "CONNECT", "a:443", &[("host", "a:443")])),
    (ErrorCode::UriTooLong, ("long target", H1, "GET", LONG, &[("host", "a")])),
    (ErrorCode::HeadersTooLarge, ("fat head", H1, "GET", "/", &[("host", "a"), ("x", FAT)])),
    (
        ErrorCode::HeadersTooLarge,
        (
            "many lines",
            H1,
            "GET",
            "/",
            &[("host", "a"), ("b", ""), ("c", ""), ("d", ""), ("e", ""), ("f", "")],
        ),
    ),
    (ErrorCode::BadRequest, ("no host", H1, "GET", "/", &[])),
    (ErrorCode::BadRequest, ("two hosts", H1, "GET", "/", &[("host", "a"), ("host", "a")])),
    (ErrorCode::BadRequest, ("empty host", H1, "GET", "/", &[("host", "")])),
    (ErrorCode::BadRequest, ("userinfo", H1, "GET", "/", &[("host", "u@a")])),
    (ErrorCode::BadRequest, ("space", H1, "GET", "/", &[("host", "a b")])),
    (ErrorCode::BadRequest, ("comma", H1, "GET", "/", &[("host", "a,b")])),
    (ErrorCode::BadRequest, ("slash", H1, "GET", "/", &[("host", "a/b")])),
    (ErrorCode::BadRequest, ("port word", H1, "GET", "/", &[("host", "a:http")])),
    (ErrorCode::BadRequest, ("port range", H1, "GET", "/", &[("host", "a:65536")])),
    (ErrorCode::BadRequest, ("port empty", H1, "GET", "/", &[("host", "a:")])),
    (ErrorCode::BadRequest, ("ipv6 open", H1, "GET", "/", &[("host", "[::1")])),
    (ErrorCode::BadRequest, ("ipv6 bare", H1, "GET", "/", &[("host", "::1")])),
    (ErrorCode::BadRequest, ("absolute differs", H1, "GET", "http://b/", &[("host", "a")])),
    (ErrorCode::BadRequest, ("absolute, no host", H1, "GET", "http://b/", &[])),
    (ErrorCode::BadRequest, ("absolute userinfo", H1, "GET", "http://u@a/", &[("host", "a")])),
    (ErrorCode::BadRequest, ("other scheme", H1, "GET", "ftp://a/", &[("host", "a")])),
    (ErrorCode::BadRequest, ("GET *", H1, "GET", "*", &[("host", "a")])),
    (ErrorCode::BadRequest, ("h2 authority differs", H2, "GET", "https://a/", &[("host", "b")])),
    (ErrorCode::BadRequest, ("h2 nobody", H2, "GET", "/", &[])),
    (
        ErrorCode::BadRequest,
        ("te list", H1, "POST", "/", &[("host", "a"), ("transfer-encoding", "gzip, chunked")]),
    ),
    (
        ErrorCode::BadRequest,
        ("te identity", H1, "POST", "/", &[("host", "a"), ("transfer-encoding", "identity")]),
    ),
    (
        ErrorCode::BadRequest,
        (
            "te twice",
            H1,
            "POST",
            "/",
            &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        ),
    ),
    (
        ErrorCode::BadRequest,
        (
            "cl differ",
            H1,
            "POST",
            "/",
            &[("host", "a"), ("content-length", "3"), ("content-length", "4")],
        ),
    ),
    (
        ErrorCode::BadRequest,
        ("cl list", H1, "POST", "/", &[("host", "a"), ("content-length", "3, 3")]),
    ),
    (
        ErrorCode::BadRequest,
        ("cl sign", H1, "POST", "/", &[("host", "a"), ("content-length", "+3")]),
    ),
    (
        ErrorCode::BadRequest,
        ("cl empty", H1, "POST", "/", &[("host", "a"), ("content-length", "")]),
    ),
    (ErrorCode::ExpectationFailed, ("expect", H1, "POST", "/", &[("host", "a"), ("expect", "x")])),
    (
        ErrorCode::ExpectationFailed,
        (
            "expect twice",
            H1,
            "POST",
            "/",
            &[("host", "a"), ("expect", "100-continue"), ("expect", "x")],
        ),
    ),
];

#[test]
fn a_head_with_more_than_one_reading_is_refused() {
    for (code, row) in REFUSED {
        let verdict = check(&request(row), &small());
        assert_eq!(verdict.map_err(|refused| refused.code), Err(*code), "{}", row.0);
    }
}

#[test]
fn a_plain_head_passes() {
    let rows: &[Row] = &[
        ("get", H1, "GET", "/a?b", &[("host", "a.example:8443")]),
        ("ipv6", H1, "GET", "/", &[("host", "[::1]:8443")]),
        ("absolute", H1, "GET", "http://A/x", &[("host", "a")]),
        ("options *", H1, "OPTIONS", "*", &[("host", "a")]),
        ("chunked", H1, "POST", "/", &[("host", "a"), ("transfer-encoding", "chunked")]),
        (
            "cl twice",
            H1,
            "POST",
            "/",
            &[("host", "a"), ("content-length", "3"), ("content-length", "3")],
        ),
        ("expect", H1, "POST", "/", &[("host", "a"), ("expect", "100-Continue")]),
        ("1.0 without host", Version::HTTP_10, "GET", "/", &[]),
        (
            "chunked in any case",
            H1,
            "POST",
            "/",
            &[("host", "a"), ("transfer-encoding", "Chunked")],
        ),
        ("h2", H2, "GET", "https://a/", &[]),
        ("h2 host alone", H2, "GET", "/", &[("host", "a")]),
        ("h2 both", H2, "GET", "https://a/", &[("host", "a")]),
    ];

    for row in rows {
        assert_eq!(check(&request(row), &LimitsConfig::default()), Ok(()), "{}", row.0);
    }
}

#[test]
fn a_fragment_that_the_edge_saw_is_refused() {
    let mut request = request(&("", H1, "GET", "/", &[("host", "a")]));
    request.extensions_mut().insert(FragmentSeen);

    let refused = check(&request, &LimitsConfig::default()).unwrap_err();

    assert_eq!(refused.code, ErrorCode::BadRequest);
}

#[test]
fn host_has_one_spelling() {
    let rows: &[(Option<&str>, Row)] = &[
        (Some("api.example.com"), ("", H1, "GET", "/", &[("host", "API.example.com:8443")])),
        (Some("api.example.com"), ("", H1, "GET", "/", &[("host", "api.example.com.:8443")])),
        (Some("a."), ("", H1, "GET", "/", &[("host", "a..")])),
        (None, ("", H1, "GET", "/", &[("host", ".")])),
        (Some("[::1]"), ("", H1, "GET", "/", &[("host", "[::1]:1")])),
        (Some("[::1]"), ("", H1, "GET", "/", &[("host", "[0:0:0::1]")])),
        (Some("b"), ("", H2, "GET", "https://B:3/", &[])),
    ];

    for (expected, row) in rows {
        assert_eq!(host(&request(row)).as_deref(), *expected);
    }
}

/// A field that decides how a head is read, or one that does not, mostly well-formed.
fn field() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let names = ["host", "content-length", "transfer-encoding", "expect", "cookie", "x"];
    let values =
        ["a", "A:443", "[::1]", "b, a", "2", "+2", "chunked", "gzip, chunked", "100-continue", ""];
    let value = prop_oneof![
        4 => prop::sample::select(values.to_vec()).prop_map(|value| value.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    (prop::sample::select(names.to_vec()), value)
}

proptest! {
    #[test]
    fn a_head_that_passes_has_one_reading_in_any_order(
        version in prop::sample::select(vec![Version::HTTP_10, H1, H2]),
        target in prop::sample::select(vec!["/", "/a?b", "*", "https://a/", "http://A:443/", "a:1"]),
        fields in prop::collection::vec(field(), 0..6),
    ) {
        let head = |fields: &mut dyn Iterator<Item = &(&'static str, Vec<u8>)>| {
            let mut builder = Request::builder().version(version).uri(target);
            for (name, value) in fields {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    builder = builder.header(*name, value);
                }
            }
            builder.body(()).unwrap()
        };
        let (there, back) = (head(&mut fields.iter()), head(&mut fields.iter().rev()));

        let passes = check(&there, &LimitsConfig::default()).is_ok();

        prop_assert_eq!(passes, check(&back, &LimitsConfig::default()).is_ok());
        if passes {
            let lines = |name| there.headers().get_all(name).iter();
            prop_assert_eq!(host(&there), host(&back));
            prop_assert!(lines(HOST).count() <= 1);
            prop_assert!(lines(TRANSFER_ENCODING).count() <= 1);
            let mut lengths = lines(CONTENT_LENGTH);
            let first = lengths.next();
            prop_assert!(lengths.all(|length| Some(length) == first));
        }
    }
}
