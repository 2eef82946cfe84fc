//! Counts of tries: those of a subject are one hash, in a slot of their own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::connection::script::Script;
use crate::store::redis::sessions::session::ttl_millis;
use crate::store::tries::{micros, wait};
use crate::store::{Bound, Limit, RedisStore, StoreError, Taking, Tries, TryCount, TrySubject};

static TRIES: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/change_tries.lua")));

#[async_trait]
impl Tries for RedisStore {
    /// A try whose answer was lost counts twice.
    async fn take_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<Taking, StoreError> {
        let (used_up_for, left) = self.change_counts("take", subject, bounds, now).await?;
        if used_up_for > 0 {
            return Ok(Taking::UsedUp { wait: wait(used_up_for) });
        }
        Ok(Taking::Taken { left: left.parse().unwrap_or(u32::MAX) })
    }

    async fn give_back_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change_counts("back", subject, bounds, now).await.map(drop)
    }

    async fn forget_tries(
        &self,
        subject: &TrySubject,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut forget = redis::cmd(if name.is_some() { "HDEL" } else { "DEL" });
        forget.arg(self.keys.tries(subject)).arg(name);
        self.in_time(self.command(&forget)).await
    }

    async fn tries(
        &self,
        subject: &TrySubject,
        now: Timestamp,
    ) -> Result<Vec<TryCount>, StoreError> {
        let key = self.keys.tries(subject);
        let mut ask = redis::cmd("HGETALL");
        ask.arg(&key);
        let all = self.in_time(self.command(&ask)).await?;
        let counts = BTreeMap::into_iter(all).map(|(name, text): (String, String)| {
            let (count, ends_at) = text.split_once(':')?;
            Some(TryCount { name, count: count.parse().ok()?, ends_at: ends_at.parse().ok()? })
        });
        let counts: Option<Vec<_>> = counts.collect();
        let mut counts = counts.ok_or_else(|| corrupt("tries", &key))?;
        counts.retain(|count| count.ends_at > micros(now));
        Ok(counts)
    }
}

impl RedisStore {
    /// Stores a count until `margin` ms after its expiry.
    pub(super) async fn put_count(
        &self,
        subject: &TrySubject,
        count: &TryCount,
        (now, margin): (Timestamp, u64),
    ) -> Result<(), StoreError> {
        let key = self.keys.tries(subject);
        let mut put = redis::cmd("HSET");
        put.arg(&key).arg(&count.name).arg(format!("{}:{}", count.count, count.ends_at));
        self.command::<()>(&put).await?;
        self.keep_at_least(&key, ttl_millis(count.ends(), now) + margin).await
    }

    /// Extends the time to live of a key to at least `ttl` ms.
    pub(super) async fn keep_at_least(&self, key: &str, ttl: u64) -> Result<(), StoreError> {
        let left: i64 = self.command(redis::cmd("PTTL").arg(key)).await?;
        if u64::try_from(left).is_ok_and(|left| left >= ttl) {
            return Ok(());
        }
        self.command(redis::cmd("PEXPIRE").arg(key).arg(ttl)).await
    }

    async fn change_counts(
        &self,
        change: &str,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<(i64, String), StoreError> {
        let mut script = TRIES.prepare_invoke();
        script.key(self.keys.tries(subject)).arg(change).arg(micros(now));
        for Bound { name, limit } in bounds {
            let (most, span) = limit.parts();
            let kind = match limit {
                Limit::Window { .. } => "window",
                Limit::Rate(_) => "rate",
            };
            script.arg(name).arg(kind).arg(most).arg(span);
        }
        self.in_time(self.script(&script)).await
    }
}
