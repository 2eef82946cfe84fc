//! The exchange of a refresh token for its successor.
//!
//! One script in the user's slot decides, so that of many requests with one token, at any gateways,
//! exactly one rotates. Around it:
//!
//! - The successor's index entry is written before, so that no crash leaves a client with a token
//!   that the store does not know. The entry of one that loses the race is removed.
//! - The revocation of the session is read before, in the slot of revocations. A logout writes
//!   there first and then deletes the session in the user's slot. So, in any order:
//!   - a script after the deletion finds nothing, and refuses;
//!   - a script before it rotates, as though the refresh had come before the logout: the new
//!     refresh token is deleted with the session, and the new access token is refused by its `sid`;
//!   - a logout that was cut short between the two was never acknowledged; a refresh reads the
//!     revocation here, refuses, and deletes the session in its stead.
//! - A change of the account (a role, say) records its floor there first, and then raises the
//!   account's generation. A refresh in between waits for the change, which may end no session. A
//!   change that does not come was cut short or lost, and may have ended them.
//! - The script detects theft, but the session ends as at a logout: revocation first, then the
//!   session. A rotation in between counts as one that came before.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::try_join;

use crate::clock::Timestamp;
use crate::operation::{RefreshHash, Revocation, RevocationKey, SessionId};
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::connection::script::Script;
use crate::store::redis::sessions::record::{Owner, SessionRecord, encode_hash, encode_sealed};
use crate::store::redis::sessions::session::ttl_millis;
use crate::store::{RedisStore, Rotation, StoreError, Successor};

static ROTATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/rotate_refresh.lua")));

impl RedisStore {
    pub(in crate::store::redis) async fn rotate_in_steps(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: &Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let (owner, belongs_to) =
            try_join(self.owner(session), self.session_of_index(presented)).await?;
        let Some(owner) = owner.filter(|_| belongs_to == Some(session)) else {
            return Ok(Rotation::Refused);
        };
        let wanted = [
            RevocationKey::of_session(&owner.issuer, session),
            RevocationKey::of_user(&owner.realm, owner.user),
        ];
        let recorded = self.recorded(&wanted).await?;
        if recorded.first().is_some_and(|entry| entry.is_active(successor.now)) {
            self.delete_session(session, &owner).await?;
            return Ok(Rotation::Refused);
        }
        let floor = recorded.last().map_or(0, |entry| entry.floor);
        let ttl = ttl_millis(owner.ends_at, successor.now);
        self.index_refresh(&successor.hash, session, ttl).await?;
        let rotate = async |is_certain: bool| {
            let mut script = ROTATE.prepare_invoke();
            script.key(self.keys.user(&owner.realm, owner.user));
            script.key(self.keys.sessions(&owner.realm, owner.user)).arg(session.to_string());
            script.arg(encode_hash(presented)).arg(encode_hash(&successor.hash));
            script.arg(encode_sealed(&successor.sealed)).arg(successor.now.as_millis());
            script.arg(successor.expires_at.as_millis());
            script.arg(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)).arg(floor);
            script.arg(u8::from(is_certain));
            self.script::<(String, String)>(&script).await
        };
        let (mut verdict, mut record) = rotate(false).await?;
        if verdict == "behind" {
            self.await_change(&owner.realm, owner.user, floor).await?;
            (verdict, record) = rotate(true).await?;
        }
        match verdict.as_str() {
            "rotated" => {
                let record = SessionRecord::read(&record)?;
                Ok(Rotation::Rotated(record.session(&owner.realm, owner.user, session)?))
            }
            "repeated" => {
                self.forget_refresh(&successor.hash).await?;
                let record = SessionRecord::read(&record)?;
                let sealed = record.sealed()?;
                let session = record.session(&owner.realm, owner.user, session)?;
                Ok(Rotation::Repeated { session, sealed })
            }
            "reused" => {
                self.forget_refresh(&successor.hash).await?;
                self.end_stolen(session, &owner, revoked_until).await
            }
            "refused" => {
                self.forget_refresh(&successor.hash).await?;
                Ok(Rotation::Refused)
            }
            _ => Err(corrupt("rotation", &verdict)),
        }
    }

    async fn end_stolen(
        &self,
        session: SessionId,
        owner: &Owner,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let revocations = vec![Revocation::of_session(&owner.issuer, session, revoked_until)];
        self.append(&revocations).await?;
        self.delete_session(session, owner).await?;
        Ok(Rotation::Reused(revocations))
    }
}
