//! The gateway's own paths: pages for people under a site's prefix, and two for their scripts.

mod account;
mod factor_settings;
mod faults;
mod flow;
pub(crate) mod refusal;
mod reset;
mod second_factor;
mod session_api;
mod sign_in;
mod sign_up;
mod visit;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};

use crate::clock::Timestamp;
use crate::gateway::open_request::RequestRecord;
use crate::gateway::request::hosted_path::HostedPath;
use crate::gateway::scope::RequestScope;
use crate::message::request_body::RequestBody;
use crate::operation::{ErrorCode, Principal, Rejection};
use crate::path::canonical::Canonical;

use flow::FlowKind;
use visit::{Visit, redirect};

/// Answers a request for one of the gateway's own paths.
///
/// # Errors
/// What a page cannot say itself.
pub(crate) async fn serve(
    scope: RequestScope<'_>,
    hosted: HostedPath,
    path: &Canonical<'_>,
    parts: &Parts,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    match hosted {
        HostedPath::Refresh => return session_api::refresh(scope, parts, record).await,
        HostedPath::Ticket => return session_api::make_ticket(scope, parts, body, record).await,
        HostedPath::Asset => return asset(scope, path),
        _ => {}
    }
    let pages = scope.site.pages.as_ref();
    let pages = pages.ok_or_else(|| Rejection::internal("the site has no pages"))?;
    if let Some(destination) = parts.headers.get("sec-fetch-dest")
        && destination != "document"
    {
        return Err(Rejection::new(ErrorCode::Forbidden, "a page is only shown by itself"));
    }
    let visit = Visit::new(scope, parts, pages);
    match hosted {
        HostedPath::Refresh | HostedPath::Ticket | HostedPath::Asset => {
            Err(Rejection::internal("no page"))
        }
        HostedPath::SignIn => sign_in::sign_in(visit, body, record).await,
        HostedPath::SignOut => sign_in::sign_out(visit, body, record).await,
        HostedPath::SignUp => sign_up::sign_up(visit, body, record).await,
        HostedPath::Verify => sign_up::verify(visit, body, record).await,
        HostedPath::VerifyAgain => sign_up::again(visit, FlowKind::Verify, body, record).await,
        HostedPath::Reset => reset::reset(visit, body, record).await,
        HostedPath::ResetAgain => sign_up::again(visit, FlowKind::Reset, body, record).await,
        HostedPath::ResetCode => reset::code(visit, body, record).await,
        HostedPath::Sessions => account::sessions(visit, record).await,
        HostedPath::EndSession => account::end_sessions(visit, false, body, record).await,
        HostedPath::EndOthers => account::end_sessions(visit, true, body, record).await,
        HostedPath::Password => account::password(visit, body, record).await,
        HostedPath::SecondFactor => second_factor::prove(visit, body, record).await,
        HostedPath::SecondFactorSetUp => factor_settings::set_up(visit, record).await,
        HostedPath::SecondFactorOn => factor_settings::turn_on(visit, body, record).await,
        HostedPath::SecondFactorOff => factor_settings::turn_off(visit, body, record).await,
        HostedPath::RecoveryCodes => factor_settings::renew_codes(visit, body, record).await,
        HostedPath::ForgetDevice => factor_settings::forget(visit, body, record).await,
        HostedPath::ChangePassword => {
            redirect(StatusCode::FOUND, &format!("{}/password", pages.look.prefix), &[])
        }
    }
}

/// A file that pages load: its name changes with its content.
fn asset(scope: RequestScope<'_>, path: &Canonical<'_>) -> Result<Response<Bytes>, Rejection> {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let asset = scope.snapshot.pages.assets.find(name);
    let asset = asset.ok_or_else(|| Rejection::new(ErrorCode::NotFound, "no such file"))?;
    let mut response = Response::new(Bytes::from_static(asset.content.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, forever);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The name of an account, as its pages show it.
fn shown_name(principal: &Principal) -> String {
    let name = principal.email.as_ref().or(principal.username.as_ref());
    name.unwrap_or(&principal.subject).clone()
}

/// An instant for programs (RFC 3339), to the second.
fn instant(at: Timestamp) -> String {
    at.to_second().to_rfc3339().unwrap_or_default()
}

/// An instant for people without JavaScript, to the minute.
fn shown_time(at: Timestamp) -> String {
    let text = instant(at);
    let (date, time) = text.split_once('T').unwrap_or_default();
    format!("{date} {} UTC", time.get(..5).unwrap_or_default())
}
