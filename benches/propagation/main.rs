//! The time from a logout's answer at one gateway to its refusal at another, on one Redis.
//!
//! Two gateways and a redis-server of their own, as processes on loopback; 1,000 logouts, one
//! after the other; the time is from the logout's 200 at the first gateway to the first request
//! that the second refuses.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a failed step ends the bench"
)]

#[path = "../gateway/process.rs"]
mod process;
#[path = "../../tests/support/redis.rs"]
#[expect(dead_code, reason = "nothing is paused or killed here")]
mod redis;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};

use process::Process;
use redis::RedisServer;

const LOGOUTS: usize = 1_000;
/// Past this a revocation counts as lost.
const LOST: Duration = Duration::from_secs(10);

type Client = SendRequest<Full<Bytes>>;

fn main() {
    munjigi::token::install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(bench());
}

async fn bench() {
    let redis = RedisServer::start().await;
    let backend = serve_backend().await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"\"\n[store]\nurl = \"{}\"\n\
         [password]\nmemory = \"64KiB\"\niterations = 1\n\
         [site.\"localhost\"]\ncontract = \"standard\"\n\
         routes = [{{ path = \"/*\", upstream = \"{backend}\" }}]\n",
        redis.url()
    );
    let gateways = ["first", "second"].map(|name| {
        let file = folder.path().join(format!("{name}.toml"));
        let own = format!("[revocation]\njournal = \"{name}.journal\"\n");
        std::fs::write(&file, format!("{own}{text}")).unwrap();
        Process::gateway(&file)
    });
    let ca = folder.path().join("certs/dev/ca.pem");
    let mut first = connect(&gateways[0], &ca).await;
    let mut second = connect(&gateways[1], &ca).await;
    let account = r#"{"email":"you@example.com","password":"correct horse 1"}"#;
    send(&mut first, "POST", "/auth/signup", account, "").await;

    let mut times = Vec::with_capacity(LOGOUTS);
    for _ in 0..LOGOUTS {
        let (status, body) = send(&mut first, "POST", "/auth/login", account, "").await;
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let token = body["access_token"].as_str().unwrap();
        while send(&mut second, "GET", "/x", "", token).await.0 != 200 {}
        let (status, _) = send(&mut first, "POST", "/auth/logout", "", token).await;
        assert_eq!(status, 200);
        let begun = Instant::now();
        while send(&mut second, "GET", "/x", "", token).await.0 != 401 {
            assert!(begun.elapsed() < LOST, "a revocation did not arrive");
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    println!(
        "{LOGOUTS} logouts: refused at the other gateway after p50 {:?}, p99 {:?}, at most {:?}",
        times[LOGOUTS / 2],
        times[LOGOUTS * 99 / 100],
        times[LOGOUTS - 1]
    );
}

async fn send(
    client: &mut Client,
    method: &str,
    path: &str,
    body: &str,
    token: &str,
) -> (StatusCode, Bytes) {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    client.ready().await.unwrap();
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let response = client.send_request(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

async fn connect(gateway: &Process, ca: &Path) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TokioIo::new(connector.connect(name, stream).await.unwrap());
    let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A backend in this process that answers everything with an empty 200.
async fn serve_backend() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|_| async {
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::default()))
                });
                let http = hyper::server::conn::http1::Builder::new();
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    url
}
