//! `munjigi check`: every fault of a configuration, at once.

use clap::Args;
use serde::Serialize;

use crate::app::certificates::certificate_faults;
use crate::app::error::AssembleError;
use crate::app::warnings::warnings;
use crate::app::{assemble, stores};
use crate::config;
use crate::config::Faults;
use crate::store::SetupReport;

use super::context::Context;
use super::output::count;

/// The extent of a check.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Look at the store as well
    #[arg(long)]
    deep: bool,
}

#[derive(Serialize)]
struct Report {
    file: String,
    sites: usize,
    routes: usize,
    contracts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<SetupReport>,
}

pub(crate) async fn check(args: CheckArgs, context: &Context) -> anyhow::Result<()> {
    let file = context.file()?;
    let (config, mut faults) = config::survey(&file)?;
    let is_whole = faults.is_empty();
    faults.extend(certificate_faults(&config));
    let checked = if is_whole {
        assemble::check(&config, context.now.wall).await
    } else {
        // The files that it names can be checked even if it has faults itself.
        assemble::contracts(&config).map_err(AssembleError::Config)
    };
    let contracts = match checked {
        Ok(contracts) => contracts,
        Err(AssembleError::Config(found)) => {
            faults.extend(found.0);
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    let store = if args.deep { Some(stores::check_setup(&config).await?) } else { None };
    let mut names: Vec<String> = contracts.iter().map(|found| found.name().to_owned()).collect();
    names.dedup();
    let report = Report {
        file: file.display().to_string(),
        sites: config.sites.len(),
        routes: config.sites.iter().map(|site| site.routes.len()).sum(),
        warnings: warnings(&config, &contracts),
        contracts: names,
        store,
    };
    context.output.data(&report, in_words)
}

fn in_words(report: &Report) -> String {
    let mut lines = vec![format!(
        "✓ {}  {}, {}, contract {}",
        report.file,
        count(report.sites, "site"),
        count(report.routes, "route"),
        report.contracts.join(", ")
    )];
    let mut warnings: Vec<&String> = report.warnings.iter().collect();
    if let Some(found) = &report.store {
        warnings.extend(&found.warnings);
        lines.extend(found.facts.iter().map(|fact| format!("✓ {}  {}", fact.about, fact.found)));
    }
    lines.extend(warnings.iter().map(|warning| format!("! {warning}")));
    lines.join("\n")
}
