//! Finds the place in a configuration of what a part of the gateway refuses.

use http::HeaderName;

use crate::app::error::AssembleError;
use crate::config::{Config, Fault, Faults, Mfa, SiteConfig, Spot};
use crate::contract::Contract;
use crate::operation::Operation;

/// A fault at a place of the configuration.
pub(super) fn fault(config: &Config, spot: &Spot, title: String, hint: &str) -> Fault {
    let source = Some(config.source.clone());
    Fault { source, span: spot.span.clone(), title, hint: hint.to_owned() }
}

/// The attributes that headers are to be made of and the site's contract does not have as text.
pub(super) fn foreign_attributes(
    config: &Config,
    site: &SiteConfig,
    contract: &Contract,
) -> Vec<Fault> {
    let known: Vec<&str> = contract.text_attributes().collect();
    let foreign =
        site.identity.attributes.iter().filter(|(_, name)| !known.contains(&name.as_str()));
    let fault = |(_, name): &(HeaderName, String)| {
        let title = format!("contract `{}` has no text attribute `{name}`", contract.name());
        let hint = match known.join(", ") {
            none if none.is_empty() => "it has none at all".to_owned(),
            known => format!("it has {known}"),
        };
        fault(config, &site.spot, title, &hint)
    };
    foreign.map(fault).collect()
}

/// The prefix of the site's pages, where an endpoint of its contract lies below it: both would
/// answer the same requests.
pub(super) fn endpoints_among_pages(
    config: &Config,
    site: &SiteConfig,
    contract: &Contract,
) -> Option<Fault> {
    let pages = site.pages.as_ref().filter(|pages| pages.enabled)?;
    let endpoint =
        contract.endpoints().iter().find(|endpoint| endpoint.pattern().reaches(&pages.prefix))?;
    let (method, path) = (endpoint.method(), endpoint.path());
    let title = format!("the pages' prefix `{}` covers an endpoint", pages.prefix);
    let hint = format!("contract `{}` has `{method} {path}`: name another", contract.name());
    Some(fault(config, &pages.spot, title, &hint))
}

/// A second factor that clients of the contract could not prove: their login would end there.
pub(super) fn unprovable_factor(
    config: &Config,
    site: &SiteConfig,
    contract: &Contract,
) -> Option<Fault> {
    let can_prove = contract.endpoint(Operation::SecondFactor).is_some();
    if site.mfa == Mfa::Off || can_prove {
        return None;
    }
    let title = format!("contract `{}` has no second factor", contract.name());
    let hint = "its clients could not prove one: mfa = \"off\", or a contract with `second_factor`";
    Some(fault(config, &site.mfa_spot, title, hint))
}

/// Blames the operator's own keys, where the site has any, for what cannot be done with them.
pub(super) fn blame_keys(
    config: &Config,
    site: &SiteConfig,
    error: AssembleError,
) -> AssembleError {
    match (error, site.tokens.keys.first()) {
        (AssembleError::Keys { source, .. }, Some(key)) => {
            let hint = "the site's keys cannot be used";
            Faults(vec![fault(config, &key.spot, source.to_string(), hint)]).into()
        }
        (error, _) => error,
    }
}
