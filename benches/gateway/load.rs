//! A closed-loop load of a fixed number of requests over keep-alive connections.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::subject::Subject;

/// One round on one subject.
pub(crate) struct Load<'a> {
    pub subject: &'a Subject,
    pub requests: usize,
    pub connections: usize,
}

/// What a round showed.
pub(crate) struct Measured {
    /// CPU of the process in front, a request.
    pub cpu_micros: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
    pub per_second: f64,
}

impl Load<'_> {
    /// Connects, then sends all requests; connecting is not measured.
    pub(crate) async fn run(&self) -> Measured {
        let mut senders = Vec::new();
        for _ in 0..self.connections {
            senders.push(connect(self.subject).await);
        }
        let each = self.requests / self.connections;
        let cpu_before = self.subject.process.cpu();
        let begun = Instant::now();
        let loops = senders.into_iter().map(|sender| send(self.subject, sender, each));
        let mut times: Vec<Duration> =
            futures_util::future::join_all(loops).await.into_iter().flatten().collect();
        let elapsed = begun.elapsed();
        let cpu = self.subject.process.cpu() - cpu_before;
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

async fn send(
    subject: &Subject,
    mut sender: SendRequest<Empty<Bytes>>,
    count: usize,
) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let mut request = Request::get("/api/hello").header("host", "localhost");
        if let Some(token) = &subject.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let begun = Instant::now();
        sender.ready().await.unwrap();
        let response = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), subject.status, "{}", subject.name);
        response.into_body().collect().await.unwrap();
        times.push(begun.elapsed());
    }
    times
}

async fn connect(subject: &Subject) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(subject.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let Some(tls) = &subject.tls else {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        return sender;
    };
    let name = ServerName::try_from("localhost").unwrap();
    let stream =
        TlsConnector::from(std::sync::Arc::clone(tls)).connect(name, stream).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}
