//! `munjigi ca`: whether this machine's browsers and programs trust the authority of `munjigi dev`.

mod program;
mod trust_store;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use aws_lc_rs::digest;
use clap::{Args, Subcommand, ValueEnum};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::output::table;
use crate::config::home;
use crate::edge::dev_certificate;
use crate::encoding::hex;

use trust_store::TrustStore;

#[derive(Debug, Subcommand)]
pub(crate) enum CaVerb {
    /// Trust the authority of `munjigi dev`, so that browsers and programs take its certificate
    #[command(after_help = TRUST)]
    Trust(CaArgs),
    /// Trust it no longer
    #[command(after_help = "Example:\n  munjigi ca untrust")]
    Untrust(CaArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    /// Where: in the system's store, in those of browsers (Chromium, Firefox), or in both
    #[arg(long = "store", value_enum, default_value = "all")]
    stores: Stores,
    /// The folder of the authority
    #[arg(long, value_name = "FOLDER", default_value = "certs/dev")]
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stores {
    All,
    System,
    Browsers,
}

/// The authority, as stores take it.
#[derive(Debug)]
struct Authority {
    /// Its certificate (PEM).
    file: PathBuf,
    /// Its name in a store; that of another folder has another.
    name: String,
    /// The beginning of the certificate's SHA-256.
    hash: String,
}

/// What became of one store.
#[derive(Debug, Serialize)]
struct Report {
    store: String,
    done: bool,
    /// What was done, or is to be done by hand.
    detail: String,
}

pub(crate) async fn ca(verb: CaVerb, context: &Context) -> anyhow::Result<()> {
    let (args, trusts) = match verb {
        CaVerb::Trust(args) => (args, true),
        CaVerb::Untrust(args) => (args, false),
    };
    if trusts {
        dev_certificate::ensure(&args.folder, context.now.wall)?;
    }
    let authority = Authority::read(&args.folder)?;
    let mut stores = Vec::new();
    if args.stores != Stores::Browsers {
        stores.extend(TrustStore::of_system(Path::new("/"), &authority));
    }
    if args.stores != Stores::System {
        let home = home().context("no home folder ($HOME), in which browsers keep their stores")?;
        stores.extend(TrustStore::of_browsers(&home));
    }
    let mut reports = Vec::new();
    for store in &stores {
        let done = match trusts {
            true => store.trust(&authority).await,
            false => store.untrust(&authority).await,
        };
        let (done, detail) = match done {
            Ok(detail) => (true, detail),
            Err(error) => (false, format!("{error:#}")),
        };
        reports.push(Report { store: store.to_string(), done, detail });
    }
    context.output.data(&reports, |reports| text(reports, trusts))?;
    match reports.iter().filter(|report| report.done).count() {
        0 => bail!("nothing was changed"),
        _ => Ok(()),
    }
}

fn text(reports: &[Report], trusts: bool) -> String {
    let rows = reports.iter().map(|report| {
        let state = match (report.done, trusts) {
            (false, _) => "not done",
            (true, true) => "trusted",
            (true, false) => "not trusted",
        };
        vec![report.store.clone(), state.to_owned(), report.detail.clone()]
    });
    table(&["STORE", "STATE", "DETAIL"], &rows.collect::<Vec<_>>())
}

impl Authority {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("ca.pem");
        let file = std::path::absolute(&file)?;
        let certificate = CertificateDer::from_pem_file(&file)
            .with_context(|| format!("{}: no authority; `munjigi dev` makes it", file.display()))?;
        let digest = digest::digest(&digest::SHA256, &certificate);
        let hash = hex(digest.as_ref().get(..4).unwrap_or_default());
        Ok(Self { file, name: format!("Munjigi local authority {hash}"), hash })
    }
}

const TRUST: &str = "\
The authority signs for localhost and loopback addresses only, so that to trust it opens no other name.
The system's store needs root; those of browsers need `certutil` (Debian: libnss3-tools). Restart a
browser that is open.

Examples:
  munjigi ca trust
  munjigi ca trust --store browsers
  sudo munjigi ca trust --store system";
