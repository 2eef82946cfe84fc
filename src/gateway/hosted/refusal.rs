//! A refusal as a person gets it: the sign-in page for who is not signed in, else a page that says
//! what happened and what to do. No reason is told; the request's number is.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode, header};

use crate::gateway::access::navigation::is_navigation;
use crate::gateway::context::Who;
use crate::gateway::headers::session_cookies::SessionChange;
use crate::gateway::hosted::visit::{Visit, address, redirect, sign_in_anew};
use crate::gateway::hosted::{instant, shown_name, shown_time};
use crate::gateway::open_request::RequestRecord;
use crate::gateway::scope::RequestScope;
use crate::operation::{ErrorCode, Rejection};
use crate::pages::page::{Content, ErrorText, PageKind};

/// Answers a refused navigation; `None` where the site has no pages. `plain` is the answer that a
/// program would get: its status and headers stay.
pub(crate) fn answer(
    scope: RequestScope<'_>,
    parts: &Parts,
    rejection: &Rejection,
    plain: &Response<Bytes>,
    record: &RequestRecord,
) -> Option<Response<Bytes>> {
    let pages = scope.site.pages.as_ref()?;
    let context = scope.context;
    if !is_navigation(&context.method, &parts.headers) {
        return None;
    }
    let lacks_token = matches!(rejection.code, ErrorCode::MissingToken | ErrorCode::InvalidToken);
    // Where no cookie counts, the sign-in page would lead back here for ever.
    if lacks_token && record.takes_session {
        let had_session = matches!(record.session, Some(SessionChange::Clear));
        let notice = if had_session { "expired" } else { "" };
        let location = address(&pages.look.prefix, "/sign-in", notice, context.target.as_str());
        return redirect(StatusCode::SEE_OTHER, &location, &[]).ok();
    }
    if rejection.code == ErrorCode::ReauthenticationRequired && record.takes_session {
        let location = sign_in_anew(&pages.look.prefix, context.target.as_str());
        return redirect(StatusCode::SEE_OTHER, &location, &[]).ok();
    }
    let retry_after = rejection.retry_after.map_or(0, |wait| wait.as_secs().max(1));
    let who = match &record.who {
        Who::Bearer(verified) => shown_name(&verified.principal),
        Who::Account { .. } | Who::Anonymous => String::new(),
    };
    let at = context.now.wall;
    let words = words(rejection.code, !who.is_empty());
    let error = ErrorText {
        status: plain.status().as_u16(),
        seconds: retry_after.max(2),
        request_id: context.request_id.as_str().to_owned(),
        at: instant(at),
        at_shown: shown_time(at),
        ..words
    };
    let content = Content { who, error, ..Content::default() };
    let here = context.target.as_str().to_owned();
    let shown =
        Visit::new(scope, parts, pages).show(PageKind::Error, plain.status(), &content, &here);
    let mut shown = shown.ok()?;
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
        if let Some(value) = plain.headers().get(&name) {
            shown.headers_mut().insert(name, value.clone());
        }
    }
    Some(shown)
}

/// Title, sentence, gate and way out of an error.
fn words(code: ErrorCode, signed_in: bool) -> ErrorText {
    let text =
        |gate, title, lead, offers| ErrorText { gate, title, lead, offers, ..ErrorText::default() };
    match code {
        ErrorCode::Forbidden if signed_in => text("shut", "title_403", "lead_403", "account"),
        ErrorCode::Forbidden => text("shut", "title_403", "", "start"),
        ErrorCode::MissingToken | ErrorCode::InvalidToken => {
            text("shut", "title_401", "lead_401", "start")
        }
        ErrorCode::NotFound | ErrorCode::SessionNotFound => {
            text("none", "title_404", "lead_404", "start")
        }
        ErrorCode::RateLimited => text("shut", "title_429", "lead_429", "again"),
        ErrorCode::UpstreamUnavailable => text("open", "title_502", "lead_502", "again"),
        ErrorCode::UpstreamTimeout => text("open", "title_504", "lead_502", "again"),
        ErrorCode::ServiceUnavailable | ErrorCode::LookupTimeout => {
            text("open", "title_503", "lead_503", "again")
        }
        ErrorCode::Internal => text("open", "title_500", "lead_502", "again"),
        ErrorCode::PayloadTooLarge | ErrorCode::HeadersTooLarge | ErrorCode::UriTooLong => {
            text("none", "title_413", "", "start")
        }
        _ => text("none", "title_400", "", "start"),
    }
}
