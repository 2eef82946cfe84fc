//! A real browser, and servers of the page that it shows.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, KeyPair, PublicKeyData};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::DEADLINE;

/// A browser takes seconds to start where cores are few, and the page waits for a token's end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A headless Chromium with a profile of its own; it ends when it is dropped.
pub(crate) struct Browser {
    child: Child,
    profile: TempDir,
}

impl Browser {
    /// Opens a page. `pins` are the keys whose certificates it trusts, whoever signed them.
    pub(crate) fn open(url: &str, pins: &[String]) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // Headless, Chromium keeps third-party cookies out, whatever they say of themselves, unless
        // its user lets them in (0 is "allow all"): only so is it told by `SameSite` who gets one.
        let settings = profile.path().join("profile/Default");
        std::fs::create_dir_all(&settings).unwrap();
        let lets_in = r#"{"profile": {"cookie_controls_mode": 0}}"#;
        std::fs::write(settings.join("Preferences"), lets_in).unwrap();
        let said = std::fs::File::create(profile.path().join("stderr")).unwrap();
        let child = Command::new("chromium")
            .args(["--headless", "--no-first-run", "--disable-gpu", "--disable-extensions"])
            // Its sandbox needs rights that a container does not give; it opens our pages alone.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            // Nothing but the pages is asked, and `localhost` is where they listen.
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg("--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND")
            .arg(format!("--ignore-certificate-errors-spki-list={}", pins.join(",")))
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            // For [`super::devtools::Tab`], which finds the port in the profile.
            .args(["--remote-debugging-port=0", "--remote-allow-origins=*"])
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .expect("the tests need Chromium: tests/run installs it");
        Self { child, profile }
    }

    /// The port of its developer tools, once it listens.
    pub(super) fn devtools_port(&self) -> Option<u16> {
        let file = self.profile.path().join("profile/DevToolsActivePort");
        std::fs::read_to_string(file).ok()?.lines().next()?.parse().ok()
    }

    /// Its output, for the message of a failed test.
    fn said(&self) -> String {
        std::fs::read_to_string(self.profile.path().join("stderr")).unwrap_or_default()
    }

    /// Asks it to end, so that the processes it started end before its profile is removed.
    pub(crate) async fn close(mut self) {
        let pid = self.child.id().expect("Chromium runs").to_string();
        let asked = Command::new("kill").args(["-s", "TERM", &pid]).status().await.unwrap();
        assert!(asked.success());
        tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("Chromium ends").unwrap();
    }
}

/// A server of the page, on a free port of `localhost`.
pub(crate) struct Pages {
    /// `https://localhost:PORT` or `http://localhost:PORT`.
    pub origin: String,
    /// The pin of its key; nothing for plain HTTP.
    pub pin: Option<String>,
    reports: Receiver<Value>,
    task: JoinHandle<()>,
}

impl Pages {
    /// Serves it over TLS, with a certificate of its own.
    pub(crate) async fn https() -> Self {
        munjigi::token::install_crypto();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let CertifiedKey { cert, signing_key } = made;
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::serve("https", Some(acceptor), Some(pin(&signing_key))).await
    }

    /// Serves it over plain HTTP.
    pub(crate) async fn http() -> Self {
        Self::serve("http", None, None).await
    }

    async fn serve(scheme: &str, tls: Option<TlsAcceptor>, pin: Option<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (reporter, reports) = mpsc::channel(8);
        let task = tokio::spawn(accept(listener, tls, reporter));
        Self { origin: format!("{scheme}://localhost:{port}"), pin, reports, task }
    }

    /// The page, told to run a script against an API, and what to open then.
    pub(crate) fn page(&self, script: &str, api: &str, next: Option<&str>) -> String {
        let page = format!("{}/?script={script}&api={}", self.origin, escaped(api));
        match next {
            Some(next) => format!("{page}&next={}", escaped(next)),
            None => page,
        }
    }

    /// The page's findings.
    pub(crate) async fn report(&mut self, browser: &Browser) -> Value {
        let report = tokio::time::timeout(PATIENCE, self.reports.recv()).await;
        let report =
            report.unwrap_or_else(|_| panic!("no report; Chromium said:\n{}", browser.said()));
        report.expect("the server of the page runs")
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A URL as a value in the query of another.
fn escaped(url: &str) -> String {
    url.replace('%', "%25").replace('&', "%26").replace('?', "%3F").replace('=', "%3D")
}

/// The pin of a key that lies in a file.
pub(crate) fn pin_of(key: &Path) -> String {
    pin(&KeyPair::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap())
}

/// SHA-256 of the key's `SubjectPublicKeyInfo` (RFC 7469 §2.4).
fn pin(key: &KeyPair) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, &key.subject_public_key_info()))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, reporter: Sender<Value>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, reporter) = (tls.clone(), reporter.clone());
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, reporter.clone()));
            let http = http1::Builder::new();
            match tls {
                // A browser opens connections that it does not use, and cuts them.
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                }
                None => drop(http.serve_connection(TokioIo::new(stream), service).await),
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    reporter: Sender<Value>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (media_type, text) = match request.uri().path() {
        "/" => ("text/html", include_str!("../browser/page.html")),
        "/page.js" => ("text/javascript", include_str!("../browser/page.js")),
        "/report" => {
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            reporter.send(serde_json::from_slice(&bytes).unwrap()).await.unwrap();
            ("text/plain", "")
        }
        _ => ("text/plain", "nothing here"),
    };
    let response = Response::builder().header("content-type", media_type);
    Ok(response.body(Full::new(Bytes::from_static(text.as_bytes()))).unwrap())
}
