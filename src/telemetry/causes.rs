//! An error and its causes in one line.

use std::error::Error;

/// Joins an error's words with those of its causes, the nearest first; some errors say their
/// cause's words as their own, which are not repeated.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
