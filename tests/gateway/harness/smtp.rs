//! A real SMTP server (aiosmtpd) of one test: on a free port, gone with the test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use super::eventually;

/// A running server, with a certificate for 127.0.0.1 of a CA of its own.
pub(crate) struct SmtpServer {
    child: Child,
    folder: TempDir,
    /// Its port.
    pub port: u16,
}

impl SmtpServer {
    /// Starts a server; the arguments are those of `smtp.py`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let path = |name: &str| folder.path().join(name);
        // Not the first `python3` of the path: the distribution's own has its packages.
        let mut child = Command::new("/usr/bin/python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/harness/smtp.py"))
            .args(["--events".as_ref(), path("events").as_os_str()])
            .args(["--cert".as_ref(), path("cert.pem").as_os_str()])
            .args(["--key".as_ref(), path("key.pem").as_os_str()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        let port = port.expect("the SMTP server starts; install python3-aiosmtpd");
        Self { child, folder, port }
    }

    /// The certificate authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Everything of a kind that has happened: `connection`, `recipient`, `login`, `cut`, `mail`.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("events")).unwrap_or_default();
        // The last line may be half written.
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["event"] == kind).collect()
    }

    /// Waits for the first mail.
    pub(crate) async fn mail(&self) -> Value {
        eventually("a mail arrives", async || self.events("mail").into_iter().next()).await
    }

    /// Waits until something has happened as often as this.
    pub(crate) async fn has_seen(&self, kind: &str, times: usize) {
        eventually(kind, async || (self.events(kind).len() >= times).then_some(())).await;
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        // A server that has ended by itself needs neither.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Puts a CA's certificate into a folder, and one of it for 127.0.0.1, with its key.
pub(crate) fn certify(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    for (name, pem) in
        [("ca.pem", issuer.pem()), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())]
    {
        std::fs::write(folder.join(name), pem).unwrap();
    }
}
