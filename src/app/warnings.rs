//! Warnings of settings that are allowed and seldom meant.

use std::sync::Arc;

use crate::app::assemble::issuer;
use crate::config::{Config, KeyUse, SameSite, SiteConfig, StoreUrl, looks_like_base64};
use crate::contract::Contract;
use crate::operation::{Operation, Provider};

/// One sentence for each thing that an operator may not have meant; `contracts` are those of the
/// sites, in their order.
#[must_use]
pub fn warnings(config: &Config, contracts: &[Arc<Contract>]) -> Vec<String> {
    let mut warnings = Vec::new();
    for provider in Provider::ALL {
        if config.social.of(provider).is_some_and(|social| social.applications.is_empty()) {
            warnings.push(format!(
                "[social.{}] names no application: a token made for any opens its user's account",
                provider.name()
            ));
        }
    }
    let sites = config.sites.iter().zip(contracts);
    for (site, _) in sites.filter(|(_, contract)| mails(contract) && config.mail.url.is_none()) {
        warnings.push(format!(
            "[mail] is off: endpoints of `{}` that send a code answer 503",
            site.host
        ));
    }
    for site in &config.sites {
        for key in &site.tokens.keys {
            let KeyUse::Secret(secret) = &key.material else { continue };
            if key.secret_format.is_none() && looks_like_base64(secret.expose()) {
                warnings.push(format!(
                    "the secret of key `{}` of `{}` looks like base64 and is taken as text: say \
                     secret_format = \"base64\" if other systems decode it, else \"text\"",
                    key.kid, site.host
                ));
            }
        }
        if !site.tokens.require.iter().any(|name| name == "exp") {
            warnings.push(format!(
                "`{}` takes tokens without `exp`: they never end, and a revocation of their user \
                 is forgotten after session_ttl",
                site.host
            ));
        }
    }
    let sites = config.sites.iter().zip(contracts);
    warnings.extend(sites.filter_map(|(site, contract)| lost_cookies(site, contract)));
    warnings.extend(replaced_cookies(&config.sites));
    if matches!(config.store.url, StoreUrl::Redis(_)) && config.revocation.journal.is_none() {
        warnings.push(
            "[revocation] journal is off: what this Redis loses is lost, and a start needs it"
                .to_owned(),
        );
    }
    warnings
}

/// Browsers store no cookie with `SameSite=Lax` or `Strict` for a page of another site, and say so
/// nowhere but in their developer tools; `http` and `https` are two sites (RFC 6265bis §5.2).
fn lost_cookies(site: &SiteConfig, contract: &Contract) -> Option<String> {
    let sets_cookies = contract.cookie_names().next().is_some() || takes_cookies(site);
    if !sets_cookies || site.cookie_same_site == SameSite::None {
        return None;
    }
    let origin = site.cors.origins.iter().find(|origin| !origin.is_same_site(&site.host))?;
    let host = &site.host;
    let origin = origin.header_value().to_str().unwrap_or_default();
    let why = if origin.starts_with("http:") { " since it is http" } else { "" };
    Some(format!(
        "a browser keeps no cookie of `{host}` for pages of {origin}, another site to it{why}: \
         serve them by https under the same domain, or set cookie_same_site = \"none\", which needs \
         browsers that allow third-party cookies"
    ))
}

/// Session cookies have one name, so that those of one domain replace each other.
fn replaced_cookies(sites: &[SiteConfig]) -> impl Iterator<Item = String> {
    let shares = |site: &SiteConfig| site.cookie_domain.is_some() && takes_cookies(site);
    sites.iter().enumerate().filter(move |(_, site)| shares(site)).filter_map(|(index, site)| {
        let mut earlier = sites.iter().take(index).filter(|site| takes_cookies(site));
        let other = earlier.find(|other| {
            other.cookie_domain == site.cookie_domain && issuer(other) != issuer(site)
        })?;
        let (host, other_host) = (&site.host, &other.host);
        Some(format!(
            "`{other_host}` and `{host}` share cookie_domain and have two issuers: neither takes \
             the other's session, and a login at one ends that of the other in the browser: set \
             one tokens.issuer for both, or leave cookie_domain out"
        ))
    })
}

fn takes_cookies(site: &SiteConfig) -> bool {
    site.takes_tokens_from(|sources| sources.cookie)
}

fn mails(contract: &Contract) -> bool {
    contract.endpoints().iter().any(|endpoint| {
        matches!(endpoint.operation(), Operation::RequestReset | Operation::RequestVerification)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::warnings;
    use crate::app::assemble::contracts;
    use crate::config;

    fn of(text: &str) -> Vec<String> {
        of_site("contract = \"standard\"", text)
    }

    fn of_site(site: &str, text: &str) -> Vec<String> {
        of_text(&format!("[site.\"localhost\"]\n{site}\n{text}"))
    }

    fn of_text(text: &str) -> Vec<String> {
        let config = config::parse(text, Path::new("munjigi.toml"), &BTreeMap::new())
            .unwrap_or_else(|faults| panic!("{faults}"));
        warnings(&config, &contracts(&config).unwrap())
    }

    #[test]
    fn each_is_told_where_it_applies_and_nowhere_else() {
        let mail = "[mail]\nurl = \"dir:mails\"\n";
        let key = |format: &str, require: &str| {
            format!(
                "{mail}[site.\"localhost\".tokens]\nalgorithm = \"HS256\"\nrequire = [\"{require}\"]\n\
                 keys = [{{ kid = \"a\", algorithm = \"HS256\", {format}\
                 secret = \"q83vEjRWeJDQ+e8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\" }}]\n"
            )
        };
        let redis = "[store]\nurl = \"redis://127.0.0.1\"\n";
        let rows = [
            ("all is well", mail.to_owned(), None),
            ("mails are off", String::new(), Some("of `localhost`")),
            ("any application", format!("{mail}[social.google]\n"), Some("[social.google]")),
            ("one", format!("{mail}[social.google]\nclient_id = \"x\"\n"), None),
            ("base64 as text", key("", "exp"), Some("key `a` of `localhost` looks like base64")),
            ("base64", key("secret_format = \"base64\", ", "exp"), None),
            ("text", key("secret_format = \"text\", ", "exp"), None),
            ("no end", key("secret_format = \"text\", ", "sub"), Some("without `exp`")),
            ("with a journal", format!("{mail}{redis}"), None),
            ("without", format!("{mail}{redis}[revocation]\njournal = \"\"\n"), Some("journal")),
        ];
        for (name, text, expected) in rows {
            let told = of(&text);

            assert_eq!(told.len(), usize::from(expected.is_some()), "{name}: {told:?}");
            assert!(told.iter().all(|told| expected.is_some_and(|part| told.contains(part))));
        }
    }

    #[test]
    fn cookies_that_browsers_would_not_keep_are_told() {
        let mail = "[mail]\nurl = \"dir:mails\"\n";
        let vite = "cors = { origins = [\"https://localhost\", \"http://localhost:5173\"] }";
        for (name, site, is_told) in [
            ("another site", format!("contract = \"zipcheck\"\n{vite}"), true),
            ("no cookies", format!("contract = \"standard\"\n{vite}"), false),
            (
                "for another site",
                format!("contract = \"zipcheck\"\ncookie_same_site = \"none\"\n{vite}"),
                false,
            ),
            ("no origin", "contract = \"zipcheck\"".to_owned(), false),
            (
                "session cookies",
                format!("contract = \"standard\"\ntoken_from = [\"cookie\"]\n{vite}"),
                true,
            ),
            ("those of pages", format!("contract = \"standard\"\npages = {{}}\n{vite}"), true),
            (
                "on a route alone",
                format!(
                    "contract = \"standard\"\n{vite}\nroutes = [{{ path = \"/*\", \
                     upstream = \"http://127.0.0.1:3000\", token_from = [\"cookie\"] }}]"
                ),
                true,
            ),
        ] {
            let told = of_site(&site, mail);

            assert_eq!(told.len(), usize::from(is_told), "{name}: {told:?}");
            assert!(
                told.iter().all(|told| {
                    told.contains("http://localhost:5173, another site to it since it is http")
                        && told.contains("by https under the same domain")
                        && told.contains("cookie_same_site = \"none\"")
                }),
                "{name}: {told:?}"
            );
        }
    }

    #[test]
    fn sites_that_replace_each_others_cookies_are_told() {
        let shared = "cookie_domain = \"example.com\"\ntoken_from = [\"cookie\"]";
        let issuer = "tokens = { issuer = \"https://example.com\" }";
        for (name, one, other, is_told) in [
            ("two issuers", shared.to_owned(), shared.to_owned(), true),
            ("one of them named", format!("{shared}\n{issuer}"), shared.to_owned(), true),
            ("one", format!("{shared}\n{issuer}"), format!("{shared}\n{issuer}"), false),
            (
                "the other's, by default",
                shared.to_owned(),
                format!("{shared}\ntokens = {{ issuer = \"https://a.example.com\" }}"),
                false,
            ),
            (
                "no session cookies",
                shared.to_owned(),
                shared.replace("\"cookie\"", "\"bearer\""),
                false,
            ),
            (
                "two domains",
                shared.to_owned(),
                shared.replace("example.com", "b.example.com"),
                false,
            ),
            ("no domain", "token_from = [\"cookie\"]".to_owned(), shared.to_owned(), false),
        ] {
            let text = format!(
                "[site.\"a.example.com\"]\ncontract = \"none\"\n{one}\n\
                 [site.\"b.example.com\"]\ncontract = \"none\"\n{other}\n"
            );

            let told = of_text(&text);

            assert_eq!(told.len(), usize::from(is_told), "{name}: {told:?}");
            assert!(told.iter().all(|told| told.starts_with("`a.example.com` and `b.")), "{name}");
        }
    }
}
