//! `[tls]`: certificates and the lowest version.

use std::path::PathBuf;

use crate::document::{Item, Spot, Table};

/// `[tls]`
#[derive(Clone, Debug, PartialEq)]
pub struct TlsConfig {
    /// Certificates, chosen by SNI; default none: made under `certs/dev`, on loopback only. A
    /// reload applies it.
    pub certs: Vec<CertConfig>,
    /// Lowest version; default 1.2. A reload applies it.
    pub min_version: TlsVersion,
}

/// A certificate chain and its key (PEM files).
#[derive(Clone, Debug, PartialEq)]
pub struct CertConfig {
    /// Chain, leaf first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Place in the file.
    pub spot: Spot,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2
    V1_2,
    /// 1.3
    V1_3,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { certs: Vec::new(), min_version: TlsVersion::V1_2 }
    }
}

impl TlsConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            certs: table.read("certs", default.certs, |item| item.list(CertConfig::read)),
            min_version: table.choice(
                "min_version",
                default.min_version,
                &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)],
            ),
        };
        table.end();
        config
    }
}

impl CertConfig {
    fn read(item: &Item<'_>) -> Option<Self> {
        let table = item.table("a certificate")?;
        let hint = "a certificate is { cert = \"a.pem\", key = \"a.key\" }";
        let cert = table.required("cert", hint).and_then(|item| item.path());
        let key = table.required("key", hint).and_then(|item| item.path());
        table.end();
        Some(Self { cert: cert?, key: key?, spot: table.spot() })
    }
}
