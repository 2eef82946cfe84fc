//! What is measured: the backend alone, the floor, and the gateway in its scenarios.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::process::Process;

/// One row.
pub(crate) struct Subject {
    pub name: &'static str,
    pub is_floor: bool,
    pub process: Rc<Process>,
    pub address: SocketAddr,
    /// TLS, but for the direct baseline.
    pub tls: Option<Arc<ClientConfig>>,
    /// The Bearer token of every request.
    pub token: Option<String>,
    /// The status of every answer.
    pub status: u16,
}

/// All rows, and the folder that they live in.
pub(crate) struct Subjects {
    pub list: Vec<Subject>,
    _folder: TempDir,
}

const SECRET: &str = "0123456789abcdefGHIJKLMNOPQRSTUV-bench-only-not-a-secret-0123456789";

impl Subjects {
    /// Starts every process.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Rc::new(Process::role(&["serve-backend"]));
        let config = |name: &str, contract: &str, keys: &str| {
            let file = folder.path().join(format!("{name}.toml"));
            let text = format!(
                "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"\"\nworkers = 1\n\
                 [store]\nurl = \"sqlite:{name}.db\"\n\
                 [site.\"localhost\"]\ncontract = \"{contract}\"\n\
                 routes = [{{ path = \"/*\", upstream = \"http://{}\" }}]\n\
                 [site.\"localhost\".tokens]\nkeys = [{keys}]\n",
                backend.address
            );
            std::fs::write(&file, text).unwrap();
            file
        };
        let hmac = format!("{{ kid = \"bench\", algorithm = \"HS256\", secret = \"{SECRET}\" }}");
        let hs256_file = config("hs256", "zdm", &hmac);
        let es256_file = config("es256", "standard", "");
        let hs256 = token(&hs256_file);
        let es256 = token(&es256_file);
        let revoked = token(&es256_file);
        munjigi(&es256_file, &["revoke", "token", &revoked], "");
        let (hs256_gateway, es256_gateway) =
            (Rc::new(Process::gateway(&hs256_file)), Rc::new(Process::gateway(&es256_file)));

        let certs = folder.path().join("certs/dev");
        let path = |name: &str| certs.join(name).display().to_string();
        let floor = Rc::new(Process::role(&[
            "serve-floor",
            &backend.address.to_string(),
            &path("cert.pem"),
            &path("key.pem"),
            SECRET,
            "https://localhost",
        ]));
        let tls = Some(client_config(&certs.join("ca.pem")));
        let row = |name, process: &Rc<Process>, token: Option<&String>, status| Subject {
            name,
            is_floor: false,
            process: Rc::clone(process),
            address: process.address,
            tls: tls.clone(),
            token: token.cloned(),
            status,
        };
        let list = vec![
            Subject { tls: None, ..row("direct to the backend, no TLS", &backend, None, 200) },
            Subject { is_floor: true, ..row("floor, HS256", &floor, Some(&hs256), 200) },
            row("munjigi, HS256", &hs256_gateway, Some(&hs256), 200),
            row("munjigi, ES256", &es256_gateway, Some(&es256), 200),
            row("munjigi, ES256, revoked: refused", &es256_gateway, Some(&revoked), 401),
            row("munjigi, no token: refused", &es256_gateway, None, 401),
        ];
        Self { list, _folder: folder }
    }
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

fn munjigi(config: &Path, arguments: &[&str], input: &str) -> String {
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

fn client_config(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
