//! Claims of names, so that one account of a realm has an email address or user name.
//!
//! A name's index entry is in another slot than its account, so it is claimed first. A claim whose
//! account was never made (the gateway died between), or is gone, must not block the name for ever,
//! and one whose account is being made must not be taken over. The server's clock decides: an
//! account is made only within [`MAKE_WITHIN`] of its claims (`create_user.lua` refuses later), and
//! a claim without an account is replaceable only after [`REPLACEABLE_AFTER`]. The difference
//! allows for servers of a cluster whose clocks differ.

use std::sync::LazyLock;

use crate::operation::UserId;
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::connection::script::Script;
use crate::store::{RedisStore, StoreError};

static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/claim_name.lua")));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/release_name.lua")));

/// The time after its claims within which an account may be made, in milliseconds.
pub(in crate::store::redis) const MAKE_WITHIN: i64 = 20_000;

/// The age from which a claim without an account may be replaced, in milliseconds.
const REPLACEABLE_AFTER: i64 = 60_000;

/// A name that one account of a realm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum ClaimedName<'a> {
    /// An email address.
    Email(&'a str),
    /// A user name.
    Username(&'a str),
}

impl ClaimedName<'_> {
    pub(in crate::store::redis) const fn field(self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Username(_) => "username",
        }
    }

    const fn text(&self) -> &str {
        match self {
            Self::Email(text) | Self::Username(text) => text,
        }
    }
}

impl RedisStore {
    /// Claims a name; returns the instant (server's clock, milliseconds), or [`StoreError::Taken`].
    pub(in crate::store::redis) async fn claim(
        &self,
        realm: &str,
        name: ClaimedName<'_>,
        user: UserId,
    ) -> Result<i64, StoreError> {
        let key = self.index_of(realm, name);
        let mut dangling = String::new();
        loop {
            let mut script = CLAIM.prepare_invoke();
            script.key(&key).arg(user.0).arg(&dangling);
            let answer: Vec<String> = self.script(&script).await?;
            let (held, now) = match answer.as_slice() {
                [claimed, at] if claimed == "1" => return number(at),
                [_, held, now] => (held, number(now)?),
                _ => return Err(corrupt("claim", "answer")),
            };
            let (holder, claimed_at) = parse_claim(held)?;
            let is_held = self.has_name(realm, holder, name).await?;
            // The script replaces only the claim that was read here.
            if is_held || now - claimed_at < REPLACEABLE_AFTER || *held == dangling {
                return Err(StoreError::Taken);
            }
            dangling.clone_from(held);
        }
    }

    /// Releases a name, if the account still holds it.
    pub(in crate::store::redis) async fn release(
        &self,
        realm: &str,
        name: ClaimedName<'_>,
        user: UserId,
    ) -> Result<(), StoreError> {
        let mut script = RELEASE.prepare_invoke();
        script.key(self.index_of(realm, name)).arg(user.0);
        self.script(&script).await
    }

    /// The account that has claimed a name, which may never have been made, or be gone.
    pub(in crate::store::redis) async fn claimant(
        &self,
        realm: &str,
        name: ClaimedName<'_>,
    ) -> Result<Option<UserId>, StoreError> {
        let key = self.index_of(realm, name);
        let held: Option<String> = self.command(redis::cmd("GET").arg(key)).await?;
        held.map(|held| parse_claim(&held).map(|(user, _)| user)).transpose()
    }

    /// Whether an account has the name now.
    pub(in crate::store::redis) async fn has_name(
        &self,
        realm: &str,
        user: UserId,
        name: ClaimedName<'_>,
    ) -> Result<bool, StoreError> {
        let mut ask = redis::cmd("HGET");
        ask.arg(self.keys.user(realm, user)).arg(name.field());
        let found: Option<String> = self.command(&ask).await?;
        Ok(found.as_deref() == Some(name.text()))
    }

    pub(in crate::store::redis) fn index_of(&self, realm: &str, name: ClaimedName<'_>) -> String {
        match name {
            ClaimedName::Email(email) => self.keys.email(realm, email),
            ClaimedName::Username(username) => self.keys.username(realm, username),
        }
    }
}

fn parse_claim(held: &str) -> Result<(UserId, i64), StoreError> {
    let (user, claimed_at) = held.split_once(':').ok_or_else(|| corrupt("claim", held))?;
    Ok((UserId(number(user)?), number(claimed_at)?))
}

fn number(text: &str) -> Result<i64, StoreError> {
    text.parse().map_err(|error| StoreError::Corrupt(format!("claim: {text}: {error}")))
}
