//! Social providers, which are asked about the access tokens that they issued.
//!
//! A query is two requests, over HTTPS alone: for the application of a token, and for its user.
//! Both responses have to name one user. The token goes to its provider only, into no log and no
//! error.

mod client;
mod google;
mod kakao;

use std::time::Duration;

use http::Uri;
use tokio::sync::Semaphore;

use crate::config::SocialConfig;
use crate::operation::{Email, Provider};
use crate::secret::Secret;
use crate::telemetry::metric;

use client::Client;

/// The providers that a configuration names.
#[derive(Debug)]
pub struct Social {
    /// Absent where no provider is configured.
    client: Option<Client>,
    config: SocialConfig,
    /// A permit for each query that runs.
    queries: Semaphore,
}

/// A user as a provider describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The provider.
    pub provider: Provider,
    /// The user's id at the provider.
    pub id: String,
    /// The address, where the provider has verified it.
    pub verified_email: Option<Email>,
}

/// Reasons for which a provider names no user.
#[derive(Debug, thiserror::Error)]
pub enum SocialError {
    /// The provider is not configured.
    #[error("the provider is not configured")]
    Unsupported,
    /// The token is not accepted here.
    #[error("the provider's token is refused: {0}")]
    Refused(TokenRefusal),
    /// The provider cannot be asked.
    #[error("the provider cannot be asked")]
    Unavailable(#[source] Outage),
}

/// Reasons for which a provider's token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is empty, too long, or has characters that no token has; no provider was asked.
    #[error("it is no token of any provider")]
    NoToken,
    /// The provider refused it.
    #[error("the provider answered {0}")]
    Status(u16),
    /// It was made for an application that is not configured.
    #[error("it was made for another application")]
    Application,
    /// It does not say whose it is.
    #[error("it was made without the user's id (the scope `openid`)")]
    Anonymous,
    /// The provider's two answers are about two users.
    #[error("the provider's answers are about two users")]
    TwoUsers,
}

/// Reasons for which a provider cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Outage {
    /// No connection, no TLS, or no answer.
    #[error("no answer from {host}")]
    NoAnswer {
        /// The provider's host.
        host: String,
        /// The cause.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The answer broke off, or was too long.
    #[error("no whole answer from {host}")]
    Broken {
        /// The provider's host.
        host: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A status that neither accepts nor refuses the token.
    #[error("{host} answered {status}")]
    Status {
        /// The provider's host.
        host: String,
        /// The status.
        status: u16,
    },
    /// A response that lacks a member. Its content is not named: it may hold anything.
    #[error("{host} answered what cannot be read")]
    Unreadable {
        /// The provider's host.
        host: String,
    },
    /// The deadline passed.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Reasons for which the client for providers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SocialSetupError {
    /// The CA file does not read.
    #[error("the CA file does not read: {0}")]
    Ca(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl Social {
    /// Prepares to ask the providers that are configured.
    ///
    /// # Errors
    /// When a certificate authority does not read.
    pub fn new(config: &SocialConfig) -> Result<Self, SocialSetupError> {
        let any = config.google.is_some() || config.kakao.is_some();
        Ok(Self {
            client: if any { Some(Client::new(config.ca.as_deref())?) } else { None },
            config: config.clone(),
            queries: Semaphore::new(AT_ONCE),
        })
    }

    /// Asks a provider for the user of a token.
    ///
    /// # Errors
    /// As [`SocialError`] says.
    pub async fn ask(
        &self,
        provider: Provider,
        token: &Secret<String>,
    ) -> Result<Profile, SocialError> {
        let asked = self.try_ask(provider, token).await;
        let result = match &asked {
            Ok(_) => "success",
            Err(SocialError::Unsupported) => "unsupported",
            Err(SocialError::Refused(_)) => "refused",
            Err(SocialError::Unavailable(_)) => "unavailable",
        };
        let name = provider.name();
        metrics::counter!(metric::SOCIAL, "provider" => name, "result" => result).increment(1);
        asked
    }

    async fn try_ask(
        &self,
        provider: Provider,
        token: &Secret<String>,
    ) -> Result<Profile, SocialError> {
        let (Some(client), Some(config)) = (&self.client, self.config.of(provider)) else {
            return Err(SocialError::Unsupported);
        };
        if !is_token(token.expose()) {
            return Err(SocialError::Refused(TokenRefusal::NoToken));
        }
        let question = async {
            let _permit = self.queries.acquire().await;
            match provider {
                Provider::Google => google::profile(client, config, token).await,
                Provider::Kakao => kakao::profile(client, config, token).await,
            }
        };
        match tokio::time::timeout(self.config.timeout, question).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(SocialError::Unavailable(Outage::TimedOut(self.config.timeout))),
        }
    }
}

/// Whether a text fits into a header and a URL; no other is sent to a provider.
fn is_token(text: &str) -> bool {
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The host and port of an address, for messages: never its query, which holds the token.
fn host(uri: &Uri) -> String {
    uri.authority().map(ToString::to_string).unwrap_or_default()
}

/// Google's are at most 2 KiB, Kakao's far shorter.
const LONGEST_TOKEN: usize = 4096;

/// The most queries at once, so that a silent provider holds no more; others wait for a permit.
const AT_ONCE: usize = 128;

#[cfg(test)]
mod tests {
    use super::{Social, SocialError, is_token};
    use crate::config::{ProviderConfig, SocialConfig};
    use crate::operation::Provider;
    use crate::secret::Secret;

    #[test]
    fn what_no_provider_makes_is_no_token() {
        assert!(is_token("ya29.a0AfB_by-C~+/="));
        assert!(is_token(&"x".repeat(4096)));
        let long = "x".repeat(4097);
        for text in ["", " ", "a b", "a\r\nX-Evil: 1", "a\0", "\u{e9}", "a\u{7f}", &long] {
            assert!(!is_token(text), "{text:?}");
        }
    }

    #[test]
    fn an_authority_that_does_not_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (absent, empty) = (folder.path().join("absent"), folder.path().join("empty.pem"));
        std::fs::write(&empty, "no PEM").unwrap();
        for ca in [absent, empty] {
            let google = Some(ProviderConfig::google());
            let config = SocialConfig { ca: Some(ca.clone()), google, ..SocialConfig::default() };

            let error = Social::new(&config).unwrap_err().to_string();

            assert!(error.contains(&*ca.to_string_lossy()), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_not_configured_is_not_asked() {
        let social = Social::new(&SocialConfig::default()).unwrap();
        for provider in Provider::ALL {
            let asked = social.ask(provider, &Secret::from("token")).await;

            assert!(matches!(asked, Err(SocialError::Unsupported)), "{asked:?}");
        }
    }
}
