//! Sends mails to an SMTP server, one connection a mail.
//!
//! `smtp://` encrypts by STARTTLS where the server offers it, and sends plain text to this machine
//! alone; `smtps://` encrypts from the first byte. Certificates are verified, except those of this
//! machine, which are mostly self-signed. `[mail] tls` can require or turn off TLS.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use lettre::Message;
use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;

use crate::config::{MailConfig, MailTls, SmtpServer};
use crate::mail::MailError;
use crate::mail::line_stream::LineStream;
use crate::mail::outbox::SendError;

/// A server, and the settings of connections to it.
pub(super) struct Smtp {
    server: SmtpServer,
    tls: TlsParameters,
    /// For this machine: it accepts any certificate.
    local_tls: TlsParameters,
    policy: MailTls,
    hello: ClientId,
    timeout: Duration,
}

/// The protection of an `smtp://` connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    StartTls,
    /// STARTTLS with whatever certificate the server has.
    LocalStartTls,
    Plain,
    Refused,
}

impl Smtp {
    pub(super) fn new(server: SmtpServer, config: &MailConfig) -> Result<Self, MailError> {
        let local_tls = TlsParameters::builder(server.address.host.clone())
            .dangerous_accept_invalid_certs(true)
            .dangerous_accept_invalid_hostnames(true)
            .build()
            .map_err(MailError::Tls)?;
        let mut tls = TlsParameters::builder(server.address.host.clone());
        for certificate in config.ca.as_deref().map(certificates).transpose()?.into_iter().flatten()
        {
            tls = tls.add_root_certificate(certificate);
        }
        let tls = tls.build().map_err(MailError::Tls)?;
        let (hello, timeout) = (hello(&config.from), config.timeout);
        Ok(Self { server, tls, local_tls, policy: config.tls, hello, timeout })
    }

    /// Sends a message; on success the server is responsible for it.
    pub(super) async fn send(&self, message: &Message) -> Result<(), SendError> {
        match tokio::time::timeout(self.timeout, Box::pin(self.deliver(message))).await {
            Ok(Ok(mut connection)) => {
                // The server has the mail, whether or not it answers QUIT.
                drop(tokio::time::timeout(FAREWELL, Box::pin(connection.quit())).await);
                Ok(())
            }
            Ok(Err(failure)) => Err(failure),
            Err(_elapsed) => {
                Err(SendError::Temporary(format!("it took longer than {:?}", self.timeout)))
            }
        }
    }

    async fn deliver(&self, message: &Message) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = self.connect().await?;
        if let Some((user, password)) = &self.server.credentials {
            let credentials = Credentials::new(user.clone(), password.expose().clone());
            // Not the mail's fault, and the operator may correct it: always temporary.
            connection.auth(&MECHANISMS, &credentials).await.map_err(|error| temporary(&error))?;
        }
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        sent.map_err(|error| {
            if error.is_permanent() || error.is_client() {
                SendError::Permanent(error.to_string())
            } else {
                temporary(&error)
            }
        })?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let address = (self.server.address.host.as_str(), self.server.address.port);
        if self.server.implicit_tls {
            // Any name but `localhost` (RFC 6761 §6.3) may resolve to another machine.
            let host = self.server.address.host.as_str();
            let is_local = host == "localhost"
                || host.parse::<IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback());
            let is_lenient = self.policy == MailTls::Auto && is_local;
            let tls = Some(if is_lenient { self.local_tls.clone() } else { self.tls.clone() });
            let opened = AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, tls, None);
            return Box::pin(opened).await.map_err(|error| temporary(&error));
        }
        let unreachable = |error: std::io::Error| SendError::Temporary(error.to_string());
        let tcp = TcpStream::connect(address).await.map_err(unreachable)?;
        let peer = tcp.peer_addr().map_err(unreachable)?.ip();
        let stream = Box::new(LineStream::new(tcp));
        let opened = AsyncSmtpConnection::connect_with_transport(stream, &self.hello);
        let mut connection = opened.await.map_err(|error| temporary(&error))?;
        let tls = match Protection::of(self.policy, connection.can_starttls(), peer) {
            Protection::StartTls => &self.tls,
            Protection::LocalStartTls => &self.local_tls,
            Protection::Plain => return Ok(connection),
            Protection::Refused => {
                let words = "the server offers no STARTTLS, which `[mail] tls` wants there";
                return Err(SendError::Temporary(words.to_owned()));
            }
        };
        let encrypted = connection.starttls(tls.clone(), &self.hello);
        Box::pin(encrypted).await.map_err(|error| temporary(&error))?;
        Ok(connection)
    }
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Smtp({})", self.server)
    }
}

impl Protection {
    /// Decides by the address of the connection: a name may resolve to any machine.
    const fn of(policy: MailTls, offered: bool, peer: IpAddr) -> Self {
        match (policy, offered, peer.to_canonical().is_loopback()) {
            (MailTls::Off, ..) | (MailTls::Auto, false, true) => Self::Plain,
            (MailTls::Auto, true, true) => Self::LocalStartTls,
            (MailTls::Auto, true, false) | (MailTls::Required, true, _) => Self::StartTls,
            (MailTls::Auto, false, false) | (MailTls::Required, false, _) => Self::Refused,
        }
    }
}

/// The name in EHLO: the sender's domain, since some servers refuse a loopback address.
fn hello(from: &Mailbox) -> ClientId {
    let domain = from.email.domain();
    if domain.is_ascii() { ClientId::Domain(domain.to_owned()) } else { ClientId::default() }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, MailError> {
    let bad = |reason: String| MailError::Ca { path: path.to_owned(), reason };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| bad(error.to_string()))?;
    if found.is_empty() {
        return Err(bad("no certificate in it".to_owned()));
    }
    let one = |der: CertificateDer<'static>| Certificate::from_der(der.to_vec());
    found.into_iter().map(one).collect::<Result<_, _>>().map_err(MailError::Tls)
}

fn temporary(error: &smtp::Error) -> SendError {
    SendError::Temporary(error.to_string())
}

/// Both send the password itself, inside TLS.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// The longest that the server may take to answer QUIT.
const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::Protection;
    use crate::config::MailTls;

    #[test]
    fn nothing_goes_in_the_clear_but_to_this_machine() {
        for (offered, peer, protection) in [
            (true, "127.0.0.1", Protection::LocalStartTls),
            (true, "::1", Protection::LocalStartTls),
            (true, "203.0.113.1", Protection::StartTls),
            (false, "127.0.0.1", Protection::Plain),
            (false, "127.8.8.8", Protection::Plain),
            (false, "::1", Protection::Plain),
            (false, "::ffff:127.0.0.1", Protection::Plain),
            (false, "203.0.113.1", Protection::Refused),
            (false, "10.0.0.1", Protection::Refused),
            (false, "::ffff:203.0.113.1", Protection::Refused),
            (false, "2001:db8::1", Protection::Refused),
            (false, "0.0.0.0", Protection::Refused),
        ] {
            let (peer, of) = (peer.parse().unwrap(), Protection::of);
            assert_eq!(of(MailTls::Auto, offered, peer), protection, "{peer}");
            assert_eq!(of(MailTls::Off, offered, peer), Protection::Plain, "{peer}");
            let strict = if offered { Protection::StartTls } else { Protection::Refused };
            assert_eq!(of(MailTls::Required, offered, peer), strict, "{peer}");
        }
    }
}
