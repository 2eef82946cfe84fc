//! Pages of the built-in backend, for a person who opens it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use crate::cli::dev::mails::CaughtMails;
use crate::encoding::percent_decode;
use crate::operation::Language;
use crate::pages::assets::Assets;
use crate::pages::language;
use crate::pages::page::SiteLook;

use super::{Body, Seen, plain};

/// The header that says whose request it is.
pub(super) const USER: HeaderName = HeaderName::from_static("x-user-id");

/// The pages.
#[derive(Debug)]
pub(super) struct WhoamiPages {
    environment: Environment<'static>,
    english: BTreeMap<String, String>,
    korean: BTreeMap<String, String>,
    hosted: Assets,
    account: AccountLinks,
}

/// The pages that the gateway hosts, to link to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct AccountLinks {
    /// Their prefix; empty: there are none.
    prefix: String,
    sessions: bool,
    password: bool,
}

impl AccountLinks {
    /// The pages of a site.
    pub(crate) fn new(look: &SiteLook) -> Self {
        let SiteLook { prefix, sessions, password, .. } = look;
        Self { prefix: prefix.clone(), sessions: *sessions, password: *password }
    }
}

/// The user whom the identity headers name.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct User {
    id: String,
    name: String,
    roles: Vec<String>,
}

impl WhoamiPages {
    /// Reads templates and texts.
    pub(super) fn new(account: AccountLinks) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).context("a page of the built-in backend")?;
        }
        Ok(Self {
            environment,
            english: toml::from_str(include_str!("page/texts.en.toml"))?,
            korean: toml::from_str(include_str!("page/texts.ko.toml"))?,
            hosted: Assets::built_in(),
            account,
        })
    }

    /// A file that pages load.
    pub(super) fn file(&self, name: &str) -> Option<Response<Body>> {
        const CSS: &str = "text/css; charset=utf-8";
        const SCRIPT: &str = "text/javascript; charset=utf-8";
        let Assets { sheet, script, mark } = &self.hosted;
        let (kind, content) = match name {
            "munjigi.css" => (sheet.kind, sheet.content),
            "pages.js" => (script.kind, script.content),
            "mark.svg" => (mark.kind, mark.content),
            "whoami.css" => (CSS, include_str!("page/whoami.css")),
            "whoami.js" => (SCRIPT, include_str!("page/whoami.js")),
            _ => return None,
        };
        let mut response = Response::new(Full::new(Bytes::from(content)).boxed());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Some(response)
    }

    /// The page that shows a request.
    pub(super) fn seen(&self, seen: &Seen, headers: &HeaderMap, mails: bool) -> Response<Body> {
        let Seen { method, target, headers: shown } = seen;
        self.page(
            "seen.html",
            headers,
            context! { method, target, headers => shown, user => User::of(headers), mails },
        )
    }

    /// The page that shows the mails that were caught, on this machine alone: codes are in them.
    pub(super) fn mails(
        &self,
        headers: &HeaderMap,
        caught: Option<&CaughtMails>,
    ) -> Response<Body> {
        let Some(caught) = caught.filter(|_| is_local(headers)) else {
            let text = self.texts(headers).1.get("only_here").cloned().unwrap_or_default();
            return plain(StatusCode::FORBIDDEN, format!("{text}\n"));
        };
        match caught.newest() {
            Ok((mails, count)) => self.page("mails.html", headers, context! { mails, count }),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn page(&self, template: &str, headers: &HeaderMap, values: Value) -> Response<Body> {
        let (language, text) = self.texts(headers);
        let common = context! { language => language.tag(), text, account => self.account };
        let template = self.environment.get_template(template);
        let page = template.and_then(|template| template.render(context! { ..values, ..common }));
        let page = match page {
            Ok(page) => page,
            Err(error) => return plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")),
        };
        let mut response = plain(StatusCode::OK, page);
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn texts(&self, headers: &HeaderMap) -> (Language, &BTreeMap<String, String>) {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|line| line.to_str().ok());
        match language::choose(None, None, accepted, Language::English) {
            Language::English => (Language::English, &self.english),
            Language::Korean => (Language::Korean, &self.korean),
        }
    }
}

impl User {
    /// Reads the identity headers as `config/backends.md` says.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let decoded = |text: &str| match percent_decode(text) {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => text.to_owned(),
        };
        let id = decoded(value(USER.as_str())?);
        let name = value("x-user-email").or_else(|| value("x-user-name")).map(decoded);
        let roles = value("x-user-roles").map(|roles| roles.split(',').map(decoded).collect());
        Some(Self {
            name: name.unwrap_or_else(|| id.clone()),
            roles: roles.unwrap_or_default(),
            id,
        })
    }
}

/// Whether a request comes from this machine, and was meant for it: a page of another host that a
/// name of it leads here says that host.
fn is_local(headers: &HeaderMap) -> bool {
    let texts = |name: &'static str| {
        headers.get_all(name).into_iter().map(|line| line.to_str().unwrap_or_default())
    };
    let is_loopback = |text: &str| {
        let address = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| address.is_loopback())
    };
    let mut hosts = texts("host").chain(texts("x-forwarded-host"));
    let mut clients = texts("x-forwarded-for").flat_map(|line| line.split(','));
    hosts.all(|host| {
        let host = host.parse::<Authority>().map(|host| host.host().to_ascii_lowercase());
        host.is_ok_and(|host| host == "localhost" || is_loopback(&host))
    }) && clients.all(|client| is_loopback(client.trim()))
}

const TEMPLATES: [(&str, &str); 3] = [
    ("frame.html", include_str!("page/frame.html")),
    ("seen.html", include_str!("page/seen.html")),
    ("mails.html", include_str!("page/mails.html")),
];

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         object-src 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::VARY, "Accept, Accept-Language, Sec-Fetch-Mode, Sec-Fetch-Dest"),
];

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{AccountLinks, User, WhoamiPages, is_local};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn mails_are_for_this_machine_alone() {
        for (name, lines, expected) in [
            ("the gateway's", vec![("x-forwarded-for", "127.0.0.1")], true),
            ("both families", vec![("x-forwarded-for", "::1, 127.9.9.9")], true),
            ("by address", vec![("host", "127.0.0.1:8443"), ("x-forwarded-host", "[::1]:1")], true),
            ("from elsewhere", vec![("x-forwarded-for", "192.0.2.7, 127.0.0.1")], false),
            ("a client that is none", vec![("x-forwarded-for", "unknown")], false),
            ("a name that leads here", vec![("host", "attacker.example:8443")], false),
            ("behind ours", vec![("x-forwarded-host", "attacker.example")], false),
            ("a look-alike", vec![("host", "localhost.attacker.example")], false),
        ] {
            let mut lines = lines;
            if lines.iter().all(|(name, _)| *name != "host") {
                lines.push(("host", "LocalHost:8443"));
            }
            assert_eq!(is_local(&headers(&lines)), expected, "{name}");
        }
    }

    #[test]
    fn a_user_is_read_as_the_gateway_writes_one() {
        let user = User::of(&headers(&[
            ("x-user-id", "7"),
            ("x-user-name", "%EA%B0%80"),
            ("x-user-roles", "admin,a%2Cb"),
        ]));

        let roles = vec!["admin".to_owned(), "a,b".to_owned()];
        assert_eq!(user, Some(User { id: "7".to_owned(), name: "가".to_owned(), roles }));
        assert_eq!(User::of(&headers(&[("x-user-email", "a@b.example")])), None);
    }

    #[test]
    fn every_text_stands_in_both_languages() {
        let pages = WhoamiPages::new(AccountLinks::default()).unwrap();

        assert!(pages.english.keys().eq(pages.korean.keys()));
    }
}
