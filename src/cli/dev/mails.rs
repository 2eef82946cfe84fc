//! Mails that `munjigi dev` caught: the files of a folder, read back for people.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::sync::watch;

use crate::cli::output::Output;
use crate::config::{MailConfig, MailUrl};
use crate::drain::Guard;
use crate::telemetry::escaped;

/// The folder, and the number of mails in it as they come.
#[derive(Debug)]
pub(crate) struct CaughtMails {
    folder: PathBuf,
    count: watch::Sender<usize>,
}

/// A mail.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CaughtMail {
    /// The recipient.
    pub(crate) to: String,
    /// The subject.
    pub(crate) subject: String,
    /// The instant when it was written (RFC 3339).
    pub(crate) at: String,
    /// The text.
    pub(crate) text: String,
    /// The code or password in it.
    pub(crate) code: Option<String>,
}

impl CaughtMails {
    /// The mails of the folder that catches them, where one does; it need not be there yet.
    pub(crate) fn of(config: &MailConfig) -> Option<Self> {
        match &config.url {
            Some(MailUrl::Folder(folder)) => Some(Self::new(folder.clone())),
            Some(MailUrl::Smtp(_)) | None => None,
        }
    }

    fn new(folder: PathBuf) -> Self {
        Self { folder, count: watch::Sender::new(0) }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes the folder.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// The newest mails, and how many there are in all.
    pub(crate) fn newest(&self) -> io::Result<(Vec<CaughtMail>, usize)> {
        let names = self.names()?;
        let newest = names.iter().rev().take(MOST_SHOWN);
        let mails: io::Result<Vec<CaughtMail>> = newest.map(|name| self.mail(name)).collect();
        Ok((mails?, names.len()))
    }

    /// The number of mails, as it grows.
    pub(crate) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Prints a line for each mail that comes, until the stop signal.
    pub(crate) async fn announce(&self, output: Output, mut guard: Guard) {
        let mut seen = self.names().unwrap_or_default();
        self.count.send_replace(seen.len());
        loop {
            tokio::select! {
                () = guard.signalled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let names = match self.names() {
                Ok(names) => names,
                Err(error) => {
                    tracing::warn!(%error, "caught mails cannot be read");
                    return;
                }
            };
            for name in names.difference(&seen) {
                let line = match self.mail(name) {
                    Ok(mail) => mail.line(),
                    Err(error) => format!("{name}: {error}"),
                };
                // A terminal that is gone does not stop the gateway.
                drop(output.line(&format!("  Mail {}", escaped(&line))));
            }
            if names != seen {
                self.count.send_replace(names.len());
                seen = names;
            }
        }
    }

    /// The file names of whole mails, oldest first.
    fn names(&self) -> io::Result<BTreeSet<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.ends_with(".eml")).collect())
    }

    fn mail(&self, name: &str) -> io::Result<CaughtMail> {
        let message = fs::read(self.folder.join(Path::new(name)))?;
        Ok(CaughtMail::read(name, &String::from_utf8_lossy(&message)))
    }
}

impl CaughtMail {
    /// Reads a message of which the gateway wrote every line (RFC 5322).
    fn read(name: &str, message: &str) -> Self {
        let message = message.replace("\r\n", "\n");
        let (head, text) = message.split_once("\n\n").unwrap_or((&message, ""));
        let head = head.replace("\n ", " ");
        let header = |name: &str| {
            let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            decode_words(found.unwrap_or_default())
        };
        Self {
            to: header("To"),
            subject: header("Subject"),
            at: instant(name).unwrap_or_default(),
            code: code(text),
            text: text.trim().to_owned(),
        }
    }

    fn line(&self) -> String {
        let Self { to, subject, code, .. } = self;
        match code {
            Some(code) => format!("to {to}: {subject}: {code}"),
            None => format!("to {to}: {subject}"),
        }
    }
}

/// The most mails that a page shows.
const MOST_SHOWN: usize = 50;

/// Interval of looks into the folder.
const LOOK: Duration = Duration::from_millis(300);

/// The instant that a file's name begins with: `20261121-101530-123_…`.
fn instant(name: &str) -> Option<String> {
    let digits: String = name.chars().filter(char::is_ascii_digit).take(14).collect();
    let part = |from: usize, to: usize| digits.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    Some(format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

/// The code or password of a mail: a line that is one word between two empty ones.
fn code(text: &str) -> Option<String> {
    let is_code = |word: &&str| {
        (6..=64).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split("\n\n").map(str::trim).find(is_code).map(str::to_owned)
}

/// Decodes the words of a header that are Base64 (RFC 2047 §2); others stay as they are.
fn decode_words(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut after_word = false;
    for (index, word) in text.split(' ').enumerate() {
        let inner = word.strip_prefix("=?utf-8?b?").and_then(|rest| rest.strip_suffix("?="));
        let bytes = inner.and_then(|inner| STANDARD.decode(inner).ok());
        // The blank between two encoded words is not a part of the text (RFC 2047 §6.2).
        let continues = after_word && bytes.is_some();
        if index > 0 && !continues {
            decoded.push(b' ');
        }
        after_word = bytes.is_some();
        decoded.extend(bytes.unwrap_or_else(|| word.as_bytes().to_vec()));
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{CaughtMail, CaughtMails};

    const NAME: &str = "20261121-101530-123_0f8a.eml";

    fn read(subject: &str, text: &str) -> CaughtMail {
        let text = text.replace('\n', "\r\n");
        CaughtMail::read(
            NAME,
            &format!(
                "From: a <a@b.example>\r\nTo: you@example.com\r\nSubject: {subject}\r\n\r\n{text}"
            ),
        )
    }

    #[test]
    fn a_mail_is_read_as_it_was_written() {
        let mail = read("Your code", "Hello,\n\nenter this:\n\n042137\n\nBye.\n");

        assert_eq!(mail.line(), "to you@example.com: Your code: 042137");
        assert_eq!(mail.at, "2026-11-21T10:15:30Z");
        assert_eq!(mail.text, "Hello,\n\nenter this:\n\n042137\n\nBye.");
    }

    #[test]
    fn a_subject_beyond_ascii_is_decoded_across_its_words() {
        // "비밀번호 재설정 인증 코드", cut in the middle of a character.
        let subject = "[a.example] =?utf-8?b?67mE67CA67KI7Zi4IOyerOyE?=\r\n =?utf-8?b?pOyglSDsnbjspp0g7L2U65Oc?=";

        assert_eq!(read(subject, "").subject, "[a.example] 비밀번호 재설정 인증 코드");
        assert_eq!(read("=?utf-8?b?*?= a  b", "").subject, "=?utf-8?b?*?= a  b");
    }

    #[test]
    fn only_a_word_alone_is_a_code() {
        for (text, expected) in [
            ("Hello,\n\nnothing here.\n\nBye", None),
            ("Hello,\n\nyou@example.com\n\nBye", None),
            ("Hello,\n\nhttps://a.example/b\n\nBye", None),
            ("Hello,\n\nAb3-Cd4-Ef5\n\nBye", Some("Ab3-Cd4-Ef5")),
            ("918273\n\nand 918274", Some("918273")),
        ] {
            assert_eq!(read("", text).code.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_newest_comes_first_and_a_folder_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = CaughtMails::new(folder.path().join("mail"));
        assert_eq!(missing.newest().unwrap(), (Vec::new(), 0));
        for (name, subject) in [("2", "new"), ("1", "old")] {
            let text = format!("To: a@b.example\r\nSubject: {subject}\r\n\r\n");
            std::fs::write(folder.path().join(format!("{name}.eml")), text).unwrap();
        }
        std::fs::write(folder.path().join("3.tmp"), "half").unwrap();

        let (mails, count) = CaughtMails::new(folder.path().to_owned()).newest().unwrap();

        assert_eq!(count, 2);
        let subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
        assert_eq!(subjects, ["new", "old"]);
    }
}
