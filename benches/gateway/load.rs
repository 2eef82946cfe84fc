//! A closed-loop load of a fixed number of requests over keep-alive connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::Target;

/// Clients that send at once, each the next request when it has its answer.
pub(crate) const CLIENTS: usize = 64;
/// How many of them share a connection of HTTP/2.
const STREAMS: usize = 16;

/// The clients of one target; their connections live from round to round.
pub(crate) struct Load<'a> {
    target: &'a Target,
    clients: Vec<Sender>,
    _idle: Vec<Sender>,
    /// Where in the list of tokens the next round begins.
    token: usize,
}

/// What a round showed.
pub(crate) struct Measured {
    /// CPU of the process in front, a request.
    pub cpu_micros: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
    pub per_second: f64,
}

#[derive(Clone)]
enum Sender {
    One(Arc<tokio::sync::Mutex<http1::SendRequest<Empty<Bytes>>>>),
    Many(http2::SendRequest<Empty<Bytes>>),
}

impl<'a> Load<'a> {
    /// Connects every client.
    pub(crate) async fn connect(target: &'a Target) -> Self {
        let mut clients = Vec::new();
        while clients.len() < CLIENTS {
            let sender = connect(target).await;
            let sharing = if target.http2 { STREAMS } else { 1 };
            clients.extend(std::iter::repeat_n(sender, sharing));
        }
        let mut idle = Vec::new();
        while idle.len() < target.idle {
            let sender = connect(target).await;
            // Before its first request a connection is not idle but slow.
            send(target, sender.clone(), 0, 1).await;
            idle.push(sender);
        }
        Self { target, clients, _idle: idle, token: 0 }
    }

    /// Sends a round's requests.
    pub(crate) async fn run(&mut self, requests: usize) -> Measured {
        let each = requests / self.clients.len();
        let first = self.token;
        self.token += requests;
        let cpu_before = self.target.process.cpu();
        let begun = Instant::now();
        let loops =
            self.clients.iter().enumerate().map(|(index, client)| {
                send(self.target, client.clone(), first + index * each, each)
            });
        let mut times: Vec<Duration> =
            futures_util::future::join_all(loops).await.into_iter().flatten().collect();
        let elapsed = begun.elapsed();
        let cpu = self.target.process.cpu() - cpu_before;
        times.sort_unstable();
        let count = times.len();
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Measured {
            cpu_micros: micros(cpu) / count as f64,
            p50_micros: micros(times[count / 2]),
            p99_micros: micros(times[count * 99 / 100]),
            per_second: count as f64 / elapsed.as_secs_f64(),
        }
    }
}

async fn send(target: &Target, mut sender: Sender, first: usize, count: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    for number in first..first + count {
        let mut request = Request::new(Empty::new());
        if target.http2 {
            *request.uri_mut() = "https://localhost/api/hello".parse().unwrap();
        } else {
            *request.uri_mut() = "/api/hello".parse().unwrap();
            request.headers_mut().insert("host", "localhost".parse().unwrap());
        }
        if !target.tokens.is_empty() {
            let token = &target.tokens[number % target.tokens.len()];
            request.headers_mut().insert(target.header.clone(), token.clone());
        }
        let begun = Instant::now();
        let response = sender.send(request).await;
        assert_eq!(response.status().as_u16(), target.status, "{}", target.name);
        response.into_body().collect().await.unwrap();
        times.push(begun.elapsed());
    }
    times
}

impl Sender {
    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Response<Incoming> {
        match self {
            Self::One(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
            Self::Many(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
        }
    }
}

async fn connect(target: &Target) -> Sender {
    let stream = TcpStream::connect(target.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let Some(tls) = &target.tls else {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        return Sender::One(Arc::new(sender.into()));
    };
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.unwrap();
    let io = TokioIo::new(stream);
    if target.http2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Sender::Many(sender)
    } else {
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Sender::One(Arc::new(sender.into()))
    }
}
