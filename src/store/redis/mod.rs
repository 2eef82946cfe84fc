//! The shared store: one Redis for several gateways.
//!
//! An operation is a few steps, each atomic in its own slot ([`keyspace`]) by one command or one
//! script; none counts on two slots at once. The order of the steps is what makes a crash between
//! them safe, and is told at each operation: revocations first, then the account; names and index
//! entries first, then what they lead to, so that a left-over leads to nothing and is taken for
//! nothing.

mod accounts;
mod archive;
mod code;
mod connection;
mod events;
mod keyspace;
mod mail;
mod revocations;
mod sessions;
mod signing_key;
mod tries;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, FromRedisValue};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{
    Email, Identifier, RefreshHash, Revocation, RevocationKey, SessionId, UserId,
};
use crate::secret::Secret;
use crate::store::redis::accounts::record::UserRecord;
use crate::store::redis::connection::call::{Call, Wait};
use crate::store::redis::connection::fault::is_wrong_type;
use crate::store::redis::connection::script::Invocation;
use crate::store::redis::connection::topology::{Route, Watch};
use crate::store::redis::connection::wrong_type::wrong_types;
use crate::store::redis::keyspace::Keyspace;
use crate::store::redis::revocations::feed::Feed;
use crate::store::{
    Archive, CodePurpose, Deadlines, FeedEvent, Listing, Lookup, NewCode, NewMail, NewSession,
    NewUser, Page, QueuedMail, Rotation, Session, Store, StoreError, Successor, User, UserChange,
};
use crate::token::StoredKey;

pub(super) use connection::fault::is_outage;

/// How a Redis is reached.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// As [`crate::config::RedisUrl`] reads it: without credentials.
    pub url: String,
    /// ACL user; empty for none.
    pub username: String,
    /// Password; empty for none.
    pub password: Secret<String>,
    /// The sentinels' password; empty for none.
    pub sentinel_password: Secret<String>,
    /// A file of CA certificates to trust beside the machine's own.
    pub ca: Option<PathBuf>,
    /// A file of this gateway's certificate, where servers ask for one; with `key`.
    pub cert: Option<PathBuf>,
    /// The file of its key.
    pub key: Option<PathBuf>,
    /// Replicas that must have a revocation before it is acknowledged.
    pub wait_replicas: usize,
    /// What every key begins with.
    pub prefix: String,
    /// Deadlines.
    pub deadlines: Deadlines,
}

impl RedisOptions {
    /// A server, sentinels or a cluster without credentials, and the prefix `munjigi:`.
    #[must_use]
    pub fn new(url: impl Into<String>, deadlines: Deadlines) -> Self {
        Self {
            url: url.into(),
            username: String::new(),
            password: Secret::from(""),
            sentinel_password: Secret::from(""),
            ca: None,
            cert: None,
            key: None,
            wait_replicas: 0,
            prefix: "munjigi:".to_owned(),
            deadlines,
        }
    }
}

/// A store in a Redis: in one server, in the master that sentinels name, or in a cluster.
pub struct RedisStore {
    route: Route,
    /// What must be on replicas as well goes by connections of its own: WAIT holds up whatever
    /// comes after it.
    waiting: Option<(Route, Wait)>,
    keys: Keyspace,
    deadlines: Deadlines,
    address: String,
    /// Lives as long as the store.
    _watch: Option<Watch>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RedisStore").field(&self.address).finish()
    }
}

/// How often an operation is begun again because the account changed under it.
const ATTEMPTS: usize = 64;

impl RedisStore {
    /// Connects and checks that the server can keep the promise.
    ///
    /// # Errors
    /// When the URL does not read, the server does not answer within the deadline, its
    /// `maxmemory-policy` would evict keys, or a newer version has written there.
    pub async fn connect(options: RedisOptions) -> Result<Self, StoreError> {
        let store = Self::prepare(&options)?;
        store.check().await?;
        Ok(store)
    }

    /// Prepares to connect, when something is asked first; sentinels are listened to from now on.
    ///
    /// # Errors
    /// When the URL or a certificate does not read.
    pub fn prepare(options: &RedisOptions) -> Result<Self, StoreError> {
        let route = Route::new(options)?;
        let waiting = (options.wait_replicas > 0).then(|| {
            let patience = options.deadlines.command * 3 / 4;
            (route.another(), Wait { replicas: options.wait_replicas, patience })
        });
        Ok(Self {
            _watch: route.watch(),
            route,
            waiting,
            keys: Keyspace::new(&options.prefix),
            deadlines: options.deadlines,
            address: without_credentials(&options.url),
        })
    }

    /// Checks that the servers can keep the promise.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.within(self.deadlines.command, self.check_servers()).await
    }

    /// Runs an operation under its deadline; one that runs out casts doubt on the connection.
    async fn within<T>(
        &self,
        deadline: Duration,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(deadline, operation).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                self.route.doubt();
                if let Some((waiting, _)) = &self.waiting {
                    waiting.doubt();
                }
                Err(StoreError::TimedOut(deadline))
            }
        }
    }

    /// Asks; a key of another type is named.
    async fn ask<T: FromRedisValue>(&self, route: &Route, call: Call<'_>) -> Result<T, StoreError> {
        match route.ask(call).await {
            Err(error) if is_wrong_type(&error) => {
                let named = Box::pin(wrong_types(route, &self.keys, call.keys())).await;
                Err(named.map_or_else(|| error.into(), StoreError::Corrupt))
            }
            answer => Ok(answer?),
        }
    }

    async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.ask(&self.route, Call::command(command)).await
    }

    async fn script<T: FromRedisValue>(&self, script: &Invocation<'_>) -> Result<T, StoreError> {
        self.ask(&self.route, Call::script(script)).await
    }

    /// Answers only once as many replicas have what the script wrote as the operator asked for.
    async fn lasting_script<T: FromRedisValue>(
        &self,
        script: &Invocation<'_>,
    ) -> Result<T, StoreError> {
        match &self.waiting {
            Some((route, wait)) => self.ask(route, Call::script(script).with_wait(*wait)).await,
            None => self.script(script).await,
        }
    }
}

#[async_trait]
impl Archive for RedisStore {
    async fn export(&self, now: Timestamp, pages: mpsc::Sender<Page>) -> Result<(), StoreError> {
        self.export_all(now, pages).await
    }

    async fn import(&self, page: Page, now: Timestamp) -> Result<(), StoreError> {
        self.import_all(page, now).await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.holds_nothing().await
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn create_user(&self, user: NewUser) -> Result<User, StoreError> {
        let attributes = accounts::record::to_json(&user.attributes)?;
        self.within(self.deadlines.command, self.make_user(user, attributes)).await
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
        let found = self.within(deadline, self.look_user_up(realm, who, lookup)).await?;
        found.map(UserRecord::complete).transpose()
    }

    async fn list_users(
        &self,
        realm: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        self.within(self.deadlines.command, self.page_of_users(realm, after, limit)).await
    }

    async fn change_user(
        &self,
        realm: &str,
        user: UserId,
        change: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        let work = self.alter_user(realm, user, &change, (now, revoked_until));
        self.within(self.deadlines.command, work).await
    }

    async fn open_session(
        &self,
        session: NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        self.within(self.deadlines.command, self.log_in(&session, revoked_until)).await
    }

    async fn find_session_by_refresh(
        &self,
        issuer: &str,
        presented: &RefreshHash,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let work = self.session_of_refresh(issuer, presented, now);
        self.within(self.deadlines.command, work).await
    }

    async fn is_newest_refresh(
        &self,
        session: SessionId,
        presented: &RefreshHash,
    ) -> Result<bool, StoreError> {
        self.within(self.deadlines.command, self.is_newest(session, presented)).await
    }

    async fn rotate(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let work = self.exchange(session, presented, &successor, grace, revoked_until);
        self.within(self.deadlines.command, work).await
    }

    async fn list_sessions(
        &self,
        realm: &str,
        user: UserId,
        issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let work = self.sessions_of_user(realm, user, issuer, now);
        self.within(self.deadlines.command, work).await
    }

    async fn end_session(
        &self,
        session: SessionId,
        revocations: &[Revocation],
    ) -> Result<bool, StoreError> {
        self.within(self.deadlines.command, self.log_out(session, revocations)).await
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.within(self.deadlines.command, self.append(revocations)).await
    }

    async fn find_revocation(
        &self,
        key: RevocationKey,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        self.within(self.deadlines.command, self.standing_floor(key, now)).await
    }

    async fn site_generation(&self, issuer: &str) -> Result<u64, StoreError> {
        self.within(self.deadlines.command, self.generation_of_site(issuer)).await
    }

    async fn signing_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
        self.within(self.deadlines.command, self.keys_of_site(issuer)).await
    }

    async fn add_signing_key(
        &self,
        issuer: &str,
        key: StoredKey,
    ) -> Result<Vec<StoredKey>, StoreError> {
        self.within(self.deadlines.command, self.add_key_of_site(issuer, &key)).await
    }

    async fn put_code(&self, code: NewCode, mail: NewMail) -> Result<(), StoreError> {
        self.within(self.deadlines.command, self.enqueue(&mail, Some(&code))).await
    }

    async fn try_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let work = self.guess_code(purpose, realm, email, hash, now);
        self.within(self.deadlines.command, work).await
    }

    async fn queue_mail(&self, mail: NewMail) -> Result<(), StoreError> {
        self.within(self.deadlines.command, self.enqueue(&mail, None)).await
    }

    async fn take_mails(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError> {
        self.within(self.deadlines.command, self.take_due(now, hidden_until, limit)).await
    }

    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        self.within(self.deadlines.command, self.hide_mail(id, until)).await
    }

    async fn drop_mail(&self, id: Uuid) -> Result<(), StoreError> {
        self.within(self.deadlines.command, self.delete_mails(&[id.to_string()])).await
    }

    async fn backup_mark(&self) -> Result<Option<Timestamp>, StoreError> {
        self.within(self.deadlines.command, self.saved_at()).await
    }

    async fn mark_as_backup(&self, saved_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.within(self.deadlines.command, self.set_saved_at(saved_at)).await
    }

    async fn purge(&self, now: Timestamp) -> Result<(), StoreError> {
        // Each batch has the deadline, not all of them: what piled up must not stay for ever.
        self.purge_revocations(now).await?;
        self.purge_mails(now).await?;
        self.purge_sessions(now).await
    }

    async fn follow(&self, events: mpsc::Sender<FeedEvent>) {
        let waiting = self.waiting.as_ref().map(|(route, _)| route);
        Feed::new(&self.route, waiting, &self.keys, self.deadlines.command).run(&events).await;
    }

    fn describe(&self) -> String {
        self.address.clone()
    }
}

fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            format!("{scheme}://{place}")
        }
        None => url.to_owned(),
    }
}
