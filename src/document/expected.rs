//! The expected form of a value, in words for people.
//!
//! The words never repeat the value: it may be a secret, or come from the environment.

use std::borrow::Cow;

/// Says what a value should have been: `expected a duration such as 30s, 15m, 2h`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Expected(Cow<'static, str>);

impl Expected {
    pub(crate) fn new(words: impl Into<Cow<'static, str>>) -> Self {
        Self(words.into())
    }

    /// One of some names, with the nearest of them where one is near.
    pub(crate) fn one_of(given: &str, names: &[&str]) -> Self {
        let listed = match names.split_last() {
            Some((last, [])) => format!("expected `{last}`"),
            Some((last, first)) => format!("expected `{}` or `{last}`", first.join("`, `")),
            None => "nothing can stand here".to_owned(),
        };
        match nearest(given, names.iter().copied()) {
            Some(name) => Self::new(format!("{listed}; did you mean `{name}`?")),
            None => Self::new(listed),
        }
    }
}

/// Returns the candidate that was probably meant, if one is near enough to say so.
pub(crate) fn nearest<'a>(
    given: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given: String = given.chars().take(LONGEST_COMPARED).collect::<String>().to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&given, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| {
            let length = given.chars().count().max(candidate.chars().count());
            *distance <= (length / 3).max(1) && *distance < length
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Proposes the nearest of the known names, or lists them.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The comparison costs the product of both lengths; no name of ours is longer.
const LONGEST_COMPARED: usize = 64;

#[cfg(test)]
mod tests {
    use super::{Expected, nearest};

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        for (given, meant) in [
            ("access_tl", Some("access_ttl")),
            ("acess_ttl", Some("access_ttl")),
            ("ACCESS_TTL", Some("access_ttl")),
            ("leewya", Some("leeway")),
            ("cookies", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, ["access_ttl", "refresh_ttl", "leeway"]), meant, "{given}");
        }
    }

    #[test]
    fn names_are_listed_and_the_nearest_suggested() {
        let expected = Expected::one_of("fulll", &["full", "normal"]);

        assert_eq!(expected.to_string(), "expected `full` or `normal`; did you mean `full`?");
    }
}
