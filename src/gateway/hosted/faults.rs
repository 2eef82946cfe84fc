//! The words for what a form's operation refuses.

use http::StatusCode;

use crate::gateway::hosted::visit::find;
use crate::operation::{ErrorCode, Problem, ProblemKind, Rejection};
use crate::pages::page::{Content, Notice, Said, SiteLook};

/// Puts a refusal that a form can show into its content; the refusal itself where it cannot.
///
/// # Errors
/// Refusals that are not the form's: they get a page of their own.
pub(crate) fn explain(
    rejection: Rejection,
    look: &SiteLook,
    fields: &[(String, String)],
    content: &mut Content,
) -> Result<StatusCode, Rejection> {
    match rejection.code {
        ErrorCode::InvalidInput => {
            let Some(problem) = rejection.problem.as_deref() else { return Err(rejection) };
            let typed = find(fields, &problem.field).map_or(0, str::len);
            let typed = u64::try_from(typed).unwrap_or(u64::MAX);
            content.faults.insert(problem.field.clone(), fault(problem, look, typed));
            content.focus = focus(&problem.field);
            Ok(StatusCode::UNPROCESSABLE_ENTITY)
        }
        ErrorCode::InvalidCode => {
            content.faults.insert("code".to_owned(), Said::plain("wrong_code"));
            content.focus = "code";
            Ok(StatusCode::UNPROCESSABLE_ENTITY)
        }
        ErrorCode::RateLimited => {
            let seconds = rejection.retry_after.map_or(60, |wait| wait.as_secs());
            let more = match seconds.div_ceil(60) {
                0 | 1 => Said::plain("try_in_a_minute"),
                minutes => Said::with("try_in_minutes", "minutes", minutes),
            };
            content.notice = Some(Notice::warning(Said::plain("too_many"), Some(more)));
            content.retry_after = Some(seconds.max(1));
            Ok(StatusCode::TOO_MANY_REQUESTS)
        }
        ErrorCode::ServiceUnavailable | ErrorCode::LookupTimeout => {
            content.notice = Some(Notice::warning(Said::plain("not_now"), None));
            content.retry_after =
                Some(rejection.retry_after.map_or(1, |wait| wait.as_secs().max(1)));
            Ok(StatusCode::SERVICE_UNAVAILABLE)
        }
        _ => Err(rejection),
    }
}

fn fault(problem: &Problem, look: &SiteLook, typed: u64) -> Said {
    match (problem.field.as_str(), problem.kind) {
        ("email", ProblemKind::Missing) => Said::plain("enter_email"),
        ("username", ProblemKind::Missing) => Said::plain("enter_name"),
        ("email", _) => Said::plain("no_email"),
        ("password", ProblemKind::Missing) => Said::plain("enter_password"),
        ("new_password", ProblemKind::Missing) => Said::plain("enter_a_password"),
        ("password" | "new_password", _) if typed > look.password_max => {
            Said::with("too_long", "n", look.password_max)
        }
        ("password" | "new_password", _) => Said::with("too_short", "n", look.password_min),
        ("code", ProblemKind::Missing) => Said::plain("enter_code"),
        ("code", _) => Said::plain("wrong_code"),
        (_, ProblemKind::Missing) => Said::plain("needed"),
        (_, ProblemKind::Length) => Said::plain("wrong_length"),
        (_, ProblemKind::Malformed | ProblemKind::Body) => Said::plain("malformed"),
    }
}

fn focus(field: &str) -> &'static str {
    let own = ["email", "username", "identifier", "password", "new_password", "code"];
    own.into_iter().find(|own| *own == field).unwrap_or_default()
}
