//! `munjigi check`: everything that is wrong with a configuration, at once.

use serde::Serialize;

use crate::app::assemble;
use crate::config::Config;
use crate::edge::tls;

use super::context::Context;

#[derive(Serialize)]
struct Report {
    file: String,
    sites: usize,
    routes: usize,
    contracts: Vec<String>,
}

pub(crate) async fn check(context: &Context) -> anyhow::Result<()> {
    let file = context.file()?;
    let config = context.config()?;
    let contracts = assemble::check(&config, context.now.wall).await?;
    check_certificates(&config)?;
    let mut names: Vec<String> = contracts.iter().map(|found| found.name().to_owned()).collect();
    names.dedup();
    let report = Report {
        file: file.display().to_string(),
        sites: config.sites.len(),
        routes: config.sites.iter().map(|site| site.routes.len()).sum(),
        contracts: names,
    };
    context.output.data(&report, |report| {
        format!(
            "✓ {}  {}, {}, contract {}",
            report.file,
            count(report.sites, "site"),
            count(report.routes, "route"),
            report.contracts.join(", ")
        )
    })
}

/// Reads the operator's certificates; the ones for development are made when the gateway starts.
fn check_certificates(config: &Config) -> anyhow::Result<()> {
    if !config.tls.certs.is_empty() {
        tls::server_config(&config.tls, &config.folder, &config.server.listen)?;
    }
    Ok(())
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
