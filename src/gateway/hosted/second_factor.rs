//! The second factor at a sign-in: the sign-in that waits for it, and the page that proves it.
//!
//! A sign-in that waits for it stands in a cookie: the operation's own challenge, which is sealed and
//! ends by itself, and whether the session is to be kept.

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::gateway::headers::session_cookies::{SessionChange, own_cookie};
use crate::gateway::hosted::faults::explain;
use crate::gateway::hosted::visit::{Fields, Visit, find};
use crate::gateway::open_request::RequestRecord;
use crate::message::request_body::RequestBody;
use crate::operation::{
    Command, ErrorCode, Outcome, Rejection, SecondProof, TokenSet, code_as_meant,
};
use crate::pages::page::{Content, FactorText, PageKind, Said};
use crate::secret::Secret;

/// The cookie of a sign-in that waits for the second factor.
const COOKIE: &str = "__Host-mj_login";

/// Seconds that it lives; the challenge in it may end before.
const LIFETIME: i64 = 1_800;

/// The pages of the second factor, after the prefix.
const PROVE: &str = "/second-factor";
pub(super) const SET_UP: &str = "/second-factor/setup";

/// A sign-in that waits for the second factor.
pub(super) struct Waiting {
    /// The operation's challenge.
    pub(super) challenge: Secret<String>,
    /// Whether it has to be set up first.
    pub(super) sets_up: bool,
    /// Whether the session outlives the browser's.
    pub(super) keep: bool,
}

impl Waiting {
    /// The sign-in of a request.
    pub(super) fn read(visit: &Visit<'_>) -> Option<Self> {
        let (marks, challenge) = own_cookie(&visit.parts.headers, COOKIE)?.split_once('.')?;
        let challenge = Secret::from(challenge);
        Some(Self { challenge, sets_up: marks.contains('s'), keep: marks.contains('k') })
    }

    fn value(&self) -> String {
        let marks = [(self.sets_up, 's'), (self.keep, 'k')];
        let marks: String = marks.iter().filter(|(is_set, _)| *is_set).map(|(_, it)| it).collect();
        format!("{marks}.{}", self.challenge.expose())
    }
}

/// Leads a sign-in that waits for the second factor to its page.
///
/// # Errors
/// When the refusal has no challenge.
pub(crate) fn begin(
    mut visit: Visit<'_>,
    rejection: &Rejection,
    keep: bool,
    return_to: &str,
) -> Result<Response<Bytes>, Rejection> {
    let no_challenge = || Rejection::internal("a second factor without a challenge");
    let challenge = rejection.challenge().ok_or_else(no_challenge)?.clone();
    let sets_up = rejection.code == ErrorCode::SecondFactorSetupRequired;
    let waiting = Waiting { challenge, sets_up, keep };
    visit.set_cookie(COOKIE, &waiting.value(), Some(LIFETIME));
    visit.go_to(if sets_up { SET_UP } else { PROVE }, "", return_to)
}

/// Opens the session of a sign-in; one that waited, perhaps another account's, is over.
pub(super) fn signed_in(
    visit: &mut Visit<'_>,
    tokens: TokenSet,
    keep: bool,
    record: &mut RequestRecord,
) {
    if own_cookie(&visit.parts.headers, COOKIE).is_some() {
        visit.set_cookie(COOKIE, "", Some(0));
    }
    visit.remember_device(&tokens);
    record.session = Some(SessionChange::Set { tokens, keep });
}

/// Leads back to the sign-in page: the sign-in that waited is over.
///
/// # Errors
/// When the address fits no header.
pub(super) fn sign_in_again(
    mut visit: Visit<'_>,
    return_to: &str,
) -> Result<Response<Bytes>, Rejection> {
    visit.set_cookie(COOKIE, "", Some(0));
    visit.go_to("/sign-in", "again", return_to)
}

/// Asks for a code, or takes it.
///
/// # Errors
/// What the form cannot say.
pub(crate) async fn prove(
    mut visit: Visit<'_>,
    body: &mut Option<RequestBody>,
    record: &mut RequestRecord,
) -> Result<Response<Bytes>, Rejection> {
    let asked = visit.asked_return_to();
    let Some(waiting) = Waiting::read(&visit) else { return sign_in_again(visit, &asked) };
    let recovery = visit.parameter("kind").as_deref() == Some("recovery");
    let field = if recovery { "recovery_code" } else { "code" };
    let factor = FactorText { recovery, ..FactorText::default() };
    let mut content = Content { focus: field, factor, ..Content::default() };
    if visit.parts.method != Method::POST {
        return visit.show(PageKind::SecondFactor, StatusCode::OK, &content, &asked);
    }
    let Fields { all, stale } = visit.fields(PageKind::SecondFactor, body, record).await?;
    let return_to = visit.return_to(find(&all, "return_to"));
    let remember = find(&all, "trust").is_some();
    if remember {
        content.kept.insert("trust".to_owned(), "1".to_owned());
    }
    let typed = find(&all, field).unwrap_or_default().trim();
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    if stale.is_some() {
        content.notice = stale;
        return visit.show(PageKind::SecondFactor, unprocessable, &content, &return_to);
    }
    if typed.is_empty() {
        content.faults.insert(field.to_owned(), Said::plain("enter_the_code"));
        return visit.show(PageKind::SecondFactor, unprocessable, &content, &return_to);
    }
    let proof = if recovery {
        SecondProof::RecoveryCode(Secret::from(typed))
    } else {
        SecondProof::Code(Secret::new(code_as_meant(typed)))
    };
    let command = Command::SecondFactor { challenge: waiting.challenge, proof, remember };
    match visit.run_command(command, record).await {
        Ok(Outcome::TokensIssued { tokens, .. }) => {
            signed_in(&mut visit, tokens, waiting.keep, record);
            visit.see_other(&return_to)
        }
        Ok(_) => Err(Rejection::internal("a second factor issued no tokens")),
        Err(rejection) => match rejection.code {
            ErrorCode::InvalidCredentials => sign_in_again(visit, &return_to),
            ErrorCode::InvalidCode => {
                let fault = if recovery { "wrong_recovery_code" } else { "wrong_app_code" };
                content.faults.insert(field.to_owned(), Said::plain(fault));
                visit.show(PageKind::SecondFactor, unprocessable, &content, &return_to)
            }
            _ => {
                let status = explain(rejection, &visit.pages.look, &all, &mut content)?;
                visit.show(PageKind::SecondFactor, status, &content, &return_to)
            }
        },
    }
}
