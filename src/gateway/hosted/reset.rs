//! A forgotten password: a code by mail, then a new one.

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::gateway::headers::session_cookies::SessionChange;
use crate::gateway::hosted::faults::explain;
use crate::gateway::hosted::flow::FlowKind;
use crate::gateway::hosted::sign_up::{code_content, read_flow, send_code};
use crate::gateway::hosted::visit::{Fields, Visit, find};
use crate::gateway::open_request::RequestRecord;
use crate::message::request_body::RequestBody;
use crate::operation::{Operation, Rejection};
use crate::pages::page::{Content, PageKind};

/// Asks for the address, or mails a code to it, whoever has it.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn reset(
    mut visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    if visit.parts.method != Method::POST {
        let return_to = visit.asked_return_to();
        let notice = visit.asked_notice();
        let content = Content { notice, focus: "email", ..Content::default() };
        return visit.show(PageKind::Reset, StatusCode::OK, &content, &return_to);
    }
    let Fields { all, stale } = visit.fields(PageKind::Reset, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    let email = find(&all, "email").unwrap_or_default().trim().to_owned();
    let mut content = Content { notice: stale, focus: "email", ..Content::default() };
    content.kept.insert("email".to_owned(), email.clone());
    if content.notice.is_some() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return visit.show(PageKind::Reset, status, &content, &return_to);
    }
    match send_code(&mut visit, FlowKind::Reset, &email, record).await {
        Ok(()) => visit.go_to("/reset/code", "", &return_to),
        Err(rejection) => {
            let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
            visit.show(PageKind::Reset, status, &content, &return_to)
        }
    }
}

/// Asks for the code and the new password, or sets it: all sessions end.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn code(
    mut visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let Some(flow) = read_flow(&visit, FlowKind::Reset) else {
        return visit.go_to("/reset", "again", "/");
    };
    let mut content = code_content(&visit, &flow);
    if visit.parts.method != Method::POST {
        let return_to = visit.asked_return_to();
        return visit.show(PageKind::ResetCode, StatusCode::OK, &content, &return_to);
    }
    let Fields { mut all, stale } = visit.fields(PageKind::ResetCode, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    // Where only the password is at fault, the code is not spent and stays.
    let typed = find(&all, "code").unwrap_or_default().to_owned();
    content.kept.insert("code".to_owned(), typed);
    if stale.is_some() {
        content.notice = stale;
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return visit.show(PageKind::ResetCode, status, &content, &return_to);
    }
    all.retain(|(name, _)| name != "email");
    all.push(("email".to_owned(), flow.email));
    match visit.run(Operation::ConfirmReset, &all, None, record).await {
        Ok(_) => {
            visit.end_flow();
            record.session = Some(SessionChange::Clear);
            visit.go_to("/sign-in", "changed", &return_to)
        }
        Err(rejection) => {
            let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
            if content.faults.contains_key("code") {
                content.kept.remove("code");
            }
            visit.show(PageKind::ResetCode, status, &content, &return_to)
        }
    }
}
