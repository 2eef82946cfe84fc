//! `[mail]`: how mails are sent.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;

use crate::config::HostPort;
use crate::document::{Expected, Item, Table};
use crate::encoding::percent_decode;
use crate::secret::Secret;

/// `[mail]`
#[derive(Clone, Debug, PartialEq)]
pub struct MailConfig {
    /// Destination of mails; default none (`""`): mail is off. A reload applies it.
    pub url: Option<MailUrl>,
    /// Sender of mails; default `Munjigi <no-reply@example.com>`. A reload applies it.
    pub from: Mailbox,
    /// Whether TLS must be; default [`MailTls::Auto`]. A reload applies it.
    pub tls: MailTls,
    /// CA file to trust besides the machine's own; default none. A reload applies it.
    pub ca: Option<PathBuf>,
    /// From the connection to the server's receipt of one mail; default 30 s, then it is tried
    /// again. A reload applies it.
    pub timeout: Duration,
    /// Wait of a mail that failed; default 5 s, each further wait is twice as long, at most
    /// 10 min. A reload applies it.
    pub retry: Duration,
}

/// `[mail] tls`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// TLS with a certificate that verifies, but to this very machine, where mail goes without
    /// either as well.
    #[default]
    Auto,
    /// TLS with a certificate that verifies, also to this machine.
    Required,
    /// No STARTTLS, wherever the server is.
    Off,
}

/// `[mail] url`
#[derive(Clone, Debug, PartialEq)]
pub enum MailUrl {
    /// `dir:FOLDER`, already relative to the configuration's folder: a file a mail.
    Folder(PathBuf),
    /// `smtp://…` or `smtps://…`
    Smtp(SmtpServer),
}

/// A server that takes mails.
#[derive(Clone, Debug, PartialEq)]
pub struct SmtpServer {
    /// `smtps://`: TLS from the first byte; `smtp://`: STARTTLS.
    pub implicit_tls: bool,
    /// Host and port; default 587 (RFC 6409), 465 for `smtps://` (RFC 8314).
    pub address: HostPort,
    /// User and password, percent-decoded, where the URL has them.
    pub credentials: Option<(String, Secret<String>)>,
}

impl Default for MailConfig {
    fn default() -> Self {
        let address = Address::new_dangerous("no-reply", "example.com");
        Self {
            url: None,
            from: Mailbox::new(Some("Munjigi".to_owned()), address),
            tls: MailTls::Auto,
            ca: None,
            timeout: Duration::from_secs(30),
            retry: Duration::from_secs(5),
        }
    }
}

impl MailConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let resolve = |path: &str| table.resolve_path(path);
        let config = Self {
            url: table.parse("url", None, |text| MailUrl::parse(text, resolve)),
            from: table.parse("from", default.from, sender),
            tls: table.choice("tls", default.tls, &TLS),
            ca: table.optional("ca", Item::path),
            timeout: table.duration("timeout", default.timeout),
            retry: table.duration("retry", default.retry),
        };
        table.end();
        config
    }
}

impl MailUrl {
    fn parse(text: &str, resolve: impl Fn(&str) -> PathBuf) -> Result<Option<Self>, Expected> {
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(folder) = text.strip_prefix("dir:").filter(|folder| !folder.is_empty()) {
            return Ok(Some(Self::Folder(resolve(folder))));
        }
        for (scheme, implicit_tls) in [("smtp://", false), ("smtps://", true)] {
            if let Some(rest) = text.strip_prefix(scheme) {
                return SmtpServer::parse(rest, implicit_tls)
                    .map(|server| Some(Self::Smtp(server)));
            }
        }
        Err(Expected::new(EXPECTED))
    }
}

impl SmtpServer {
    fn parse(rest: &str, implicit_tls: bool) -> Result<Self, Expected> {
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, server) = match authority.rsplit_once('@') {
            Some((credentials, server)) => (Some(credentials), server),
            None => (None, authority),
        };
        let credentials = credentials.map(parse_credentials).transpose()?;
        let address = HostPort::parse(server, if implicit_tls { 465 } else { 587 });
        let address = address.ok_or_else(|| Expected::new(EXPECTED))?;
        Ok(Self { implicit_tls, address, credentials })
    }
}

impl fmt::Display for SmtpServer {
    /// Without credentials: for logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.implicit_tls { "smtps" } else { "smtp" };
        write!(formatter, "{scheme}://{}", self.address)
    }
}

/// `user:password`, percent-encoded.
fn parse_credentials(text: &str) -> Result<(String, Secret<String>), Expected> {
    let decode = |part: &str| {
        let decoded = percent_decode(part).and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.filter(|text| !text.is_empty() && !text.chars().any(char::is_control))
    };
    let read = text.split_once(':').and_then(|(user, password)| {
        // A slash would end the authority (RFC 3986 §3.2): its writer meant another URL.
        let is_plain = !text.contains(['/', '?', '#']);
        is_plain.then_some((decode(user)?, Secret::new(decode(password)?)))
    });
    read.ok_or("the user and the password of this URL stand as USER:PASSWORD, percent-encoded")
        .map_err(Expected::new)
}

fn sender(text: &str) -> Result<Mailbox, Expected> {
    let expected = "expected a sender such as Munjigi <no-reply@example.com>";
    let mailbox = text.parse::<Mailbox>().ok().filter(|_| !text.chars().any(char::is_control));
    mailbox.ok_or(expected).map_err(Expected::new)
}

const TLS: [(&str, MailTls); 3] =
    [("auto", MailTls::Auto), ("required", MailTls::Required), ("off", MailTls::Off)];

const EXPECTED: &str =
    "expected smtp://USER:PASSWORD@HOST:PORT, smtps://USER:PASSWORD@HOST:PORT or dir:FOLDER";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{MailUrl, SmtpServer, sender};

    fn server(text: &str) -> SmtpServer {
        match MailUrl::parse(text, |path| PathBuf::from(path)) {
            Ok(Some(MailUrl::Smtp(server))) => server,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn credentials_leave_the_url() {
        for (text, written, credentials) in [
            ("smtp://mail.example", "smtp://mail.example:587", None),
            ("smtps://Mail.example/", "smtps://mail.example:465", None),
            ("smtp://[0::1]:25", "smtp://[::1]:25", None),
            ("smtp://a:b@h:25", "smtp://h:25", Some(("a", "b"))),
            ("smtps://a%40b:p%3Aw%2f@h", "smtps://h:465", Some(("a@b", "p:w/"))),
            ("smtp://a@b:c@d@h", "smtp://h:587", Some(("a@b", "c@d"))),
        ] {
            let server = server(text);

            let found = server.credentials.as_ref();
            let found = found.map(|(user, password)| (user.as_str(), password.expose().as_str()));
            assert_eq!((server.to_string().as_str(), found), (written, credentials), "{text}");
        }
    }

    #[test]
    fn mail_is_off_or_goes_to_a_folder() {
        let parse = |text| MailUrl::parse(text, |path| PathBuf::from("/folder").join(path));

        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse("dir:mail"), Ok(Some(MailUrl::Folder("/folder/mail".into()))));
        assert_eq!(parse("dir:/var/mail"), Ok(Some(MailUrl::Folder("/var/mail".into()))));
    }

    #[test]
    fn what_is_no_mail_server_is_refused() {
        for text in [
            "mail",
            "dir:",
            "smtp:",
            "smtp://",
            "SMTP://h",
            "smtp://h:0",
            "smtp://h:x",
            "smtp://h:25/inbox",
            "smtp://u@h",
            "smtp://u:@h",
            "smtp://:p@h",
            "smtp://u:%zz@h",
            "smtp://u:p%0d%0aQUIT@h",
            "smtp://u:p/w@h",
            "smtp://::1",
            "mailto:a@b.example",
        ] {
            assert!(MailUrl::parse(text, |path| PathBuf::from(path)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_sender_is_one_address() {
        assert_eq!(sender("문지기 <a@b.example>").unwrap().to_string(), "문지기 <a@b.example>");
        for text in ["", "Munjigi", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example"] {
            assert!(sender(text).is_err(), "{text}");
        }
    }
}
