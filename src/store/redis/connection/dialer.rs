//! Connections to servers: credentials, certificates, and no deadline of their own.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates,
};

use crate::config::HostPort;
use crate::secret::Secret;
use crate::store::redis::connection::fault::RedisFault;
use crate::store::{RedisOptions, StoreError};

/// A connection that is being made.
pub(in crate::store::redis) type Dialing =
    BoxFuture<'static, Result<MultiplexedConnection, RedisError>>;

/// Connects to a server: of a fixed address, or of a role.
pub(in crate::store::redis) trait Dial: Send + Sync {
    /// Makes a connection.
    fn dial(self: Arc<Self>) -> Dialing;

    /// The number of changes of the server; a connection made at a lower count is to be dropped.
    fn turn(&self) -> u64 {
        0
    }
}

impl Dial for Client {
    fn dial(self: Arc<Self>) -> Dialing {
        async move { connect(&self).await }.boxed()
    }
}

/// No deadline in redis-rs: each operation has one over all its steps, connecting included.
pub(in crate::store::redis) async fn connect(
    client: &Client,
) -> Result<MultiplexedConnection, RedisError> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The address and the certificates of a TLS connection, or of a plain one, for any host.
#[derive(Clone)]
pub(in crate::store::redis) struct Dialer {
    like: ConnectionAddr,
    settings: RedisConnectionInfo,
}

impl Dialer {
    /// The settings that all servers of a store have in common.
    pub(in crate::store::redis) fn new(
        options: &RedisOptions,
        tls: bool,
    ) -> Result<Self, StoreError> {
        let like = if tls { tls_address(options)? } else { ConnectionAddr::Tcp(String::new(), 0) };
        let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        let settings = with_credentials(settings, &options.username, &options.password);
        Ok(Self { like, settings })
    }

    /// The same for servers with another password and no users.
    pub(in crate::store::redis) fn with_password(&self, password: &Secret<String>) -> Self {
        let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        Self { like: self.like.clone(), settings: with_credentials(settings, "", password) }
    }

    /// A client of the server that a URL names, with the database that it names.
    pub(in crate::store::redis) fn client_of_url(&self, url: &str) -> Result<Client, RedisError> {
        let named = url.into_connection_info()?;
        let (host, port) = match named.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (host.clone(), *port)
            }
            _ => return Err((ErrorKind::InvalidClientConfig, "no address of a server").into()),
        };
        let settings = self.settings.clone().set_db(named.redis_settings().db());
        let settings = settings.set_protocol(named.redis_settings().protocol());
        self.client_with(HostPort { host, port }, settings)
    }

    /// A client of one server.
    pub(in crate::store::redis) fn client(&self, server: HostPort) -> Result<Client, RedisError> {
        self.client_with(server, self.settings.clone())
    }

    fn client_with(
        &self,
        server: HostPort,
        settings: RedisConnectionInfo,
    ) -> Result<Client, RedisError> {
        let HostPort { host, port } = server;
        let address = match &self.like {
            ConnectionAddr::TcpTls { tls_params, .. } => {
                let tls_params = tls_params.clone();
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = address.into_connection_info()?;
        Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp))
    }
}

fn with_credentials(
    mut settings: RedisConnectionInfo,
    username: &str,
    password: &Secret<String>,
) -> RedisConnectionInfo {
    if !username.is_empty() {
        settings = settings.set_username(username);
    }
    if !password.expose().is_empty() {
        settings = settings.set_password(password.expose());
    }
    settings
}

/// The address of no host, with the certificates read once.
fn tls_address(options: &RedisOptions) -> Result<ConnectionAddr, StoreError> {
    let nowhere =
        ConnectionAddr::TcpTls { host: String::new(), port: 0, insecure: false, tls_params: None };
    let client_tls = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? })
        }
        (None, None) => None,
        _ => return Err(RedisFault::HalfCertificate.into()),
    };
    let root_cert = match &options.ca {
        Some(path) => Some([machine_roots(), read(path)?].concat()),
        None => None,
    };
    if client_tls.is_none() && root_cert.is_none() {
        return Ok(nowhere);
    }
    let certificates = TlsCertificates { client_tls, root_cert };
    let client = Client::build_with_tls(nowhere, certificates)?;
    Ok(client.get_connection_info().addr().clone())
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path)
        .map_err(|source| RedisFault::File { path: path.display().to_string(), source }.into())
}

/// The system's CA certificates as PEM: a CA file given to redis-rs would replace them.
fn machine_roots() -> Vec<u8> {
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // One that rustls cannot read must not spoil the others.
        if rustls::RootCertStore::empty().add(certificate.clone()).is_ok() {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            pem.push_str(&STANDARD.encode(&certificate));
            pem.push_str("\n-----END CERTIFICATE-----\n");
        }
    }
    pem.into_bytes()
}
