//! Ends all sessions and tokens of a site: at an operator's verb, or after a restore of its store.
//!
//! The site's generation rises, which refuses all access tokens at once; then its sessions end one
//! by one, and with them their refresh tokens. Tokens that were refreshed meanwhile have the new
//! generation: it rises once more at the end.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::Timestamp;
use crate::config::ContractName;
use crate::gateway::snapshot::Snapshot;
use crate::operation::{Revocation, Revoked, UserId};
use crate::store::{Store, StoreError, above};
use crate::token::TokenPolicy;

/// Accounts that are read at once.
const PAGE: usize = 500;

/// Accounts whose sessions are asked for at once.
const AT_ONCE: usize = 32;

/// Ends everything of a site at `now`, remembered until `revoked_until`; reports the number of
/// ended sessions as `progress`, and answers it.
///
/// # Errors
/// When the store does not answer; cut short, it may be done again.
pub async fn end_site(
    store: &dyn Store,
    policy: &TokenPolicy,
    (now, revoked_until): (Timestamp, Timestamp),
    progress: impl Fn(u64),
) -> Result<u64, StoreError> {
    let issuer = policy.issuer.as_str();
    raise(store, issuer, (now, revoked_until)).await?;
    let mut sessions = 0;
    let mut after = None;
    loop {
        let page = store.list_users(&policy.realm, after, PAGE).await?;
        let unreadable = page.unreadable.iter().map(|unreadable| unreadable.id);
        let users = page.users.iter().map(|user| user.id).chain(unreadable);
        let mut ended = stream::iter(users)
            .map(|user| end_sessions(store, (policy.realm.as_str(), user), issuer, now))
            .buffer_unordered(AT_ONCE);
        while let Some(ended) = ended.try_next().await? {
            sessions += ended;
            progress(sessions);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if sessions > 0 {
        raise(store, issuer, (now, revoked_until)).await?;
    }
    Ok(sessions)
}

/// Ends all sessions of a store that was restored from a backup, before it is used: it does not
/// know which of them, and of their tokens, ended after it was saved. Then its mark is removed.
///
/// A site that only verifies others' tokens has no sessions, and its tokens are not ended.
///
/// # Errors
/// When the store does not answer; cut short, the next start does it again.
pub(super) async fn after_restore(
    store: &dyn Store,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(), StoreError> {
    match store.backup_mark().await {
        Ok(Some(_saved_at)) => {}
        Ok(None) => return Ok(()),
        // The node may start without it, from its journal.
        Err(error) if error.is_outage() => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut sessions = 0;
    for (site, parts) in snapshot.config.sites.iter().zip(snapshot.parts()) {
        if site.contract == ContractName::None {
            continue;
        }
        let policy = parts.auth.tokens.policy();
        let longest = now.plus(parts.auth.settings.user_revocation_ttl);
        let times = (now, Revocation::until(longest, policy.leeway));
        sessions += end_site(store, policy, times, |_| ()).await?;
    }
    store.mark_as_backup(None).await?;
    tracing::warn!(sessions, "the store was restored: all sessions of all sites ended");
    Ok(())
}

async fn raise(
    store: &dyn Store,
    issuer: &str,
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let generation = above(store.site_generation(issuer).await?, now);
    let revoked = Revoked::Site { issuer: issuer.to_owned(), generation };
    store.revoke(&[Revocation { revoked, expires_at }]).await
}

async fn end_sessions(
    store: &dyn Store,
    (realm, user): (&str, UserId),
    issuer: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sessions = store.list_sessions(realm, user, Some(issuer), now).await?;
    let mut ended = 0;
    for session in sessions {
        ended += u64::from(store.end_session(session.id, &[]).await?);
    }
    Ok(ended)
}
