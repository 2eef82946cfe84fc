//! A backend that shows what it received, and one that misbehaves on request.
//!
//! `/…` describes the request as JSON; a path with `stall`, `reset`, `huge/N`, `early`, `status/N`,
//! `cors`, `sse` or `ws` as its last parts does what its name says; `answer` answers with the
//! headers that `X-Answer: NAME: VALUE` lines ask for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Body = BoxBody<Bytes, std::io::Error>;

/// A running backend.
pub(crate) struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, Arc::clone(&seen)));
        Self { address, seen, task }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request received so far: method, path, headers (name → list of values).
    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// Stops listening; connections that are open end.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<Value>>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let seen = Arc::clone(&seen);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let seen = Arc::clone(&seen);
                answer(request, seen)
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            drop(connection.await);
        });
    }
}

/// An error closes the connection without an answer.
async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Value>>>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let description = describe(&request);
    seen.lock().unwrap().push(description.clone());
    let path = request.uri().path().to_owned();
    let mut parts = path.rsplit('/');
    let last = parts.next().unwrap_or_default();
    let before = parts.next().unwrap_or_default();
    match (before, last) {
        (_, "stall") => std::future::pending().await,
        (_, "reset") => Err("reset".into()),
        (_, "early") => Ok(full("too much\n", 413)),
        (_, "cors") => Ok(open_to_all()),
        (_, "answer") => as_asked(&request),
        (_, "sse") => Ok(events()),
        (_, "ws") => Ok(websocket(request)),
        ("status", status) => Ok(full("", status.parse()?)),
        ("huge", size) => Ok(huge(size.parse()?)),
        _ => {
            let size = request.into_body().collect().await?.to_bytes().len();
            let mut description = description;
            description["body_bytes"] = json!(size);
            let mut response = full(&description.to_string(), 200);
            response.headers_mut().insert("content-type", "application/json".parse()?);
            Ok(response)
        }
    }
}

fn describe(request: &Request<Incoming>) -> Value {
    let mut headers = serde_json::Map::new();
    for (name, value) in request.headers() {
        let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        values.as_array_mut().unwrap().push(json!(text));
    }
    let target = request.uri().path_and_query().map(ToString::to_string);
    json!({ "method": request.method().as_str(), "target": target, "headers": headers })
}

fn full(text: &str, status: u16) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let body = body.map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(status).header("x-upstream", "yes").body(body).unwrap()
}

fn as_asked(
    request: &Request<Incoming>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let mut response = full("", 201);
    for line in request.headers().get_all("x-answer") {
        let (name, value) = line.to_str()?.split_once(": ").ok_or("NAME: VALUE")?;
        response.headers_mut().append(http::HeaderName::try_from(name)?, value.parse()?);
    }
    Ok(response)
}

/// An answer that allows every origin by its own CORS headers.
fn open_to_all() -> Response<Body> {
    let mut response = full("", 200);
    let headers = response.headers_mut();
    headers.insert("access-control-allow-origin", "*".parse().unwrap());
    headers.insert("access-control-allow-credentials", "true".parse().unwrap());
    headers.insert("vary", "Accept-Encoding".parse().unwrap());
    response
}

fn huge(size: usize) -> Response<Body> {
    const CHUNK: usize = 64 * 1024;
    let chunks = (0..size.div_ceil(CHUNK)).map(move |chunk| {
        let length = CHUNK.min(size - chunk * CHUNK);
        Ok(Frame::data(Bytes::from(vec![b'x'; length])))
    });
    Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(chunks))))
}

/// One event, and then nothing until the client goes.
fn events() -> Response<Body> {
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"data: one\n\n")))]);
    let body = BodyExt::boxed(StreamBody::new(first.chain(futures_util::stream::pending())));
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

/// Echoes messages.
fn websocket(request: Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return full("no websocket\n", 426);
    };
    let accept = derive_accept_key(key.as_bytes());
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let stream = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let echoes = message.is_text() || message.is_binary();
            if echoes && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut response = full("", 101);
    let headers = response.headers_mut();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    headers.insert("sec-websocket-accept", accept.parse().unwrap());
    response
}
