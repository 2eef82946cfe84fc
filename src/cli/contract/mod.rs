//! `munjigi contract`: lists, shows and checks contracts.

mod page;
mod pretty;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::config::{Fault, Faults};
use crate::contract::Contract;

use super::context::Context;
use super::output::{count, table};

use page::ContractPage;

#[derive(Debug, Subcommand)]
pub(crate) enum ContractVerb {
    /// List the contracts that are built in
    #[command(after_help = LIST)]
    List,
    /// Show a contract: its endpoints, an example of each, and the answer to every error
    #[command(after_help = SHOW)]
    Show(ShowArgs),
    /// Check a contract file and say everything that is wrong with it, at once
    #[command(after_help = CHECK)]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Name of a built-in contract, or path of a contract file
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Path of a contract file
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    about: String,
}

#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    contract: String,
    endpoints: usize,
}

pub(crate) fn contract(verb: ContractVerb, context: &Context) -> anyhow::Result<()> {
    match verb {
        ContractVerb::List => list(context),
        ContractVerb::Show(args) => {
            let page = ContractPage::of(&find(&args.name)?);
            context.output.data(&page, ContractPage::text)
        }
        ContractVerb::Check(args) => check(&args.file, context),
    }
}

fn list(context: &Context) -> anyhow::Result<()> {
    let contracts: Result<Vec<Contract>, Faults> =
        Contract::built_in_names().iter().filter_map(|name| Contract::built_in(name)).collect();
    let listed: Vec<Listed> = contracts?.iter().map(Listed::of).collect();
    context.output.data(&listed, |listed| {
        let row = |one: &Listed| vec![one.name.clone(), one.about.clone()];
        table(&["CONTRACT", "ABOUT"], &listed.iter().map(row).collect::<Vec<_>>())
    })
}

fn check(file: &Path, context: &Context) -> anyhow::Result<()> {
    let contract = Contract::load(file)?;
    let checked = Checked {
        file: file.display().to_string(),
        contract: contract.name().to_owned(),
        endpoints: contract.endpoints().len(),
    };
    context.output.data(&checked, |Checked { file, contract, endpoints }| {
        format!("✓ {file}  contract {contract}, {}", count(*endpoints, "endpoint"))
    })
}

/// A built-in contract, or a file; distinguished as the configuration does.
fn find(name: &str) -> Result<Contract, Faults> {
    if name.contains('/') || name.ends_with(".toml") {
        return Contract::load(Path::new(name));
    }
    Contract::built_in(name).unwrap_or_else(|| {
        let known = Contract::built_in_names().join(", ");
        let hint = format!("known: {known}, or the path of a contract file");
        Err(Faults(vec![Fault::without_place(format!("no contract is named `{name}`"), hint)]))
    })
}

impl Listed {
    fn of(contract: &Contract) -> Self {
        Self { name: contract.name().to_owned(), about: contract.about().to_owned() }
    }
}

const LIST: &str = "\
A site takes one by its name:  [site.\"api.example.com\"] contract = \"standard\"

Example:
  munjigi contract list";
const SHOW: &str = "\
The requests and answers are made from the contract itself: what is shown is what is served.
A site's own settings (`[site.X.tokens]`, `cookie_same_site`) win over what is shown.

Examples:
  munjigi contract show zdm
  munjigi contract show ./contracts/acme.toml
  munjigi --json contract show standard | jq '.endpoints[].request'";
const CHECK: &str = "\
Exit status: 0 good, 78 not. config/contracts/README.md says how a contract is written; a good start
is a copy of the nearest one in config/contracts.

Example:
  munjigi contract check ./contracts/acme.toml";
