//! Streams of the built-in backend: events, and a WebSocket that echoes.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::cli::dev::mails::CaughtMails;

use super::page::USER;
use super::{Body, Seen, plain};

/// Requests as they arrive.
#[derive(Debug)]
pub(super) struct Arrivals(broadcast::Sender<Arrival>);

#[derive(Clone, Debug)]
struct Arrival {
    user: Option<HeaderValue>,
    /// The request as JSON, on one line.
    text: String,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(MOST_WAITING))
    }

    /// Tells the pages that are open of a request.
    pub(super) fn note(&self, seen: &Seen, headers: &HeaderMap) {
        if let Ok(text) = serde_json::to_string(seen) {
            // Nobody listens while no page is open.
            drop(self.0.send(Arrival { user: headers.get(USER).cloned(), text }));
        }
    }
}

/// The most requests that a slow page is behind.
const MOST_WAITING: usize = 64;

/// Interval at which a silent stream finds out whether its reader is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// An event a second.
pub(super) fn ticks() -> Response<Body> {
    let events = futures_util::stream::unfold(1_u64, |number| async move {
        if number > 1 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let event = Bytes::from(format!("id: {number}\ndata: tick {number}\n\n"));
        Some((event, number + 1))
    });
    event_stream(events)
}

/// What arrives from now on of the user who asks.
pub(super) fn arrivals(headers: &HeaderMap, arrivals: &Arrivals) -> Response<Body> {
    let user = headers.get(USER).cloned();
    let received = arrivals.0.subscribe();
    let events = futures_util::stream::unfold((received, user), |(mut received, user)| async {
        loop {
            match tokio::time::timeout(SIGN_OF_LIFE, received.recv()).await {
                Ok(Ok(arrival)) if arrival.user == user => {
                    return Some((event(&arrival.text), (received, user)));
                }
                // Another user's, or more than a slow reader keeps up with.
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return None,
                Err(_elapsed) => return Some((comment(), (received, user))),
            }
        }
    });
    event_stream(events)
}

/// An event for each growth of the number of caught mails beyond the one that `query` has.
pub(super) fn mails(query: Option<&str>, mails: &CaughtMails) -> Response<Body> {
    let known = query.and_then(|query| query.strip_prefix("count=")?.parse().ok());
    let known: usize = known.unwrap_or_default();
    let events =
        futures_util::stream::unfold((mails.count(), known), |(mut count, known)| async move {
            let more = tokio::time::timeout(SIGN_OF_LIFE, count.wait_for(|now| *now > known)).await;
            match more.map(|more| more.map(|now| *now)) {
                Ok(Ok(now)) => Some((event(&now.to_string()), (count, now))),
                Ok(Err(_closed)) => None,
                Err(_elapsed) => Some((comment(), (count, known))),
            }
        });
    event_stream(events)
}

fn event(data: &str) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

fn comment() -> Bytes {
    Bytes::from_static(b":\n\n")
}

fn event_stream(events: impl Stream<Item = Bytes> + Send + Sync + 'static) -> Response<Body> {
    let first = futures_util::stream::iter([comment()]);
    let frames = first.chain(events).map(|data| Ok::<_, Infallible>(Frame::data(data)));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Whether a request is the opening handshake of a WebSocket (RFC 6455 §4.1).
pub(super) fn wants_websocket(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Opens a WebSocket that echoes messages.
pub(super) fn open_websocket(request: Request<Incoming>) -> Response<Body> {
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
