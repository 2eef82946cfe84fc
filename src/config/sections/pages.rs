//! `[site."HOST".pages]`: the pages that the gateway itself shows to people.

use http::Uri;

use crate::config::Origin;
use crate::document::{Expected, Item, Spot, Table};

/// `[site."HOST".pages]`; a reload applies it.
#[derive(Clone, Debug, PartialEq)]
pub struct PagesConfig {
    /// Whether the site has them; default `true` where the table stands.
    pub enabled: bool,
    /// The prefix of the gateway's own paths; default `/account`.
    pub prefix: String,
    /// Place of the prefix, or of the table.
    pub spot: Spot,
    /// Shown instead of the host; default "".
    pub name: String,
    /// URL of a privacy notice; default none.
    pub privacy: Option<String>,
    /// URL of help; default none.
    pub help: Option<String>,
    /// Other origins that a page may lead back to; default none.
    pub return_origins: Vec<Origin>,
}

impl PagesConfig {
    /// The prefix where a site names none.
    pub(super) const PREFIX: &str = "/account";

    /// Reads the table.
    pub(super) fn read(item: &Item<'_>) -> Option<Self> {
        let table = item.table("[site.pages]")?;
        let default = Self::default();
        let written = table.item("prefix");
        let config = Self {
            enabled: table.flag("enabled", default.enabled),
            spot: written.as_ref().unwrap_or(item).spot(),
            prefix: written.and_then(|item| item.parse(prefix)).unwrap_or(default.prefix),
            name: table.text("name", &default.name),
            privacy: web_url(&table, "privacy"),
            help: web_url(&table, "help"),
            return_origins: table.read("return_origins", default.return_origins, |item| {
                item.list(|item| item.parse(return_origin))
            }),
        };
        table.end();
        Some(config)
    }
}

impl Default for PagesConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            prefix: Self::PREFIX.to_owned(),
            spot: Spot::default(),
            name: String::new(),
            privacy: None,
            help: None,
            return_origins: Vec::new(),
        }
    }
}

/// Segments that have one spelling in a path.
fn prefix(text: &str) -> Result<String, Expected> {
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    match text.strip_prefix('/') {
        Some(segments) if segments.split('/').all(is_plain) => Ok(text.to_owned()),
        _ => Err(Expected::new(
            "expected a path such as /account: segments of letters, digits, `-` and `_`, no `/` at its end",
        )),
    }
}

fn web_url(table: &Table<'_>, key: &'static str) -> Option<String> {
    table.optional(key, |item| {
        item.parse(|text| {
            let uri = text.parse::<Uri>().ok();
            let is_web = uri.is_some_and(|uri| {
                matches!(uri.scheme_str(), Some("https" | "http"))
                    && uri.host().is_some_and(|host| !host.is_empty())
                    && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            });
            match is_web {
                true => Ok(text.to_owned()),
                false => Err(Expected::new("expected a URL such as https://example.com/help")),
            }
        })
    })
}

fn return_origin(text: &str) -> Result<Origin, Expected> {
    let origin: Origin = text.parse()?;
    if origin.is_https() || origin.is_http_on_loopback() {
        Ok(origin)
    } else {
        Err(Expected::new("expected an https origin, or one by http on this machine"))
    }
}
