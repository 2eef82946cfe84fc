//! Whole files: their values and faults.

mod environment;
mod faults;
mod pages;
mod places;
mod properties;
mod reference;
mod site_faults;
mod sites;
mod social;

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Config, parse};
use crate::document::Faults;

const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Reads a text as `munjigi.toml` with these variables.
fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Faults> {
    let environment: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse(text, Path::new("munjigi.toml"), &environment)
}

fn read(text: &str) -> Result<Config, Faults> {
    read_with(text, &[])
}

/// Title, line and hint of every fault.
fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<(String, usize, String)> {
    let faults = read_with(text, variables).err().map(|faults| faults.0).unwrap_or_default();
    faults.into_iter().map(|fault| (fault.title.clone(), fault.line(), fault.hint)).collect()
}

/// The least site, and before it a text.
fn with_site(text: &str) -> String {
    format!("{text}\n[site.\"*\"]\ncontract = \"none\"\n")
}
