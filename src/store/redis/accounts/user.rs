//! Accounts: made, found, listed and changed.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};

use crate::clock::Timestamp;
use crate::operation::{Email, Identifier, Revocation, RevocationKey, Revoked, UserId, Username};
use crate::store::backoff::Backoff;
use crate::store::redis::ATTEMPTS;
use crate::store::redis::accounts::name_claim::{ClaimedName, MAKE_WITHIN};
use crate::store::redis::accounts::record::{
    BUT_ATTRIBUTES, UserRecord, fields_changed, fields_of, to_json,
};
use crate::store::redis::connection::fault::{RedisFault, corrupt};
use crate::store::redis::connection::script::Script;
use crate::store::{Accounts, Listing, Lookup, RedisStore, StoreError, User, UserChange, above};

static CREATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/create_user.lua")));
static CHANGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/change_user.lua")));

/// The account to look up where no account has a name; numbers begin with one.
const NO_ACCOUNT: UserId = UserId(0);

/// The longest wait for a change to get from its revocation to the account, and the pauses between
/// two looks at the account.
const LONGEST_CHANGE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// The number of accounts that are read at once.
const PAGE: usize = 64;

#[async_trait]
impl Accounts for RedisStore {
    /// Writes number, names, list of the realm, and account, in this order.
    ///
    /// Cut short, it leaves an unused number, claims that can be replaced, and an entry of the list
    /// that leads to nothing.
    async fn create_user(&self, new: User) -> Result<User, StoreError> {
        // They may be megabytes, and are written as JSON outside the store's deadline.
        let attributes = to_json(&new.attributes)?;
        self.in_time(async {
            let names = names_of(new.email.as_ref(), new.username.as_ref());
            // This saves the numbers of most refused sign-ups. Accounts that are older than the
            // rule may have another spelling of the name than the claimed one.
            let emails = new.email.as_ref().map(Email::spellings).unwrap_or_default();
            let usernames = new.username.as_ref().map(Username::spellings).unwrap_or_default();
            let emails = emails.iter().map(|text| ClaimedName::Email(text));
            for name in emails.chain(usernames.iter().map(|text| ClaimedName::Username(text))) {
                if let Some(holder) = self.claimant(&new.realm, name).await?
                    && self.has_name(&new.realm, holder, name).await?
                {
                    return Err(StoreError::Taken);
                }
            }
            let id = UserId(self.command(redis::cmd("INCR").arg(self.keys.user_numbers())).await?);
            let claimed_at = self.claim_all(&new.realm, &names, id).await?;
            let mut list = redis::cmd("ZADD");
            list.arg(self.keys.roster(&new.realm)).arg(id.0).arg(id.0);
            self.command::<()>(&list).await?;
            let user = User { id, ..new };
            let mut script = CREATE.prepare_invoke();
            script.key(self.keys.user(&user.realm, id)).arg(claimed_at + MAKE_WITHIN);
            script.arg(fields_of(&user, attributes)?);
            match self.script(&script).await? {
                1 => Ok(user),
                // The server was stopped meanwhile, for longer than any deadline.
                _ => Err(StoreError::TimedOut(self.deadlines.command)),
            }
        })
        .await
    }

    async fn find_user(
        &self,
        realm: &str,
        who: &Identifier,
        lookup: Lookup,
    ) -> Result<Option<User>, StoreError> {
        let deadline = match lookup {
            Lookup::Login => self.deadlines.lookup,
            Lookup::Routine | Lookup::Whole => self.deadlines.command,
        };
        let found = self.within(deadline, self.find_record(realm, who, lookup)).await?;
        found.map(UserRecord::complete).transpose()
    }

    async fn list_users(
        &self,
        realm: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        self.in_time(async {
            let mut listing = Listing::default();
            let mut after = after;
            // Entries that lead to nothing are skipped.
            while listing.len() < limit {
                let wanted = PAGE.min(limit - listing.len());
                let from = after.map_or_else(|| "-inf".to_owned(), |id| format!("({id}"));
                let mut page = redis::cmd("ZRANGEBYSCORE");
                page.arg(self.keys.roster(realm)).arg(from).arg("+inf");
                page.arg("LIMIT").arg(0).arg(wanted);
                let ids: Vec<i64> = self.command(&page).await?;
                let found = ids.iter().map(|id| self.user_record(realm, UserId(*id)));
                for (id, found) in ids.iter().zip(join_all(found).await) {
                    if let Some(read) = found.transpose() {
                        listing.add(UserId(*id), read.map(|record| record.user))?;
                    }
                }
                after = ids.last().copied().map(UserId);
                if ids.len() < wanted {
                    return Ok(listing);
                }
            }
            listing.next = after;
            Ok(listing)
        })
        .await
    }

    /// Writes revocation, account and sessions, then (for a removal) names and list, in this order.
    ///
    /// Cut short after the revocation, tokens of the present generation are refused and the account
    /// stays as it was; its next login, refresh or change that ends tokens raises its generation to
    /// the recorded floor, and ends its sessions (`open_session.lua`, `rotate_refresh.lua`). Cut
    /// short later, a removal leaves claims that can be replaced.
    async fn change_user(
        &self,
        realm: &str,
        id: UserId,
        change: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        self.in_time(async {
            let mut revocations: Vec<Revocation> = Vec::new();
            let (mut is_behind, mut has_waited) = (false, false);
            for _ in 0..ATTEMPTS {
                let found = match self.user_record(realm, id).await {
                    Err(StoreError::Corrupt(_)) if matches!(change, UserChange::Remove) => {
                        self.remains(realm, id).await?
                    }
                    found => found?,
                };
                let Some(UserRecord { user: before, version, .. }) = found else { return Ok(None) };
                // Once the tokens are revoked, the sessions end and the generation rises, even
                // where another change has made this one needless.
                let is_begun = !revocations.is_empty();
                let applied =
                    change.applied_to(&before).or_else(|| is_begun.then(|| before.clone()));
                let Some(mut after) = applied else {
                    return Ok(Some((before, revocations)));
                };
                if change.ends_tokens(&before) {
                    let floor = self.floor_of(realm, id).await?;
                    // A floor of an earlier attempt says nothing about the sessions.
                    let own = revocations.first().map_or(0, |it| it.revoked.floor());
                    let is_above = floor > before.generation && floor != own;
                    if is_above && !has_waited {
                        has_waited = true;
                        self.await_change(realm, id, floor).await?;
                        continue;
                    }
                    is_behind |= is_above;
                    after.generation = above(before.generation.max(floor), now);
                    let (realm, generation) = (realm.to_owned(), after.generation);
                    let revoked = Revoked::User { realm, user: id, generation };
                    revocations = vec![Revocation { revoked, expires_at: revoked_until }];
                    self.append(&revocations).await?;
                }
                let is_removal = matches!(change, UserChange::Remove);
                let mut script = CHANGE.prepare_invoke();
                script.key(self.keys.user(realm, id)).key(self.keys.sessions(realm, id));
                script.arg(version).arg(if is_removal { "remove" } else { "keep" });
                script.arg(u8::from(change.ends_sessions() || is_behind));
                // HSET needs a field, and an unchanged account has none to set.
                script.arg("id").arg(id.0).arg(fields_changed(&before, &after)?);
                let outcome: String = self.script(&script).await?;
                match (outcome.as_str(), is_removal) {
                    ("done", false) => return Ok(Some((after, revocations))),
                    // Absent: removed by another, or by this step, whose answer was lost.
                    ("done" | "absent", true) => {
                        self.forget_names(&before).await?;
                        return Ok(Some((before, revocations)));
                    }
                    ("absent", false) => return Ok(None),
                    ("changed", _) => {}
                    _ => return Err(corrupt("change", &outcome)),
                }
            }
            Err(RedisFault::Contended(ATTEMPTS).into())
        })
        .await
    }
}

impl RedisStore {
    /// Claims all names or none; returns the instant of the earliest claim.
    async fn claim_all(
        &self,
        realm: &str,
        names: &[ClaimedName<'_>],
        user: UserId,
    ) -> Result<i64, StoreError> {
        let mut earliest = i64::MAX;
        for (count, name) in names.iter().enumerate() {
            match self.claim(realm, *name, user).await {
                Ok(at) => earliest = earliest.min(at),
                Err(error) => {
                    for claimed in names.iter().take(count) {
                        self.release(realm, *claimed, user).await?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(earliest.min(i64::MAX - MAKE_WITHIN))
    }

    /// Looks up each spelling of a name in two steps, whether or not an account has it: the number
    /// of steps must not reveal it.
    async fn find_record(
        &self,
        realm: &str,
        who: &Identifier,
        lookup: Lookup,
    ) -> Result<Option<UserRecord>, StoreError> {
        let spellings = match who {
            Identifier::Id(id) => return self.record_for(realm, *id, lookup).await,
            Identifier::Email(email) => email.spellings(),
            Identifier::Username(name) => name.spellings(),
        };
        let found = spellings.iter().map(async |text| {
            let name = match who {
                Identifier::Email(_) => ClaimedName::Email(text),
                _ => ClaimedName::Username(text),
            };
            let id = self.claimant(realm, name).await?.unwrap_or(NO_ACCOUNT);
            let record = self.record_for(realm, id, lookup).await?;
            // A claim may outlive its account.
            Ok::<_, StoreError>(record.filter(|record| {
                let user = &record.user;
                names_of(user.email.as_ref(), user.username.as_ref()).contains(&name)
            }))
        });
        Ok(try_join_all(found).await?.into_iter().flatten().next())
    }

    async fn record_for(
        &self,
        realm: &str,
        user: UserId,
        lookup: Lookup,
    ) -> Result<Option<UserRecord>, StoreError> {
        match lookup {
            Lookup::Login | Lookup::Routine => self.user_record(realm, user).await,
            Lookup::Whole => self.whole_user_record(realm, user).await,
        }
    }

    pub(in crate::store::redis) async fn whole_user_record(
        &self,
        realm: &str,
        user: UserId,
    ) -> Result<Option<UserRecord>, StoreError> {
        let key = self.keys.user(realm, user);
        let fields: HashMap<String, String> = self.command(redis::cmd("HGETALL").arg(key)).await?;
        UserRecord::read_whole(fields)
    }

    /// An account without its attributes, which are not read.
    pub(in crate::store::redis) async fn user_record(
        &self,
        realm: &str,
        user: UserId,
    ) -> Result<Option<UserRecord>, StoreError> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(self.keys.user(realm, user)).arg(&BUT_ATTRIBUTES);
        let values: Vec<Option<String>> = self.command(&ask).await?;
        let named = BUT_ATTRIBUTES.iter().map(|name| (*name).to_owned()).zip(values);
        let fields = named.filter_map(|(name, value)| Some((name, value?))).collect();
        UserRecord::read(&fields)
    }

    /// The remains of an account whose record is unreadable, for its removal.
    async fn remains(&self, realm: &str, id: UserId) -> Result<Option<UserRecord>, StoreError> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(self.keys.user(realm, id)).arg(&["version", "generation", "email", "username"]);
        type Fields = (Option<String>, Option<String>, Option<String>, Option<String>);
        let fields = match self.command::<Fields>(&ask).await {
            // The key holds another type.
            Err(StoreError::Corrupt(_)) => Fields::default(),
            fields => fields?,
        };
        let (version, generation, email, username) = fields;
        let generation = generation.and_then(|text| text.parse().ok()).unwrap_or(0);
        let user = User {
            email: email.map(Email::stored),
            username: username.map(Username::stored),
            ..User::remains(realm, id, generation)
        };
        Ok(Some(UserRecord { user, version: version.unwrap_or_default(), attributes: None }))
    }

    /// Waits while the generation of a user is below a floor: the change that has recorded the
    /// floor is about to raise it, unless it was cut short or lost.
    pub(in crate::store::redis) async fn await_change(
        &self,
        realm: &str,
        user: UserId,
        floor: u64,
    ) -> Result<(), StoreError> {
        let patience = LONGEST_CHANGE.min(self.deadlines.command / 4);
        let begun = Instant::now();
        let mut pause = Backoff::between(FIRST_PAUSE, LAST_PAUSE);
        let mut ask = redis::cmd("HGET");
        ask.arg(self.keys.user(realm, user)).arg("generation");
        while begun.elapsed() < patience {
            pause.wait().await;
            let generation: Option<u64> = self.command(&ask).await?;
            if generation.is_none_or(|generation| generation >= floor) {
                break;
            }
        }
        Ok(())
    }

    /// The lowest generation of the user that the revocations accept.
    pub(in crate::store::redis) async fn floor_of(
        &self,
        realm: &str,
        user: UserId,
    ) -> Result<u64, StoreError> {
        let recorded = self.recorded(&[RevocationKey::of_user(realm, user)]).await?;
        Ok(recorded.first().map_or(0, |entry| entry.floor))
    }

    async fn forget_names(&self, user: &User) -> Result<(), StoreError> {
        for name in names_of(user.email.as_ref(), user.username.as_ref()) {
            self.release(&user.realm, name, user.id).await?;
        }
        let mut unlist = redis::cmd("ZREM");
        unlist.arg(self.keys.roster(&user.realm)).arg(user.id.0);
        self.command(&unlist).await
    }
}

pub(in crate::store::redis) fn names_of<'a>(
    email: Option<&'a Email>,
    username: Option<&'a Username>,
) -> Vec<ClaimedName<'a>> {
    let email = email.map(|email| ClaimedName::Email(email.as_str()));
    email.into_iter().chain(username.map(|name| ClaimedName::Username(name.as_str()))).collect()
}
