//! The message (RFC 5322) of a mail.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Body, Mailbox};
use lettre::{Address, Message};
use uuid::Uuid;

use crate::mail::content::MailContent;
use crate::operation::Email;

/// The encoding of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// ASCII, which every server takes.
    Wire,
    /// UTF-8, for people.
    Readable,
}

/// Reasons for which there is no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    /// An address here, but not for the mail library.
    #[error("the recipient is no address that mails go to")]
    Recipient,
    /// The parts do not make a message.
    #[error("the message cannot be made: {0}")]
    Build(#[from] lettre::error::Error),
}

/// Makes a message; a mail keeps its `Message-ID` and date, so that a copy can be recognised.
pub(super) fn compose(
    from: &Mailbox,
    id: Uuid,
    to: &Email,
    content: &MailContent,
    form: BodyForm,
) -> Result<Message, MessageError> {
    let Ok(address) = to.as_str().parse::<Address>() else { return Err(MessageError::Recipient) };
    let sent_at = Duration::from_millis(u64::try_from(content.at.as_millis()).unwrap_or(0));
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, address))
        .subject(content.subject.as_str())
        .date(UNIX_EPOCH + sent_at)
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        // So that no auto-responder replies (RFC 3834 §5).
        .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN);
    Ok(message.body(body(&content.body, form))?)
}

/// Quoted-printable on the wire, in which a code stays readable; 8-bit in a file.
fn body(text: &str, form: BodyForm) -> Body {
    match form {
        BodyForm::Wire if text.is_ascii() => Body::new(text.to_owned()),
        BodyForm::Wire => {
            let encoding = ContentTransferEncoding::QuotedPrintable;
            Body::new_with_encoding(text.to_owned(), encoding)
                .unwrap_or_else(|_refused| Body::new(text.to_owned()))
        }
        // The library would encode the long lines of Korean in UTF-8.
        BodyForm::Readable => {
            let lines = text.lines().flat_map(|line| [line.as_bytes(), b"\r\n"]);
            Body::dangerous_pre_encoded(
                lines.collect::<Vec<_>>().concat(),
                ContentTransferEncoding::EightBit,
            )
        }
    }
}

const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

#[cfg(test)]
mod tests {
    use super::{BodyForm, compose};
    use crate::clock::Timestamp;
    use crate::mail::content::MailContent;

    fn formatted(form: BodyForm, subject: &str, body: &str) -> String {
        let content = MailContent {
            to: None,
            subject: subject.to_owned(),
            body: body.to_owned(),
            at: Timestamp::from_seconds(1_700_000_000),
        };
        let from = "문지기 <no-reply@example.com>".parse().unwrap();
        let to = "you@example.com".parse().unwrap();
        let message = compose(&from, uuid::Uuid::nil(), &to, &content, form).unwrap();
        String::from_utf8(message.formatted()).unwrap()
    }

    #[test]
    fn a_message_has_every_header_once_and_a_name_that_stays() {
        let text = formatted(BodyForm::Wire, "Hello", "one\n.\ntwo");

        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "To: you@example.com",
            "Subject: Hello",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000",
            "Message-ID: <00000000-0000-0000-0000-000000000000@example.com>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert_eq!(head.lines().filter(|found| *found == line).count(), 1, "{line}\n{head}");
        }
        assert_eq!(head.lines().filter(|line| line.starts_with("From: ")).count(), 1);
        assert_eq!(body.trim_end(), "one\r\n.\r\ntwo");
    }

    #[test]
    fn korean_goes_out_as_ascii_and_into_files_as_it_reads() {
        let body = format!("{}\n\n123456\n", "본문".repeat(40));
        let (wire, readable) = (
            formatted(BodyForm::Wire, "제목", &body),
            formatted(BodyForm::Readable, "제목", &body),
        );

        assert!(wire.is_ascii(), "{wire}");
        assert!(wire.contains("\r\n123456\r\n"), "{wire}");
        assert!(readable.ends_with("본문\r\n\r\n123456\r\n"), "{readable}");
    }

    #[test]
    fn a_line_end_in_a_subject_makes_no_header() {
        let text = formatted(BodyForm::Wire, "a\r\nBcc: c@d.example", "body");

        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }
}
