//! The floor: a minimal proxy that does the gateway's main job, without features, limits or log.

use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{DecodingKey, Validation};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

type Body = BoxBody<Bytes, hyper::Error>;

struct Floor {
    backend: SocketAddr,
    key: DecodingKey,
    validation: Validation,
    revoked: HashSet<String>,
    pool: RefCell<Vec<SendRequest<Incoming>>>,
}

/// Runs the streams of HTTP/2 where everything runs.
#[derive(Clone)]
struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    jti: String,
}

/// Serves on a free port, which it prints. Arguments: backend, certificate, key, HMAC secret,
/// `aud`.
pub(crate) fn serve(arguments: &[String]) {
    let [backend, certificate, key, secret, audience] = arguments else {
        panic!("serve-floor BACKEND CERT KEY SECRET AUDIENCE");
    };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let mut tls =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_audience(&[audience]);
    let floor = Rc::new(Floor {
        backend: backend.parse().unwrap(),
        key: DecodingKey::from_secret(secret.as_bytes()).unwrap(),
        validation,
        revoked: HashSet::new(),
        pool: RefCell::new(Vec::new()),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, accept(floor, TlsAcceptor::from(Arc::new(tls))));
}

async fn accept(floor: Rc<Floor>, tls: TlsAcceptor) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (floor, tls) = (Rc::clone(&floor), tls.clone());
        tokio::task::spawn_local(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| answer(Rc::clone(&floor), request));
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let http = hyper::server::conn::http2::Builder::new(Local);
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            } else {
                let http = hyper::server::conn::http1::Builder::new();
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            }
        });
    }
}

async fn answer(
    floor: Rc<Floor>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let Some(subject) = floor.verify(&request) else { return Ok(status(StatusCode::UNAUTHORIZED)) };
    *request.version_mut() = http::Version::HTTP_11;
    if let Some(authority) = request.uri().authority() {
        let host = authority.as_str().parse().unwrap();
        request.headers_mut().insert("host", host);
    }
    let headers = request.headers_mut();
    headers.remove("authorization");
    headers.insert("x-user-id", subject.parse().unwrap());
    let Some(mut sender) = floor.sender().await else { return Ok(status(StatusCode::BAD_GATEWAY)) };
    let Ok(response) = sender.send_request(request).await else {
        return Ok(status(StatusCode::BAD_GATEWAY));
    };
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return Ok(status(StatusCode::BAD_GATEWAY)) };
    floor.pool.borrow_mut().push(sender);
    let body = Full::new(body.to_bytes()).map_err(|never| match never {}).boxed();
    Ok(Response::from_parts(head, body))
}

impl Floor {
    fn verify(&self, request: &Request<Incoming>) -> Option<String> {
        let token =
            request.headers().get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).ok()?.claims;
        (!self.revoked.contains(&claims.jti)).then_some(claims.sub)
    }

    async fn sender(&self) -> Option<SendRequest<Incoming>> {
        while let Some(sender) = { self.pool.borrow_mut().pop() } {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        let stream = TcpStream::connect(self.backend).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::task::spawn_local(connection);
        Some(sender)
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}
