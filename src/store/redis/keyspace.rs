//! The names of keys, whose hash tags decide which of them share a slot of a cluster.
//!
//! A cluster hashes the tag in braces: all keys of a user share the user's slot, all of the
//! revocation log share another, all mails and codes a third, all events for the audit trail a
//! fourth, and each index entry has its own. A script touches one slot.

use crate::encoding::{hex, percent_encode};
use crate::operation::{Email, RefreshHash, SessionId, UserId};
use crate::store::{CodePurpose, TrySubject};

/// The keys of one store, under its prefix.
#[derive(Clone, Debug)]
pub(super) struct Keyspace {
    prefix: String,
}

/// The keys of the revocation log: one slot.
#[derive(Clone, Debug)]
pub(super) struct RevocationKeys {
    /// ZSET: key (16 bytes) by expiry.
    pub(super) set: String,
    /// HASH: key (16 bytes) → floor, where it is above zero.
    pub(super) floors: String,
    /// STRING: number of the newest entry.
    pub(super) sequence: String,
    /// STREAM of entries; the id of an entry is its number.
    pub(super) log: String,
    /// STRING: random id of this store, made once; another id is another store.
    pub(super) generation: String,
    /// HASH: issuer → generation of the site.
    pub(super) sites: String,
}

/// The keys of a queue, of mails or of events: one slot.
#[derive(Clone, Debug)]
pub(super) struct QueueKeys {
    /// HASH: id → mail, encrypted; or event.
    pub(super) records: String,
    /// ZSET: id by when it is due.
    pub(super) due: String,
    /// ZSET: id by expiry.
    pub(super) ends: String,
    /// HASH: id → how often it was taken, where it ever was.
    pub(super) attempts: String,
}

/// The number of slots over which the index of session ends is spread.
pub(super) const END_SHARDS: u8 = 16;

impl Keyspace {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The prefix of the keys of a kind.
    pub(super) fn beginning(&self, kind: &str) -> String {
        format!("{}{kind}", self.prefix)
    }

    /// HASH of an account.
    pub(super) fn user(&self, realm: &str, user: UserId) -> String {
        format!("{}{{u:{}:{user}}}:user", self.prefix, escaped(realm))
    }

    /// HASH of an account's sessions: sid → record; in the account's slot.
    pub(super) fn sessions(&self, realm: &str, user: UserId) -> String {
        format!("{}{{u:{}:{user}}}:sessions", self.prefix, escaped(realm))
    }

    /// STRING: the account that has claimed an email address.
    pub(super) fn email(&self, realm: &str, email: &str) -> String {
        format!("{}{{e:{}:{}}}", self.prefix, escaped(realm), escaped(email))
    }

    /// STRING: the account that has claimed a user name.
    pub(super) fn username(&self, realm: &str, name: &str) -> String {
        format!("{}{{n:{}:{}}}", self.prefix, escaped(realm), escaped(name))
    }

    /// STRING: the highest number given to an account.
    pub(super) fn user_numbers(&self) -> String {
        format!("{}{{ids}}", self.prefix)
    }

    /// ZSET of a realm's accounts by number.
    pub(super) fn roster(&self, realm: &str) -> String {
        format!("{}{{l:{}}}", self.prefix, escaped(realm))
    }

    /// STRING: the owner of a session.
    pub(super) fn session(&self, session: SessionId) -> String {
        format!("{}{{s:{session}}}", self.prefix)
    }

    /// STRING: the session of a refresh token.
    pub(super) fn refresh(&self, refresh: &RefreshHash) -> String {
        format!("{}{{r:{}}}", self.prefix, hex(&refresh.0))
    }

    /// ZSET of sessions by the instant from which they may have expired.
    pub(super) fn session_ends(&self, session: SessionId) -> String {
        let [first, ..] = session.0.as_bytes();
        // The last byte is random in every version of a UUID, the first is time in version 7.
        let shard = session.0.as_bytes().last().unwrap_or(first) % END_SHARDS;
        self.session_ends_shard(shard)
    }

    /// One of the [`END_SHARDS`] parts of that ZSET.
    pub(super) fn session_ends_shard(&self, shard: u8) -> String {
        format!("{}{{x:{shard}}}", self.prefix)
    }

    /// HASH of a site's signing keys: algorithm and kid → record.
    pub(super) fn signing_keys(&self, issuer: &str) -> String {
        format!("{}{{k:{}}}", self.prefix, escaped(issuer))
    }

    /// The keys of the mail queue.
    pub(super) fn mails(&self) -> QueueKeys {
        self.queue("mail", "sealed")
    }

    /// The keys of the events for the audit trail.
    pub(super) fn events(&self) -> QueueKeys {
        self.queue("audit", "events")
    }

    fn queue(&self, tag: &str, records: &str) -> QueueKeys {
        let key = |name: &str| format!("{}{{{tag}}}:{name}", self.prefix);
        QueueKeys {
            records: key(records),
            due: key("due"),
            ends: key("ends"),
            attempts: key("attempts"),
        }
    }

    /// HASH of an address's mailed codes, id of the mail → record: in the slot of the mails, since
    /// one step stores both.
    pub(super) fn codes(&self, purpose: CodePurpose, realm: &str, email: &Email) -> String {
        let (purpose, realm, email) = (purpose.name(), escaped(realm), escaped(email.as_str()));
        format!("{}{{mail}}:codes:{purpose}:{realm}:{email}", self.prefix)
    }

    /// HASH of a subject's counts of tries: name → count and end.
    pub(super) fn tries(&self, subject: &TrySubject) -> String {
        format!("{}{{t:{}}}", self.prefix, escaped(subject.as_str()))
    }

    /// STRING: the instant of the backup that the store was restored from, until it is used.
    pub(super) fn backup_mark(&self) -> String {
        format!("{}{{backup}}", self.prefix)
    }

    /// STRING: the version of the layout of the keys.
    pub(super) fn schema(&self) -> String {
        format!("{}{{schema}}", self.prefix)
    }

    /// The keys of the revocation log.
    pub(super) fn revocations(&self) -> RevocationKeys {
        let key = |name: &str| format!("{}{{rev}}:{name}", self.prefix);
        RevocationKeys {
            set: key("set"),
            floors: key("floors"),
            sequence: key("seq"),
            log: key("log"),
            generation: key("gen"),
            sites: key("sites"),
        }
    }

    /// The type of a key as TYPE names it; `None` for an unknown key.
    pub(super) fn type_of(&self, key: &str) -> Option<&'static str> {
        let name = key.strip_prefix(&self.prefix)?.strip_prefix('{')?;
        let (tag, part) = name.split_once('}')?;
        let (kind, _) = tag.split_once(':').unwrap_or((tag, ""));
        Some(match (kind, part) {
            ("u", ":user" | ":sessions") | ("k" | "t", "") => "hash",
            ("l" | "x", "") => "zset",
            ("e" | "n" | "s" | "r" | "ids" | "schema" | "backup", "") => "string",
            ("rev", ":set") | ("mail" | "audit", ":due" | ":ends") => "zset",
            ("rev", ":floors" | ":sites") | ("mail" | "audit", ":attempts") => "hash",
            ("mail", ":sealed") | ("audit", ":events") => "hash",
            ("rev", ":log") => "stream",
            ("rev", ":seq" | ":gen") => "string",
            ("rev", part) if part.starts_with(":beat:") => "string",
            ("mail", part) if part.starts_with(":codes:") => "hash",
            _ => return None,
        })
    }

    /// STRING: the heartbeat of a node, in the slot of the log, whose primary it proves.
    pub(super) fn beat(&self, node: &str) -> String {
        format!("{}{{rev}}:beat:{node}", self.prefix)
    }
}

/// A name with the colons and braces of keys escaped, so that no two keys are equal.
fn escaped(name: &str) -> String {
    percent_encode(name, b"-._~@+")
}

#[cfg(test)]
mod tests {
    use super::Keyspace;
    use crate::operation::UserId;
    use crate::store::CodePurpose;

    /// The tag of a key, which a cluster hashes.
    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').unwrap();
        rest.split_once('}').unwrap().0
    }

    #[test]
    fn the_keys_of_a_user_share_a_slot_and_two_users_do_not() {
        let keys = Keyspace::new("munjigi:");

        let user = keys.user("de}fault", UserId(7));

        assert_eq!(user, "munjigi:{u:de%7Dfault:7}:user");
        assert_eq!(tag(&user), tag(&keys.sessions("de}fault", UserId(7))));
        assert_ne!(tag(&user), tag(&keys.user("de}fault", UserId(8))));
    }

    #[test]
    fn no_two_names_share_a_key() {
        let keys = Keyspace::new("");

        let one = keys.username("a:b", "c");
        let other = keys.username("a", "b:c");

        assert_ne!(one, other);
    }

    #[test]
    fn the_revocation_log_has_one_slot() {
        let keys = Keyspace::new("munjigi:");
        let log = keys.revocations();

        for key in [&log.set, &log.floors, &log.sequence, &log.log, &log.generation, &log.sites] {
            assert_eq!(tag(key), "rev");
        }
        assert_eq!(tag(&keys.beat("node")), "rev");
    }

    #[test]
    fn the_mails_and_the_codes_have_one_slot_and_the_events_another() {
        let keys = Keyspace::new("munjigi:");
        let mails = keys.mails();
        let code = keys.codes(CodePurpose::Reset, "a}b", &"ann@example.com".parse().unwrap());

        assert_eq!(code, "munjigi:{mail}:codes:reset:a%7Db:ann@example.com");
        for key in [&mails.records, &mails.due, &mails.ends, &mails.attempts, &code] {
            assert_eq!(tag(key), "mail");
        }
        let events = keys.events();
        for key in [&events.records, &events.due, &events.ends, &events.attempts] {
            assert_eq!(tag(key), "audit");
        }
    }
}
