//! Making an account, and proving its address.

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::gateway::hosted::faults::explain;
use crate::gateway::hosted::flow::{Flow, FlowKind};
use crate::gateway::hosted::second_factor;
use crate::gateway::hosted::visit::{Fields, Visit, find};
use crate::gateway::open_request::RequestRecord;
use crate::message::request_body::RequestBody;
use crate::operation::{ErrorCode, Operation, Outcome, Rejection};
use crate::pages::page::{Content, Notice, PageKind, Said};

/// Shows the form, or makes an account. Where mail is on, an address that is taken gets the same
/// answer: only who reads its mail learns the difference.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn sign_up(
    mut visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let look = &visit.pages.look;
    let first = look.sign_up_inputs.first().map_or("", |input| input.kind);
    if visit.parts.method != Method::POST {
        let return_to = visit.asked_return_to();
        let content = Content { focus: first, ..Content::default() };
        return visit.show(PageKind::SignUp, StatusCode::OK, &content, &return_to);
    }
    let Fields { all, stale } = visit.fields(PageKind::SignUp, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    let mut content = Content { notice: stale, focus: first, ..Content::default() };
    for input in look.sign_up_inputs.iter().filter(|input| input.kind != "password") {
        let value = find(&all, &input.name).unwrap_or_default();
        content.kept.insert(input.name.clone(), value.to_owned());
    }
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    if content.notice.is_some() {
        return visit.show(PageKind::SignUp, unprocessable, &content, &return_to);
    }
    let email = find(&all, "email").filter(|email| look.mails && !email.is_empty());
    let signed_up = visit.run(Operation::SignUp, &all, None, record).await;
    if signed_up.as_ref().is_err_and(|rejection| rejection.code == ErrorCode::AccountExists)
        && is_name_taken(&visit, &all).await?
    {
        // Whatever the address: the answer must not tell of that.
        content.faults.insert("username".to_owned(), Said::plain("taken_name"));
        content.focus = "username";
        return visit.show(PageKind::SignUp, unprocessable, &content, &return_to);
    }
    match (signed_up, email) {
        (Ok(_), None) => sign_in(visit, &all, &return_to, record).await,
        (Ok(_), Some(email)) => {
            let email = email.trim().to_owned();
            send_code(&mut visit, FlowKind::Verify, &email, record).await?;
            visit.go_to("/verify", "", &return_to)
        }
        (Err(rejection), Some(email)) if rejection.code == ErrorCode::AccountExists => {
            let email = email.trim().to_owned();
            announce(&mut visit, &email).await?;
            visit.go_to("/verify", "", &return_to)
        }
        (Err(rejection), _) => {
            let status = match rejection.code {
                ErrorCode::AccountExists => {
                    content.notice = Some(Notice::bad(Said::plain("taken")));
                    unprocessable
                }
                ErrorCode::SignupClosed => {
                    content.notice = Some(Notice::bad(Said::plain("closed")));
                    unprocessable
                }
                _ => explain(rejection, look, &all, &mut content)?,
            };
            visit.show(PageKind::SignUp, status, &content, &return_to)
        }
    }
}

/// Whether the user name in a form, if there is one, is another account's.
async fn is_name_taken(visit: &Visit<'_>, fields: &[(String, String)]) -> Result<bool, Rejection> {
    let name = find(fields, "username").and_then(|name| name.trim().parse().ok());
    let (auth, site) = (&visit.scope.gateway.auth, &visit.scope.site.auth);
    match name {
        Some(name) => auth.is_name_taken(site, name).await,
        None => Ok(false),
    }
}

/// Tells the owner of an address by mail, and the browser nothing.
async fn announce(visit: &mut Visit<'_>, email: &str) -> Result<(), Rejection> {
    let (scope, now) = (visit.scope, visit.scope.context.now.wall);
    if let Ok(address) = email.parse() {
        scope.gateway.auth.announce_account(&scope.site.auth, &address, now).await?;
    }
    begin_flow(visit, FlowKind::Verify, email)
}

/// Signs the new account in: there is no address to prove.
async fn sign_in(
    mut visit: Visit<'_>,
    fields: &[(String, String)],
    return_to: &str,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    match visit.run(Operation::Login, fields, None, record).await {
        Ok(Outcome::TokensIssued { tokens, .. }) => {
            second_factor::signed_in(&mut visit, tokens, false, record);
            visit.see_other(return_to)
        }
        Err(rejection) if rejection.code.has_challenge() => {
            second_factor::begin(visit, &rejection, false, return_to)
        }
        // The account is there: its owner may sign in.
        Ok(_) | Err(_) => visit.go_to("/sign-in", "", return_to),
    }
}

/// Asks for the code that proves an address, or takes it.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn verify(
    mut visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let Some(flow) = read_flow(&visit, FlowKind::Verify) else {
        return visit.go_to("/sign-in", "again", "/");
    };
    let mut content = code_content(&visit, &flow);
    if visit.parts.method != Method::POST {
        let return_to = visit.asked_return_to();
        return visit.show(PageKind::Verify, StatusCode::OK, &content, &return_to);
    }
    let Fields { mut all, stale } = visit.fields(PageKind::Verify, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    if stale.is_some() {
        content.notice = stale;
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return visit.show(PageKind::Verify, status, &content, &return_to);
    }
    all.retain(|(name, _)| name != "email");
    all.push(("email".to_owned(), flow.email));
    match visit.run(Operation::ConfirmVerification, &all, None, record).await {
        Ok(_) => {
            visit.end_flow();
            visit.go_to("/sign-in", "verified", &return_to)
        }
        Err(rejection) => {
            let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
            visit.show(PageKind::Verify, status, &content, &return_to)
        }
    }
}

/// Mails a code to the address of a flow once more.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn again(
    mut visit: Visit<'_>,
    kind: FlowKind,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let (page, path, begin) = match kind {
        FlowKind::Verify => (PageKind::Verify, "/verify", "/sign-in"),
        FlowKind::Reset => (PageKind::ResetCode, "/reset/code", "/reset"),
    };
    let Some(flow) = read_flow(&visit, kind) else {
        return visit.go_to(begin, "again", "/");
    };
    let Fields { all, stale } = visit.fields(page, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    let mut content = code_content(&visit, &flow);
    let refused = match stale {
        Some(notice) => Some((notice, StatusCode::UNPROCESSABLE_ENTITY)),
        None if content.wait > 0 => {
            let wait = Notice::warning(Said::with("wait_for_mail", "seconds", content.wait), None);
            Some((wait, StatusCode::TOO_MANY_REQUESTS))
        }
        None => None,
    };
    if let Some((notice, status)) = refused {
        content.notice = Some(notice);
        content.retry_after = (content.wait > 0).then_some(content.wait);
        return visit.show(page, status, &content, &return_to);
    }
    match send_code(&mut visit, kind, &flow.email, record).await {
        Ok(()) => visit.go_to(path, "sent", &return_to),
        Err(rejection) => {
            let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
            visit.show(page, status, &content, &return_to)
        }
    }
}

/// Mails a code and begins the flow that takes it.
///
/// # Errors
/// As the operation.
pub(crate) async fn send_code(
    visit: &mut Visit<'_>,
    kind: FlowKind,
    email: &str,
    record: &mut RequestRecord,
) -> Result<(), Rejection> {
    let fields = [("email".to_owned(), email.to_owned())];
    visit.run(kind.mails_by(), &fields, None, record).await?;
    begin_flow(visit, kind, email)
}

/// Begins the flow that takes a code.
fn begin_flow(visit: &mut Visit<'_>, kind: FlowKind, email: &str) -> Result<(), Rejection> {
    let mailed_at = visit.scope.context.now.wall.as_seconds();
    let flow = Flow { kind, email: email.to_owned(), mailed_at };
    let sealed = flow.seal(&visit.scope.gateway.auth.own_keys)?;
    visit.set_flow(sealed.expose());
    Ok(())
}

/// The flow of a request.
pub(crate) fn read_flow(visit: &Visit<'_>, kind: FlowKind) -> Option<Flow> {
    let keys = &visit.scope.gateway.auth.own_keys;
    Flow::read(keys, kind, &visit.parts.headers, visit.scope.context.now.wall)
}

/// The content of a page that takes a code.
pub(crate) fn code_content(visit: &Visit<'_>, flow: &Flow) -> Content {
    let waited = visit.scope.context.now.wall.as_seconds().saturating_sub(flow.mailed_at);
    Content {
        notice: visit.asked_notice(),
        focus: "code",
        email: flow.email.clone(),
        wait: u64::try_from(WAIT.saturating_sub(waited)).unwrap_or(0),
        ..Content::default()
    }
}

/// Seconds between two mails that a page asks for.
const WAIT: i64 = 60;
