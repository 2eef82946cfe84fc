//! The TLS configuration of the listeners: certificates, keys, versions.
//!
//! Everything that can be wrong with a file is found here, at start and at reload, and the error
//! names the file. RFC 8446, RFC 7301 (ALPN), RFC 5077 (tickets).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::config::{TlsConfig, TlsVersion};
use crate::edge::certificate::Certificates;
use crate::edge::dev_certificate::DevCertificateError;

/// An error of the listeners' TLS settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate is configured, and not every listener is on loopback.
    #[error(
        "no certificate is configured (`[tls] certs`), and {0} is not a loopback address: a \
         certificate of our own making is for loopback alone"
    )]
    NoCertificate(SocketAddr),
    /// A certificate for loopback could not be made.
    #[error("no certificate is configured, and none could be made")]
    DevCertificate(#[source] DevCertificateError),
    /// A file does not open.
    #[error("{}: cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not PEM, or has no block of the kind.
    #[error("{}: no {wanted} in it (PEM)", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        wanted: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// The first certificate of a file is damaged.
    #[error("{}: the first certificate is damaged", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: webpki::Error,
    },
    /// A key does not fit its certificate, or is of no use.
    #[error("{}: not the key of {}", key.display(), cert.display())]
    Mismatch {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Library(#[source] rustls::Error),
}

/// Makes the TLS configuration of the listeners; `folder` is where `certs/dev` is made, if it is.
///
/// # Errors
/// Says which file is at fault, and how.
pub fn server_config(
    config: &TlsConfig,
    folder: &Path,
    listen: &[SocketAddr],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions: &[&'static SupportedProtocolVersion] = match config.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let certificates = Certificates::read(config, folder, listen, &provider)?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    server.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Library)?;
    Ok(Arc::new(server))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;
    use std::{fs, io};

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::{TlsError, server_config};
    use crate::config::{CertConfig, Spot, TlsConfig, TlsVersion};

    const LOOPBACK: [SocketAddr; 2] = [
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8443),
        SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 8443),
    ];

    /// A handshake as its client saw it.
    #[derive(Debug)]
    struct Seen {
        leaf: CertificateDer<'static>,
        version: ProtocolVersion,
        alpn: Option<Vec<u8>>,
        kind: HandshakeKind,
    }

    fn config(dir: &TempDir, names: &[&str]) -> TlsConfig {
        let pair = |name: &&str| CertConfig {
            cert: dir.path().join(format!("{name}.pem")),
            key: dir.path().join(format!("{name}.key")),
            spot: Spot::default(),
        };
        TlsConfig { certs: names.iter().map(pair).collect(), min_version: TlsVersion::V1_2 }
    }

    /// Writes `FILE.pem` and `FILE.key` for `names`, and returns the certificate.
    fn write(dir: &TempDir, file: &str, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        fs::write(dir.path().join(format!("{file}.pem")), cert.pem()).unwrap();
        fs::write(dir.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn client(
        roots: &[CertificateDer<'static>],
        versions: &[&'static rustls::SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root.clone()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(store).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Shakes hands over loopback TCP, and passes one byte so that tickets arrive.
    async fn connect(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
        name: &'static str,
    ) -> io::Result<Seen> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serve = async {
            let (stream, _) = listener.accept().await?;
            let mut stream = TlsAcceptor::from(Arc::clone(server)).accept(stream).await?;
            stream.write_all(b"x").await?;
            stream.shutdown().await
        };
        let ask = async {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from(name).unwrap();
            let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await?;
            stream.read_u8().await?;
            let session = stream.get_ref().1;
            Ok(Seen {
                leaf: session.peer_certificates().unwrap()[0].clone(),
                version: session.protocol_version().unwrap(),
                alpn: session.alpn_protocol().map(<[u8]>::to_vec),
                kind: session.handshake_kind().unwrap(),
            })
        };
        let both = async { tokio::join!(serve, ask) };
        let (_served, seen) = tokio::time::timeout(Duration::from_secs(20), both).await?;
        seen
    }

    #[tokio::test]
    async fn the_certificate_is_chosen_by_the_name_that_the_client_sends() {
        let dir = TempDir::new().unwrap();
        let first = write(&dir, "first", &["first.test", "shared.test"]);
        let star = write(&dir, "star", &["*.b.test", "shared.test"]);
        let exact = write(&dir, "exact", &["api.b.test", "::1"]);
        let config = config(&dir, &["first", "star", "exact"]);
        let server = server_config(&config, dir.path(), &[]).unwrap();
        let trusting = client(&[first.clone(), star.clone(), exact.clone()], &[&TLS13], &[]);

        for (name, expected) in [
            ("first.test", &first),
            ("FIRST.test", &first),
            ("shared.test", &first),
            ("www.b.test", &star),
            ("api.b.test", &exact),
        ] {
            let seen = connect(&server, &trusting, name).await.unwrap();
            assert_eq!(&seen.leaf, expected, "{name}");
        }
        // The first one is sent for other names and for none; this client does not take it.
        for name in ["other.test", "a.www.b.test", "b.test", "127.0.0.1"] {
            let error = connect(&server, &trusting, name).await.unwrap_err();
            assert!(error.to_string().contains("first.test"), "{name}: {error}");
        }
    }

    #[tokio::test]
    async fn versions_and_protocols_are_agreed_on() {
        let dir = TempDir::new().unwrap();
        let root = [write(&dir, "a", &["a.test"])];
        let mut config = config(&dir, &["a"]);
        let server = server_config(&config, dir.path(), &[]).unwrap();
        config.min_version = TlsVersion::V1_3;
        let strict = server_config(&config, dir.path(), &[]).unwrap();

        let rows = [
            (&server, &TLS12, ["h2", "http/1.1"], Ok((ProtocolVersion::TLSv1_2, b"h2".as_slice()))),
            (&server, &TLS13, ["h2", "http/1.1"], Ok((ProtocolVersion::TLSv1_3, b"h2"))),
            (&server, &TLS13, ["http/1.1", "h2"], Ok((ProtocolVersion::TLSv1_3, b"h2"))),
            (&server, &TLS13, ["http/1.1", "x"], Ok((ProtocolVersion::TLSv1_3, b"http/1.1"))),
            (&server, &TLS13, ["h3", "x"], Err("NoApplicationProtocol")),
            (&strict, &TLS13, ["h2", "http/1.1"], Ok((ProtocolVersion::TLSv1_3, b"h2"))),
            (&strict, &TLS12, ["h2", "http/1.1"], Err("ProtocolVersion")),
        ];
        for (server, version, alpn, expected) in rows {
            let seen = connect(server, &client(&root, &[version], &alpn), "a.test").await;
            match (seen, expected) {
                (Ok(seen), Ok((version, protocol))) => {
                    assert_eq!((seen.version, seen.alpn.as_deref()), (version, Some(protocol)));
                }
                (Err(error), Err(alert)) => assert!(error.to_string().contains(alert), "{error}"),
                (seen, expected) => panic!("{alpn:?}: {seen:?}, not {expected:?}"),
            }
        }
        let seen = connect(&server, &client(&root, &[&TLS13], &[]), "a.test").await.unwrap();
        assert_eq!(seen.alpn, None);
    }

    #[tokio::test]
    async fn a_returning_client_resumes_by_ticket() {
        let dir = TempDir::new().unwrap();
        let root = [write(&dir, "a", &["a.test"])];
        let server = server_config(&config(&dir, &["a"]), dir.path(), &[]).unwrap();

        for version in [&TLS12, &TLS13] {
            let client = client(&root, &[version], &[]);
            let first = connect(&server, &client, "a.test").await.unwrap();
            let second = connect(&server, &client, "a.test").await.unwrap();
            assert_ne!(first.kind, HandshakeKind::Resumed);
            assert_eq!(second.kind, HandshakeKind::Resumed, "{:?}", second.version);
        }
    }

    #[test]
    fn a_faulty_file_is_named() {
        let dir = TempDir::new().unwrap();
        write(&dir, "a", &["a.test"]);
        write(&dir, "b", &["b.test"]);
        let at = |name: &str| dir.path().join(name);
        fs::copy(at("a.pem"), at("mismatch.pem")).unwrap();
        fs::copy(at("b.key"), at("mismatch.key")).unwrap();
        fs::copy(at("a.pem"), at("no-key.pem")).unwrap();
        fs::copy(at("a.pem"), at("no-key.key")).unwrap();
        fs::copy(at("a.key"), at("no-cert.pem")).unwrap();
        fs::copy(at("a.key"), at("no-cert.key")).unwrap();
        fs::copy(at("a.key"), at("damaged.key")).unwrap();
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(at("damaged.pem"), damaged).unwrap();

        for (name, file, words) in [
            ("mismatch", "mismatch.key", "not the key of"),
            ("no-key", "no-key.key", "no private key"),
            ("no-cert", "no-cert.pem", "no certificate"),
            ("damaged", "damaged.pem", "damaged"),
            ("absent", "absent.pem", "cannot be read"),
        ] {
            let error =
                server_config(&config(&dir, &[name]), dir.path(), &[]).unwrap_err().to_string();
            assert!(error.contains(at(file).to_str().unwrap()), "{name}: {error}");
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[tokio::test]
    async fn without_a_certificate_one_is_made_for_loopback() {
        let dir = TempDir::new().unwrap();
        let server = server_config(&config(&dir, &[]), dir.path(), &LOOPBACK).unwrap();
        let root = CertificateDer::from_pem_file(dir.path().join("certs/dev/ca.pem")).unwrap();
        let client = client(&[root], &[&TLS12, &TLS13], &["h2"]);

        for name in ["localhost", "127.0.0.1", "::1"] {
            let seen = connect(&server, &client, name).await.unwrap();
            assert_eq!(seen.alpn.as_deref(), Some(b"h2".as_slice()), "{name}");
        }
    }

    #[test]
    fn without_a_certificate_no_other_address_is_served() {
        let dir = TempDir::new().unwrap();
        for open in ["0.0.0.0:443", "[::]:443", "192.0.2.1:443", "[::ffff:192.0.2.1]:443"] {
            let open: SocketAddr = open.parse().unwrap();
            let error =
                server_config(&config(&dir, &[]), dir.path(), &[LOOPBACK[0], open]).unwrap_err();
            assert!(matches!(error, TlsError::NoCertificate(found) if found == open), "{error}");
        }
        assert!(!Path::exists(&dir.path().join("certs")), "one was made all the same");
    }
}
