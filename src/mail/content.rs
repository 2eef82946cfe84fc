//! The content of a mail, encrypted while it is queued.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::clock::Timestamp;
use crate::mail::MailError;
use crate::operation::Email;
use crate::own_keys::OwnKeys;

/// Recipient, subject and body of a mail.
#[derive(Serialize, Deserialize)]
pub(super) struct MailContent {
    /// `None`: the mail is dropped unsent.
    pub(super) to: Option<Email>,
    pub(super) subject: String,
    pub(super) body: String,
    /// When it was queued.
    pub(super) at: Timestamp,
}

impl MailContent {
    /// Encrypts it, padded to a multiple of a block, so that the length hides the recipient.
    pub(super) fn seal(&self, own_keys: &OwnKeys) -> Result<Vec<u8>, MailError> {
        // Large enough from the start: a buffer that grows leaves copies that are not wiped.
        let mut json = Zeroizing::new(Vec::with_capacity(self.body.len() * 2 + 2 * BLOCK));
        serde_json::to_writer(&mut *json, self)?;
        let to = self.to.as_ref().map_or("null".len(), |to| to.as_str().len() + "\"\"".len());
        let longest = json.len().saturating_sub(to) + LONGEST_ADDRESS;
        // Blanks after a JSON text do not count (RFC 8259 §2).
        json.resize(longest.div_ceil(BLOCK) * BLOCK, b' ');
        Ok(own_keys.seal(PURPOSE, &json)?)
    }

    /// Decrypts it; `None` for a text that this gateway did not write.
    pub(super) fn open(own_keys: &OwnKeys, sealed: &[u8]) -> Option<Self> {
        let json = own_keys.open(PURPOSE, sealed)?;
        serde_json::from_slice(&json).ok()
    }
}

impl Drop for MailContent {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

const PURPOSE: &str = "mail";

/// Lengths are rounded up to a multiple of this.
const BLOCK: usize = 4096;

/// More than the longest address (RFC 5321 §4.5.3.1: 254 bytes), quoted and lower-cased.
const LONGEST_ADDRESS: usize = 512;

#[cfg(test)]
mod tests {
    use super::MailContent;
    use crate::clock::Timestamp;
    use crate::own_keys::OwnKeys;
    use crate::secret::Secret;

    fn content(to: Option<&str>, body: &str) -> MailContent {
        MailContent {
            to: to.map(|to| to.parse().unwrap()),
            subject: "제목".to_owned(),
            body: body.to_owned(),
            at: Timestamp::from_seconds(1),
        }
    }

    #[test]
    fn a_sealed_mail_opens_whole_and_shows_nothing() {
        let own_keys = OwnKeys::new(&Secret::new(b"a".to_vec())).unwrap();

        let sealed =
            content(Some("you@example.com"), "the code\n\n123456\n").seal(&own_keys).unwrap();

        let opened = MailContent::open(&own_keys, &sealed).unwrap();
        assert_eq!(opened.to.as_ref().unwrap().as_str(), "you@example.com");
        assert_eq!((&*opened.subject, &*opened.body), ("제목", "the code\n\n123456\n"));
        assert_eq!(opened.at, Timestamp::from_seconds(1));
        for part in [&b"you@"[..], b"123456"] {
            assert!(!sealed.windows(part.len()).any(|window| window == part));
        }
        assert!(MailContent::open(&own_keys, b"garbage").is_none());
    }

    #[test]
    fn the_length_tells_neither_the_address_nor_whether_there_is_one() {
        let own_keys = OwnKeys::new(&Secret::new(b"a".to_vec())).unwrap();
        let long = format!("{}@{}.example", "a".repeat(64), "b".repeat(60));
        for words in (0..9000).step_by(7) {
            let body = "x".repeat(words);
            let length = |to| content(to, &body).seal(&own_keys).unwrap().len();

            let (nobody, short, long) =
                (length(None), length(Some("a@b.example")), length(Some(&long)));

            assert_eq!((nobody, nobody), (short, long), "{words}");
        }
    }
}
