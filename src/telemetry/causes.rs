//! An error and its causes in one line.

use std::error::Error;

/// Joins an error's message with those of its causes, the nearest first; a message that repeats its
/// cause's is not followed by it.
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
