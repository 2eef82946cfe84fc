//! Cookies that a contract's answers set and clear, and that requests bring back: `[cookies]`.
//!
//! `Set-Cookie` follows RFC 6265 §4.1 and is checked when the file is loaded; `Cookie` is read by
//! §4.2: pairs between semicolons, names exact.

use std::borrow::Cow;
use std::ops::Range;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use toml::Spanned;

use crate::config::SameSite;
use crate::contract::answer::compose::Composer;
use crate::contract::answer::slot_values::SlotValues;
use crate::contract::answer::template::{Piece, Text};
use crate::document::{NodeTable, Report, suggestion};

/// A cookie of the contract's own.
#[derive(Clone, Debug)]
pub(super) struct Cookie {
    /// Its name.
    pub(super) name: String,
    /// Place in the file.
    pub(super) span: Range<usize>,
    value: Spanned<String>,
    attributes: Vec<CookieAttribute>,
}

/// A cookie that an answer sets or clears.
#[derive(Clone, Debug)]
pub(super) enum CookieChange {
    /// Sets it to a value.
    Set(Cookie, Text),
    /// Clears it.
    Clear(Cookie),
}

/// The attributes, which follow the value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CookieAttribute {
    /// As in the file.
    Fixed(String),
    /// `Max-Age=…`; left out when the cookie is cleared.
    MaxAge(String),
    /// `Domain=…`; a browser may hold a second cookie without it.
    Domain(String),
    /// `SameSite` as the site's configuration says.
    SiteSameSite(String),
}

/// The placeholder of the site's `cookie_same_site`.
const SITE_SAME_SITE: &str = "{site.cookie_same_site}";

/// Attributes of RFC 6265bis; `Expires` is `Max-Age` in a form that a file cannot hold.
const ATTRIBUTES: [&str; 7] =
    ["HttpOnly", "Secure", "Partitioned", "Path", "Domain", "Max-Age", "SameSite"];

/// Most values of one name that are read: a browser sends one for each path and domain that a
/// cookie was ever set for.
const MOST_VALUES: usize = 4;

/// Whether a header sets or clears a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Set,
    Clear,
    /// Clears the cookie of the same name that has no `Domain`: a browser keeps it apart.
    ClearHostOnly,
}

impl Cookie {
    /// Reads `[cookies]`.
    pub(super) fn read_all(section: Option<NodeTable<'_>>, report: &mut Report) -> Vec<Self> {
        let Some(section) = section else { return Vec::new() };
        let mut cookies = Vec::new();
        for (key, node) in section.rest() {
            if !is_token(&key.name) {
                let title = format!("`{}` is no cookie's name", key.name);
                report.fault(&key.span, title, "letters, digits and !#$%&'*+-.^_`|~");
            }
            let Some(mut own) = NodeTable::of(node, report) else { continue };
            let value = own.needed_text("value", report);
            let attributes = own.needed_text("attributes", report);
            own.finish(report);
            let (Some(value), Some(attributes)) = (value, attributes) else { continue };
            let (name, span) = (key.name.clone(), key.span.clone());
            let attributes = read_attributes(&name, &attributes, report);
            cookies.push(Self { name, span, value, attributes });
        }
        cookies
    }

    /// The cookie of a name; a fault if there is none.
    pub(super) fn find(
        cookies: &[Self],
        name: &str,
        span: &Range<usize>,
        report: &mut Report,
    ) -> Option<Self> {
        let found = cookies.iter().find(|cookie| cookie.name == name);
        if found.is_none() {
            let hint = match cookies {
                [] => format!("describe it: [cookies.{name}]"),
                _ => suggestion(name, cookies.iter().map(|cookie| cookie.name.as_str())),
            };
            report.fault(span, format!("unknown cookie `{name}`"), hint);
        }
        found.cloned()
    }

    /// The values under a name in a request, each once, in order, the first [`MOST_VALUES`].
    pub(super) fn of_request<'h>(headers: &'h HeaderMap, name: &str) -> Vec<Cow<'h, str>> {
        let pairs = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let mut values = Vec::new();
        for pair in pairs {
            let named = pair.trim_ascii().strip_prefix(name.as_bytes());
            let Some(value) = named.and_then(|rest| rest.strip_prefix(b"=")) else { continue };
            // A value that is no UTF-8 was not made here, and names no session.
            let value = String::from_utf8_lossy(value);
            if values.len() < MOST_VALUES && !value.is_empty() && !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// The headers that clear it, and its twin without `Domain` if it has one.
    pub(super) fn cleared(&self, same_site: SameSite) -> impl Iterator<Item = HeaderValue> {
        // Its own `Max-Age` comes later and would win (RFC 6265 §5.3).
        let own = self.header("; Max-Age=0", same_site, Does::Clear);
        own.into_iter().chain(self.twin_cleared(same_site))
    }

    fn twin_cleared(&self, same_site: SameSite) -> Option<HeaderValue> {
        let is_domain = |attribute: &_| matches!(attribute, CookieAttribute::Domain(_));
        self.attributes.iter().any(is_domain).then_some(())?;
        self.header("; Max-Age=0", same_site, Does::ClearHostOnly)
    }

    fn header(&self, value: &str, same_site: SameSite, does: Does) -> Option<HeaderValue> {
        let mut line = format!("{}={value}", self.name);
        for attribute in &self.attributes {
            let (text, end) = match attribute {
                CookieAttribute::MaxAge(_) if does != Does::Set => continue,
                CookieAttribute::Domain(_) if does == Does::ClearHostOnly => continue,
                CookieAttribute::Fixed(text)
                | CookieAttribute::MaxAge(text)
                | CookieAttribute::Domain(text) => (text, ""),
                CookieAttribute::SiteSameSite(text) => (text, same_site.name()),
            };
            line.extend(["; ", text, end]);
        }
        let mut header = HeaderValue::try_from(line).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl CookieChange {
    /// Reads `set_cookies` and `clear_cookies` of an endpoint.
    pub(super) fn read_all(
        section: &mut NodeTable<'_>,
        cookies: &[Cookie],
        composer: &Composer<'_>,
        report: &mut Report,
    ) -> Vec<Self> {
        let mut changes: Vec<Self> = Vec::new();
        for (key, sets) in [("set_cookies", true), ("clear_cookies", false)] {
            for name in section.texts(key, report) {
                let span = name.span();
                let Some(cookie) = Cookie::find(cookies, name.get_ref(), &span, report) else {
                    continue;
                };
                if changes.iter().any(|change| change.cookie().name == cookie.name) {
                    let title = format!("`{}` is named twice", cookie.name);
                    report.fault(&span, title, "an answer sets a cookie, or clears it, once");
                }
                if !sets {
                    changes.push(Self::Clear(cookie));
                    continue;
                }
                let value = &cookie.value;
                let text = composer.text(value.get_ref(), &value.span(), report);
                let Some(text) = text else { continue };
                if !text.pieces.iter().all(fits) {
                    let hint = "tokens, ids, numbers, and ASCII without spaces and \",;\\";
                    report.fault(&value.span(), "a value that may not fit a cookie", hint);
                }
                changes.push(Self::Set(cookie, text));
            }
        }
        changes
    }

    /// The cookie.
    pub(super) const fn cookie(&self) -> &Cookie {
        match self {
            Self::Set(cookie, _) | Self::Clear(cookie) => cookie,
        }
    }

    /// Whether it sets the cookie of a name.
    pub(super) fn sets(&self, name: &str) -> bool {
        matches!(self, Self::Set(cookie, _) if cookie.name == name)
    }

    /// The headers of one answer; the cookie itself last.
    pub(super) fn headers(&self, values: &SlotValues<'_>, same_site: SameSite) -> Vec<HeaderValue> {
        match self {
            Self::Set(cookie, value) => {
                let set = cookie.header(&value.render(values), same_site, Does::Set);
                cookie.twin_cleared(same_site).into_iter().chain(set).collect()
            }
            Self::Clear(cookie) => cookie.cleared(same_site).collect(),
        }
    }
}

fn read_attributes(
    name: &str,
    text: &Spanned<String>,
    report: &mut Report,
) -> Vec<CookieAttribute> {
    let span = text.span();
    let mut attributes = Vec::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for item in text.get_ref().split(';').map(str::trim) {
        let (own, value) = item.split_once('=').unwrap_or((item, ""));
        let known = ATTRIBUTES.into_iter().find(|known| known.eq_ignore_ascii_case(own));
        let Some(known) = known else {
            let title = format!("unknown cookie attribute `{own}`");
            report.fault(&span, title, suggestion(own, ATTRIBUTES));
            continue;
        };
        if seen.iter().any(|(earlier, _)| *earlier == known) {
            report.fault(&span, format!("`{known}` stands twice"), "once is enough");
        }
        seen.push((known, value));
        if let Err(hint) = check_attribute(known, item, value) {
            report.fault(&span, format!("`{item}` is no cookie attribute"), hint);
        }
        attributes.push(match (known, item.strip_suffix(SITE_SAME_SITE)) {
            ("SameSite", Some(before)) => CookieAttribute::SiteSameSite(before.to_owned()),
            ("Max-Age", _) => CookieAttribute::MaxAge(item.to_owned()),
            ("Domain", _) => CookieAttribute::Domain(item.to_owned()),
            _ => CookieAttribute::Fixed(item.to_owned()),
        });
    }
    let value_of = |wanted: &str| seen.iter().find(|(own, _)| *own == wanted).map(|own| own.1);
    for (needed, hint) in [
        ("Path", "`Path=/`: without it a browser sends the cookie to some paths only"),
        ("Secure", "clients come by HTTPS alone: nothing is lost by it"),
    ] {
        if value_of(needed).is_none() {
            report.fault(&span, format!("a cookie without `{needed}`"), hint);
        }
    }
    let whole_host = value_of("Path") == Some("/") && value_of("Domain").is_none();
    if name.starts_with("__Host-") && !whole_host {
        let hint = "browsers take such a cookie with `Path=/` and no `Domain` alone";
        report.fault(&span, "attributes that do not go with `__Host-`", hint);
    }
    attributes
}

fn check_attribute(name: &str, item: &str, value: &str) -> Result<(), &'static str> {
    let visible = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"' | '\\' | '{' | '}');
    match name {
        "HttpOnly" | "Secure" | "Partitioned" if item.contains('=') => Err("it takes no value"),
        "Path" if !value.starts_with('/') || !value.chars().all(visible) => Err("`Path=/…`"),
        "Domain" if value.is_empty() || !value.chars().all(visible) => Err("`Domain=example.com`"),
        "Max-Age" if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err("`Max-Age=` and seconds")
        }
        "SameSite" if value != SITE_SAME_SITE && !["Lax", "Strict", "None"].contains(&value) => {
            Err("`SameSite={site.cookie_same_site}`, or `Lax`, `Strict`, `None`")
        }
        _ => Ok(()),
    }
}

/// RFC 6265 §4.1.1: `cookie-octet`.
fn fits(piece: &Piece) -> bool {
    let octet = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\');
    match piece {
        Piece::Words(words) => words.chars().all(octet),
        Piece::Slot(slot) => slot.slot.fits_cookie(),
    }
}

/// RFC 9110 §5.6.2: `token`.
fn is_token(name: &str) -> bool {
    let tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(tchar)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::Cookie;

    /// The lines of a request, and what is found.
    type Row<'a> = (&'a [&'a [u8]], &'a [&'a str]);

    #[test]
    fn a_cookie_is_read_by_its_exact_name_and_each_value_once() {
        let rows: [Row<'_>; 14] = [
            (&[], &[]),
            (&[b"refresh=a"], &["a"]),
            (&[b"x=1; refresh=a;y=2"], &["a"]),
            (&[b"x=1", b"refresh=a", b"y=2"], &["a"]),
            (&[b" ;\trefresh=a=b \t;"], &["a=b"]),
            (&[b"Refresh=a; refresh2=b; xrefresh=c; refresh"], &[]),
            (&[b"x=refresh=a; refresh =b"], &[]),
            (&[b"refresh=\"a\""], &["\"a\""]),
            (&[b"refresh="], &[]),
            (&[b"refresh=\xff"], &["\u{fffd}"]),
            (&[b"refresh=a; refresh=a"], &["a"]),
            (&[b"refresh=a", b"x=1; refresh=b"], &["a", "b"]),
            (&[b"refresh=; refresh=a"], &["a"]),
            (&[b"refresh=a;refresh=b;refresh=c;refresh=d;refresh=e"], &["a", "b", "c", "d"]),
        ];
        for (lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("cookie", HeaderValue::from_bytes(line).unwrap());
            }

            let found = Cookie::of_request(&headers, "refresh");

            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
