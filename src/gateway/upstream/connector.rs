//! Opens connections to one target, in the clear or by TLS.

use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::config::{HostPort, UpstreamConfig, UpstreamUrl};
use crate::gateway::upstream::race::Race;
use crate::gateway::upstream::stream::Stream;
use crate::gateway::upstream::{Failure, UpstreamError};

/// A target's address, and the means to connect to it.
pub(super) struct Connector {
    target: UpstreamUrl,
    authority: HeaderValue,
    timeout: Duration,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    race: Race,
}

impl Connector {
    /// Prepares to connect to the first target.
    pub(super) fn new(config: &UpstreamConfig) -> Result<Self, UpstreamError> {
        let target = config.targets.first().ok_or(UpstreamError::Target)?.clone();
        let address = &target.address;
        let authority = match (target.tls, address.port) {
            (true, 443) | (false, 80) => HeaderValue::try_from(address.url_host().as_ref()),
            _ => HeaderValue::try_from(address.to_string()),
        };
        let Ok(authority) = authority else {
            return Err(UpstreamError::Name(target.address.host));
        };
        let tls = if target.tls { Some(tls(&address.host, config.ca.as_deref())?) } else { None };
        Ok(Self { target, authority, timeout: config.connect_timeout, tls, race: Race::default() })
    }

    /// The target.
    pub(super) const fn target(&self) -> &UpstreamUrl {
        &self.target
    }

    /// The host and port, as a `Host` header says them.
    pub(super) const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Connects, TLS handshake included, within `connect_timeout`.
    pub(super) async fn connect(&self) -> Result<Stream, Failure> {
        match tokio::time::timeout(self.timeout, self.open()).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Failure::Connect(error)),
            Err(_elapsed) => Err(Failure::ConnectTimeout),
        }
    }

    async fn open(&self) -> io::Result<Stream> {
        let HostPort { host, port } = &self.target.address;
        let tcp = self.race.connect(host, *port).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Stream::plain(tcp)),
            Some((connector, name)) => Ok(Stream::tls(connector.connect(name.clone(), tcp).await?)),
        }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connector").field("target", &self.target).finish_non_exhaustive()
    }
}

/// The machine's own roots; read once, because reading them takes tens of milliseconds.
static NATIVE_ROOTS: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    roots
});

fn tls(
    host: &str,
    ca: Option<&Path>,
) -> Result<(TlsConnector, ServerName<'static>), UpstreamError> {
    let name = ServerName::try_from(host.to_owned());
    let Ok(name) = name else { return Err(UpstreamError::Name(host.to_owned())) };
    let mut roots = NATIVE_ROOTS.clone();
    if let Some(path) = ca {
        let unreadable = |error: &dyn std::fmt::Display| {
            UpstreamError::Ca(format!("{}: {error}", path.display()))
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(UpstreamError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsConnector::from(Arc::new(config)), name))
}
