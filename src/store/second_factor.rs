//! The second factor of an account, as stores keep it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// A second factor: an app that makes one-time codes (RFC 6238), and what stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// A new one with every change: who changes it names the one that they read
    /// ([`crate::store::UserChange::ReplaceSecondFactor`]), so that no code counts twice.
    pub revision: Uuid,
    /// The app's secret, encrypted.
    #[serde(with = "base64_text")]
    pub secret: Vec<u8>,
    /// When it was turned on.
    pub since: Timestamp,
    /// The time step of the latest code that counted; none of it or before counts again.
    pub last_step: u64,
    /// Keyed hashes of the recovery codes that were not used.
    pub recovery_codes: Vec<KeyedHash>,
    /// Devices that need not prove it.
    pub devices: Vec<RememberedDevice>,
}

/// A device on which the second factor was proved, and need not be proved again for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedDevice {
    /// Its id.
    pub id: Uuid,
    /// The keyed hash of what it presents.
    pub hash: KeyedHash,
    /// The user agent that it was remembered with.
    pub agent: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// A keyed hash of a text that the store must not reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KeyedHash(pub [u8; 32]);

impl SecondFactor {
    /// Forgets all devices; a change that was begun with them does not bring them back.
    pub(super) fn forget_devices(&mut self) {
        if !self.devices.is_empty() {
            self.devices.clear();
            self.revision = Uuid::new_v4();
        }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub(super) fn to_text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| corrupt(&error))
    }

    /// Reads it from JSON.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is none.
    pub(super) fn from_text(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|error| corrupt(&error))
    }
}

impl From<KeyedHash> for String {
    fn from(hash: KeyedHash) -> Self {
        STANDARD.encode(hash.0)
    }
}

impl TryFrom<String> for KeyedHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hash = STANDARD.decode(text).ok().and_then(|hash| hash.try_into().ok());
        hash.map(Self).ok_or("no keyed hash")
    }
}

fn corrupt(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(format!("users: second_factor: {error}"))
}

/// Bytes as a Base64 string.
mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
