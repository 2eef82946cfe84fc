//! The hidden value of a form, without which nothing is done.
//!
//! It binds the form to its name and to a value in a cookie of the browser, so that another site can
//! make neither. A page that was open over midnight still works.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::own_keys::OwnKeys;

/// The purpose of the hash.
const PURPOSE: &str = "form";

const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// Makes the token of a form for the browser that holds `nonce`.
pub(crate) fn make(keys: &OwnKeys, form: &str, nonce: &str, now: Timestamp) -> String {
    of_day(keys, form, nonce, day(now))
}

/// Whether a token was made for this form and this browser, today or yesterday (UTC).
pub(crate) fn is_valid(
    keys: &OwnKeys,
    form: &str,
    nonce: &str,
    token: &str,
    now: Timestamp,
) -> bool {
    let today = day(now);
    let is_of = |day| of_day(keys, form, nonce, day).as_bytes().ct_eq(token.as_bytes());
    (is_of(today) | is_of(today - 1)).into()
}

fn of_day(keys: &OwnKeys, form: &str, nonce: &str, day: i64) -> String {
    let parts = [form.as_bytes(), nonce.as_bytes(), &day.to_le_bytes()];
    URL_SAFE_NO_PAD.encode(keys.hash(PURPOSE, &parts))
}

const fn day(now: Timestamp) -> i64 {
    now.as_seconds().div_euclid(SECONDS_A_DAY)
}

#[cfg(test)]
mod tests {
    use super::{SECONDS_A_DAY, is_valid, make};
    use crate::clock::Timestamp;
    use crate::own_keys::OwnKeys;
    use crate::secret::Secret;

    fn keys(root: &[u8]) -> OwnKeys {
        OwnKeys::new(&Secret::new(root.to_vec())).unwrap()
    }

    fn at(day: i64, second: i64) -> Timestamp {
        Timestamp::from_seconds(day * SECONDS_A_DAY + second)
    }

    #[test]
    fn a_token_is_valid_on_its_day_and_the_next() {
        let keys = keys(b"a");
        let last = SECONDS_A_DAY - 1;
        for made in [at(20_000, 0), at(20_000, last)] {
            let token = make(&keys, "sign-in", "nonce", made);

            assert_eq!(token.len(), 43);
            for (now, expected) in [
                (at(19_999, last), false),
                (at(20_000, 0), true),
                (at(20_000, last), true),
                (at(20_001, last), true),
                (at(20_002, 0), false),
            ] {
                assert_eq!(is_valid(&keys, "sign-in", "nonce", &token, now), expected, "{now:?}");
            }
        }
    }

    #[test]
    fn it_is_valid_for_its_form_its_browser_and_its_gateway_alone() {
        let (own, now) = (keys(b"a"), at(20_000, 0));
        let token = make(&own, "sign-in", "nonce", now);

        assert!(is_valid(&own, "sign-in", "nonce", &token, now));
        assert!(!is_valid(&own, "sign-out", "nonce", &token, now));
        assert!(!is_valid(&own, "sign-in", "another", &token, now));
        assert!(!is_valid(&own, "sign-inn", "once", &token, now));
        assert!(!is_valid(&keys(b"b"), "sign-in", "nonce", &token, now));
        for length in 0..token.len() {
            assert!(!is_valid(&own, "sign-in", "nonce", &token[..length], now), "{length}");
        }
        for other in [format!("{token}="), format!("{token}A"), token.to_ascii_lowercase()] {
            assert!(!is_valid(&own, "sign-in", "nonce", &other, now), "{other}");
        }
    }
}
