//! A second factor as its account has it: made, proved, and remembered on devices.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::auth::random;
use crate::auth::random::Alphabet;
use crate::auth::second_factor::one_time_code::CodeSecret;
use crate::clock::Timestamp;
use crate::operation::{Caller, Rejection, SecondProof, UserId};
use crate::own_keys::OwnKeys;
use crate::secret::Secret;
use crate::store::{KeyedHash, RememberedDevice, SecondFactor};

/// Recovery codes of an account.
const CODES: usize = 10;

/// Characters of a recovery code, in two groups: 49 bits.
const CODE_LENGTH: usize = 10;

/// The time for which a device is remembered.
const REMEMBERED_FOR: Duration = Duration::from_hours(30 * 24);

/// Devices that an account remembers at once; the oldest is forgotten.
const MOST_DEVICES: usize = 10;

/// Bytes of what a remembered device presents.
const DEVICE_BYTES: usize = 32;

/// The keys and the account that a second factor belongs to.
#[derive(Clone, Copy)]
pub(in crate::auth) struct Owner<'a> {
    /// Hash codes, encrypt secrets.
    pub(in crate::auth) keys: &'a OwnKeys,
    /// Realm of the account.
    pub(in crate::auth) realm: &'a str,
    /// The account.
    pub(in crate::auth) user: UserId,
}

/// The codes of an account, and as it keeps them.
pub(in crate::auth) type DrawnCodes = (Vec<Secret<String>>, Vec<KeyedHash>);

impl Owner<'_> {
    /// A second factor of a secret, of which the code of `step` was used to confirm it.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(in crate::auth) fn factor(
        self,
        secret: &CodeSecret,
        recovery_codes: Vec<KeyedHash>,
        (step, now): (u64, Timestamp),
    ) -> Result<SecondFactor, Rejection> {
        let secret = self.keys.seal(&self.purpose(), secret.bytes());
        Ok(SecondFactor {
            revision: Uuid::new_v4(),
            secret: secret.map_err(|error| Rejection::internal(error.to_string()))?,
            since: now,
            last_step: step,
            recovery_codes,
            devices: Vec::new(),
        })
    }

    /// Draws recovery codes.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(in crate::auth) fn draw_codes(self) -> Result<DrawnCodes, Rejection> {
        let mut drawn = DrawnCodes::default();
        for _ in 0..CODES {
            let code = Alphabet::UnambiguousLower.draw(CODE_LENGTH)?;
            drawn.1.push(self.hash("recovery code", code.expose().as_bytes()));
            let (begin, end) = code.expose().split_at_checked(CODE_LENGTH / 2).unwrap_or_default();
            drawn.0.push(Secret::new(format!("{begin}-{end}")));
        }
        Ok(drawn)
    }

    /// The second factor after a proof, which counts no other time; `None` where it is wrong.
    ///
    /// # Errors
    /// When the stored secret does not open.
    pub(in crate::auth) fn prove(
        self,
        factor: &SecondFactor,
        proof: &SecondProof,
        now: Timestamp,
    ) -> Result<Option<SecondFactor>, Rejection> {
        let mut after = factor.clone();
        let holds = match proof {
            SecondProof::Code(code) => {
                let secret = self.keys.open(&self.purpose(), &factor.secret);
                let unreadable = || Rejection::internal("the second factor's secret does not open");
                let secret = CodeSecret::of(secret.ok_or_else(unreadable)?);
                let step = secret.step_of(code, now, factor.last_step);
                after.last_step = step.unwrap_or(factor.last_step);
                step.is_some()
            }
            SecondProof::RecoveryCode(code) => {
                let hash = self.hash("recovery code", normal(code).as_bytes());
                after.recovery_codes.retain(|own| *own != hash);
                after.recovery_codes.len() < factor.recovery_codes.len()
            }
        };
        Ok(holds.then_some(after))
    }

    /// Remembers the caller's device; returns what it has to present, and until when.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(in crate::auth) fn remember(
        self,
        factor: &mut SecondFactor,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(Secret<String>, Timestamp), Rejection> {
        let mut bytes = Zeroizing::new([0; DEVICE_BYTES]);
        random::fill(&mut *bytes)?;
        let text = Secret::new(URL_SAFE_NO_PAD.encode(*bytes));
        let until = now.plus(REMEMBERED_FOR);
        let presented = self.presented(factor, caller, now).map(|device| device.id);
        factor.devices.retain(|device| device.until > now && Some(device.id) != presented);
        factor.devices.insert(
            0,
            RememberedDevice {
                id: Uuid::new_v4(),
                hash: self.hash("device", text.expose().as_bytes()),
                agent: caller.agent.clone(),
                since: now,
                until,
            },
        );
        factor.devices.truncate(MOST_DEVICES);
        Ok((text, until))
    }

    /// The remembered device that the caller presents.
    pub(in crate::auth) fn presented<'f>(
        self,
        factor: &'f SecondFactor,
        caller: &Caller,
        now: Timestamp,
    ) -> Option<&'f RememberedDevice> {
        let presented =
            caller.devices.iter().map(|text| self.hash("device", text.expose().as_bytes()));
        let presented: Vec<_> = presented.collect();
        let mut devices = factor.devices.iter();
        devices.find(|device| device.until > now && presented.contains(&device.hash))
    }

    fn hash(self, what: &str, text: &[u8]) -> KeyedHash {
        let user = self.user.to_string();
        KeyedHash(self.keys.hash(what, &[self.realm.as_bytes(), user.as_bytes(), text]))
    }

    /// The purpose of the secret's encryption: that of one account is none of another's.
    fn purpose(self) -> String {
        format!("second factor {} {}", self.user, self.realm)
    }
}

/// A recovery code as it was drawn, however it was typed.
fn normal(code: &Secret<String>) -> Zeroizing<String> {
    let kept = code.expose().chars().filter(|character| !matches!(character, ' ' | '-'));
    Zeroizing::new(kept.flat_map(char::to_lowercase).collect())
}
