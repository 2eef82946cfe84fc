//! Time-based one-time codes (TOTP, RFC 6238) as every app makes them: HMAC-SHA-1, six digits, thirty
//! seconds.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::auth::random;
use crate::clock::Timestamp;
use crate::encoding::percent_encode;
use crate::operation::{Rejection, code_as_meant};
use crate::secret::Secret;

/// The secret that the gateway and an app share.
pub(in crate::auth) struct CodeSecret(Zeroizing<Vec<u8>>);

/// Bytes of a secret (RFC 4226 §4, R6: 160 bits).
const SECRET_BYTES: usize = 20;

/// Digits of a code.
const DIGITS: usize = 6;

/// Seconds of a time step.
const STEP: i64 = 30;

/// Steps by which an app's clock may be wrong, or its user slow (RFC 6238 §5.2).
const TOLERANCE: i64 = 1;

impl CodeSecret {
    /// Draws a new secret.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(in crate::auth) fn draw() -> Result<Self, Rejection> {
        let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES]);
        random::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The secret of these bytes.
    pub(in crate::auth) const fn of(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(in crate::auth) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret in Base32 without padding (RFC 4648 §6), as apps take it.
    pub(in crate::auth) fn base32(&self) -> Secret<String> {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut text = String::with_capacity(self.0.len().div_ceil(5) * 8);
        for group in self.0.chunks(5) {
            let bits = (0..5).fold(0_u64, |bits, index| {
                bits << 8 | u64::from(group.get(index).copied().unwrap_or(0))
            });
            let digits = (group.len() * 8).div_ceil(5);
            text.extend((0..digits).filter_map(|digit| {
                let index = usize::try_from(bits >> (35 - 5 * digit) & 31).ok()?;
                ALPHABET.get(index).map(|byte| char::from(*byte))
            }));
        }
        Secret::new(text)
    }

    /// The `otpauth:` address that a QR code holds: what an app shows, and the secret.
    pub(in crate::auth) fn uri(&self, site: &str, account: &str) -> Secret<String> {
        let (site, account) = (percent_encode(site, b"-_.~"), percent_encode(account, b"-_.~"));
        let secret = self.base32();
        let secret = secret.expose();
        Secret::new(format!("otpauth://totp/{site}:{account}?secret={secret}&issuer={site}"))
    }

    /// The time step of a code that is good now and counts for the first time: later than
    /// `last_step`.
    pub(in crate::auth) fn step_of(
        &self,
        code: &Secret<String>,
        now: Timestamp,
        last_step: u64,
    ) -> Option<u64> {
        let digits = Secret::new(code_as_meant(code.expose()));
        let present = now.as_seconds().div_euclid(STEP);
        let steps = (present - TOLERANCE..=present + TOLERANCE)
            .filter_map(|step| u64::try_from(step).ok())
            .filter(|step| *step > last_step);
        // Every step is compared, so that the time does not tell which was near; the latest counts,
        // so that a code which is that of two counts once.
        steps.fold(None, |found, step| {
            let right = (self.code(step) == digits).then_some(step);
            right.or(found)
        })
    }

    /// The code of a time step (RFC 4226 §5.3).
    pub(in crate::auth) fn code(&self, step: u64) -> Secret<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag.last().copied().unwrap_or(0) & 0x0f);
        let truncated = tag.iter().skip(offset).take(4);
        let number = truncated.fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let code = (number & 0x7fff_ffff) % 10_u32.pow(DIGITS as u32);
        Secret::new(format!("{code:0DIGITS$}"))
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::CodeSecret;
    use crate::clock::Timestamp;
    use crate::secret::Secret;

    fn secret() -> CodeSecret {
        CodeSecret::of(Zeroizing::new(b"12345678901234567890".to_vec()))
    }

    fn step_at(code: &str, seconds: i64, last_step: u64) -> Option<u64> {
        secret().step_of(&Secret::from(code), Timestamp::from_seconds(seconds), last_step)
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, cut to six digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = seconds / 30;
            assert_eq!(secret().code(step).expose(), code, "{seconds}");
            let at = i64::try_from(seconds).unwrap();
            assert_eq!(step_at(code, at, 0), Some(step), "{seconds}");
        }
    }

    #[test]
    fn a_code_counts_once_and_only_near_its_time() {
        let code = "005924";
        let step = 1_234_567_890 / 30;
        let begin = i64::try_from(step).unwrap() * 30;

        for (at, holds) in [(-31, false), (-30, true), (0, true), (59, true), (60, false)] {
            let found = step_at(code, begin + at, 0);
            assert_eq!(found.is_some(), holds, "{at}");
        }
        assert_eq!(step_at(code, begin, step - 1), Some(step));
        assert_eq!(step_at(code, begin, step), None);
        for written in ["005 924", " 005-924 ", "００５９２４"] {
            assert_eq!(step_at(written, begin, 0), Some(step), "{written}");
        }
        for wrong in ["", "5924", "0059240", "005925", "٠٠٥٩٢٤", "00592x"] {
            assert_eq!(step_at(wrong, begin, 0), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_written_as_apps_take_it() {
        let uri = secret().uri("Shop & Co", "ann@example.com");

        assert_eq!(secret().base32().expose(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            uri.expose(),
            "otpauth://totp/Shop%20%26%20Co:ann%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Shop%20%26%20Co"
        );
        // RFC 4648 §10.
        let encode = |text: &str| CodeSecret::of(Zeroizing::new(text.as_bytes().to_vec())).base32();
        for (text, encoded) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(encode(text).expose(), encoded);
        }
        assert_eq!(CodeSecret::draw().unwrap().bytes().len(), 20);
    }
}
