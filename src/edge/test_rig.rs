//! Test rig: the edge over TLS in front of a handler that forwards, and a backend by script.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{LimitsConfig, UpstreamConfig, UpstreamUrl};
use crate::drain::Drain;
use crate::edge::{Bound, Service, Workers, serve};
use crate::gateway::headers::reserved::Reserved;
use crate::gateway::proxy::forward::forward;
use crate::gateway::proxy::plan::Plan;
use crate::gateway::reply_body::{ReplyBody, settle};
use crate::gateway::request::framing;
use crate::gateway::upstream::Upstream;
use crate::gateway::upstream::sent::Sent;
use crate::message::connection::Connection;
use crate::message::request_body::{RequestBody, read_input};
use crate::operation::Rejection;
use crate::token::IdentityHeaders;

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// The edge, serving.
pub(super) struct Rig {
    pub(super) address: SocketAddr,
    pub(super) drain: Drain,
    pub(super) server: JoinHandle<()>,
    pub(super) certificate: String,
    roots: RootCertStore,
}

/// A backend that speaks by script, one call a connection.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
    task: AbortHandle,
}

/// The settings of a rig.
pub(super) struct Settings {
    pub(super) limits: LimitsConfig,
    pub(super) upstream: UpstreamConfig,
    pub(super) max_connections: usize,
}

impl Settings {
    /// The defaults, in front of a backend.
    pub(super) fn new(backend: SocketAddr) -> Self {
        let target: UpstreamUrl = format!("http://{backend}").parse().unwrap();
        Self {
            limits: LimitsConfig::default(),
            upstream: UpstreamConfig {
                connect_timeout: Duration::from_secs(2),
                response_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(5),
                max_inflight: 1024,
                max_streams: 100,
                queue_timeout: Duration::from_millis(100),
                ..UpstreamConfig::at(target)
            },
            max_connections: 100,
        }
    }
}

/// An address where nobody listens.
pub(super) fn nowhere() -> SocketAddr {
    let bound = Bound::to(([127, 0, 0, 1], 0).into()).unwrap();
    bound.local_addr()
}

impl Rig {
    pub(super) fn start(settings: Settings) -> Self {
        let Settings { limits, upstream, max_connections } = settings;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = CertificateDer::from(made.cert.der().to_vec());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();

        let upstream = Arc::new(Upstream::new("backend", &upstream).unwrap());
        let drain = Drain::new();
        let bound = Bound::to(([127, 0, 0, 1], 0).into()).unwrap();
        let address = bound.local_addr();
        let edge_limits = limits.clone();
        let service = Service {
            handler: move |request, connection| {
                handle(request, connection, Arc::clone(&upstream), limits.clone())
            },
            limits: Arc::new(move || edge_limits.clone()),
            connections: Arc::new(Semaphore::new(max_connections)),
            guard: drain.guard(),
            workers: Workers::here(),
        };
        let server = tokio::spawn(serve(bound, Arc::new(ArcSwap::from_pointee(tls)), service));
        Self { address, drain, server, certificate: made.cert.pem(), roots }
    }

    pub(super) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A TLS connection that offers one protocol.
    pub(super) async fn tls(&self, alpn: &str) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let tcp = self.tcp().await;
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    }

    pub(super) async fn h1(&self) -> hyper::client::conn::http1::SendRequest<Body> {
        let io = TokioIo::new(self.tls("http/1.1").await);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(super) async fn h2(&self) -> hyper::client::conn::http2::SendRequest<Body> {
        let io = TokioIo::new(self.tls("h2").await);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends bytes over HTTP/1.1 by TLS, and reads until the end.
    pub(super) async fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.tls("http/1.1").await;
        stream.write_all(bytes).await.unwrap();
        read_to_end(&mut stream).await
    }
}

/// Reads until the end, however it comes.
pub(super) async fn read_to_end(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    drop(ended.expect("the connection ends"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Longest wait of a test.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A request for the rig's host.
pub(super) fn request(method: &str, path: &str, content: impl Into<Bytes>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(body(content))
        .unwrap()
}

/// An answer with its body read.
pub(super) async fn read(response: Response<Incoming>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

impl Backend {
    pub(super) async fn start<S, F>(script: S) -> Self
    where
        S: Fn(TcpStream, usize) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(stream, number));
            }
        });
        Self { address, connections, task: task.abort_handle() }
    }

    /// Answers every request with the same bytes.
    pub(super) async fn saying(answer: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    /// Answers every request without a body with the head that it saw.
    pub(super) async fn echoing_heads() -> Self {
        Self::start(|mut stream, _| async move {
            while let Some(head) = read_head(&mut stream).await {
                let length = head.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{head}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a head, byte by byte, so that nothing of what follows is taken.
pub(super) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn handle(
    request: Request<RequestBody>,
    connection: Connection,
    upstream: Arc<Upstream>,
    limits: LimitsConfig,
) -> Response<ReplyBody> {
    let version = request.version();
    if let Err(rejection) = framing::check(&request, &limits) {
        return settle(render(&rejection), request.into_body(), version);
    }
    match request.uri().path() {
        "/refuse" => {
            let rejection = Rejection::new(crate::operation::ErrorCode::MissingToken, "no token");
            settle(render(&rejection), request.into_body(), version)
        }
        "/whole" => {
            let mut body = request.into_body();
            let reply = match read_input(&mut body, &limits).await {
                Ok(bytes) => Response::new(ReplyBody::full(bytes.len().to_string().into())),
                Err(rejection) => render(&rejection),
            };
            settle(reply, body, version)
        }
        _ => {
            let (mut parts, body) = request.into_parts();
            let target = parts.uri.path_and_query().unwrap().clone();
            let name = HeaderName::from_static("x-user-id");
            let identity = IdentityHeaders::new(vec![(name, HeaderValue::from_static("7"))]);
            let reserved = Reserved::new(["x-user-id", "x-user-roles"].into_iter());
            let plain = Plan::plain(&upstream, target, &reserved, connection.peer.ip(), &limits);
            let plan = Plan { identity: Some(&identity), ..plain };
            match forward(&mut parts, body, &plan, &mut Sent::new()).await {
                Ok((response, _)) => response,
                Err(failed) => {
                    let reply = render(&failed.rejection);
                    match failed.body {
                        Some(body) => settle(reply, body, version),
                        None => reply,
                    }
                }
            }
        }
    }
}

fn render(rejection: &Rejection) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::full(rejection.to_string().into_bytes().into()));
    *response.status_mut() = StatusCode::from_u16(rejection.code.status()).unwrap();
    response
}
