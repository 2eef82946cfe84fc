//! Finds the most exact pattern that covers a path, in a tree of segments.
//!
//! Segment by segment, a literal goes before `{name}`, and `{name}` before `/*`, whatever the
//! order of insertion. (`matchit` takes `/a/{id}` beside `/a/{*rest}` for a conflict.)

/// Patterns, and what each stands for.
#[derive(Debug)]
pub(crate) struct PathTree<T> {
    root: Node<T>,
}

/// What a pattern is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern<'a> {
    /// Without the first slash, and without `/*`; `None` for `/*` itself.
    segments: Option<&'a str>,
    /// Whether everything below is covered as well.
    and_below: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// No slash at its beginning.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// `*` elsewhere than as the last segment.
    #[error("`*` stands alone, as the last segment")]
    Star,
    /// A brace that is not around a whole segment.
    #[error("`{{name}}` stands for a whole segment")]
    Brace,
}

#[derive(Debug)]
struct Node<T> {
    /// Sorted by segment.
    literals: Vec<(Box<str>, Self)>,
    parameter: Option<Box<Self>>,
    here: Option<T>,
    below: Option<T>,
}

impl<T> PathTree<T> {
    /// Makes a tree without patterns.
    pub(crate) const fn new() -> Self {
        Self { root: Node::new() }
    }

    /// What a pattern stands for, to be filled in; the same for patterns that differ in names only.
    pub(crate) fn slot(&mut self, pattern: Pattern<'_>) -> &mut Option<T> {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = if parameter_name(segment).is_some() {
                node.parameter.get_or_insert_with(|| Box::new(Node::new()))
            } else {
                node.literal_mut(segment)
            };
        }
        if pattern.and_below { &mut node.below } else { &mut node.here }
    }

    /// Finds what stands for a path.
    pub(crate) fn find(&self, path: &str) -> Option<&T> {
        self.root.find(Some(path.strip_prefix('/')?))
    }
}

impl<'a> Pattern<'a> {
    /// Reads `/a/{name}/*`.
    pub(crate) fn parse(text: &'a str) -> Result<Self, PatternError> {
        let path = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let pattern = match path.strip_suffix("/*") {
            Some(segments) => Self { segments: Some(segments), and_below: true },
            None if path == "*" => Self { segments: None, and_below: true },
            None => Self { segments: Some(path), and_below: false },
        };
        for segment in pattern.segments() {
            if segment.contains('*') {
                return Err(PatternError::Star);
            }
            if parameter_name(segment).is_none() && segment.contains(['{', '}']) {
                return Err(PatternError::Brace);
            }
        }
        Ok(pattern)
    }

    /// The names in braces, each with the segment of `path` that stands there.
    pub(crate) fn parameters<'p>(
        &self,
        path: &'p str,
    ) -> impl Iterator<Item = (&'a str, &'p str)> + use<'a, 'p> {
        let path = path.strip_prefix('/').unwrap_or(path);
        self.segments()
            .zip(path.split('/'))
            .filter_map(|(segment, value)| Some((parameter_name(segment)?, value)))
    }

    fn segments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.segments.into_iter().flat_map(|segments| segments.split('/'))
    }
}

impl<T> Node<T> {
    const fn new() -> Self {
        Self { literals: Vec::new(), parameter: None, here: None, below: None }
    }

    fn literal_mut(&mut self, segment: &str) -> &mut Self {
        let found = self.literals.binary_search_by(|(literal, _)| (**literal).cmp(segment));
        let index = found.unwrap_or_else(|index| {
            self.literals.insert(index, (segment.into(), Self::new()));
            index
        });
        #[expect(clippy::indexing_slicing, reason = "found or inserted at this index just before")]
        &mut self.literals[index].1
    }

    /// Follows what is left of a path; `None` when nothing is.
    fn find(&self, rest: Option<&str>) -> Option<&T> {
        let Some(rest) = rest else {
            return self.here.as_ref().or(self.below.as_ref());
        };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        let literal = self
            .literals
            .binary_search_by(|(literal, _)| (**literal).cmp(segment))
            .ok()
            .and_then(|index| self.literals.get(index))
            .and_then(|(_, node)| node.find(rest));
        literal
            .or_else(|| {
                let node = self.parameter.as_ref().filter(|_| !segment.is_empty())?;
                node.find(rest)
            })
            .or(self.below.as_ref())
    }
}

fn parameter_name(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    (!name.is_empty() && !name.contains(['{', '}', '*'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{PathTree, Pattern, PatternError};

    fn tree(patterns: &[&'static str]) -> PathTree<&'static str> {
        let mut tree = PathTree::new();
        for pattern in patterns {
            *tree.slot(Pattern::parse(pattern).unwrap()) = Some(*pattern);
        }
        tree
    }

    #[test]
    fn the_most_exact_pattern_wins_whatever_the_order() {
        let mut patterns = [
            "/*",
            "/a",
            "/a/*",
            "/a/b",
            "/users/{id}",
            "/users/*",
            "/users/me",
            "/users/{id}/cards",
            "/x/{y}/*",
            "/x/z/q",
            "/dir/",
        ];
        let rows = [
            ("/", "/*"),
            ("/nothing/here", "/*"),
            ("/a", "/a"),
            ("/a/", "/a/*"),
            ("/a/c/d", "/a/*"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/*"),
            ("/ab", "/*"),
            ("/A", "/*"),
            ("/users", "/users/*"),
            ("/users/", "/users/*"),
            ("/users/1", "/users/{id}"),
            ("/users/me", "/users/me"),
            ("/users/me/cards", "/users/{id}/cards"),
            ("/users/1/2", "/users/*"),
            ("/x/z/q", "/x/z/q"),
            ("/x/z/r", "/x/{y}/*"),
            ("/x/1", "/x/{y}/*"),
            ("/x", "/*"),
            ("/dir/", "/dir/"),
            ("/dir", "/*"),
        ];
        for _ in 0..2 {
            let tree = tree(&patterns);
            for (path, pattern) in rows {
                assert_eq!(tree.find(path), Some(&pattern), "{path}");
            }
            patterns.reverse();
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_covers() {
        let tree = tree(&["/a/{x}", "/b"]);
        for path in ["/", "/a", "/a/", "/a/b/c", "/b/", "/bb", "*", ""] {
            assert_eq!(tree.find(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let rows = [
            ("a", PatternError::NotAbsolute),
            ("*", PatternError::NotAbsolute),
            ("/a*", PatternError::Star),
            ("/*/a", PatternError::Star),
            ("/**", PatternError::Star),
            ("/a/{x", PatternError::Brace),
            ("/a/x{y}", PatternError::Brace),
            ("/a/{}", PatternError::Brace),
        ];
        for (text, error) in rows {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn parameters_are_named_by_the_pattern() {
        let pattern = Pattern::parse("/a/{x}/b/{y}").unwrap();

        let found: Vec<_> = pattern.parameters("/a/1/b/2").collect();

        assert_eq!(found, [("x", "1"), ("y", "2")]);
    }
}
