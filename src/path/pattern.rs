//! Path patterns of routes and endpoints: `/*`, `/a/*`, `/users/{id}`, `/exact`.
//!
//! A pattern is written as the canonical path that it has to match; one that no canonical path
//! can match is refused, so that a rule never waits for a request that cannot come.

use std::str::FromStr;

use crate::encoding::percent_encode;
use crate::path::PathForms;
use crate::path::canonical::{Canonical, PathError};

/// A pattern that canonical paths match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

/// One segment of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// Itself; empty after a slash at the end.
    Literal(&'a str),
    /// `{name}`: any segment that is not empty.
    Parameter(&'a str),
}

/// The reason why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No slash at its beginning.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// An empty segment that is not the last.
    #[error("`//` is never matched")]
    EmptySegment,
    /// `*` elsewhere than as the last segment.
    #[error("`*` stands alone as the last segment: /a/*")]
    Star,
    /// A brace that is not around a whole segment, or around no name.
    #[error("`{{name}}` is a whole segment, its name letters, digits and `_`")]
    Parameter,
    /// Two segments of one name.
    #[error("`{{{0}}}` stands here twice")]
    Repeated(String),
    /// `.` or `..`
    #[error("`.` and `..` are resolved before a path is matched")]
    DotSegment,
    /// `?` or `#`
    #[error("a path has neither a query nor a fragment")]
    Query,
    /// A part that canonical paths have in another form.
    #[error("write `{written}` as `{canonical}`")]
    NotCanonical {
        /// As the pattern has it.
        written: String,
        /// As it is matched.
        canonical: String,
    },
    /// A form that is refused, or kept by some routes only.
    #[error("this encoding is refused before a path is matched")]
    Refused(#[source] PathError),
}

impl PathPattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it ends in `/*`, and covers the path before that and everything below.
    pub(crate) fn covers_below(&self) -> bool {
        self.0.ends_with("/*")
    }

    /// The segments, `*` aside.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let path = self.0.strip_suffix("/*").unwrap_or(&self.0);
        path.split('/').skip(1).map(Segment::read)
    }

    /// The pattern without the names of its parameters: equal where the same paths match.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::with_capacity(self.0.len());
        for segment in self.segments() {
            shape.push('/');
            shape.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::Parameter(_) => "{}",
            });
        }
        shape.push_str(if self.covers_below() { "/*" } else { "" });
        shape
    }

    /// The names in braces, each with its segment of `path`.
    pub(crate) fn parameters<'a>(
        &'a self,
        path: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.segments().zip(path.split('/').skip(1)).filter_map(|(segment, value)| match segment {
            Segment::Parameter(name) => Some((name, value)),
            Segment::Literal(_) => None,
        })
    }

    /// Whether it matches `prefix`, or a path below it; `prefix` has plain segments.
    pub(crate) fn reaches(&self, prefix: &str) -> bool {
        let mut own = self.segments();
        for segment in prefix.split('/').skip(1) {
            match own.next() {
                Some(Segment::Literal(literal)) if literal != segment => return false,
                Some(_) => {}
                None => return self.covers_below(),
            }
        }
        true
    }

    /// Whether a segment is `{name}`.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.segments().any(|segment| segment == Segment::Parameter(name))
    }
}

impl Default for PathPattern {
    /// Covers every path.
    fn default() -> Self {
        Self("/*".to_owned())
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NotAbsolute);
        }
        if text.contains("//") {
            return Err(PatternError::EmptySegment);
        }
        let pattern = Self(text.to_owned());
        let mut names = Vec::new();
        for segment in pattern.segments() {
            match segment {
                Segment::Literal(literal) => check_literal(literal)?,
                Segment::Parameter(name) if !is_name(name) => return Err(PatternError::Parameter),
                Segment::Parameter(name) if names.contains(&name) => {
                    return Err(PatternError::Repeated(name.to_owned()));
                }
                Segment::Parameter(name) => names.push(name),
            }
        }
        Ok(pattern)
    }
}

impl<'a> Segment<'a> {
    fn read(text: &'a str) -> Self {
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.map_or(Self::Literal(text), Self::Parameter)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_literal(segment: &str) -> Result<(), PatternError> {
    let not_canonical = |written: &str, canonical: &str| {
        let (written, canonical) = (written.to_owned(), canonical.to_owned());
        Err(PatternError::NotCanonical { written, canonical })
    };
    if matches!(segment, "." | "..") {
        return Err(PatternError::DotSegment);
    }
    for character in segment.chars() {
        match character {
            '*' => return Err(PatternError::Star),
            '{' | '}' => return Err(PatternError::Parameter),
            '?' | '#' => return Err(PatternError::Query),
            // RFC 3986 §3.3 `pchar`
            _ if character.is_ascii_alphanumeric() || "%-._~!$&'()+,;=:@".contains(character) => {}
            _ => {
                let written = character.to_string();
                return not_canonical(&written, &percent_encode(&written, b""));
            }
        }
    }
    let path = format!("/{segment}");
    let canonical = Canonical::parse(&path).map_err(PatternError::Refused)?;
    canonical.check(PathForms::default()).map_err(PatternError::Refused)?;
    match canonical.as_str().strip_prefix('/') {
        Some(canonical) if canonical != segment => not_canonical(segment, canonical),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{PathPattern, PatternError};

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    #[test]
    fn canonical_patterns_are_taken() {
        for path in [
            "/",
            "/*",
            "/a",
            "/a/",
            "/a/*",
            "/users/{id}",
            "/users/{id}/orders/{order_id}/*",
            "/a;v=1/b",
            "/%ED%95%9C",
            "/a%20b",
            "/a%23b",
            "/100%25",
            "/.well-known/x",
            "/a@b:c",
        ] {
            assert_eq!(path.parse::<PathPattern>().as_ref().map(PathPattern::as_str), Ok(path));
        }
    }

    #[test]
    fn a_pattern_reaches_a_prefix_by_whole_segments() {
        for (path, prefix, expected) in [
            ("/account", "/account", true),
            ("/account/", "/account", true),
            ("/account/a/{b}", "/account", true),
            ("/{a}/b", "/account", true),
            ("/*", "/account", true),
            ("/a/*", "/a/b/c", true),
            ("/accounts", "/account", false),
            ("/a", "/a/b", false),
            ("/", "/account", false),
            ("/{a}", "/a/b", false),
            ("/b/*", "/a/b", false),
        ] {
            assert_eq!(pattern(path).reaches(prefix), expected, "{path} {prefix}");
        }
    }

    #[test]
    fn patterns_that_no_path_matches_are_refused() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "//*",
            "/a//b",
            "/a//*",
            "/a/./b",
            "/a/..",
            "/a/../b",
            "/..;/x",
            "/...",
            "/a?b",
            "/a#b",
            "/a/*/b",
            "/*/a",
            "/a*",
            "/**",
            "/{}",
            "/{a b}",
            "/a/{x",
            "/x{id}",
            "/{id}x",
            "/{id}/{id}",
            "/한",
            "/a b",
            "/a\\b",
            "/%",
            "/%4",
            "/%zz",
            "/%ed%95%9c",
            "/%41",
            "/%2F",
            "/%5C",
            "/%00",
            "/%7F",
            "/%FF",
            "/%EF%BC%8F",
            "/%2541",
            "/a|b",
        ] {
            assert!(path.parse::<PathPattern>().is_err(), "{path}");
        }
    }

    #[test]
    fn what_is_matched_in_another_form_is_named_with_it() {
        for (text, hint) in [
            ("/caf%c3%a9", "write `caf%c3%a9` as `caf%C3%A9`"),
            ("/a/%41b", "write `%41b` as `Ab`"),
            ("/한", "write `한` as `%ED%95%9C`"),
        ] {
            let error: PatternError = text.parse::<PathPattern>().unwrap_err();
            assert_eq!(error.to_string(), hint);
        }
    }

    #[test]
    fn names_do_not_tell_patterns_apart() {
        for (one, other, is_same) in [
            ("/users/{id}/*", "/users/{name}/*", true),
            ("/users/{id}", "/users/id", false),
            ("/users/{id}", "/users/{id}/*", false),
            ("/users", "/users/", false),
            ("/", "/*", false),
        ] {
            assert_eq!(pattern(one).shape() == pattern(other).shape(), is_same, "{one} {other}");
        }
    }

    #[test]
    fn parameters_are_named_by_the_pattern() {
        let pattern = pattern("/a/{x}/b/{y}");

        let found: Vec<_> = pattern.parameters("/a/1/b/2").collect();

        assert_eq!(found, [("x", "1"), ("y", "2")]);
        assert!(pattern.has_parameter("y") && !pattern.has_parameter("a"));
    }
}
