//! The certificates that a configuration names, and the place of one that cannot be used.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::app::AppError;
use crate::app::error::AssembleError;
use crate::config::{CertConfig, Config, Fault, Faults, TlsConfig};
use crate::edge::tls;

/// Reads the certificates, and makes those for development.
///
/// # Errors
/// Each certificate that cannot be used, with its place; or why none could be made.
pub(super) fn server_config(config: &Config) -> Result<Arc<ServerConfig>, AppError> {
    tls::server_config(&config.tls, &config.folder, &config.server.listen).map_err(|error| {
        match certificate_faults(config) {
            none if none.is_empty() => AppError::Tls(error),
            faults => AssembleError::Config(Faults(faults)).into(),
        }
    })
}

/// Reads the operator's certificates, each alone, so that a fault has the place of its own; the
/// ones for development are made when the gateway starts.
#[must_use]
pub fn certificate_faults(config: &Config) -> Vec<Fault> {
    let fault = |cert: &CertConfig| {
        let alone = TlsConfig { certs: vec![cert.clone()], ..config.tls.clone() };
        let error = tls::server_config(&alone, &config.folder, &config.server.listen).err()?;
        let hint = "this certificate cannot be used";
        Some(Fault::caused(&config.source, cert.spot.span.clone(), &error, hint))
    };
    config.tls.certs.iter().filter_map(fault).collect()
}
