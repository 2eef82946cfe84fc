//! Encodes outcomes and rejections as responses.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::contract::answer::slot_values::{InputFault, SlotValues};
use crate::contract::answer::template::{Template, Text};
use crate::contract::{Contract, Endpoint, ReplyContext};
use crate::operation::{Demand, ErrorCode, Outcome, Problem, Rejection};

/// Encodes an answer.
pub(crate) fn encode(
    contract: &Contract,
    endpoint: &Endpoint,
    outcome: &Outcome,
    context: ReplyContext<'_>,
) -> Response<Bytes> {
    let values = SlotValues::of_outcome(outcome, endpoint.status, context);
    let body = endpoint.body.as_ref();
    let bytes = body.map(|body| render(body, endpoint.message.as_ref(), values));
    let mut response = respond(endpoint.status, bytes, &contract.success_type);
    for (name, text) in &endpoint.headers {
        // The values of headers were checked when the file was loaded.
        if let Ok(value) = HeaderValue::from_bytes(text.render(&values).as_bytes()) {
            response.headers_mut().insert(name, value);
        }
    }
    for change in &endpoint.cookies {
        for value in change.headers(&values, context.same_site) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// Encodes a rejection, by the table of `[errors]`.
pub(crate) fn refuse(
    contract: &Contract,
    endpoint: Option<&Endpoint>,
    rejection: &Rejection,
    context: ReplyContext<'_>,
) -> Response<Bytes> {
    let own = endpoint.and_then(|endpoint| endpoint.error_answers.get(&rejection.code));
    let mut response = match own.or_else(|| contract.error_answers.get(&rejection.code)) {
        Some(answer) => {
            let problem = rejection.problem.as_ref();
            let words = problem.map(|problem| in_clients_words(endpoint, problem));
            let fault = problem.zip(words).map(|(problem, (field, _))| InputFault {
                field,
                problem: contract.problems.of(problem.kind),
            });
            let values = SlotValues::of_refusal(rejection.code, fault, answer.status, context);
            let challenge = rejection.challenge().map(|challenge| challenge.expose().as_str());
            let values = values.with_challenge(challenge);
            let bytes = match words.and_then(|(_, message)| message) {
                Some(message) => write(&answer.body, values.with_message(Some(message))),
                None if problem.is_none() => {
                    render(&answer.faultless, answer.message.as_ref(), values)
                }
                None => render(&answer.body, answer.message.as_ref(), values),
            };
            respond(answer.status, Some(bytes), &contract.error_type)
        }
        // Loading refuses a contract that lacks a kind; the status alone still says what happened.
        None => {
            let status = StatusCode::from_u16(rejection.code.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            respond(status, None, &contract.error_type)
        }
    };
    let status = response.status();
    set_refusal_headers(response.headers_mut(), status, rejection, context.host);
    if rejection.code == ErrorCode::DuplicateCookie {
        let ours = endpoint.map(|endpoint| endpoint.reads.as_slice()).unwrap_or_default();
        for cleared in ours.iter().flat_map(|cookie| cookie.cleared(context.same_site)) {
            response.headers_mut().append(header::SET_COOKIE, cleared);
        }
    }
    response
}

/// The name by which the client knows an input at fault, and the contract's message for it.
fn in_clients_words<'a>(
    endpoint: Option<&'a Endpoint>,
    problem: &'a Problem,
) -> (&'a str, Option<&'a str>) {
    let rules = endpoint.map(|endpoint| endpoint.inputs.as_slice()).unwrap_or_default();
    let rule = rules
        .iter()
        .find(|rule| rule.client_name() == problem.field)
        .or_else(|| rules.iter().find(|rule| rule.own_name() == problem.field));
    let own = rule.and_then(|rule| rule.message.as_deref());
    let field = rule.map_or(problem.field.as_str(), |rule| rule.client_name());
    (field, problem.message.as_deref().or(own))
}

/// `WWW-Authenticate` (RFC 6750 §3, RFC 9470 §3), `Allow` and `Retry-After` (RFC 9110 §10.2).
fn set_refusal_headers(
    headers: &mut HeaderMap,
    status: StatusCode,
    rejection: &Rejection,
    host: &str,
) {
    if status == StatusCode::UNAUTHORIZED {
        let error = match (rejection.code, rejection.demand.as_deref()) {
            (ErrorCode::InvalidToken, _) => ", error=\"invalid_token\"".to_owned(),
            (ErrorCode::ReauthenticationRequired, Some(Demand::RecentLogin(max_age))) => {
                let seconds = max_age.as_secs();
                format!(", error=\"insufficient_user_authentication\", max_age=\"{seconds}\"")
            }
            _ => String::new(),
        };
        // A host has nothing that would end the quotes; a bare scheme is no challenge at all.
        let challenge = HeaderValue::try_from(["Bearer realm=\"", host, "\"", &error].concat());
        let nameless = HeaderValue::from_static("Bearer realm=\"\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge.unwrap_or(nameless));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(allow) = HeaderValue::try_from(rejection.allow.join(", "))
    {
        headers.insert(header::ALLOW, allow);
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let wait = rejection.retry_after.unwrap_or(Duration::ZERO);
        let rest = u64::from(wait.subsec_nanos() > 0);
        let seconds = wait.as_secs().saturating_add(rest).max(1);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn render(body: &Template, message: Option<&Text>, values: SlotValues<'_>) -> Bytes {
    let message = message.map(|text| text.render(&values));
    write(body, values.with_message(message.as_deref()))
}

fn write(body: &Template, values: SlotValues<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(512);
    body.write(&values, &mut bytes);
    bytes.into()
}

fn respond(status: StatusCode, body: Option<Bytes>, media_type: &HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(body) = body {
        headers.insert(header::CONTENT_TYPE, media_type.clone());
        *response.body_mut() = body;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::clock::Timestamp;
    use crate::config::SameSite;
    use crate::contract::answer::slot_values::SlotValues;
    use crate::contract::{Contract, ReplyContext};

    #[test]
    fn what_was_written_at_loading_is_what_would_be_written_now() {
        let now = Timestamp::from_millis(1_700_000_000_123);
        let context =
            ReplyContext { now, request_id: "req-1", host: "a", same_site: SameSite::Lax };
        for name in Contract::built_in_names() {
            let contract = Contract::built_in(name).unwrap().unwrap();
            assert!(!contract.error_answers.is_empty(), "{name}");
            for (kind, answer) in &contract.error_answers {
                let values = SlotValues::of_refusal(*kind, None, answer.status, context);
                let message = answer.message.as_ref();

                let folded = render(&answer.faultless, message, values);

                assert_eq!(folded, render(&answer.body, message, values), "{name}: {kind:?}");
            }
        }
    }
}
