//! Finds the most exact pattern that covers a path, in a tree of segments.
//!
//! Segment by segment, a literal goes before `{name}`, and `{name}` before `/*`, whatever the
//! order of insertion. (`matchit` takes `/a/{id}` beside `/a/{*rest}` for a conflict.)

use crate::path::PathPattern;
use crate::path::pattern::Segment;

/// A map from patterns to values, asked by path.
#[derive(Debug)]
pub(crate) struct PathTree<T> {
    root: Node<T>,
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

    /// The value of a pattern, to be filled in; one for patterns that differ in names only.
    pub(crate) fn slot(&mut self, pattern: &PathPattern) -> &mut Option<T> {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Parameter(_) => {
                    node.parameter.get_or_insert_with(|| Box::new(Node::new()))
                }
                Segment::Literal(literal) => node.literal_mut(literal),
            };
        }
        if pattern.covers_below() { &mut node.below } else { &mut node.here }
    }

    /// Finds the value of the most exact pattern that covers a path.
    pub(crate) fn find(&self, path: &str) -> Option<&T> {
        self.root.find(Some(path.strip_prefix('/')?))
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

#[cfg(test)]
mod tests {
    use super::PathTree;

    fn tree(patterns: &[&'static str]) -> PathTree<&'static str> {
        let mut tree = PathTree::new();
        for pattern in patterns {
            *tree.slot(&pattern.parse().unwrap()) = Some(*pattern);
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
}
