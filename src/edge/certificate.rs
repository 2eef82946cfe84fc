//! Certificates and their keys, chosen by the server name of a handshake (SNI, RFC 6066 §3).
//!
//! RFC 6066 §3; RFC 6125 §6.4.3 for what a star stands for.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::clock::Now;
use crate::config::TlsConfig;
use crate::edge::dev_certificate;
use crate::edge::tls::TlsError;

/// Certificates by the names they are for.
#[derive(Debug)]
pub(super) struct Certificates {
    /// Lower case; of two certificates with one name, the first.
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `*.example.com` without star and dot.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For every other name, and for clients that send none.
    first: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads what is configured or, for loopback alone, what is made in `folder`'s `certs/dev`.
    ///
    /// # Errors
    /// Says which file is at fault, and how.
    pub(super) fn read(
        config: &TlsConfig,
        folder: &Path,
        listen: &[SocketAddr],
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let mut found = Self { exact: HashMap::new(), wildcard: HashMap::new(), first: None };
        for pair in &config.certs {
            let (names, certified) = load(pair.cert.clone(), pair.key.clone(), provider)?;
            found.add(names, certified);
        }
        if found.first.is_none() {
            if let Some(open) = listen.iter().find(|address| !address.ip().is_loopback()) {
                return Err(TlsError::NoCertificate(*open));
            }
            let made = dev_certificate::ensure(&folder.join("certs/dev"), Now::read().wall)
                .map_err(TlsError::DevCertificate)?;
            let (names, certified) = load(made.cert, made.key, provider)?;
            found.add(names, certified);
        }
        Ok(found)
    }

    fn add(&mut self, names: Vec<String>, certified: CertifiedKey) {
        let certified = Arc::new(certified);
        for name in names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(domain) => (&mut self.wildcard, domain.to_owned()),
                None => (&mut self.exact, name),
            };
            map.entry(name).or_insert_with(|| Arc::clone(&certified));
        }
        self.first.get_or_insert(certified);
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        // A star stands for one label (RFC 6125 §6.4.3).
        let by_star = || name.split_once('.').and_then(|(_, domain)| self.wildcard.get(domain));
        self.exact.get(&name).or_else(by_star)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        named.or(self.first.as_ref()).cloned()
    }
}

/// Reads a chain and its key, and the names that the chain is for.
fn load(
    cert: PathBuf,
    key: PathBuf,
    provider: &CryptoProvider,
) -> Result<(Vec<String>, CertifiedKey), TlsError> {
    let text = read(&cert)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = match chain {
        Ok(chain) => chain,
        Err(source) => return Err(TlsError::Pem { path: cert, wanted: "certificate", source }),
    };
    let Some(leaf) = chain.first() else {
        let source = pem::Error::NoItemsFound;
        return Err(TlsError::Pem { path: cert, wanted: "certificate", source });
    };
    let names = match webpki::EndEntityCert::try_from(leaf) {
        Ok(leaf) => leaf.valid_dns_names().map(str::to_ascii_lowercase).collect(),
        Err(source) => return Err(TlsError::Certificate { path: cert, source }),
    };
    let private = match PrivateKeyDer::from_pem_slice(&read(&key)?) {
        Ok(private) => private,
        Err(source) => return Err(TlsError::Pem { path: key, wanted: "private key", source }),
    };
    match CertifiedKey::from_der(chain, private, provider) {
        Ok(certified) => Ok((names, certified)),
        Err(source) => Err(TlsError::Mismatch { cert, key, source }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}
