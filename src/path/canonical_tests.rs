//! Paths and their canonical forms.

use http::Uri;
use proptest::prelude::ProptestConfig;
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{Canonical, PathError, decode_segment};
use crate::path::PathForms;

#[test]
fn a_path_with_more_than_one_reading_is_refused() {
    let rows = [
        ("", PathError::NotAbsolute),
        ("a", PathError::NotAbsolute),
        ("**", PathError::NotAbsolute),
        ("//", PathError::EmptySegment),
        ("//evil/x", PathError::EmptySegment),
        ("/a//b", PathError::EmptySegment),
        ("/a/..//b", PathError::EmptySegment),
        ("/a\\b", PathError::Backslash),
        ("/a%5Cb", PathError::Backslash),
        ("/a%5cb", PathError::Backslash),
        ("/%00", PathError::Control),
        ("/a%0d%0aX:1", PathError::Control),
        ("/%1F", PathError::Control),
        ("/%7f", PathError::Control),
        ("/\u{7f}", PathError::Control),
        ("/a b", PathError::Control),
        ("/a#b", PathError::Control),
        ("/é", PathError::NotAscii),
        ("/%", PathError::Percent),
        ("/%2", PathError::Percent),
        ("/%zz", PathError::Percent),
        ("/%+1", PathError::Percent),
        ("/%252e%252e", PathError::DoubleEncoding),
        ("/%25%32%65", PathError::DoubleEncoding),
        ("/a%252fb", PathError::DoubleEncoding),
        ("/%2525", PathError::DoubleEncoding),
        ("/%B0%A1", PathError::Utf8),
        ("/a%2Fb", PathError::EncodedSlash),
        ("/a%EF%BC%BCb", PathError::Backslash),
        ("/%E0%80%AF", PathError::Utf8),
        ("/%ED%A0%80", PathError::Utf8),
        ("/%C3", PathError::Utf8),
        ("/%C3/%A9", PathError::Utf8),
        ("/%FF", PathError::Utf8),
        ("/a%EF%BC%8Fb", PathError::FullWidthSlash),
        ("/a%ef%bc%8fb", PathError::FullWidthSlash),
        ("/.;/x", PathError::DotParameter),
        ("/a/..;/x", PathError::DotParameter),
        ("/a/..;x=y", PathError::DotParameter),
        ("/a/.%3B", PathError::DotParameter),
        ("/a/..%3bx/b", PathError::DotParameter),
        ("/a/%2e%2e;/b", PathError::DotParameter),
        ("/a/.%2e%3b/b", PathError::DotParameter),
        ("/a/..%2fb", PathError::EncodedDots),
        ("/a%2F..", PathError::EncodedDots),
        ("/a%2f%2e%2e/b", PathError::EncodedDots),
        ("/a%2F.%2Fb", PathError::EncodedDots),
        ("/api/c/%2e%2e%2f..%2fpublic/", PathError::EncodedDots),
    ];
    for (path, error) in rows {
        assert_eq!(strict(path), Err(error), "{path}");
    }
}

#[test]
fn a_segment_that_may_be_taken_for_dots_is_refused() {
    let rows = [
        ("/a/..%20/b", PathError::DotAlike),
        ("/a/%20..", PathError::DotAlike),
        ("/a/.%20%20/b", PathError::DotAlike),
        ("/a/..%09/b", PathError::DotAlike),
        ("/a/..%00/b", PathError::Control),
        ("/a/..%20;x/b", PathError::DotParameter),
        ("/a/..%20%2Fb", PathError::EncodedDots),
        ("/a%2F..%20", PathError::DotAlike),
        ("/a/..%20./b", PathError::DotAlike),
        ("/a/.../b", PathError::DotAlike),
        ("/a/....", PathError::DotAlike),
        ("/a/...;x", PathError::DotParameter),
        ("/a/..%C2%A0/b", PathError::DotAlike),
        ("/a/..%E3%80%80/b", PathError::DotAlike),
        ("/a/%EF%BC%8E%ef%bc%8e/b", PathError::DotAlike),
        ("/a/%E2%80%A5/b", PathError::DotAlike),
        ("/a/%c0%ae%c0%ae/b", PathError::DotAlike),
        ("/a/.%E0%80%AE/b", PathError::DotAlike),
        ("/a%C0%AF..%C0%AFb", PathError::EncodedDots),
    ];
    for (path, error) in rows {
        assert_eq!(strict(path), Err(error), "{path}");
    }
}

fn strict(path: &str) -> Result<Canonical<'_>, PathError> {
    let path = Canonical::parse(path)?;
    path.check(PathForms::default()).map(|()| path)
}

/// A path, what a route has to keep to take it, and the laxest reading of it.
#[test]
fn what_a_route_keeps_is_kept_as_it_is_and_hides_no_dot_segment() {
    let slash = PathForms { encoded_slash: true, ..PathForms::default() };
    let percent = PathForms { encoded_percent: true, ..PathForms::default() };
    let empty = PathForms { empty_segments: true, ..PathForms::default() };
    let bytes = PathForms { non_utf8: true, ..PathForms::default() };
    let (deep, dots) = (Err(PathError::DeepEncoding), Err(PathError::EncodedDots));
    let rows = [
        ("/@a%2Fb", slash, Ok(None)),
        ("/100%2525", percent, Ok(Some("/100%25"))),
        ("/%2541%252e%252Fb", percent, Ok(Some("/A./b"))),
        ("/%25252541", percent, Ok(Some("/A"))),
        ("/%2525252541", percent, deep),
        ("/a/%252e%252E/b", percent, dots),
        ("/a/.%25252e/b", percent, dots),
        ("/a/..%252fb", percent, dots),
        ("/a%255c..", percent, Err(PathError::Backslash)),
        ("/a%2500", percent, Err(PathError::Control)),
        ("/a/..%2520/b", percent, Err(PathError::DotAlike)),
        ("//a///b/", empty, Ok(Some("/a/b/"))),
        ("/%B0%A1%C0%AE", bytes, Ok(None)),
    ];
    for (path, keeps, reading) in rows {
        let parsed = Canonical::parse(path).unwrap();
        assert!(parsed.is_as_sent() && parsed.check(keeps).is_ok(), "{path}");
        assert!(parsed.check(PathForms::default()).is_err(), "{path}");
        assert_eq!(parsed.laxest_reading(), reading.map(|text| text.map(str::to_owned)), "{path}");
    }
}

#[test]
fn a_path_is_brought_to_its_canonical_form() {
    let rows = [
        ("/public/../api", "/api"),
        ("/public/%2e%2e/api", "/api"),
        ("/public/.%2E/api", "/api"),
        ("/./a/./b/.", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a/../", "/"),
        ("/%61%2D%7e%5F", "/a-~_"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%2fb", "/a%2Fb"),
        ("/x%2fy/../b", "/b"),
        ("/%25%32%35/../x", "/x"),
        ("/%25%32%35", "/%2525"),
        ("/a//../%b0%a1", "/a/%B0%A1"),
    ];
    for (path, canonical) in rows {
        let parsed = Canonical::parse(path).unwrap();
        assert_eq!(parsed.as_str(), canonical, "{path}");
        assert!(!parsed.is_as_sent(), "{path}");
    }
}

#[test]
fn a_canonical_path_is_borrowed() {
    for path in [
        "/",
        "*",
        "/a",
        "/a/",
        "/.well-known/jwks.json",
        "/a...b/..c/.d",
        "/a;x=y/b",
        "/a%20b",
        "/%20/a.%20",
        "/a;..",
        "/a%3Fb%23c",
        "/%EA%B0%80",
        "/100%25",
        "/a%2Fb",
        "/a!$&'()*+,=:@b",
        "/{x}|^",
    ] {
        let parsed = Canonical::parse(path).unwrap();
        assert_eq!(parsed.as_str(), path);
        assert!(parsed.is_as_sent(), "{path}");
    }
}

#[test]
fn a_prefix_is_cut_at_a_segment_border() {
    let rows = [
        ("/a/b", "/a", "/b"),
        ("/a/b", "/a/", "/b"),
        ("/a", "/a", "/"),
        ("/a/", "/a", "/"),
        ("/ab/c", "/a", "/ab/c"),
        ("/b", "/a", "/b"),
        ("/a/b", "/", "/a/b"),
    ];
    for (path, prefix, rest) in rows {
        let path = Canonical::parse(path).unwrap();
        assert_eq!(path.without_prefix(prefix), rest, "{} - {prefix}", path.as_str());
    }
}

#[test]
fn a_segment_is_decoded_for_an_endpoint() {
    assert_eq!(decode_segment("a%20%EA%B0%80b%25"), "a 가b%");
}

#[test]
fn what_is_forwarded_is_the_path_that_was_matched() {
    let rows = [
        ("/a/b?x=%2f&y", None, "/a/b?x=%2f&y"),
        ("/a/../%62?x=/../", None, "/b?x=/../"),
        ("/a/b?", None, "/a/b?"),
        ("/a/b?q", Some("/a"), "/b?q"),
        ("/a", Some("/a"), "/"),
        ("https://h?q", None, "/?q"),
        ("https://h", None, "/"),
    ];
    for (uri, prefix, expected) in rows {
        let uri: Uri = uri.parse().unwrap();
        let sent = uri.path_and_query().unwrap();
        let path = Canonical::parse(sent.path()).unwrap();
        assert_eq!(path.target(sent, prefix).unwrap().as_str(), expected, "{uri}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_form_is_stable_and_free_of_dot_segments(
        path in "(/|\\.|%2[0eEfF5]|%3[bB]|;|[a-c]|%6[0-9a-f]|%C3%A9|%25|[0-9]){0,24}"
    ) {
        let path = format!("/{path}");
        if let Ok(canonical) = Canonical::parse(&path) {
            let text = canonical.as_str();
            prop_assert!(text.starts_with('/'));
            prop_assert!(!text.split('/').any(|segment| matches!(segment, "." | "..")), "{text}");
            let merges = |reading: Option<String>| reading.is_none_or(|text| !text.contains("//"));
            prop_assert!(canonical.laxest_reading().is_ok_and(merges) || text.contains("%25"));
            let again = Canonical::parse(text);
            prop_assert_eq!(again.as_ref().map(Canonical::as_str), Ok(text));
            prop_assert!(again.is_ok_and(|again| again.is_as_sent()));
        }
    }

    #[test]
    fn any_text_is_refused_or_canonical(path in "\\PC{0,40}") {
        if let Ok(canonical) = Canonical::parse(&path) {
            let text = canonical.as_str().to_owned();
            prop_assert_eq!(Canonical::parse(&text).map(|path| path.as_str().to_owned()), Ok(text));
        }
    }
}
