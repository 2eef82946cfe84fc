//! TLS handshakes: the clients that may, the certificate they get, and resumption.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::client::{shake, tls};
use crate::harness::{DEADLINE, Gateway, Setup, Version, request};
use crate::lifecycle;

/// Writes a self-signed certificate and its key as `NAME.pem` and `NAME.key`.
fn certify(folder: &Path, name: &str, host: &str) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), made.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    made.der().clone()
}

fn trusting(certificates: &[&CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add((*certificate).clone()).unwrap();
    }
    store
}

fn leaf(stream: &TlsStream<TcpStream>) -> &CertificateDer<'static> {
    &stream.get_ref().1.peer_certificates().unwrap()[0]
}

/// The answer to bytes in the clear, up to the end of the connection.
async fn in_the_clear(gateway: &Gateway, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    // A reset is an end as well.
    drop(read.expect("the connection is closed"));
    answer
}

/// A hello of an old version: a random, no session, one suite, and signatures by RSA and SHA-256.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![1, 0, 0, 51, 3, minor];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 1]);
    let length = u8::try_from(hello.len()).unwrap();
    [vec![0x16, 3, 1, 0, length], hello].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_or_an_old_one_is_refused_and_others_are_served() {
    let gateway = Gateway::start(Setup::default()).await;
    const ALERT: u8 = 21;
    const PROTOCOL_VERSION: u8 = 70;

    for bytes in [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice(),
        &[0x16, 3, 1, 0xff, 0xff, 1, 0, 0, 0],
    ] {
        let answer = in_the_clear(&gateway, bytes).await;
        assert!(answer.is_empty() || answer[0] == ALERT, "{answer:?}");
    }
    for minor in 0..3 {
        let answer = in_the_clear(&gateway, &old_hello(minor)).await;
        assert_eq!(answer.first(), Some(&ALERT), "3.{minor}: {answer:?}");
        assert_eq!(answer.last(), Some(&PROTOCOL_VERSION), "3.{minor}: {answer:?}");
    }
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        assert_eq!(request("GET", "/public/x").send(&mut client).await.status, 200);
    }
    assert_eq!(gateway.upstream.seen().len(), 2);
}

/// A browser, a load balancer or a person that forgot the s.
#[tokio::test(flavor = "multi_thread")]
async fn http_in_the_clear_is_shown_the_way_and_nothing_else() {
    let gateway = Gateway::start(Setup::default()).await;
    let login =
        "POST /auth/login?a=%20b HTTP/1.1\r\nhost: LocalHost:1\r\ncontent-length: 2\r\n\r\n{}";
    let next = "GET /public/y HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let oversized = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", "a".repeat(40_000));
    for (bytes, status, location) in [
        ("GET /public/x HTTP/1.1\r\nhost: localhost\r\n\r\n", "308", "https://localhost/public/x"),
        (login, "308", "https://LocalHost:1/auth/login?a=%20b"),
        (
            "GET http://localhost/x HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "308",
            "https://localhost/x",
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", "308", "https://localhost"),
        ("GET /x HTTP/1.1\r\nhost: evil.example\r\n\r\n", "400", ""),
        ("GET /x HTTP/1.1\r\nhost: localhost/evil.example\r\n\r\n", "400", ""),
        ("GET /x HTTP/1.0\r\n\r\n", "400", ""),
        ("CONNECT localhost:443 HTTP/1.1\r\nhost: localhost\r\n\r\n", "400", ""),
        ("\u{fffd}\u{fffd}\r\n\r\n", "400", ""),
        (&oversized, "431", ""),
    ] {
        let answer = in_the_clear(&gateway, format!("{bytes}{next}").as_bytes()).await;

        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{bytes}: {answer}");
        assert_eq!(answer.matches("http/1.").count(), 1, "{bytes}: {answer}");
        let said = answer.lines().find_map(|line| line.strip_prefix("location: "));
        assert_eq!(said.unwrap_or_default(), location.to_lowercase(), "{bytes}");
        assert_eq!(
            answer.contains("this is https"),
            !answer.contains("content-length: 0"),
            "{answer}"
        );
    }
    assert!(gateway.upstream.seen().is_empty());

    // A silent or incomplete client has no longer than a handshake may take.
    let tables = "[limits]\nhandshake_timeout = \"100ms\"\n".to_owned();
    let hasty = Gateway::start(Setup { tables, ..Setup::default() }).await;
    for bytes in ["", "G", "GET /x HTTP/1.1\r\nhost: localhost\r\n"] {
        assert!(in_the_clear(&hasty, bytes.as_bytes()).await.is_empty(), "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_below_the_least_and_unknown_protocols_are_refused() {
    let tables = "[tls]\nmin_version = \"1.3\"\n".to_owned();
    let strict = Gateway::start(Setup { tables, ..Setup::default() }).await;
    let usual = Gateway::start(Setup::default()).await;
    let both: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let unknown: [&[u8]; 1] = [b"h3"];

    for (gateway, version, alpn, alert) in [
        (&strict, &TLS13, both.as_slice(), None),
        (&strict, &TLS12, &both, Some("ProtocolVersion")),
        (&usual, &TLS12, &both, None),
        (&usual, &TLS13, &unknown, Some("NoApplicationProtocol")),
        (&usual, &TLS12, &unknown, Some("NoApplicationProtocol")),
    ] {
        let config = tls(&gateway.trust(), &[version], alpn);
        match (shake(gateway.address(), &config, "localhost").await, alert) {
            (Ok(stream), None) => assert_eq!(stream.get_ref().1.alpn_protocol(), Some(both[0])),
            (Err(error), Some(alert)) => assert!(error.to_string().contains(alert), "{error}"),
            (shaken, alert) => panic!("{version:?}: {alert:?}: {shaken:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_handshake_resumes_by_ticket() {
    let gateway = Gateway::start(Setup::default()).await;
    for version in [&TLS12, &TLS13] {
        let config = tls(&gateway.trust(), &[version], &[b"http/1.1"]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = shake(gateway.address(), &config, "localhost").await.unwrap();
            // Tickets come with the first bytes.
            stream.write_all(b"GET /public/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            assert!(stream.read(&mut [0; 16]).await.unwrap() > 0);
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        assert_ne!(kinds[0], HandshakeKind::Resumed);
        assert_eq!(kinds[1], HandshakeKind::Resumed, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_chooses_the_certificate_and_sighup_takes_a_changed_one() {
    let certificates = tempfile::tempdir().unwrap();
    let folder = certificates.path();
    let one = certify(folder, "one", "one.test");
    let two = certify(folder, "two", "two.test");
    let pair = |name: &str| {
        let path = folder.join(name).display().to_string();
        format!("{{ cert = \"{path}.pem\", key = \"{path}.key\" }}")
    };
    let tables = format!("[tls]\ncerts = [{}, {}]\n", pair("one"), pair("two"));
    let running = lifecycle::start(&Setup { tables, ..Setup::default() }).await;
    let address = running.process.address;
    let config = tls(&trusting(&[&one, &two]), &[&TLS13], &[b"http/1.1"]);
    assert_eq!(leaf(&shake(address, &config, "one.test").await.unwrap()), &one);
    let mut kept = shake(address, &config, "two.test").await.unwrap();
    assert_eq!(leaf(&kept), &two);

    let swapped = certify(folder, "two", "two.test");
    running.reload(&running.text).await;
    running.reloads("taken", 1).await;
    let config = tls(&trusting(&[&one, &swapped]), &[&TLS13], &[b"http/1.1"]);
    assert_eq!(leaf(&shake(address, &config, "two.test").await.unwrap()), &swapped);
    assert_eq!(leaf(&shake(address, &config, "one.test").await.unwrap()), &one);
    kept.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401", "a connection outlives the change");

    let good = std::fs::read(folder.join("two.pem")).unwrap();
    let half = &good[..good.len() / 2];
    let others = std::fs::read(folder.join("one.pem")).unwrap();
    for (count, broken) in [b"".as_slice(), b"garbage", half, &others].iter().enumerate() {
        std::fs::write(folder.join("two.pem"), broken).unwrap();
        running.reload(&running.text).await;
        running.reloads("refused", count as u64 + 1).await;
        let shaken = shake(address, &config, "two.test").await.unwrap();
        assert_eq!(leaf(&shaken), &swapped, "{}", String::from_utf8_lossy(broken));
    }
}
