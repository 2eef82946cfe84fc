//! The records of a session in the account's hash of sessions and in the index by `sid`.
//!
//! Scripts read and write the record too: numbers are strings, which Lua passes on digit by digit.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::operation::{AuthMethods, RefreshHash, SessionId, UserId};
use crate::store::redis::connection::fault::corrupt;
use crate::store::{Exchange, NewSession, Session, StoreError, StoredSession};

/// A session and its refresh tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::store::redis) struct SessionRecord {
    issuer: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    ends_at: String,
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    methods: String,
    /// Hash of the newest refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// Hash of the one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// The newest one, sealed under a key derived from the one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    /// The instant of the rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_at: Option<String>,
}

/// The owner of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store::redis) struct Owner {
    /// Realm of the user.
    pub(in crate::store::redis) realm: String,
    /// The user.
    pub(in crate::store::redis) user: UserId,
    /// `iss` of its tokens.
    pub(in crate::store::redis) issuer: String,
    /// Its latest end.
    pub(in crate::store::redis) ends_at: Timestamp,
}

impl SessionRecord {
    pub(in crate::store::redis) fn of(new: &NewSession) -> Self {
        let session = &new.session;
        Self {
            issuer: session.issuer.clone(),
            created_at: millis(session.created_at),
            last_used_at: millis(session.last_used_at),
            expires_at: millis(session.expires_at.min(session.ends_at)),
            ends_at: millis(session.ends_at),
            address: session.address.clone(),
            agent: session.agent.clone(),
            methods: session.methods.to_string(),
            current: new.refresh.as_ref().map(encode_hash),
            parent: None,
            sealed: None,
            rotated_at: None,
        }
    }

    pub(in crate::store::redis) fn of_stored(stored: &StoredSession) -> Self {
        let StoredSession { session, newest, exchange } = stored;
        let exchange = exchange.as_ref();
        Self {
            issuer: session.issuer.clone(),
            created_at: millis(session.created_at),
            last_used_at: millis(session.last_used_at),
            expires_at: millis(session.expires_at),
            ends_at: millis(session.ends_at),
            address: session.address.clone(),
            agent: session.agent.clone(),
            methods: session.methods.to_string(),
            current: newest.as_ref().map(encode_hash),
            parent: exchange.map(|exchange| encode_hash(&exchange.parent)),
            sealed: exchange.map(|exchange| encode_sealed(&exchange.sealed)),
            rotated_at: exchange.map(|exchange| millis(exchange.at)),
        }
    }

    /// The session and its newest refresh token.
    pub(in crate::store::redis) fn stored(
        self,
        realm: &str,
        user: UserId,
        id: SessionId,
    ) -> Result<StoredSession, StoreError> {
        let newest = self.current.as_deref().map(decode_hash).transpose()?;
        let exchange = match (&self.parent, &self.rotated_at) {
            (Some(parent), Some(at)) => Some(Exchange {
                parent: decode_hash(parent)?,
                at: timestamp(at)?,
                sealed: self.sealed()?,
            }),
            _ => None,
        };
        Ok(StoredSession { session: self.session(realm, user, id)?, newest, exchange })
    }

    pub(in crate::store::redis) fn to_text(&self) -> Result<String, StoreError> {
        to_json(self)
    }

    pub(in crate::store::redis) fn read(text: &str) -> Result<Self, StoreError> {
        from_json(text)
    }

    /// The session; the record repeats neither its id nor its user.
    pub(in crate::store::redis) fn session(
        self,
        realm: &str,
        user: UserId,
        id: SessionId,
    ) -> Result<Session, StoreError> {
        Ok(Session {
            id,
            user,
            realm: realm.to_owned(),
            created_at: timestamp(&self.created_at)?,
            last_used_at: timestamp(&self.last_used_at)?,
            expires_at: timestamp(&self.expires_at)?,
            ends_at: timestamp(&self.ends_at)?,
            issuer: self.issuer,
            address: self.address,
            agent: self.agent,
            methods: AuthMethods::from_text(&self.methods),
        })
    }

    /// Whether a refresh token is the one that was not exchanged yet.
    pub(in crate::store::redis) fn is_newest(&self, presented: &RefreshHash) -> bool {
        self.current.as_deref() == Some(encode_hash(presented).as_str())
    }

    /// The newest refresh token, sealed.
    pub(in crate::store::redis) fn sealed(&self) -> Result<Vec<u8>, StoreError> {
        let sealed = self.sealed.as_deref().and_then(|text| STANDARD.decode(text).ok());
        sealed.ok_or_else(|| corrupt("session", "sealed"))
    }
}

impl Owner {
    pub(in crate::store::redis) fn of(session: &Session) -> Self {
        Self {
            realm: session.realm.clone(),
            user: session.user,
            issuer: session.issuer.clone(),
            ends_at: session.ends_at,
        }
    }

    pub(in crate::store::redis) fn to_text(&self) -> Result<String, StoreError> {
        to_json(self)
    }

    pub(in crate::store::redis) fn read(text: &str) -> Result<Self, StoreError> {
        from_json(text)
    }
}

/// The hash of a refresh token as records hold it.
pub(in crate::store::redis) fn encode_hash(hash: &RefreshHash) -> String {
    STANDARD.encode(hash.0)
}

fn decode_hash(text: &str) -> Result<RefreshHash, StoreError> {
    let hash = STANDARD.decode(text).ok().and_then(|hash| hash.try_into().ok());
    hash.map(RefreshHash).ok_or_else(|| corrupt("session", "refresh token"))
}

/// A sealed successor as records hold it.
pub(in crate::store::redis) fn encode_sealed(sealed: &[u8]) -> String {
    STANDARD.encode(sealed)
}

fn millis(at: Timestamp) -> String {
    at.as_millis().to_string()
}

fn timestamp(text: &str) -> Result<Timestamp, StoreError> {
    text.parse().map(Timestamp::from_millis).ok().ok_or_else(|| corrupt("session", text))
}

fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(format!("session: {error}")))
}

fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("session: {error}")))
}
