//! How a user proved who they are, and when: `amr` and `auth_time` of a token.

use std::fmt;

use crate::clock::Timestamp;

/// The methods by which a user was authenticated (RFC 8176 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AuthMethods {
    /// `pwd`: a password.
    pub password: bool,
    /// `otp`: a one-time code of an app, or a recovery code.
    pub one_time_code: bool,
    /// `mfa`: a second factor was proved, now or before on a device that is remembered.
    pub second_factor: bool,
}

/// An authentication: how and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// `amr`.
    pub methods: AuthMethods,
    /// `auth_time`.
    pub at: Timestamp,
}

impl AuthMethods {
    /// A password alone.
    pub const PASSWORD: Self = Self { password: true, one_time_code: false, second_factor: false };

    /// The same, and a one-time code.
    #[must_use]
    pub const fn with_one_time_code(self) -> Self {
        Self { one_time_code: true, second_factor: true, ..self }
    }

    /// The same, on a device where the second factor was proved before.
    #[must_use]
    pub const fn with_remembered_device(self) -> Self {
        Self { second_factor: true, ..self }
    }

    /// The values of `amr`.
    pub fn values(self) -> impl Iterator<Item = &'static str> {
        let all =
            [("pwd", self.password), ("otp", self.one_time_code), ("mfa", self.second_factor)];
        all.into_iter().filter_map(|(value, holds)| holds.then_some(value))
    }

    /// Reads values that blanks separate; unknown ones are left out.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let has = |value| text.split(' ').any(|word| word == value);
        Self { password: has("pwd"), one_time_code: has("otp"), second_factor: has("mfa") }
    }
}

impl fmt::Display for AuthMethods {
    /// Writes the values with blanks between.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.values().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::AuthMethods;

    #[test]
    fn methods_read_as_they_are_written() {
        let password = AuthMethods::PASSWORD;
        for (methods, text) in [
            (AuthMethods::default(), ""),
            (password, "pwd"),
            (password.with_one_time_code(), "pwd otp mfa"),
            (password.with_remembered_device(), "pwd mfa"),
            (AuthMethods::default().with_one_time_code(), "otp mfa"),
        ] {
            assert_eq!(methods.to_string(), text);
            assert_eq!(AuthMethods::from_text(text), methods);
        }
    }
}
