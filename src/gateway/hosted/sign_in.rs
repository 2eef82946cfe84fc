//! Signing in and out.

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::gateway::headers::session_cookies::SessionChange;
use crate::gateway::hosted::faults::explain;
use crate::gateway::hosted::second_factor;
use crate::gateway::hosted::visit::{Fields, Visit, find};
use crate::gateway::open_request::RequestRecord;
use crate::message::request_body::RequestBody;
use crate::operation::{ErrorCode, Operation, Outcome, Rejection};
use crate::pages::page::{Content, Notice, PageKind, Said};

/// Shows the form, or signs in.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn sign_in(
    mut visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let names = visit.pages.look.names;
    let name = if names == "either" { "identifier" } else { names };
    if visit.parts.method != Method::POST {
        let return_to = visit.asked_return_to();
        let asks_again = visit.parameter("again").is_some();
        if !asks_again && visit.principal(record).await?.is_some() {
            return visit.see_other(&return_to);
        }
        let content = Content { notice: visit.asked_notice(), focus: name, ..Content::default() };
        return visit.show(PageKind::SignIn, StatusCode::OK, &content, &return_to);
    }
    let Fields { all, stale } = visit.fields(PageKind::SignIn, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    let keep = find(&all, "keep").is_some();
    let typed = find(&all, name).unwrap_or_default();
    let mut content = Content { focus: "password", ..Content::default() };
    content.kept.insert(name.to_owned(), typed.to_owned());
    if keep {
        content.kept.insert("keep".to_owned(), "1".to_owned());
    }
    if stale.is_some() {
        content.notice = stale;
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return visit.show(PageKind::SignIn, status, &content, &return_to);
    }
    // One field for both: an address has an @, and no user name does.
    let mut named = all.clone();
    let as_what = if typed.contains('@') { "email" } else { "username" };
    if names == "either" && !typed.is_empty() {
        named.push((as_what.to_owned(), typed.to_owned()));
    }
    match visit.run(Operation::Login, &named, None, record).await {
        Ok(Outcome::TokensIssued { tokens, .. }) => {
            second_factor::signed_in(&mut visit, tokens, keep, record);
            visit.see_other(&return_to)
        }
        Ok(_) => Err(Rejection::internal("a login issued no tokens")),
        Err(rejection) if rejection.code.has_challenge() => {
            second_factor::begin(visit, &rejection, keep, &return_to)
        }
        Err(rejection) if rejection.code == ErrorCode::InvalidCredentials => {
            let more = visit.pages.look.reset.then(|| Said::plain("check_both"));
            content.notice = Some(Notice { more, ..Notice::bad(Said::plain(wrong(names))) });
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            visit.show(PageKind::SignIn, status, &content, &return_to)
        }
        Err(rejection) => {
            let status = explain(rejection, &visit.pages.look, &named, &mut content)?;
            // The fault stands at the field that there is.
            let named_faults = ["email", "username"].map(|field| content.faults.remove(field));
            if let Some(fault) = named_faults.into_iter().flatten().next() {
                let is_empty = names == "either" && typed.trim().is_empty();
                let fault = if is_empty { Said::plain("enter_either") } else { fault };
                content.faults.insert(name.to_owned(), fault);
                content.focus = name;
            }
            if status == StatusCode::SERVICE_UNAVAILABLE {
                content.notice = Some(Notice::warning(Said::plain("unavailable"), None));
            }
            visit.show(PageKind::SignIn, status, &content, &return_to)
        }
    }
}

/// The words for a wrong account or password, which do not say which.
fn wrong(names: &str) -> &'static str {
    match names {
        "email" => "wrong",
        "username" => "wrong_name",
        _ => "wrong_either",
    }
}

/// Asks whether to sign out, or does. Without a session it is done already.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn sign_out(
    visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let principal = visit.principal(record).await?;
    let who = principal.as_ref().map(super::shown_name).unwrap_or_default();
    if visit.parts.method != Method::POST {
        let return_to = visit.asked_return_to();
        let content = Content { who, ..Content::default() };
        return visit.show(PageKind::SignOut, StatusCode::OK, &content, &return_to);
    }
    let Fields { mut all, stale } = visit.fields(PageKind::SignOut, body, record).await?;
    let mut content = Content { who, notice: stale, ..Content::default() };
    let return_to = visit.return_to(find(&all, "return_to"));
    if content.notice.is_some() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return visit.show(PageKind::SignOut, status, &content, &return_to);
    }
    if let Some(principal) = principal {
        if find(&all, "everywhere").is_some() {
            all.push(("scope".to_owned(), "global".to_owned()));
        }
        if let Err(rejection) = visit.run(Operation::Logout, &all, Some(principal), record).await {
            let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
            return visit.show(PageKind::SignOut, status, &content, &return_to);
        }
    }
    record.session = Some(SessionChange::Clear);
    visit.go_to("/sign-in", "out", "/")
}
