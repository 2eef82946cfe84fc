//! Writes mails for the queue, and sends them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::config::{MailConfig, MailUrl};
use crate::mail::content::MailContent;
use crate::mail::folder::Folder;
use crate::mail::smtp::Smtp;
use crate::mail::template::MailContext;
use crate::mail::{Templates, message};
use crate::operation::{Email, Language};
use crate::own_keys::{OwnKeys, OwnKeysError};
use crate::store::NewMail;

/// Writes and sends mails; part of the snapshot, absent where `[mail] url` is empty.
#[derive(Debug)]
pub struct Outbox {
    config: MailConfig,
    templates: Templates,
    transport: Transport,
    own_keys: Arc<OwnKeys>,
    nudge: Nudge,
}

/// A signal that wakes the courier as soon as a mail is queued, before its next look at the queue.
///
/// It outlives reloads: a mail that an older snapshot queues wakes the same courier.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

/// The kind of a mail, with its secret.
#[derive(Clone, Copy, Debug)]
pub enum Letter<'a> {
    /// The code that resets a password.
    ResetCode {
        /// The code.
        code: &'a str,
    },
    /// The password that was generated for the user.
    TemporaryPassword {
        /// The password; it has a line of its own.
        password: &'a str,
    },
    /// The code that proves an address.
    VerificationCode {
        /// The code.
        code: &'a str,
    },
    /// The news that an address has an account already, for who wanted to make one.
    AccountExists {
        /// The address.
        email: &'a str,
    },
}

/// Reasons for which a mail cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A template does not render.
    #[error("a mail's template fails")]
    Template(#[source] minijinja::Error),
    /// There is no template of that name.
    #[error("there is no such mail")]
    Unknown,
    /// The subject is empty, or holds a line end or another control character.
    #[error("the subject is empty or holds a control character")]
    Subject,
    /// The mail cannot be encrypted.
    #[error(transparent)]
    OwnKeys(#[from] OwnKeysError),
    /// The mail does not become JSON.
    #[error("the mail cannot be kept")]
    Json(#[from] serde_json::Error),
    /// The CA file cannot be used.
    #[error("the CA file {path}: {reason}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS towards the mail server cannot be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// The transport of mails.
#[derive(Debug)]
enum Transport {
    Smtp(Box<Smtp>),
    Folder(Folder),
}

/// Reasons for which a mail was not sent, in words without the recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// A later attempt may succeed.
    Temporary(String),
    /// No attempt will succeed.
    Permanent(String),
}

impl Outbox {
    /// Prepares to write and send mails; `None` where `[mail] url` is empty.
    ///
    /// # Errors
    /// When the CA file cannot be used.
    pub fn open(
        config: &MailConfig,
        templates: Templates,
        own_keys: Arc<OwnKeys>,
        nudge: Nudge,
    ) -> Result<Option<Self>, MailError> {
        let transport = match &config.url {
            None => return Ok(None),
            Some(MailUrl::Folder(path)) => Transport::Folder(Folder::new(path.clone())),
            Some(MailUrl::Smtp(server)) => {
                Transport::Smtp(Box::new(Smtp::new(server.clone(), config)?))
            }
        };
        Ok(Some(Self { config: config.clone(), templates, transport, own_keys, nudge }))
    }

    /// Writes a mail for the queue; one without `to` is dropped unsent, so that neither time nor
    /// length reveals whether an account has the address.
    ///
    /// `site` is the site's host as configured; one with a `*` is no name, and is not shown. The
    /// mail of a code says in how many minutes it expires, at `expires_at`.
    ///
    /// # Errors
    /// When the template fails, or there are no random bytes.
    pub fn write(
        &self,
        letter: Letter<'_>,
        to: Option<&Email>,
        language: Language,
        site: &str,
        (now, expires_at): (Timestamp, Timestamp),
    ) -> Result<NewMail, MailError> {
        let site = if site.contains('*') { "" } else { site };
        let minutes = expires_at.since(now).as_secs().div_ceil(60);
        let (subject, mut body) =
            self.templates.render(letter, language, MailContext { site, minutes })?;
        let body = std::mem::take(&mut *body);
        let sealed =
            MailContent { to: to.cloned(), subject, body, at: now }.seal(&self.own_keys)?;
        Ok(NewMail { id: Uuid::new_v4(), sealed, created_at: now, expires_at })
    }

    /// Wakes the courier; call it once the store has the mail.
    pub fn nudge(&self) {
        self.nudge.0.notify_one();
    }

    /// Decrypts a queued mail; `None` for one that this gateway did not write.
    pub(super) fn open_mail(&self, sealed: &[u8]) -> Option<MailContent> {
        MailContent::open(&self.own_keys, sealed)
    }

    /// Sends a mail to its recipient.
    pub(super) async fn send(
        &self,
        id: Uuid,
        to: &Email,
        content: &MailContent,
    ) -> Result<(), SendError> {
        let sent = match &self.transport {
            Transport::Smtp(smtp) => {
                match message::compose(&self.config.from, id, to, content, message::BodyForm::Wire)
                {
                    Ok(message) => smtp.send(&message).await,
                    Err(error) => Err(SendError::Permanent(error.to_string())),
                }
            }
            Transport::Folder(folder) => {
                match message::compose(
                    &self.config.from,
                    id,
                    to,
                    content,
                    message::BodyForm::Readable,
                ) {
                    Ok(message) => folder.put(id, content.at, message.formatted()).await,
                    Err(error) => Err(SendError::Permanent(error.to_string())),
                }
            }
        };
        sent.map_err(|failure| failure.without(to))
    }

    /// The longest that one attempt may take.
    pub(super) const fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// The back-off of a mail that failed after `attempts` earlier ones.
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        self.config.retry.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST_PAUSE)
    }
}

/// The longest that a mail waits between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

impl Nudge {
    /// Waits until the courier is to wake, or returns at once if it was to meanwhile; cancel-safe.
    pub(super) async fn received(&self) {
        self.0.notified().await;
    }
}

impl Letter<'static> {
    /// One of each kind, to try templates with.
    pub(super) const SAMPLES: [Self; 4] = [
        Self::ResetCode { code: "918273" },
        Self::TemporaryPassword { password: "Sample-Pass-9182" },
        Self::VerificationCode { code: "918273" },
        Self::AccountExists { email: "you@example.com" },
    ];
}

impl<'a> Letter<'a> {
    /// The name of its templates.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ResetCode { .. } => "reset_code",
            Self::TemporaryPassword { .. } => "temporary_password",
            Self::VerificationCode { .. } => "verification_code",
            Self::AccountExists { .. } => "account_exists",
        }
    }

    /// The secret, or the address, and its name in templates.
    pub(super) const fn secret(self) -> (&'static str, &'a str) {
        match self {
            Self::ResetCode { code } | Self::VerificationCode { code } => ("code", code),
            Self::TemporaryPassword { password } => ("password", password),
            Self::AccountExists { email } => ("email", email),
        }
    }
}

impl SendError {
    /// Replaces the recipient, whom servers like to repeat, in the words; truncates long ones.
    fn without(self, to: &Email) -> Self {
        let clean = |words: String| {
            let words: String =
                words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let mut cleaned = String::new();
            let (lower, address) = (words.to_ascii_lowercase(), to.as_str());
            let mut from = 0;
            for (at, found) in lower.match_indices(address) {
                cleaned.push_str(words.get(from..at).unwrap_or_default());
                cleaned.push_str("(recipient)");
                from = at + found.len();
            }
            cleaned.push_str(words.get(from..).unwrap_or_default());
            cleaned.chars().take(LONGEST_WORDS).collect()
        };
        match self {
            Self::Temporary(words) => Self::Temporary(clean(words)),
            Self::Permanent(words) => Self::Permanent(clean(words)),
        }
    }
}

/// The most characters of a server's words in the log.
const LONGEST_WORDS: usize = 300;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Letter, Outbox, SendError};
    use crate::clock::Timestamp;
    use crate::config::{MailConfig, MailUrl};
    use crate::mail::{MailError, Nudge, Templates};
    use crate::operation::Language;
    use crate::own_keys::OwnKeys;
    use crate::secret::Secret;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const CODE: Letter<'static> = Letter::ResetCode { code: "042137" };

    fn outbox() -> Outbox {
        let url = Some(MailUrl::Folder("/nowhere".into()));
        let config = MailConfig { url, ..MailConfig::default() };
        let own_keys = Arc::new(OwnKeys::new(&Secret::new(b"a".to_vec())).unwrap());
        let templates = Templates::read(None).unwrap();
        Outbox::open(&config, templates, own_keys, Nudge::default()).unwrap().unwrap()
    }

    #[test]
    fn a_mail_says_what_it_was_written_with() {
        let outbox = outbox();
        let to = "you@example.com".parse().unwrap();
        let times = (NOW, NOW.plus(Duration::from_secs(541)));

        let mail = outbox.write(CODE, Some(&to), Language::English, "a.example", times).unwrap();

        let content = outbox.open_mail(&mail.sealed).unwrap();
        assert_eq!(content.to.as_ref(), Some(&to));
        assert_eq!(content.subject, "[a.example] Your password reset code");
        assert!(content.body.contains("\n\n042137\n\n"), "{}", content.body);
        assert!(content.body.contains("within 10 minutes"), "{}", content.body);
        assert_eq!((mail.created_at, mail.expires_at, content.at), (times.0, times.1, NOW));
    }

    #[test]
    fn a_mail_for_nobody_is_as_long_as_one_for_somebody() {
        let outbox = outbox();
        let to = format!("{}@example.com", "a".repeat(60)).parse().unwrap();
        let length = |to| {
            let times = (NOW, NOW.plus(Duration::from_mins(10)));
            outbox.write(CODE, to, Language::Korean, "a.example", times).unwrap().sealed.len()
        };

        assert_eq!(length(None), length(Some(&to)));
        assert_eq!(length(None), 4096 + 28);
    }

    #[test]
    fn a_sites_pattern_is_no_name() {
        let outbox = outbox();
        for site in ["*", "*.example.com", ""] {
            let mail = outbox.write(CODE, None, Language::English, site, (NOW, NOW)).unwrap();

            let content = outbox.open_mail(&mail.sealed).unwrap();
            assert_eq!(content.subject, "Your password reset code", "{site}");
        }
    }

    #[test]
    fn a_line_end_in_what_is_put_into_a_subject_is_an_error() {
        let site = "a.example\r\nBcc: c@d.example";

        let written = outbox().write(CODE, None, Language::English, site, (NOW, NOW));

        assert!(matches!(written, Err(MailError::Subject)), "{written:?}");
    }

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let outbox = outbox();
        let pauses: Vec<u64> =
            [0, 1, 2, 6, 7, 31, u32::MAX].map(|attempts| outbox.pause(attempts).as_secs()).into();

        assert_eq!(pauses, [5, 10, 20, 320, 600, 600, 600]);
    }

    #[test]
    fn a_servers_words_are_kept_without_the_recipient() {
        let to = "you@example.com".parse().unwrap();
        for (words, kept) in [
            ("550 <You@Example.COM>: no such user", "550 <(recipient)>: no such user"),
            ("you@example.com you@example.com", "(recipient) (recipient)"),
            ("이 you@example.com\r\n끝", "이 (recipient)  끝"),
            ("greylisted", "greylisted"),
        ] {
            let failure = SendError::Temporary(words.to_owned());

            assert_eq!(failure.without(&to), SendError::Temporary(kept.to_owned()), "{words}");
        }
        let SendError::Permanent(kept) = SendError::Permanent("x".repeat(999)).without(&to) else {
            panic!("another kind");
        };
        assert_eq!(kept.len(), 300);
    }
}
