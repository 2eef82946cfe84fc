//! The backend that `munjigi dev` brings along: it shows what a backend receives.
//!
//! `/ws` echoes a WebSocket, `/sse` streams an event a second, `/slow?ms=` answers late,
//! `/status/503` answers with that status, everything else describes the request as JSON.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::drain::Guard;

type Body = BoxBody<Bytes, Infallible>;

/// A bound, not yet served, whoami.
#[derive(Debug)]
pub(crate) struct Whoami {
    listener: TcpListener,
}

impl Whoami {
    /// Binds a port on loopback; 0 is a free one.
    pub(crate) async fn bind(port: u16) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(("127.0.0.1", port)).await? })
    }

    /// Its address.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `guard` is signalled; open streams end with it.
    pub(crate) async fn serve(self, mut guard: Guard) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = guard.signalled() => return,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
            };
            match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve_connection(stream))),
                Err(error) => {
                    tracing::warn!(error = %error, "whoami cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

const MOST_CONNECTIONS: usize = 512;
const MOST_SLOWNESS: Duration = Duration::from_secs(60);
const MOST_SHOWN_BODY: usize = 64 * 1024;

async fn serve_connection(stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "whoami cannot set TCP_NODELAY");
    }
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(error = %error, "a connection to whoami broke");
    }
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/ws" if wants_websocket(&request) => open_websocket(request),
        "/sse" => stream_events(),
        "/slow" => {
            tokio::time::sleep(slowness(request.uri().query())).await;
            describe(request).await
        }
        _ => match path.strip_prefix("/status/").and_then(|code| code.parse().ok()) {
            Some(status) => plain(status, format!("{status}\n")),
            None => describe(request).await,
        },
    }
}

/// Everything that a backend can see of a request.
async fn describe(request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.to_string()).or_default().push(value);
    }
    let headers: BTreeMap<String, String> =
        headers.into_iter().map(|(name, values)| (name, values.join(" | "))).collect();
    let (size, start) = read(body).await;
    let seen = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "headers": headers,
        "body_bytes": size,
        "body": String::from_utf8_lossy(&start),
    });
    let mut response = plain(StatusCode::OK, format!("{seen:#}\n"));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Reads a body to its end; keeps its size and its beginning.
async fn read(mut body: Incoming) -> (usize, Vec<u8>) {
    let mut size = 0;
    let mut start = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else { continue };
        size += data.len();
        let room = MOST_SHOWN_BODY.saturating_sub(start.len());
        start.extend(data.iter().take(room));
    }
    (size, start)
}

fn stream_events() -> Response<Body> {
    let events = futures_util::stream::unfold(1_u64, |number| async move {
        if number > 1 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let event = Bytes::from(format!("id: {number}\ndata: tick {number}\n\n"));
        Some((Ok::<_, Infallible>(Frame::data(event)), number + 1))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(events)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn wants_websocket(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn open_websocket(request: Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return plain(StatusCode::BAD_REQUEST, "no Sec-WebSocket-Key\n".to_owned());
    };
    let accept = derive_accept_key(key.as_bytes());
    // Ends with either side's connection.
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => echo(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(error = %error, "whoami's WebSocket did not open"),
        }
    });
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, String::new());
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

async fn echo(stream: TokioIo<hyper::upgrade::Upgraded>) {
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let (sink, messages) = socket.split();
    let echoed = messages
        .filter(|message| {
            let echoed =
                message.as_ref().map_or(true, |message| message.is_text() || message.is_binary());
            std::future::ready(echoed)
        })
        .forward(sink)
        .await;
    if let Err(error) = echoed {
        tracing::debug!(error = %error, "whoami's WebSocket broke");
    }
}

fn slowness(query: Option<&str>) -> Duration {
    let pairs = query.unwrap_or_default().split('&');
    let ms = pairs.filter_map(|pair| pair.strip_prefix("ms=")).find_map(|ms| ms.parse().ok());
    Duration::from_millis(ms.unwrap_or(1000)).min(MOST_SLOWNESS)
}

fn plain(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
