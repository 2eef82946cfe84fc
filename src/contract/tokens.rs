//! `[tokens]`: the token settings that a contract brings.

use std::time::Duration;

use crate::config::Algorithm;
use crate::document::{NodeTable, Report, suggestion};
use crate::token::RefreshFormat;

/// The token settings that a contract brings; a site's own settings win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractTokens {
    /// Signature.
    pub algorithm: Algorithm,
    /// Access token.
    pub access_ttl: Duration,
    /// Refresh token; `None`: the contract has none.
    pub refresh_ttl: Option<Duration>,
    /// Shape of refresh tokens.
    pub refresh_format: RefreshFormat,
    /// A login ends the user's other sessions of the site.
    pub one_session: bool,
    /// `Authorization` may carry a token without `Bearer `.
    pub bare_tokens: bool,
    /// The role of an account that asks for none it may have.
    pub default_role: Option<String>,
}

const REFRESH_FORMATS: [(&str, RefreshFormat); 3] =
    [("opaque", RefreshFormat::Opaque), ("uuid", RefreshFormat::Uuid), ("jwt", RefreshFormat::Jwt)];

impl ContractTokens {
    /// Reads the section; it must name an algorithm and a lifetime.
    pub(super) fn read(mut section: NodeTable<'_>, report: &mut Report) -> Option<Self> {
        let algorithm = section.needed_text("algorithm", report).and_then(|name| {
            let algorithm = Algorithm::from_name(name.get_ref());
            if algorithm.is_none() {
                let known = Algorithm::ALL.iter().map(|algorithm| algorithm.name());
                let title = format!("unknown algorithm `{}`", name.get_ref());
                report.fault(&name.span(), title, suggestion(name.get_ref(), known));
            }
            algorithm
        });
        if section.find("access_ttl").is_none() {
            report.fault(&section.span, "`access_ttl` is missing", "it must be given here");
        }
        let access_ttl = section.duration("access_ttl", report);
        let refresh_ttl = section.duration("refresh_ttl", report);
        let refresh_format = section.text("refresh_format", report).and_then(|name| {
            let format = REFRESH_FORMATS.iter().find(|(own, _)| own == name.get_ref());
            if format.is_none() {
                let known = REFRESH_FORMATS.iter().map(|(name, _)| *name);
                let title = format!("unknown refresh format `{}`", name.get_ref());
                report.fault(&name.span(), title, suggestion(name.get_ref(), known));
            }
            format.map(|(_, format)| *format)
        });
        let one_session = section.flag("one_session", report).unwrap_or(false);
        let bare_tokens = section.flag("bare_tokens", report).unwrap_or(false);
        let default_role = section.text("default_role", report).map(toml::Spanned::into_inner);
        section.finish(report);
        Some(Self {
            algorithm: algorithm?,
            access_ttl: access_ttl?,
            refresh_ttl,
            refresh_format: refresh_format.unwrap_or(RefreshFormat::Opaque),
            one_session,
            bare_tokens,
            default_role,
        })
    }
}
