//! Renders a page from its template.

use std::collections::BTreeMap;

use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value};
use serde::Serialize;

use crate::encoding::percent_encode;
use crate::operation::Language;
use crate::pages::assets::Assets;
use crate::pages::catalogue::{Catalogue, Texts, fill};
use crate::pages::page::{
    Content, ErrorText, FactorText, Notice, PageKind, Said, SessionRow, SiteLook, View,
};

/// The templates, by name; those in other templates come first.
const TEMPLATES: [(&str, &str); 15] = [
    ("parts.html", include_str!("../../config/pages/parts.html")),
    ("notice.html", include_str!("../../config/pages/notice.html")),
    ("layout.html", include_str!("../../config/pages/layout.html")),
    ("sign_in.html", include_str!("../../config/pages/sign_in.html")),
    ("sign_up.html", include_str!("../../config/pages/sign_up.html")),
    ("verify.html", include_str!("../../config/pages/verify.html")),
    ("reset.html", include_str!("../../config/pages/reset.html")),
    ("reset_code.html", include_str!("../../config/pages/reset_code.html")),
    ("sessions.html", include_str!("../../config/pages/sessions.html")),
    ("password.html", include_str!("../../config/pages/password.html")),
    ("second_factor.html", include_str!("../../config/pages/second_factor.html")),
    ("second_factor_setup.html", include_str!("../../config/pages/second_factor_setup.html")),
    ("recovery_codes.html", include_str!("../../config/pages/recovery_codes.html")),
    ("sign_out.html", include_str!("../../config/pages/sign_out.html")),
    ("error.html", include_str!("../../config/pages/error.html")),
];

/// The minutes that a code lives, as pages say.
const CODE_MINUTES: u64 = 10;

/// The pages of all sites.
#[derive(Debug)]
pub struct Pages {
    environment: Environment<'static>,
    catalogue: Catalogue,
    /// The files that they load.
    pub(crate) assets: Assets,
}

/// Reasons for which pages cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A template does not parse or render.
    #[error("a page's template: {0}")]
    Template(#[from] minijinja::Error),
    /// The texts do not read.
    #[error("the pages' texts: {0}")]
    Texts(#[from] toml::de::Error),
}

/// The values that templates see, as `page`.
#[derive(Serialize)]
struct Shown<'a> {
    site: SiteLook,
    language: &'static str,
    text: &'a Texts,
    assets: BTreeMap<&'static str, String>,
    form_token: &'a str,
    return_to: &'a str,
    carry: Value,
    here: &'a str,
    switch: String,
    other: &'static str,
    other_name: &'a str,
    begin: &'static str,
    failed: bool,
    notice: Option<ShownNotice>,
    faults: BTreeMap<&'a str, String>,
    kept: &'a BTreeMap<String, String>,
    focus: &'static str,
    email: &'a str,
    minutes: u64,
    wait: u64,
    who: &'a str,
    sessions: &'a [SessionRow],
    others: usize,
    title: &'a str,
    lead: &'a str,
    factor: &'a FactorText,
    error: &'a ErrorText,
}

#[derive(Serialize)]
struct ShownNotice {
    kind: &'static str,
    text: String,
    more: Option<String>,
}

impl Pages {
    /// Reads the built-in pages.
    ///
    /// # Errors
    /// When one does not parse, which tests rule out.
    pub fn built_in() -> Result<Self, PagesError> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_formatter(write_escaped);
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.add_filter("fill", fill_safely);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        for kind in PageKind::ALL {
            environment.get_template(kind.template())?;
        }
        Ok(Self { environment, catalogue: Catalogue::built_in()?, assets: Assets::built_in() })
    }

    /// Renders a page.
    ///
    /// # Errors
    /// When its template fails.
    pub(crate) fn render(
        &self,
        kind: PageKind,
        view: View<'_>,
        content: &Content,
    ) -> Result<String, PagesError> {
        let template = self.environment.get_template(kind.template())?;
        let shown = self.shown(kind, view, content);
        Ok(template.render(minijinja::context! { page => shown })?)
    }

    fn shown<'a>(&'a self, kind: PageKind, view: View<'a>, content: &'a Content) -> Shown<'a> {
        let text = self.catalogue.texts(view.language);
        let other = match view.language {
            Language::English => Language::Korean,
            Language::Korean => Language::English,
        };
        let mut site = view.look.clone();
        if site.name.is_empty() {
            view.host.clone_into(&mut site.name);
        }
        let asset = |path: &str| format!("{}{path}", site.prefix);
        let Assets { sheet, script, mark } = &self.assets;
        let assets = [("sheet", sheet), ("script", script), ("mark", mark)];
        let assets = assets.map(|(name, file)| (name, asset(&file.path)));
        let find = |key: &str| text.get(key).map_or("", String::as_str);
        let carried = percent_encode(view.return_to, b"/-_.~");
        Shown {
            language: view.language.tag(),
            assets: BTreeMap::from(assets),
            form_token: view.form_token,
            return_to: view.return_to,
            carry: Value::from_safe_string(format!("?return_to={carried}")),
            here: view.here,
            switch: switch(view.here, other),
            other: other.tag(),
            other_name: find(match other {
                Language::English => "language_en",
                Language::Korean => "language_ko",
            }),
            begin: if kind == PageKind::Verify { "/sign-up" } else { "/reset" },
            failed: !content.faults.is_empty()
                || content.notice.as_ref().is_some_and(|notice| notice.kind != "good"),
            notice: content.notice.as_ref().map(|notice| shown_notice(notice, text)),
            faults: content
                .faults
                .iter()
                .map(|(name, said)| (name.as_str(), said_in(said, text)))
                .collect(),
            kept: &content.kept,
            focus: content.focus,
            email: &content.email,
            minutes: CODE_MINUTES,
            wait: content.wait,
            who: &content.who,
            sessions: &content.sessions,
            others: content.sessions.iter().filter(|session| !session.current).count(),
            title: find(content.error.title),
            lead: find(content.error.lead),
            factor: &content.factor,
            error: &content.error,
            text,
            site,
        }
    }
}

fn shown_notice(notice: &Notice, text: &Texts) -> ShownNotice {
    ShownNotice {
        kind: notice.kind,
        text: said_in(&notice.text, text),
        more: notice.more.as_ref().map(|more| said_in(more, text)),
    }
}

fn said_in(said: &Said, text: &Texts) -> String {
    let values: Vec<_> = said.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(text.get(said.key).map_or("", String::as_str), &values)
}

/// The page's own address in another language.
fn switch(here: &str, language: Language) -> String {
    let (path, query) = here.split_once('?').unwrap_or((here, ""));
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("lang="));
    let kept: String = kept.map(|pair| format!("{pair}&")).collect();
    format!("{path}?{kept}lang={}", language.tag())
}

/// Writes a value between tags or into a quoted attribute. minijinja's own form escapes every
/// slash as well, which HTML does not need.
fn write_escaped(
    out: &mut Output<'_>,
    _state: &State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.is_undefined() || value.is_none() {
        return Err(minijinja::ErrorKind::UndefinedError.into());
    }
    let text = value.to_string();
    let text = if value.is_safe() { text } else { escape(&text) };
    out.write_str(&text).map_err(minijinja::Error::from)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The filter that puts values into the places of a text: both are escaped, and an address stands
/// out.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands a filter its arguments")]
fn fill_safely(text: &str, values: Kwargs) -> Result<Value, minijinja::Error> {
    let mut filled = escape(text);
    for name in values.args() {
        let value: Value = values.get(name)?;
        let escaped = escape(&value.to_string());
        let shown = if name == "email" { format!("<strong>{escaped}</strong>") } else { escaped };
        filled = filled.replace(&format!("{{{name}}}"), &shown);
    }
    values.assert_all_used()?;
    Ok(Value::from_safe_string(filled))
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
