//! The user behind `sudo` or `doas`, which both leave in the environment.

/// The user who typed `sudo` or `doas`; `None` where neither says so.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "it is no setting, which are read at once")]
pub fn sudo_user() -> Option<String> {
    let said = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    said("SUDO_USER").or_else(|| said("DOAS_USER")).map(|name| name.chars().take(LONGEST).collect())
}

/// Longer than the name of a user is.
const LONGEST: usize = 256;
