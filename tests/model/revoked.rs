//! What is revoked: two things, and sets of them.

/// What a request may revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Revoked {
    /// The session, by its log-out.
    Session = 1,
    /// A token of another, by an operator.
    Token = 2,
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RevokedSet(u8);

impl RevokedSet {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn of(one: Revoked) -> Self {
        Self(one as u8)
    }

    pub(crate) const fn has(self, one: Revoked) -> bool {
        self.0 & one as u8 != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn each(self) -> impl Iterator<Item = Revoked> {
        [Revoked::Session, Revoked::Token].into_iter().filter(move |one| self.has(*one))
    }
}
