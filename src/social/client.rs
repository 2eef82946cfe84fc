//! An HTTPS client for JSON: HTTP/1.1, no redirects, bounded responses.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::social::{Outage, SocialError, SocialSetupError, TokenRefusal, host};

/// The client; it reuses connections.
#[derive(Debug)]
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// A provider's response.
#[derive(Debug)]
pub(super) struct ProviderReply {
    host: String,
    status: StatusCode,
    body: Bytes,
}

impl Client {
    /// Trusts the system's certificate authorities, and those in `ca`.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, SocialSetupError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(SocialSetupError::Tls)?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_buf_size(LARGEST_HEAD)
            .build(https);
        Ok(Self { http })
    }

    /// Sends a GET request, with a token in `Authorization` where there is one. The caller sets the
    /// deadline.
    pub(super) async fn get(
        &self,
        uri: Uri,
        token: Option<&Secret<String>>,
    ) -> Result<ProviderReply, SocialError> {
        let host = host(&uri);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut value = value.or(Err(SocialError::Refused(TokenRefusal::NoToken)))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let response = match self.http.request(request).await {
            Ok(response) => response,
            Err(source) => {
                return Err(SocialError::Unavailable(Outage::NoAnswer { host, source }));
            }
        };
        let status = response.status();
        match Limited::new(response.into_body(), LARGEST_BODY).collect().await {
            Ok(body) => Ok(ProviderReply { host, status, body: body.to_bytes() }),
            Err(source) => Err(SocialError::Unavailable(Outage::Broken { host, source })),
        }
    }
}

impl ProviderReply {
    /// Reads a response about a token: 400, 401 and 403 refuse it, any other status but 200 is an
    /// outage.
    pub(super) fn accepted<T: DeserializeOwned>(&self) -> Result<T, SocialError> {
        match self.status.as_u16() {
            200 => self.json().ok_or_else(|| self.unreadable()),
            status @ (400 | 401 | 403) => Err(SocialError::Refused(TokenRefusal::Status(status))),
            _ => Err(self.outage()),
        }
    }

    /// Whether the status is 200.
    pub(super) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// The body, if it is an object and reads as `T`; serde would read a list as a struct too.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        let members: Map<String, Value> = serde_json::from_slice(&self.body).ok()?;
        serde_json::from_value(Value::Object(members)).ok()
    }

    /// The outage that the status means.
    pub(super) fn outage(&self) -> SocialError {
        let (host, status) = (self.host.clone(), self.status.as_u16());
        SocialError::Unavailable(Outage::Status { host, status })
    }

    fn unreadable(&self) -> SocialError {
        SocialError::Unavailable(Outage::Unreadable { host: self.host.clone() })
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, SocialSetupError> {
    let mut roots = NATIVE_ROOTS.clone();
    let Some(path) = ca else { return Ok(roots) };
    let unreadable = |error: &dyn std::fmt::Display| {
        SocialSetupError::Ca(format!("{}: {error}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    let mut any = false;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
        any = true;
    }
    if any { Ok(roots) } else { Err(unreadable(&"it holds no certificate")) }
}

/// The system's roots; read once, because that takes tens of milliseconds.
static NATIVE_ROOTS: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    roots
});

/// Shorter than servers keep connections: no request is sent into one that just ends.
const IDLE_FOR: Duration = Duration::from_secs(15);
const MOST_IDLE: usize = 16;
const LARGEST_HEAD: usize = 32 * 1024;
const LARGEST_BODY: usize = 64 * 1024;
