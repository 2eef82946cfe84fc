//! The backend that `munjigi dev` brings along: it shows what a backend receives.
//!
//! `/ws` echoes a WebSocket, `/sse` streams an event a second, `/slow?ms=` answers late,
//! `/status/503` answers with that status, everything else describes the request: as a page to a
//! person who opens it, as JSON to every other client. `/public/mails` shows a person the mails
//! that were caught; `/public/whoami/` has the files of the pages, and `/whoami/requests` streams
//! what arrives.

mod page;
mod streams;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::drain::Guard;
use crate::gateway::access::navigation::is_navigation;

use page::WhoamiPages;
use streams::Arrivals;

pub(super) use page::AccountLinks;

use super::mails::CaughtMails;

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
    pub(crate) async fn serve(self, shows: Arc<Shows>, mut guard: Guard) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = guard.signalled() => return,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    drop(connections.spawn(serve_connection(stream, Arc::clone(&shows))))
                }
                Err(error) => {
                    tracing::warn!(error = %error, "whoami cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// The parts that all connections share.
#[derive(Debug)]
pub(crate) struct Shows {
    pages: WhoamiPages,
    /// The mails that were caught, where a folder catches them.
    mails: Option<Arc<CaughtMails>>,
    arrivals: Arrivals,
}

impl Shows {
    /// Reads the pages; they lead to those that the gateway hosts.
    pub(crate) fn new(
        account: AccountLinks,
        mails: Option<Arc<CaughtMails>>,
    ) -> anyhow::Result<Self> {
        Ok(Self { pages: WhoamiPages::new(account)?, mails, arrivals: Arrivals::new() })
    }
}

/// The head of a request; several lines of one header are joined.
#[derive(Debug, Serialize)]
struct Seen {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
}

const MOST_CONNECTIONS: usize = 512;
const MOST_SLOWNESS: Duration = Duration::from_secs(60);
const MOST_SHOWN_BODY: usize = 64 * 1024;

async fn serve_connection(stream: TcpStream, shows: Arc<Shows>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "whoami cannot set TCP_NODELAY");
    }
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(answer(request, &shows).await) });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(error = %error, "a connection to whoami broke");
    }
}

async fn answer(request: Request<Incoming>, shows: &Shows) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if let Some(file) = path.strip_prefix("/public/whoami/").and_then(|name| shows.pages.file(name))
    {
        return file;
    }
    match path.as_str() {
        "/public/mails" if is_navigation(request.method(), request.headers()) => {
            return shows.pages.mails(request.headers(), shows.mails.as_deref());
        }
        "/public/mails/events" => {
            return match &shows.mails {
                Some(mails) => streams::mails(request.uri().query(), mails),
                None => plain(StatusCode::NOT_FOUND, "mails are not caught\n".to_owned()),
            };
        }
        "/whoami/requests" => return streams::arrivals(request.headers(), &shows.arrivals),
        _ => shows.arrivals.note(&Seen::of(&request), request.headers()),
    }
    match path.as_str() {
        "/ws" if streams::wants_websocket(&request) => streams::open_websocket(request),
        "/sse" => streams::ticks(),
        "/slow" => {
            tokio::time::sleep(slowness(request.uri().query())).await;
            describe(request, shows).await
        }
        _ => match path.strip_prefix("/status/").and_then(|code| code.parse().ok()) {
            Some(status) => plain(status, format!("{status}\n")),
            None => describe(request, shows).await,
        },
    }
}

/// Everything that a backend can see of a request.
async fn describe(request: Request<Incoming>, shows: &Shows) -> Response<Body> {
    let seen = Seen::of(&request);
    let (parts, body) = request.into_parts();
    if is_navigation(&parts.method, &parts.headers) {
        return shows.pages.seen(&seen, &parts.headers, shows.mails.is_some());
    }
    let (size, start) = read(body).await;
    let described = seen.as_json(&parts, size, &start);
    let mut response = plain(StatusCode::OK, format!("{described:#}\n"));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

impl Seen {
    fn of<B>(request: &Request<B>) -> Self {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        let headers = headers.into_iter().map(|(name, values)| (name, values.join(" | ")));
        Self {
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: headers.collect(),
        }
    }

    fn as_json(&self, parts: &Parts, size: usize, start: &[u8]) -> serde_json::Value {
        json!({
            "method": self.method,
            "path": parts.uri.path(),
            "query": parts.uri.query(),
            "headers": self.headers,
            "body_bytes": size,
            "body": String::from_utf8_lossy(start),
        })
    }
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
