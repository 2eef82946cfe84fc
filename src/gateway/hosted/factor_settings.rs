//! The second factor of an account: shown, set up, turned off; its recovery codes and devices.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use uuid::Uuid;

use crate::gateway::hosted::account::sign_in_first;
use crate::gateway::hosted::faults::explain;
use crate::gateway::hosted::second_factor::{SET_UP, Waiting, sign_in_again, signed_in};
use crate::gateway::hosted::visit::{Fields, Visit, find, sign_in_anew};
use crate::gateway::hosted::{instant, shown_name, shown_time};
use crate::gateway::open_request::RequestRecord;
use crate::message::request_body::RequestBody;
use crate::operation::{
    Claimant, Command, DeviceView, ErrorCode, Outcome, OwnerProof, Password, Principal, Rejection,
    SecondFactorView, SecondProof, code_as_meant,
};
use crate::pages::page::{Content, DeviceRow, FactorText, Notice, PageKind, Said};
use crate::pages::{device, qr};
use crate::secret::Secret;

/// Shows the second factor of the account, or what sets it up.
///
/// # Errors
/// As the operations.
pub(crate) async fn set_up(
    visit: Visit<'_>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let return_to = visit.asked_return_to();
    let (content, status) = (Content::default(), StatusCode::OK);
    show(visit, (status, content), None, &return_to, record).await
}

/// Shows the page of the second factor with a content begun; `setup` is the secret shown before.
async fn show(
    visit: Visit<'_>,
    (status, mut content): (StatusCode, Content),
    setup: Option<Secret<String>>,
    return_to: &str,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let waiting = Waiting::read(&visit).filter(|waiting| waiting.sets_up);
    if let Some(waiting) = waiting {
        content.factor.first = true;
        let claimant = Claimant::LoggingIn(waiting.challenge);
        return match draw(&visit, claimant, setup, &mut content, record).await {
            Ok(()) => visit.show(PageKind::SecondFactorSetUp, status, &content, return_to),
            // It took too long, or is done already.
            Err(rejection)
                if matches!(
                    rejection.code,
                    ErrorCode::InvalidCredentials | ErrorCode::Forbidden
                ) =>
            {
                sign_in_again(visit, return_to)
            }
            Err(rejection) => Err(rejection),
        };
    }
    let Some(principal) = visit.principal(record).await? else { return sign_in_first(visit) };
    content.who = shown_name(&principal);
    if let Some(factor) = shown(&visit, principal.clone(), record).await? {
        content.factor = factor_text(&factor);
        content.notice = content.notice.or_else(|| asked_notice(&visit));
        return visit.show(PageKind::SecondFactorSetUp, status, &content, return_to);
    }
    content.notice = content.notice.or_else(|| asked_notice(&visit));
    let claimant = Claimant::SignedIn(Box::new(principal));
    match draw(&visit, claimant, setup, &mut content, record).await {
        Ok(()) => visit.show(PageKind::SecondFactorSetUp, status, &content, return_to),
        Err(rejection) if rejection.code == ErrorCode::ReauthenticationRequired => {
            let here = visit.scope.context.target.path().to_owned();
            let location = sign_in_anew(&visit.pages.look.prefix, &here);
            visit.see_other(&location)
        }
        Err(rejection) => Err(rejection),
    }
}

/// Draws a secret, or shows one again, and puts it into the content.
async fn draw(
    visit: &Visit<'_>,
    claimant: Claimant,
    setup: Option<Secret<String>>,
    content: &mut Content,
    record: &mut RequestRecord,
) -> Result<(), Rejection> {
    let command = Command::SetUpSecondFactor { claimant, setup };
    let outcome = visit.run_command(command, record).await?;
    let Outcome::SecondFactorDrawn { setup, secret, uri } = outcome else {
        return Err(Rejection::internal("no secret was drawn"));
    };
    content.factor.setup.clone_from(setup.expose());
    content.factor.secret = in_groups(secret.expose());
    content.factor.qr = qr::draw(uri.expose());
    Ok(())
}

async fn shown(
    visit: &Visit<'_>,
    principal: Principal,
    record: &mut RequestRecord,
) -> Result<Option<SecondFactorView>, Rejection> {
    match visit.run_command(Command::ShowSecondFactor { principal }, record).await? {
        Outcome::SecondFactorShown { second_factor } => Ok(second_factor),
        _ => Err(Rejection::internal("the second factor was not shown")),
    }
}

/// The notice that the query asks for by name.
fn asked_notice(visit: &Visit<'_>) -> Option<Notice> {
    match visit.parameter("n")?.as_str() {
        "off" => Some(Notice::good(Said::plain("factor_off"))),
        "forgotten" => Some(Notice::good(Said::plain("device_forgotten"))),
        _ => None,
    }
}

fn factor_text(view: &SecondFactorView) -> FactorText {
    FactorText {
        since: instant(view.since),
        since_shown: shown_time(view.since),
        left: view.recovery_codes_left,
        has_password: view.has_password,
        devices: view.devices.iter().map(row).collect(),
        ..FactorText::default()
    }
}

fn row(view: &DeviceView) -> DeviceRow {
    let (device, icon) = device::in_words(view.agent.as_deref());
    DeviceRow {
        id: view.id.to_string(),
        device,
        icon,
        until: instant(view.until),
        until_shown: shown_time(view.until),
        current: view.current,
    }
}

/// A secret in groups of four, which are easier to type.
fn in_groups(secret: &str) -> String {
    let groups = secret.as_bytes().chunks(4).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(" ")
}

/// Turns the second factor on with a code of the app, and shows the recovery codes.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn turn_on(
    mut visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    if visit.parts.method != Method::POST {
        let return_to = visit.asked_return_to();
        return visit.go_to(SET_UP, "", &return_to);
    }
    let waiting = Waiting::read(&visit).filter(|waiting| waiting.sets_up);
    let principal = visit.principal(record).await?;
    let Fields { all, stale } = visit.fields(PageKind::SecondFactorSetUp, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    let setup = Secret::from(find(&all, "setup").unwrap_or_default());
    let typed = find(&all, "code").unwrap_or_default().trim();
    let mut content = Content { notice: stale, focus: "code", ..Content::default() };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    if typed.is_empty() && content.notice.is_none() {
        content.faults.insert("code".to_owned(), Said::plain("enter_the_code"));
    }
    if content.notice.is_some() || !content.faults.is_empty() {
        return show(visit, (unprocessable, content), Some(setup), &return_to, record).await;
    }
    let keep = waiting.as_ref().is_some_and(|waiting| waiting.keep);
    let claimant = match (waiting, principal) {
        (Some(waiting), _) => Claimant::LoggingIn(waiting.challenge),
        (None, Some(principal)) => {
            content.who = shown_name(&principal);
            Claimant::SignedIn(Box::new(principal))
        }
        (None, None) => return sign_in_first(visit),
    };
    let code = Secret::new(code_as_meant(typed));
    let command = Command::ConfirmSecondFactor { claimant, setup: setup.clone(), code };
    match visit.run_command(command, record).await {
        Ok(Outcome::RecoveryCodes { codes, session, .. }) => {
            let mut next = format!("{}{SET_UP}", visit.pages.look.prefix);
            if let Some(session) = session {
                next.clone_from(&return_to);
                let (user, tokens) = *session;
                content.who = user.email.or(user.username).unwrap_or_else(|| user.id.to_string());
                signed_in(&mut visit, tokens, keep, record);
            }
            content.notice = Some(Notice::good(Said::plain("factor_on")));
            show_codes(visit, content, &codes, &next)
        }
        Ok(_) => Err(Rejection::internal("no recovery codes")),
        Err(rejection) => match rejection.code {
            ErrorCode::InvalidCode => {
                content.faults.insert("code".to_owned(), Said::plain("wrong_app_code"));
                show(visit, (unprocessable, content), Some(setup), &return_to, record).await
            }
            // Another window was quicker: its page has the codes.
            ErrorCode::Forbidden => visit.go_to(SET_UP, "", &return_to),
            ErrorCode::InvalidCredentials => sign_in_again(visit, &return_to),
            _ => {
                let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
                show(visit, (status, content), Some(setup), &return_to, record).await
            }
        },
    }
}

/// Shows new recovery codes, this once.
fn show_codes(
    visit: Visit<'_>,
    mut content: Content,
    codes: &[Secret<String>],
    return_to: &str,
) -> Result<Response<Bytes>, Rejection> {
    content.factor.codes = codes.iter().map(|code| code.expose().clone()).collect();
    visit.show(PageKind::RecoveryCodes, StatusCode::OK, &content, return_to)
}

/// A grave change of the second factor, which asks for the password or a code.
enum Change {
    Off,
    Codes,
}

/// Turns the second factor off.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn turn_off(
    visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    Box::pin(change(visit, Change::Off, body, record)).await
}

/// Replaces the recovery codes.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn renew_codes(
    visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    Box::pin(change(visit, Change::Codes, body, record)).await
}

async fn change(
    visit: Visit<'_>,
    change: Change,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    if visit.parts.method != Method::POST {
        return visit.go_to(SET_UP, "", "/");
    }
    let Some(principal) = visit.principal(record).await? else { return sign_in_first(visit) };
    let Fields { all, stale } = visit.fields(PageKind::SecondFactorSetUp, body, record).await?;
    let mut content = Content { notice: stale, ..Content::default() };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let (field, proof) = owner_proof(&all);
    content.focus = field;
    let Some(proof) = proof.filter(|_| content.notice.is_none()) else {
        if content.notice.is_none() {
            let fault = if field == "code" { "enter_the_code" } else { "enter_password" };
            content.notice = Some(Notice::bad(Said::plain(fault)));
        }
        return show(visit, (unprocessable, content), None, "/", record).await;
    };
    let who = shown_name(&principal);
    let command = match change {
        Change::Off => Command::RemoveSecondFactor { principal, proof },
        Change::Codes => Command::RenewRecoveryCodes { principal, proof },
    };
    match visit.run_command(command, record).await {
        Ok(Outcome::RecoveryCodes { codes, .. }) => {
            let next = format!("{}{SET_UP}", visit.pages.look.prefix);
            show_codes(visit, Content { who, ..Content::default() }, &codes, &next)
        }
        Ok(_) => visit.go_to(SET_UP, "off", "/"),
        Err(rejection) => {
            let status = match rejection.code {
                ErrorCode::InvalidCredentials => {
                    content.notice = Some(Notice::bad(Said::plain("wrong_current")));
                    unprocessable
                }
                ErrorCode::InvalidCode => {
                    content.notice = Some(Notice::bad(Said::plain("wrong_app_code")));
                    unprocessable
                }
                _ => explain(rejection, &visit.pages.look, &all, &mut content)?,
            };
            show(visit, (status, content), None, "/", record).await
        }
    }
}

/// What a form brings as the owner's proof, and the field that it stands in.
fn owner_proof(fields: &[(String, String)]) -> (&'static str, Option<OwnerProof>) {
    match (find(fields, "password"), find(fields, "code")) {
        (_, Some(code)) => {
            let code = code_as_meant(code);
            let proof = OwnerProof::SecondFactor(SecondProof::Code(Secret::from(code.as_str())));
            ("code", Some(proof).filter(|_| !code.is_empty()))
        }
        (password, None) => {
            let password = password.filter(|text| !text.is_empty());
            let proof = password.map(|text| {
                OwnerProof::Password(Password { text: Secret::from(text), may_be_hashed: false })
            });
            ("password", proof)
        }
    }
}

/// Forgets a remembered device.
///
/// # Errors
/// As the operation.
pub(crate) async fn forget(
    visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let Some(principal) = visit.principal(record).await? else { return sign_in_first(visit) };
    let Fields { all, stale } = visit.fields(PageKind::SecondFactorSetUp, body, record).await?;
    if stale.is_some() {
        let content = Content { notice: stale, ..Content::default() };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return show(visit, (status, content), None, "/", record).await;
    }
    // An id that is none names no device.
    let device = find(&all, "device").and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_default();
    let device = Some(device);
    visit.run_command(Command::ForgetDevices { principal, device }, record).await?;
    visit.go_to(SET_UP, "forgotten", "/")
}
