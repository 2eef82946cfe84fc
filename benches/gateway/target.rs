//! What is measured: the backend alone, the floor, and the gateway in its scenarios.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};
use jsonwebtoken::EncodingKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::process::Process;

/// One row.
pub(crate) struct Target {
    pub name: &'static str,
    /// The rows below are held against it, up to the next floor.
    pub is_floor: bool,
    pub process: Rc<Process>,
    pub address: SocketAddr,
    /// TLS, but for the direct baseline.
    pub tls: Option<Arc<ClientConfig>>,
    /// HTTP/2, many streams a connection.
    pub http2: bool,
    /// The header that carries the token.
    pub header: HeaderName,
    /// What it says, in turn; nothing where there is no token.
    pub tokens: Vec<HeaderValue>,
    /// The status of every answer.
    pub status: u16,
    /// Connections that are open besides, and idle.
    pub idle: usize,
}

/// All rows, and the folder that they live in.
pub(crate) struct Targets {
    pub list: Vec<Target>,
    pub(super) _folder: TempDir,
    pub(super) _backend: Option<Process>,
}

const ZDM: &str = "contract = \"zdm\"";
const MANY: usize = 10_000;
pub(crate) const SECRET: &str =
    "0123456789abcdefGHIJKLMNOPQRSTUV-bench-only-not-a-secret-0123456789";

impl Targets {
    /// Starts every process.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Rc::new(Process::helper(&["serve-backend"]));
        let config = |name: &str, site: &str, keys: &str, more: &str| {
            let file = folder.path().join(format!("{name}.toml"));
            let text = format!(
                "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"\"\nworkers = 1\n\
                 [store]\nurl = \"sqlite:{name}.db\"\n{more}\n\
                 [site.\"localhost\"]\n{site}\n\
                 routes = [{{ path = \"/*\", upstream = \"http://{}\" }}]\n\
                 [site.\"localhost\".tokens]\nkeys = [{keys}]\n",
                backend.address
            );
            std::fs::write(&file, text).unwrap();
            file
        };
        let hmac = format!("{{ kid = \"bench\", algorithm = \"HS256\", secret = \"{SECRET}\" }}");
        let hs256_file = config("hs256", ZDM, &hmac, "");
        let silent_file = config("silent", ZDM, &hmac, "[log]\naccess = false\n");
        let es256_file = config("es256", "contract = \"standard\"", "", "");
        let cookie_site = format!("{ZDM}\ntoken_from = [\"bearer\", \"cookie\"]");
        let cookie_file = config("cookie", &cookie_site, &hmac, "");
        let issued = token(&hs256_file);
        let es256 = token(&es256_file);
        let revoked = token(&es256_file);
        munjigi(&es256_file, &["revoke", "token", &revoked], "");
        let gateway = |file: &Path| Rc::new(Process::gateway(file));
        let hs256_gateway = gateway(&hs256_file);
        let silent_gateway = gateway(&silent_file);
        let es256_gateway = gateway(&es256_file);
        let cookie_gateway = gateway(&cookie_file);

        let certs = folder.path().join("certs/dev");
        let path = |name: &str| certs.join(name).display().to_string();
        let floor = Rc::new(Process::helper(&[
            "serve-floor",
            &backend.address.to_string(),
            &path("cert.pem"),
            &path("key.pem"),
            SECRET,
            "https://localhost",
        ]));
        let http1 = Some(client_config(&certs.join("ca.pem"), b"http/1.1"));
        let http2 = Some(client_config(&certs.join("ca.pem"), b"h2"));
        let row = |name, process: &Rc<Process>, tokens: &[String], status| Target {
            name,
            is_floor: false,
            process: Rc::clone(process),
            address: process.address,
            tls: http1.clone(),
            http2: false,
            header: AUTHORIZATION,
            tokens: tokens.iter().map(|token| format!("Bearer {token}").parse().unwrap()).collect(),
            status,
            idle: 0,
        };
        let many_streams = |row: Target| Target { tls: http2.clone(), http2: true, ..row };
        let in_cookie = |row: Target, token: &str| Target {
            header: COOKIE,
            tokens: vec![format!("theme=dark; __Host-mj_at={token}").parse().unwrap()],
            ..row
        };
        let as_floor = |row: Target| Target { is_floor: true, ..row };
        let many = siblings(&issued, MANY);
        let (hs256, es256, revoked) = ([issued], [es256], [revoked]);
        let list = vec![
            Target { tls: None, ..row("direct to the backend, no TLS", &backend, &[], 200) },
            as_floor(row("floor, HS256", &floor, &hs256, 200)),
            row("munjigi, HS256", &hs256_gateway, &hs256, 200),
            row("munjigi, HS256, no access log", &silent_gateway, &hs256, 200),
            row("munjigi, HS256, 10,000 tokens", &hs256_gateway, &many, 200),
            row("munjigi, HS256, cookies allowed", &cookie_gateway, &hs256, 200),
            in_cookie(row("munjigi, HS256, in a cookie", &cookie_gateway, &[], 200), &hs256[0]),
            row("munjigi, ES256", &es256_gateway, &es256, 200),
            as_floor(many_streams(row("floor, HS256, HTTP/2", &floor, &hs256, 200))),
            many_streams(row("munjigi, HS256, HTTP/2", &hs256_gateway, &hs256, 200)),
            as_floor(row("floor, no token: refused", &floor, &[], 401)),
            row("munjigi, no token: refused", &es256_gateway, &[], 401),
            row("munjigi, ES256, revoked: refused", &es256_gateway, &revoked, 401),
        ];
        Self { list, _folder: folder, _backend: None }
    }
}

/// Tokens that differ from `token` in their `jti` alone.
fn siblings(token: &str, count: usize) -> Vec<String> {
    let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let mut claims: serde_json::Value =
        jsonwebtoken::dangerous::insecure_decode(token).unwrap().claims;
    let mut sibling = |_| {
        claims["jti"] = uuid::Uuid::new_v4().to_string().into();
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    };
    (0..count).map(&mut sibling).collect()
}

/// Makes the user where it is not there, and a token for it.
fn token(config: &Path) -> String {
    let add = ["user", "add", "--email", "bench@example.com", "--password-stdin"];
    if munjigi(config, &["user", "list"], "").contains("bench@example.com") {
        return munjigi(config, &["token", "issue", "--user", "bench@example.com"], "");
    }
    munjigi(config, &add, "a bench password");
    munjigi(config, &["token", "issue", "--user", "bench@example.com"], "")
}

/// Runs a verb of the gateway.
pub(crate) fn munjigi(config: &Path, arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_munjigi"))
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "munjigi {arguments:?} failed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What a client of one protocol trusts.
pub(crate) fn client_config(ca: &Path, protocol: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}
