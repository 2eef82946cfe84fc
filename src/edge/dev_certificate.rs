//! Makes a certificate for loopback, signed by a local authority that a developer can trust.
//!
//! The authority is made once and signs for `localhost` and the loopback addresses only (RFC 5280
//! §4.2.1.10), so that to trust it opens no other name. The certificate is made again before it
//! expires.
//!
//! Several processes may start at once: a key is made under another name and then linked, which
//! only one of them can; what they sign comes from the keys that are there and replaces its
//! predecessor whole. So every certificate fits its key at every moment.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use uuid::Uuid;
use webpki::{EndEntityCert, KeyUsage};

use crate::clock::Timestamp;

/// The files of the certificate for loopback (PEM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevCertificate {
    /// The authority, for clients to trust.
    pub ca: PathBuf,
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The leaf's key.
    pub key: PathBuf,
}

/// An error of making the certificate for loopback.
#[derive(Debug, thiserror::Error)]
pub enum DevCertificateError {
    /// A file or folder cannot be read or written.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key that lies there is damaged.
    #[error("{}: no key; remove the folder to have all made again", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rcgen::Error,
    },
    /// Signing failed.
    #[error("a certificate cannot be made")]
    Signing(#[from] rcgen::Error),
}

/// Makes the missing or expired files in `dir`, and answers their paths.
///
/// The authority is valid for ten years, the certificate for one; the latter is made again when
/// less than 30 days are left.
///
/// # Errors
/// When a file cannot be read or written, or a key that lies there is damaged.
pub fn ensure(dir: &Path, now: Timestamp) -> Result<DevCertificate, DevCertificateError> {
    let made = DevCertificate {
        ca: dir.join("ca.pem"),
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    fs::create_dir_all(dir).map_err(at(dir))?;
    let ca_key = key(&dir.join("ca.key"))?;
    let leaf_key = key(&made.key)?;
    let authority = authority(now)?;
    let ca = match read(&made.ca)? {
        Some(ca) if belongs(&ca, &ca_key) => ca,
        _ => {
            let ca = authority.self_signed(&ca_key)?.pem();
            replace(&made.ca, &ca)?;
            ca
        }
    };
    let in_time = |cert: &String| {
        belongs(cert, &leaf_key) && holds(cert, &ca, now) && holds(cert, &ca, now.plus(RENEWAL))
    };
    if !read(&made.cert)?.as_ref().is_some_and(in_time) {
        let issuer = Issuer::from_params(&authority, &ca_key);
        let leaf = leaf(now)?.signed_by(&leaf_key, &issuer)?.pem();
        replace(&made.cert, &format!("{leaf}{ca}"))?;
    }
    Ok(made)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const RENEWAL: Duration = DAY.saturating_mul(30);

/// The authority's name and limits; its name and key are all that a leaf takes from it.
fn authority(now: Timestamp) -> Result<CertificateParams, DevCertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Munjigi local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(
                Ipv6Addr::LOCALHOST.octets(),
                128,
            )),
        ],
        excluded_subtrees: Vec::new(),
    });
    limit(&mut params, now, DAY.saturating_mul(3650));
    Ok(params)
}

fn leaf(now: Timestamp) -> Result<CertificateParams, DevCertificateError> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    limit(&mut params, now, DAY.saturating_mul(365));
    Ok(params)
}

/// Sets the time that a certificate is valid; a day back, for clocks that are late.
fn limit(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) {
    let date = |instant: Timestamp| OffsetDateTime::from_unix_timestamp(instant.as_seconds()).ok();
    if let (Some(from), Some(until)) = (date(now.minus(DAY)), date(now.plus(lifetime))) {
        params.not_before = from;
        params.not_after = until;
    }
}

/// Reads a key, or makes one if there is none.
fn key(path: &Path) -> Result<KeyPair, DevCertificateError> {
    let text = if let Some(text) = read(path)? {
        text
    } else {
        let temporary = write_beside(path, &KeyPair::generate()?.serialize_pem(), 0o600)?;
        // Unlike a rename, a link never replaces: of two processes both then read the first's.
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary).map_err(at(&temporary))?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(at(path)(error));
            }
            _ => fs::read_to_string(path).map_err(at(path))?,
        }
    };
    KeyPair::from_pem(&text)
        .map_err(|source| DevCertificateError::Key { path: path.to_owned(), source })
}

/// Whether the first certificate of a file is for this key.
fn belongs(cert: &str, key: &KeyPair) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(cert.as_bytes()) else { return false };
    let Ok(parsed) = EndEntityCert::try_from(&der) else { return false };
    parsed.subject_public_key_info().as_ref() == rcgen::PublicKeyData::subject_public_key_info(key)
}

/// Whether a client that trusts `ca` takes `cert` for every loopback name at `instant`.
fn holds(cert: &str, ca: &str, instant: Timestamp) -> bool {
    let (Ok(cert), Ok(ca)) = (
        CertificateDer::from_pem_slice(cert.as_bytes()),
        CertificateDer::from_pem_slice(ca.as_bytes()),
    ) else {
        return false;
    };
    let (Ok(leaf), Ok(anchor)) =
        (EndEntityCert::try_from(&cert), webpki::anchor_from_trusted_cert(&ca))
    else {
        return false;
    };
    let seconds = u64::try_from(instant.as_seconds()).unwrap_or(0);
    let anchors = [anchor];
    let chains = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        KeyUsage::server_auth(),
        None,
        None,
    );
    let mut names = vec![
        ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST)),
        ServerName::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
    ];
    names.extend(ServerName::try_from("localhost").ok());
    chains.is_ok() && names.iter().all(|name| leaf.verify_is_valid_for_subject_name(name).is_ok())
}

fn read(path: &Path) -> Result<Option<String>, DevCertificateError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A file that is no text is no certificate: it is made again.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
        Err(error) => Err(at(path)(error)),
    }
}

/// Writes a public file and puts it in the place of an older one in one step.
fn replace(path: &Path, text: &str) -> Result<(), DevCertificateError> {
    let temporary = write_beside(path, text, 0o644)?;
    fs::rename(&temporary, path).map_err(at(path))
}

/// Writes a temporary file next to `path`.
fn write_beside(path: &Path, text: &str, mode: u32) -> Result<PathBuf, DevCertificateError> {
    let temporary = path.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(at(&temporary))?;
    Ok(temporary)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DevCertificateError {
    let path = path.to_owned();
    move |source| DevCertificateError::File { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::{fs, thread};

    use rcgen::{CertificateParams, Issuer, KeyPair};
    use tempfile::TempDir;

    use super::{DAY, DevCertificate, DevCertificateError, authority, belongs, ensure, holds};
    use crate::clock::Timestamp;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn text(made: &DevCertificate) -> (String, String, String) {
        let read = |path| fs::read_to_string(path).unwrap();
        (read(&made.ca), read(&made.cert), read(&made.key))
    }

    /// Whether all files fit each other, and nothing else was left behind.
    fn assert_whole(dir: &TempDir, made: &DevCertificate, now: Timestamp) {
        let (ca, cert, key) = text(made);
        assert!(holds(&cert, &ca, now));
        assert!(belongs(&cert, &KeyPair::from_pem(&key).unwrap()));
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, ["ca.key", "ca.pem", "cert.pem", "key.pem"]);
    }

    #[test]
    fn what_is_there_is_used_again() {
        let dir = TempDir::new().unwrap();

        let made = ensure(dir.path(), NOW).unwrap();
        let first = text(&made);
        ensure(dir.path(), NOW.plus(DAY.saturating_mul(334))).unwrap();

        assert_eq!(text(&made), first);
        assert_whole(&dir, &made, NOW);
        for key in ["ca.key", "key.pem"] {
            let mode = fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn the_certificate_is_made_again_before_it_expires_and_the_authority_is_not() {
        let dir = TempDir::new().unwrap();
        let made = ensure(dir.path(), NOW).unwrap();
        let (ca, cert, _) = text(&made);
        let later = NOW.plus(DAY.saturating_mul(336));

        ensure(dir.path(), later).unwrap();

        let (same_ca, renewed, _) = text(&made);
        assert_eq!(same_ca, ca);
        assert_ne!(renewed, cert);
        assert!(holds(&renewed, &ca, later.plus(DAY.saturating_mul(364))));
        assert!(!holds(&renewed, &ca, later.plus(DAY.saturating_mul(366))));
        assert_whole(&dir, &made, later);
    }

    #[test]
    fn what_is_missing_or_foreign_is_made_again() {
        for lost in ["ca.key", "ca.pem", "cert.pem", "key.pem"] {
            let dir = TempDir::new().unwrap();
            ensure(dir.path(), NOW).unwrap();
            fs::remove_file(dir.path().join(lost)).unwrap();
            assert_whole(&dir, &ensure(dir.path(), NOW).unwrap(), NOW);
        }
        for damaged in ["ca.pem", "cert.pem"] {
            let dir = TempDir::new().unwrap();
            ensure(dir.path(), NOW).unwrap();
            fs::write(dir.path().join(damaged), [0xff, b'x']).unwrap();
            assert_whole(&dir, &ensure(dir.path(), NOW).unwrap(), NOW);
        }
    }

    #[test]
    fn a_damaged_key_is_named_and_left_alone() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("ca.key"), "mine").unwrap();

        let error = ensure(dir.path(), NOW).unwrap_err();

        assert!(matches!(&error, DevCertificateError::Key { .. }), "{error}");
        assert!(error.to_string().contains("ca.key"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("ca.key")).unwrap(), "mine");
    }

    #[test]
    fn several_at_once_end_with_one_whole_set() {
        for _ in 0..5 {
            let dir = TempDir::new().unwrap();
            let path = dir.path();
            let starts: Vec<_> = thread::scope(|scope| {
                let starts: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| ensure(path, NOW).unwrap())).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            });
            assert_whole(&dir, &starts[0], NOW);
        }
    }

    #[test]
    fn the_authority_can_vouch_for_no_other_name() {
        let authority = authority(NOW).unwrap();
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ca = authority.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::from_params(&authority, &ca_key);
        let sign = |more: &[&str]| {
            let names = ["localhost", "127.0.0.1", "::1"].iter().chain(more);
            let params = CertificateParams::new(names.map(ToString::to_string).collect::<Vec<_>>());
            params.unwrap().signed_by(&key, &issuer).unwrap().pem()
        };

        assert!(holds(&sign(&[]), &ca, NOW));
        for name in ["example.com", "localhost.example.com", "192.0.2.1", "::2"] {
            assert!(!holds(&sign(&[name]), &ca, NOW), "{name}");
        }
    }

    #[test]
    fn another_implementation_accepts_the_chain() {
        let dir = TempDir::new().unwrap();
        let made = ensure(dir.path(), NOW).unwrap();

        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime", "1800000000"])
            .args(["-verify_hostname", "localhost", "-CAfile"])
            .args([&made.ca, &made.cert])
            .output()
            .expect("this test needs the openssl command");

        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
