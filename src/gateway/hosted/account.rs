//! The pages of an account: its sessions and its password.

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::gateway::headers::session_cookies::SessionChange;
use crate::gateway::hosted::faults::explain;
use crate::gateway::hosted::visit::{Fields, Visit, find};
use crate::gateway::hosted::{instant, shown_name, shown_time};
use crate::gateway::open_request::RequestRecord;
use crate::message::request_body::RequestBody;
use crate::operation::{ErrorCode, Operation, Outcome, Principal, Rejection, SessionView};
use crate::pages::device;
use crate::pages::page::{Content, Notice, PageKind, Said, SessionRow};

/// Sends who is not signed in to the sign-in page, and back.
pub(crate) fn sign_in_first(visit: Visit<'_>) -> Result<Response<Bytes>, Rejection> {
    let here = visit.scope.context.target.path().to_owned();
    visit.go_to("/sign-in", "", &here)
}

/// Lists the sessions.
///
/// # Errors
/// As the operation.
pub(crate) async fn sessions(
    visit: Visit<'_>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let Some(principal) = visit.principal(record).await? else { return sign_in_first(visit) };
    let ended = visit.parameter("n").is_some_and(|notice| notice == "ended");
    let notice = ended.then(|| Notice::good(Said::plain("session_ended")));
    show_sessions(visit, StatusCode::OK, notice, principal, record).await
}

async fn show_sessions(
    visit: Visit<'_>,
    status: StatusCode,
    notice: Option<Notice>,
    principal: Principal,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let who = shown_name(&principal);
    let sessions = list(&visit, principal, record).await?.iter().map(row).collect();
    let content = Content { notice, who, sessions, ..Content::default() };
    visit.show(PageKind::Sessions, status, &content, "/")
}

/// Ends one session, or all others.
///
/// # Errors
/// As the operation.
pub(crate) async fn end_sessions(
    visit: Visit<'_>,
    others: bool,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let Some(principal) = visit.principal(record).await? else { return sign_in_first(visit) };
    let Fields { all, stale } = visit.fields(PageKind::Sessions, body, record).await?;
    let ids = match (stale, others) {
        (Some(stale), _) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return show_sessions(visit, status, Some(stale), principal, record).await;
        }
        (None, false) => find(&all, "session_id").map(str::to_owned).into_iter().collect(),
        (None, true) => {
            let sessions = list(&visit, principal.clone(), record).await?.into_iter();
            let others = sessions.filter(|session| !session.current);
            others.map(|session| session.id.to_string()).collect::<Vec<_>>()
        }
    };
    for id in ids {
        let fields = [("session_id".to_owned(), id)];
        match visit.run(Operation::EndSession, &fields, Some(principal.clone()), record).await {
            Ok(_) => {}
            // It has ended already.
            Err(rejection) if rejection.code == ErrorCode::SessionNotFound => {}
            Err(rejection) => return Err(rejection),
        }
    }
    visit.go_to("/sessions", "ended", "/")
}

async fn list(
    visit: &Visit<'_>,
    principal: Principal,
    record: &mut RequestRecord,
) -> Result<Vec<SessionView>, Rejection> {
    match visit.run(Operation::Sessions, &[], Some(principal), record).await? {
        Outcome::Sessions { sessions } => Ok(sessions),
        _ => Err(Rejection::internal("no list of sessions")),
    }
}

fn row(session: &SessionView) -> SessionRow {
    let (device, icon) = device::in_words(session.agent.as_deref());
    SessionRow {
        id: session.id.to_string(),
        icon,
        agent: session.agent.clone().filter(|_| device.is_empty()),
        device,
        address: session.address.clone(),
        created_at: instant(session.created_at),
        created_shown: shown_time(session.created_at),
        last_used_at: instant(session.last_used_at),
        last_used_shown: shown_time(session.last_used_at),
        current: session.current,
    }
}

/// Asks for the old and the new password, or changes it: all other sessions end.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn password(
    visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let keep = visit.keeps_session();
    let Some(principal) = visit.principal(record).await? else { return sign_in_first(visit) };
    let mut content = Content { who: shown_name(&principal), ..Content::default() };
    if visit.parts.method != Method::POST {
        if visit.parameter("n").as_deref() == Some("changed") {
            content.notice = Some(Notice::good(Said::plain("password_changed")));
        }
        return visit.show(PageKind::Password, StatusCode::OK, &content, "/");
    }
    let Fields { all, stale } = visit.fields(PageKind::Password, body, record).await?;
    content.focus = "password";
    if stale.is_some() {
        content.notice = stale;
        return visit.show(PageKind::Password, StatusCode::UNPROCESSABLE_ENTITY, &content, "/");
    }
    match visit.run(Operation::ChangePassword, &all, Some(principal), record).await {
        Ok(Outcome::TokensIssued { tokens, .. }) => {
            record.session = Some(SessionChange::Set { tokens, keep });
            visit.go_to("/password", "changed", "/")
        }
        Ok(_) => Err(Rejection::internal("a password change issued no tokens")),
        Err(rejection) if rejection.code == ErrorCode::InvalidCredentials => {
            content.faults.insert("password".to_owned(), Said::plain("wrong_current"));
            visit.show(PageKind::Password, StatusCode::UNPROCESSABLE_ENTITY, &content, "/")
        }
        Err(rejection) => {
            let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
            visit.show(PageKind::Password, status, &content, "/")
        }
    }
}
