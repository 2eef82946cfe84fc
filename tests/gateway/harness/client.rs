//! A client that controls its connection, and one that controls every byte.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::DEADLINE;

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1
    H1,
    /// HTTP/2
    H2,
}

impl Version {
    /// Both.
    pub(crate) const BOTH: [Self; 2] = [Self::H1, Self::H2];
}

/// The body of a request.
pub(crate) type Outgoing = BoxBody<Bytes, Infallible>;

/// A keep-alive connection to a gateway.
pub(crate) struct Client {
    sender: Sender,
}

enum Sender {
    H1(http1::SendRequest<Outgoing>),
    H2(http2::SendRequest<Outgoing>),
}

/// An answer, its body read.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Client {
    /// Connects over TLS.
    pub(crate) async fn connect(
        address: SocketAddr,
        trust: &RootCertStore,
        version: Version,
    ) -> Self {
        let alpn: &[u8] = if version == Version::H1 { b"http/1.1" } else { b"h2" };
        let stream = TokioIo::new(connect(address, trust, alpn).await);
        let sender = match version {
            Version::H1 => {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                tokio::spawn(connection.with_upgrades());
                Sender::H1(sender)
            }
            Version::H2 => {
                let builder = http2::Builder::new(TokioExecutor::new());
                let (sender, connection) = builder.handshake(stream).await.unwrap();
                tokio::spawn(connection);
                Sender::H2(sender)
            }
        };
        Self { sender }
    }

    /// Another client on the same connection, for requests at the same time (HTTP/2 alone).
    pub(crate) fn sibling(&self) -> Self {
        match &self.sender {
            Sender::H1(_) => panic!("HTTP/1.1 answers one request at a time"),
            Sender::H2(sender) => Self { sender: Sender::H2(sender.clone()) },
        }
    }

    /// Sends a request made by [`request`] and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Outgoing>) -> Reply {
        let reply = self.try_send(request).await;
        let reply = reply.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        reply.assert_always();
        reply
    }

    /// Sends a request; an error when the connection ends without an answer.
    pub(crate) async fn try_send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Reply, hyper::Error> {
        let exchange = async {
            let response = match &mut self.sender {
                Sender::H1(sender) => {
                    sender.ready().await?;
                    sender.send_request(to_origin_form(request)).await?
                }
                Sender::H2(sender) => sender.send_request(request).await?,
            };
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Reply { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(DEADLINE, exchange).await.expect("an answer in time")
    }
}

/// Begins a request for `https://localhost…`.
pub(crate) fn request(method: &str, path: &str) -> RequestBuilder {
    let uri = format!("https://localhost{path}");
    RequestBuilder { builder: Request::builder().method(method).uri(uri), body: whole(Vec::new()) }
}

/// A request being written.
pub(crate) struct RequestBuilder {
    builder: http::request::Builder,
    body: Outgoing,
}

impl RequestBuilder {
    /// Adds a header line.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Adds a Bearer token.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    pub(crate) fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json").body(body.as_bytes().to_vec())
    }

    /// Sets a body.
    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = whole(body);
        self
    }

    /// Sets a body that begins so, and of which nothing more ever comes.
    pub(crate) fn endless(mut self, begin: &'static [u8]) -> Self {
        let begin = stream::iter([Ok(Frame::data(Bytes::from_static(begin)))]);
        self.body = BodyExt::boxed(StreamBody::new(begin.chain(stream::pending())));
        self
    }

    /// Sets a body of which a byte comes now and then, and no end.
    pub(crate) fn trickle(mut self) -> Self {
        let bytes = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
        });
        self.body = BodyExt::boxed(StreamBody::new(bytes));
        self
    }

    /// Sets a body of parts, whose length is not announced.
    pub(crate) fn parts(mut self, parts: Vec<Vec<u8>>) -> Self {
        let parts = parts.into_iter().map(|part| Ok(Frame::data(Bytes::from(part))));
        self.body = BodyExt::boxed(StreamBody::new(stream::iter(parts)));
        self
    }

    /// Sends it.
    pub(crate) async fn send(self, client: &mut Client) -> Reply {
        client.send(self.build()).await
    }

    /// The request itself.
    pub(crate) fn build(self) -> Request<Outgoing> {
        self.builder.body(self.body).unwrap()
    }
}

impl Reply {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("a text body")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }

    /// Asserts what holds for every answer of a gateway.
    fn assert_always(&self) {
        assert!(!self.header("x-request-id").is_empty(), "no request id: {self:?}");
        for leak in ["panicked at", "RUST_BACKTRACE", "src/"] {
            let body = String::from_utf8_lossy(&self.body);
            assert!(!body.contains(leak), "the answer shows our insides: {body}");
        }
        if self.status == StatusCode::UNAUTHORIZED {
            assert!(self.headers.contains_key("www-authenticate"), "{self:?}");
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            assert!(self.headers.contains_key("allow"), "{self:?}");
        }
        if [429, 503].contains(&self.status.as_u16()) {
            assert!(self.headers.contains_key("retry-after"), "{self:?}");
        }
    }
}

/// Writes bytes on a TLS connection of its own and reads until the other side closes.
///
/// `Err` holds what had come when the deadline passed with the connection still open.
pub(crate) async fn raw(
    address: SocketAddr,
    trust: &RootCertStore,
    bytes: &[u8],
) -> Result<Vec<u8>, Vec<u8>> {
    let mut stream = connect(address, trust, b"http/1.1").await;
    // The other side may refuse and close while we still write: what it answered is what counts.
    drop(stream.write_all(bytes).await);
    drop(stream.flush().await);
    let mut answer = Vec::new();
    let deadline = Duration::from_secs(3);
    let read = tokio::time::timeout(deadline, async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..read]);
        }
    });
    match read.await {
        Ok(()) => Ok(answer),
        Err(_) => Err(answer),
    }
}

/// A TLS connection with one protocol offered.
pub(crate) async fn connect(
    address: SocketAddr,
    trust: &RootCertStore,
    alpn: &[u8],
) -> TlsStream<TcpStream> {
    let config = tls(trust, rustls::DEFAULT_VERSIONS, &[alpn]);
    shake(address, &config, "localhost").await.unwrap()
}

/// The settings of a TLS client; they keep its tickets.
pub(crate) fn tls(
    trust: &RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> Arc<ClientConfig> {
    munjigi::token::install_crypto();
    let mut config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(trust.clone())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Connects and shakes hands, asking for a name.
pub(crate) async fn shake(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// Trust in one certificate authority.
pub(crate) fn trust(ca: &Path) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    store
}

fn whole(body: Vec<u8>) -> Outgoing {
    Full::new(Bytes::from(body)).boxed()
}

/// HTTP/1.1 wants the path in the request line and the authority in `Host`.
fn to_origin_form(mut request: Request<Outgoing>) -> Request<Outgoing> {
    let path = request.uri().path_and_query().cloned().unwrap();
    if !request.headers().contains_key("host") {
        let authority = request.uri().authority().unwrap().to_string();
        request.headers_mut().insert("host", authority.parse().unwrap());
    }
    *request.uri_mut() = path.into();
    request
}
