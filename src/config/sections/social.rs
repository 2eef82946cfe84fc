//! `[social]`: the providers that may vouch for users.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde_json::Value;

use crate::document::{Expected, Item, Table};
use crate::operation::Provider;

/// `[social]`
#[derive(Clone, Debug, PartialEq)]
pub struct SocialConfig {
    /// The accounts that a verified address joins. A reload applies it.
    pub join: SocialJoin,
    /// All that one question takes, connections included; default 5 s. A reload applies it.
    pub timeout: Duration,
    /// CA file to trust besides the machine's own; default none. A reload applies it.
    pub ca: Option<PathBuf>,
    /// `[social.google]`; absent: not supported. A reload applies it.
    pub google: Option<ProviderConfig>,
    /// `[social.kakao]`; absent: not supported. A reload applies it.
    pub kakao: Option<ProviderConfig>,
}

/// `join = "…"`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SocialJoin {
    /// The account of that address, proven or not; one that was never proven loses its sessions.
    #[default]
    Verified,
    /// Only an account whose address was proven here as well.
    ProvenOnly,
}

/// `[social.google]`, `[social.kakao]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The applications whose tokens are taken (`client_id`, `app_id`); default none: any. A
    /// reload applies it.
    pub applications: Vec<String>,
    /// URL where the provider says who a user is. A reload applies it.
    pub userinfo_url: Uri,
    /// URL where the provider says for which application a token was made. A reload applies it.
    pub tokeninfo_url: Uri,
}

impl SocialConfig {
    /// The settings of a provider; `None`: it is not supported.
    #[must_use]
    pub const fn of(&self, provider: Provider) -> Option<&ProviderConfig> {
        match provider {
            Provider::Google => self.google.as_ref(),
            Provider::Kakao => self.kakao.as_ref(),
        }
    }
}

impl Default for SocialConfig {
    fn default() -> Self {
        Self {
            join: SocialJoin::Verified,
            timeout: Duration::from_secs(5),
            ca: None,
            google: None,
            kakao: None,
        }
    }
}

impl SocialConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            join: table.choice("join", default.join, &JOINS),
            timeout: table.duration("timeout", default.timeout),
            ca: table.optional("ca", Item::path),
            google: table
                .table("google", "[social.google]")
                .map(|google| ProviderConfig::google().read(&google, "client_id")),
            kakao: table
                .table("kakao", "[social.kakao]")
                .map(|kakao| ProviderConfig::kakao().read(&kakao, "app_id")),
        };
        table.end();
        config
    }
}

impl ProviderConfig {
    /// Google's own addresses, any application.
    #[must_use]
    pub fn google() -> Self {
        Self {
            applications: Vec::new(),
            userinfo_url: Uri::from_static("https://openidconnect.googleapis.com/v1/userinfo"),
            tokeninfo_url: Uri::from_static("https://oauth2.googleapis.com/tokeninfo"),
        }
    }

    /// Kakao's own addresses, any application.
    #[must_use]
    pub fn kakao() -> Self {
        Self {
            applications: Vec::new(),
            userinfo_url: Uri::from_static("https://kapi.kakao.com/v2/user/me"),
            tokeninfo_url: Uri::from_static("https://kapi.kakao.com/v1/user/access_token_info"),
        }
    }

    fn read(self, table: &Table<'_>, application: &'static str) -> Self {
        let config = Self {
            applications: table.optional(application, applications).unwrap_or_default(),
            userinfo_url: table.parse("userinfo_url", self.userinfo_url, https),
            tokeninfo_url: table.parse("tokeninfo_url", self.tokeninfo_url, https),
        };
        table.end();
        config
    }
}

/// One id or a list of them: the apps of one product have ids of their own. Kakao's are numbers.
fn applications(item: &Item<'_>) -> Option<Vec<String>> {
    let ids = match item.json()? {
        Value::Array(ids) => ids,
        id => vec![id],
    };
    let read = ids.into_iter().map(|id| match id {
        Value::String(id) if !id.trim().is_empty() => Some(id),
        Value::Number(id) if id.is_u64() => Some(id.to_string()),
        _ => None,
    });
    let ids: Option<Vec<String>> = read.collect();
    if ids.is_none() {
        item.bad("expected an id, or a list of ids");
    }
    ids
}

/// Over anything else, anybody in between reads the token and says who the user is.
fn https(text: &str) -> Result<Uri, Expected> {
    let expected = || Expected::new("expected an https URL such as https://provider.example/me");
    if text.contains('#') {
        return Err(expected());
    }
    let Ok(uri) = text.parse::<Uri>() else { return Err(expected()) };
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    if uri.scheme() != Some(&http::uri::Scheme::HTTPS) || authority.is_none() {
        return Err(expected());
    }
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Expected::new("a provider's URL holds no user and password"));
    }
    Ok(uri)
}

const JOINS: [(&str, SocialJoin); 2] =
    [("verified", SocialJoin::Verified), ("proven-only", SocialJoin::ProvenOnly)];

#[cfg(test)]
mod tests {
    use super::https;

    #[test]
    fn only_https_urls_are_taken() {
        for text in ["https://a.example", "https://a.example:8443/me?x=1", "https://[::1]:1/me"] {
            assert!(https(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "/me",
            "a.example/me",
            "http://a.example/me",
            "https://",
            "https:///me",
            "https://u:p@a.example/me",
            "https://a.example/me#x",
            "https://a b/me",
            "ftp://a.example",
        ] {
            assert!(https(text).is_err(), "{text}");
        }
    }
}
