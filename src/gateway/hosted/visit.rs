//! A request for a page: what the browser brought, and the answers that it gets.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use uuid::Uuid;

use crate::config::{Origin, RouteAuth, TokenSources};
use crate::encoding::form;
use crate::gateway::access::origin;
use crate::gateway::credentials::TokenRule;
use crate::gateway::endpoint::serve::{run, take_input};
use crate::gateway::headers::remembered_device;
use crate::gateway::headers::session_cookies::own_cookie;
use crate::gateway::hosted::flow;
use crate::gateway::look::SitePages;
use crate::gateway::open_request::RequestRecord;
use crate::gateway::scope::RequestScope;
use crate::message::request_body::RequestBody;
use crate::operation::{Command, Language, Operation, Outcome, Principal, Rejection, TokenSet};
use crate::pages::page::{Content, Notice, PageKind, Said, View};
use crate::pages::{form_token, language, return_to};

/// The cookie that the forms of a browser are bound to.
const FORM_COOKIE: &str = "__Host-mj_form";

/// The cookie of a chosen language.
const LANGUAGE_COOKIE: &str = "__Host-mj_lang";

/// Pages look at the browser's session alone.
static SESSION: TokenSources =
    TokenSources { bearer: false, cookie: true, subprotocol: false, query: None };

/// A request for a page.
pub(crate) struct Visit<'a> {
    /// The request.
    pub(crate) scope: RequestScope<'a>,
    /// Its head.
    pub(crate) parts: &'a Parts,
    /// The site's pages.
    pub(crate) pages: &'a SitePages,
    language: Language,
    nonce: String,
    cookies: Vec<String>,
}

/// The fields of a form that was sent.
pub(crate) struct Fields {
    /// Names and values.
    pub(crate) all: Vec<(String, String)>,
    /// The notice to show with the form again, if it was not sent by this browser lately.
    pub(crate) stale: Option<Notice>,
}

impl<'a> Visit<'a> {
    /// Reads what the browser brought.
    pub(crate) fn new(scope: RequestScope<'a>, parts: &'a Parts, pages: &'a SitePages) -> Self {
        let headers = &parts.headers;
        let mut cookies = Vec::new();
        let asked = parameter(parts, "lang");
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|line| line.to_str().ok());
        let kept = own_cookie(headers, LANGUAGE_COOKIE);
        let own = scope.site.contract.language();
        let language = language::choose(asked.as_deref(), kept, accepted, own);
        if asked.as_deref() == Some(language.tag()) && kept != asked.as_deref() {
            cookies.push(cookie(LANGUAGE_COOKIE, language.tag(), Some(31_536_000)));
        }
        let nonce = own_cookie(headers, FORM_COOKIE).filter(|nonce| nonce.len() == 32);
        let nonce = nonce.map(str::to_owned).unwrap_or_else(|| {
            let nonce = Uuid::new_v4().simple().to_string();
            cookies.push(cookie(FORM_COOKIE, &nonce, None));
            nonce
        });
        Self { scope, parts, pages, language, nonce, cookies }
    }

    /// The query's parameter of a name.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        parameter(self.parts, name)
    }

    /// The address to go back to: the given one, if a browser may be sent there.
    pub(crate) fn return_to(&self, given: Option<&str>) -> String {
        let own = format!("https://{}", self.scope.context.authority());
        let sign_out = format!("{}/sign-out", self.pages.look.prefix);
        return_to::checked(given, &own, &self.pages.return_origins, &sign_out)
    }

    /// The address to go back to that the query asks for.
    pub(crate) fn asked_return_to(&self) -> String {
        self.return_to(self.parameter("return_to").as_deref())
    }

    /// Sets a cookie with the answer; without `max_age` (seconds), until the browser ends.
    pub(crate) fn set_cookie(&mut self, name: &str, value: &str, max_age: Option<i64>) {
        self.cookies.push(cookie(name, value, max_age));
    }

    /// Remembers this device with the answer, if tokens say so.
    pub(crate) fn remember_device(&mut self, tokens: &TokenSet) {
        let Some((device, until)) = &tokens.device else { return };
        let lives = until.since(self.scope.context.now.wall);
        self.cookies.push(remembered_device::line(&self.parts.headers, device, lives));
    }

    /// Sets a cookie with the answer.
    pub(crate) fn set_flow(&mut self, value: &str) {
        self.cookies.push(cookie(flow::COOKIE, value, Some(flow::LIFETIME)));
    }

    /// Removes the flow's cookie with the answer.
    pub(crate) fn end_flow(&mut self) {
        self.cookies.push(cookie(flow::COOKIE, "", Some(0)));
    }

    /// The notice that the query asks for by name; no text comes from an address.
    pub(crate) fn asked_notice(&self) -> Option<Notice> {
        Some(match self.parameter("n")?.as_str() {
            "out" => Notice::good(Said::plain("out")),
            "changed" => Notice::good(Said::plain("changed")),
            "verified" => Notice::good(Said::plain("verified")),
            "sent" => Notice::good(Said::plain("code_sent")),
            "expired" => Notice::warning(Said::plain("expired"), None),
            "again" => Notice::warning(Said::plain("flow_over"), None),
            "recent" => Notice::warning(Said::plain("again"), None),
            _ => return None,
        })
    }

    /// The account that is signed in, and renews its session if it must be.
    ///
    /// # Errors
    /// 403 for a foreign page's form, 503 when the store does not answer.
    pub(crate) async fn principal(
        &self,
        record: &mut RequestRecord,
    ) -> Result<Option<Principal>, Rejection> {
        let check = self.scope.token_check(None);
        let rule = TokenRule { auth: RouteAuth::Optional, sources: &SESSION, check };
        let verified = self.scope.authenticate(&self.parts.headers, rule, record).await?;
        Ok(verified.map(|verified| Principal::clone(&verified.principal)))
    }

    /// Whether the session outlives the browser's.
    pub(crate) fn keeps_session(&self) -> bool {
        let presented = self.scope.site.session_cookies.presented(&self.parts.headers);
        presented.is_ok_and(|session| session.keep)
    }

    /// Reads the form of a page.
    ///
    /// # Errors
    /// 403 for a foreign page's, 413 and 408 for its body.
    pub(crate) async fn fields(
        &self,
        kind: PageKind,
        body: &mut Option<RequestBody>,
        record: &mut RequestRecord,
    ) -> Result<Fields, Rejection> {
        let (scope, headers) = (self.scope, &self.parts.headers);
        let (site, context) = (scope.site, scope.context);
        let cors = site.cors.as_ref();
        origin::check_session(&context.method, headers, context.authority(), cors)?;
        let bytes = take_input(scope, body, record).await?;
        let attributes = self.pages.look.sign_up_inputs.iter().map(|input| input.name.as_str());
        let wanted: Vec<&str> = FIELDS.into_iter().chain(attributes).collect();
        let all = form::parse(&bytes, &wanted).unwrap_or_default();
        let token = find(&all, "form_token").unwrap_or_default();
        let keys = &scope.gateway.auth.own_keys;
        let is_valid =
            form_token::is_valid(keys, kind.template(), &self.nonce, token, context.now.wall);
        let stale = match (is_valid, own_cookie(headers, FORM_COOKIE)) {
            (true, _) => None,
            (false, None) => Some(Notice::warning(Said::plain("cookies_off"), None)),
            (false, Some(_)) => Some(Notice::warning(Said::plain("long_open"), None)),
        };
        Ok(Fields { all, stale })
    }

    /// Runs an operation with the fields of a form.
    ///
    /// # Errors
    /// As the contract's own endpoint.
    pub(crate) async fn run(
        &self,
        operation: Operation,
        fields: &[(String, String)],
        principal: Option<Principal>,
        record: &mut RequestRecord,
    ) -> Result<Outcome, Rejection> {
        let command = self.scope.site.contract.decode_form(operation, fields, principal)?;
        run(self.scope, &self.parts.headers, command, record).await
    }

    /// Runs a command that no contract decodes.
    ///
    /// # Errors
    /// As the operation.
    pub(crate) async fn run_command(
        &self,
        command: Command,
        record: &mut RequestRecord,
    ) -> Result<Outcome, Rejection> {
        run(self.scope, &self.parts.headers, command, record).await
    }

    /// Shows a page.
    ///
    /// # Errors
    /// When it does not render.
    pub(crate) fn show(
        self,
        kind: PageKind,
        status: StatusCode,
        content: &Content,
        return_to: &str,
    ) -> Result<Response<Bytes>, Rejection> {
        let context = self.scope.context;
        let keys = &self.scope.gateway.auth.own_keys;
        let form_token = form_token::make(keys, kind.template(), &self.nonce, context.now.wall);
        let view = View {
            look: &self.pages.look,
            host: context.host(),
            language: self.language,
            form_token: &form_token,
            return_to,
            here: own_address(context.target.as_str()),
        };
        let html = self.scope.snapshot.pages.render(kind, view, content);
        let html = html.map_err(|error| Rejection::internal(error.to_string()))?;
        let mut response = Response::new(Bytes::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        protect(headers, &self.pages.return_origins);
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
        let language = HeaderValue::from_static(self.language.tag());
        headers.insert(header::CONTENT_LANGUAGE, language);
        let vary = HeaderValue::from_static("Accept, Accept-Language, Cookie, Sec-Fetch-Dest");
        headers.insert(header::VARY, vary);
        if let Some(seconds) = content.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        set_cookies(headers, &self.cookies);
        Ok(response)
    }

    /// Sends the browser to another address by GET (RFC 9110 §15.4.4).
    pub(crate) fn see_other(self, location: &str) -> Result<Response<Bytes>, Rejection> {
        redirect(StatusCode::SEE_OTHER, location, &self.cookies)
    }

    /// Sends the browser to another page.
    pub(crate) fn go_to(
        self,
        page: &str,
        notice: &str,
        return_to: &str,
    ) -> Result<Response<Bytes>, Rejection> {
        let location = address(&self.pages.look.prefix, page, notice, return_to);
        self.see_other(&location)
    }
}

/// The names of forms' own fields; attributes of a sign-up have their own.
const FIELDS: [&str; 16] = [
    "form_token",
    "return_to",
    "identifier",
    "email",
    "username",
    "password",
    "new_password",
    "code",
    "keep",
    "session_id",
    "everywhere",
    "scope",
    "recovery_code",
    "trust",
    "setup",
    "device",
];

/// The value of a field.
pub(crate) fn find<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// The address of a page with a notice, and where to go on from there.
pub(crate) fn address(prefix: &str, page: &str, notice: &str, return_to: &str) -> String {
    let mut query = Vec::new();
    if return_to != "/" {
        let encoded = crate::encoding::percent_encode(return_to, b"/-_.~");
        query.push(format!("return_to={encoded}"));
    }
    if !notice.is_empty() {
        query.push(format!("n={notice}"));
    }
    let sign = if query.is_empty() { "" } else { "?" };
    format!("{prefix}{page}{sign}{}", query.join("&"))
}

/// The address of the sign-in page for who is signed in, and has to sign in anew.
pub(crate) fn sign_in_anew(prefix: &str, return_to: &str) -> String {
    format!("{}&again=1", address(prefix, "/sign-in", "recent", return_to))
}

/// A redirect that no cache keeps.
///
/// # Errors
/// When the address fits no header.
pub(crate) fn redirect(
    status: StatusCode,
    location: &str,
    cookies: &[String],
) -> Result<Response<Bytes>, Rejection> {
    let location = HeaderValue::try_from(location)
        .map_err(|error| Rejection::internal(format!("a redirect: {error}")))?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set_cookies(headers, cookies);
    Ok(response)
}

/// An address of this site as a link on a page: with two slashes at its beginning, it would lead to
/// another one.
fn own_address(target: &str) -> &str {
    if target.starts_with('/') && !target.starts_with("//") { target } else { "/" }
}

fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let fields = form::parse(parts.uri.query()?.as_bytes(), &[name])?;
    fields.into_iter().next().map(|(_, value)| value)
}

fn cookie(name: &str, value: &str, max_age: Option<i64>) -> String {
    let max_age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{name}={value}{max_age}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

fn set_cookies(headers: &mut HeaderMap, cookies: &[String]) {
    for mut line in cookies.iter().flat_map(HeaderValue::try_from) {
        line.set_sensitive(true);
        headers.append(header::SET_COOKIE, line);
    }
}

/// The headers that keep a page to itself. `same-origin` and not `no-referrer`: a browser would
/// send its forms with `Origin: null`.
fn protect(headers: &mut HeaderMap, return_origins: &[Origin]) {
    // Browsers hold the redirect after a form to `form-action` as well.
    let others = return_origins.iter().filter_map(|origin| origin.header_value().to_str().ok());
    let others: String = others.map(|origin| format!(" {origin}")).collect();
    let policy = format!(
        "default-src 'self'; base-uri 'none'; form-action 'self'{others}; \
         frame-ancestors 'none'; object-src 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let fixed: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
