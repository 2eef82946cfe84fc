//! A stand-in for Google and Kakao that speaks their protocols over TLS, and misbehaves on request.
//!
//! It knows tokens, and for each what the two addresses of the provider answer. An unknown token
//! is refused in the provider's own words.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

type Body = BoxBody<Bytes, std::io::Error>;

/// The running stand-in.
pub(crate) struct Double {
    address: SocketAddr,
    known: Arc<Known>,
    task: JoinHandle<()>,
}

/// The answers about one token.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// For whom the token was made.
    pub tokeninfo: Reply,
    /// Its user.
    pub userinfo: Reply,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and JSON.
    Json(u16, Value),
    /// 200 and a text.
    Text(&'static str),
    /// 200 and this many bytes of a JSON string that never ends.
    Huge(usize),
    /// The beginning of an answer, and the end of the connection.
    Cut,
    /// 302 to the address that would answer.
    Redirect,
    /// Nothing, for as long as the client waits.
    Silent,
}

#[derive(Default)]
struct Known {
    tokens: Mutex<HashMap<String, Person>>,
    /// Method, path and token of every request.
    seen: Mutex<Vec<String>>,
}

impl Double {
    /// Starts it on a free port; `ca.pem` in `folder` is the authority to trust.
    pub(crate) async fn start(folder: &Path) -> Self {
        let tls = TlsAcceptor::from(Arc::new(server_config(folder)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let known = Arc::new(Known::default());
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&known)));
        Self { address, known, task }
    }

    /// `[social.google]` and `[social.kakao]` with its addresses.
    pub(crate) fn tables(&self, client_id: &str, app_id: &str) -> String {
        let base = format!("https://localhost:{}", self.address.port());
        format!(
            "[social.google]\nclient_id = {client_id}\n\
             tokeninfo_url = \"{base}/tokeninfo\"\nuserinfo_url = \"{base}/v1/userinfo\"\n\
             [social.kakao]\napp_id = {app_id}\n\
             tokeninfo_url = \"{base}/v1/user/access_token_info\"\n\
             userinfo_url = \"{base}/v2/user/me\"\n"
        )
    }

    /// From now on it knows a token.
    pub(crate) fn knows(&self, token: &str, person: Person) {
        self.known.tokens.lock().unwrap().insert(token.to_owned(), person);
    }

    /// Every request so far, as `GET /v1/userinfo token`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.known.seen.lock().unwrap().clone()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Person {
    /// A user of Google's, as token info and user info describe one.
    pub(crate) fn google(client_id: &str, sub: &str, email: &str, verified: Value) -> Self {
        let tokeninfo = json!({
            "azp": client_id, "aud": client_id, "sub": sub, "scope": "openid email",
            "exp": "1800003600", "expires_in": "3599", "email": email,
            "email_verified": "true", "access_type": "online",
        });
        let mut userinfo = json!({
            "sub": sub, "name": "You", "picture": "https://lh3.example/a", "email": email,
        });
        userinfo["email_verified"] = verified;
        Self { tokeninfo: Reply::Json(200, tokeninfo), userinfo: Reply::Json(200, userinfo) }
    }

    /// A user of Kakao's, as token info and `user/me` describe one.
    pub(crate) fn kakao(app_id: u64, id: u64, account: Value) -> Self {
        let tokeninfo = json!({ "id": id, "expires_in": 7199, "app_id": app_id });
        let mut me = json!({
            "id": id, "connected_at": "2026-02-10T10:00:00Z",
            "properties": { "nickname": "You" },
        });
        me["kakao_account"] = account;
        Self { tokeninfo: Reply::Json(200, tokeninfo), userinfo: Reply::Json(200, me) }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, known: Arc<Known>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, known) = (tls.clone(), Arc::clone(&known));
        connections.spawn(serve(stream, tls, known));
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, known: Arc<Known>) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(move |request| {
        let known = Arc::clone(&known);
        async move { Ok::<_, Infallible>(answer(&request, &known).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    drop(connection.await);
}

async fn answer(request: &Request<Incoming>, known: &Known) -> Response<Body> {
    let path = request.uri().path();
    let header = request.headers().get("authorization");
    let bearer = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let query = request.uri().query().and_then(|query| query.strip_prefix("access_token="));
    // Google's token info looks into the query alone, the others into the header alone.
    let (token, is_tokeninfo) = match path {
        "/tokeninfo" => (query.map(decoded), true),
        "/v1/user/access_token_info" => (bearer.map(str::to_owned), true),
        "/v1/userinfo" | "/v2/user/me" => (bearer.map(str::to_owned), false),
        _ => return json_reply(404, &json!({ "error": "not found" })),
    };
    let token = token.unwrap_or_default();
    known.seen.lock().unwrap().push(format!("{} {path} {token}", request.method()));
    if request.method() != Method::GET {
        return json_reply(405, &json!({ "error": "method" }));
    }
    let person = known.tokens.lock().unwrap().get(&token).cloned();
    let reply = match person {
        Some(person) if is_tokeninfo => person.tokeninfo,
        Some(person) => person.userinfo,
        None => unknown_token(path),
    };
    match reply {
        Reply::Json(status, body) => json_reply(status, &body),
        Reply::Text(text) => full(200, text.as_bytes().to_vec()),
        Reply::Huge(size) => {
            let mut body = b"{\"sub\": \"".to_vec();
            body.resize(size, b'x');
            full(200, body)
        }
        Reply::Cut => cut(),
        Reply::Redirect => {
            let mut response = full(302, Vec::new());
            let target = request.uri().to_string();
            response.headers_mut().insert("location", target.parse().unwrap());
            response
        }
        Reply::Silent => std::future::pending().await,
    }
}

fn unknown_token(path: &str) -> Reply {
    match path {
        "/tokeninfo" => Reply::Json(
            400,
            json!({ "error": "invalid_token", "error_description": "Invalid Value" }),
        ),
        "/v1/userinfo" => Reply::Json(
            401,
            json!({ "error": "invalid_request", "error_description": "Invalid Credentials" }),
        ),
        _ => Reply::Json(401, json!({ "msg": "this access token does not exist", "code": -401 })),
    }
}

fn json_reply(status: u16, body: &Value) -> Response<Body> {
    let mut response = full(status, body.to_string().into_bytes());
    let json = "application/json;charset=UTF-8".parse().unwrap();
    response.headers_mut().insert("content-type", json);
    response
}

fn full(status: u16, body: Vec<u8>) -> Response<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}

fn cut() -> Response<Body> {
    let first = Frame::data(Bytes::from_static(b"{\"sub\": \"1\", "));
    let parts = futures_util::stream::iter([Ok(first)])
        .chain(futures_util::stream::once(async { Err(std::io::Error::other("cut")) }));
    Response::new(BodyExt::boxed(StreamBody::new(parts)))
}

/// `%XX` of the query, undone.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A certificate for `localhost`, signed by an authority of its own.
fn server_config(folder: &Path) -> ServerConfig {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    std::fs::write(folder.join("ca.pem"), ca_certificate.pem()).unwrap();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap()
}
