//! `standard`: OAuth 2 token answers and problem details.

use std::time::Duration;

use uuid::Uuid;

use crate::contract::tests::{
    JSON, SESSION, Sent, body, built_in, context, decode, encode, endpoint, header, issued, refuse,
    refused, session, user,
};
use crate::operation::{
    Command, ErrorCode, Identifier, LogoutScope, Operation, Outcome, Problem, ProblemKind,
    Rejection, UserId,
};

const TOKENS: &str = concat!(
    r#"{"access_token":"eyJh.eyJz.c2ln","token_type":"Bearer","#,
    r#""expires_in":86400,"refresh_token":"r3fr3sh"}"#
);

#[test]
fn token_answers_are_those_of_oauth_2() {
    let contract = built_in("standard");
    for operation in [Operation::Login, Operation::Refresh, Operation::ChangePassword] {
        let response = encode(&contract, operation, &issued());

        assert_eq!(response.status(), 200, "{operation:?}");
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        assert_eq!(header(&response, "pragma"), Some("no-cache"));
        assert_eq!(body(&response), TOKENS, "{operation:?}");
    }
}

#[test]
fn other_answers_byte_for_byte() {
    let contract = built_in("standard");
    let sessions =
        Outcome::Sessions { sessions: vec![session(Some("curl/8"), true), session(None, false)] };
    let rows = [
        (
            Operation::SignUp,
            Outcome::SignedUp { user: user() },
            201,
            r#"{"id":7,"email":"user@example.com","username":null}"#,
        ),
        (Operation::Logout, Outcome::LoggedOut, 200, "{}"),
        (
            Operation::Me,
            Outcome::Account { user: user() },
            200,
            concat!(
                r#"{"id":7,"email":"user@example.com","email_verified":false,"username":null,"#,
                r#""roles":["editor","user"],"permissions":["SMS"]}"#
            ),
        ),
        (
            Operation::Sessions,
            sessions,
            200,
            concat!(
                r#"{"sessions":[{"id":"6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5","#,
                r#""created_at":"2025-01-15T10:30:00Z","last_used_at":"2025-01-16T10:30:00Z","#,
                r#""address":"192.0.2.7","agent":"curl/8","current":true},"#,
                r#"{"id":"6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5","#,
                r#""created_at":"2025-01-15T10:30:00Z","last_used_at":"2025-01-16T10:30:00Z","#,
                r#""address":"192.0.2.7","agent":null,"current":false}]}"#
            ),
        ),
        (Operation::Sessions, Outcome::Sessions { sessions: vec![] }, 200, r#"{"sessions":[]}"#),
        (Operation::EndSession, Outcome::SessionEnded, 204, ""),
        (Operation::RequestReset, Outcome::CodeRequested, 202, "{}"),
        (Operation::ConfirmReset, Outcome::PasswordReset { user: UserId(1) }, 200, "{}"),
        (Operation::RequestVerification, Outcome::CodeRequested, 202, "{}"),
        (Operation::ConfirmVerification, Outcome::EmailVerified { user: UserId(1) }, 200, "{}"),
    ];
    for (operation, outcome, status, expected) in rows {
        let response = encode(&contract, operation, &outcome);

        assert_eq!(response.status(), status, "{operation:?}");
        assert_eq!(body(&response), expected, "{operation:?}");
        let media_type = (status != 204).then_some("application/json");
        assert_eq!(header(&response, "content-type"), media_type, "{operation:?}");
        assert_eq!(header(&response, "cache-control"), Some("no-store"), "{operation:?}");
    }
}

#[test]
fn a_login_names_an_email_or_a_username() {
    let contract = built_in("standard");
    let rows: [(&[u8], &str); 3] = [
        (br#"{"email":"A@b.co","password":"p"}"#, "a@b.co"),
        (br#"{"username":"Root","password":"p"}"#, "root"),
        (br#"{"username":"root","email":"a@b.co","password":"p"}"#, "a@b.co"),
    ];
    for (sent, expected) in rows {
        let sent = Sent { headers: &[JSON], body: sent, ..Sent::default() };

        let command = decode(&contract, Operation::Login, sent).unwrap();

        let Command::Login { identifier, password } = command else { panic!("{expected}") };
        assert_eq!(identifier.to_string(), expected);
        assert!(!password.may_be_hashed);
    }
}

#[test]
fn commands_are_read_from_body_query_and_path() {
    let contract = built_in("standard");
    let json = |body| Sent { headers: &[JSON], body, ..Sent::default() };

    let sign_up =
        decode(&contract, Operation::SignUp, json(br#"{"email":"a@b.co","password":"p"}"#));
    let refresh = decode(&contract, Operation::Refresh, json(br#"{"refresh_token":"r"}"#));
    let here = decode(&contract, Operation::Logout, Sent::default());
    let query = Some("scope=global");
    let everywhere = decode(&contract, Operation::Logout, Sent { query, ..Sent::default() });
    let id = Some("6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5");
    let end = decode(&contract, Operation::EndSession, Sent { id, ..Sent::default() });
    let change = json(br#"{"old_password":"a","new_password":"b"}"#);
    let change = decode(&contract, Operation::ChangePassword, change);

    assert!(matches!(sign_up, Ok(Command::SignUp { email: Some(_), username: None, .. })));
    assert!(
        matches!(refresh, Ok(Command::Refresh { refresh_tokens, .. }) if refresh_tokens[0].expose() == "r")
    );
    assert!(matches!(here, Ok(Command::Logout { scope: LogoutScope::Session, .. })));
    assert!(matches!(everywhere, Ok(Command::Logout { scope: LogoutScope::Global, .. })));
    assert!(matches!(end, Ok(Command::EndSession { session, .. }) if session == SESSION));
    assert!(matches!(
        change,
        Ok(Command::ChangePassword { old, new, .. })
            if old.text.expose() == "a" && new.text.expose() == "b"
    ));
}

#[test]
fn a_name_of_no_session_is_an_unknown_session() {
    let contract = built_in("standard");
    let sent = Sent { id: Some("1"), ..Sent::default() };

    let response = refused(&contract, Operation::EndSession, sent);

    assert_eq!(response.status(), 404);
    assert!(body(&response).contains(r#""code":"session_not_found""#));
    assert_ne!(Uuid::nil(), SESSION.0);
}

fn problem(status: u16, title: &str, detail: &str, members: &str) -> String {
    let head = format!(r#"{{"type":"about:blank","title":"{title}","status":{status}"#);
    format!(r#"{head},"detail":"{detail}",{members},"request_id":"req-abc123"}}"#)
}

#[test]
fn input_at_fault_names_the_field() {
    let contract = built_in("standard");
    let rows: [(Operation, &[u8], &str, &str); 13] = [
        (Operation::SignUp, br#"{"password":"p"}"#, "email", "is required"),
        (Operation::SignUp, br#"{"email":"a","password":"p"}"#, "email", "is malformed"),
        (Operation::SignUp, br#"{"email":"a@b.co"}"#, "password", "is required"),
        (
            Operation::SignUp,
            br#"{"email":"a@b.co","password":"p","username":"a  b"}"#,
            "username",
            "is malformed",
        ),
        (Operation::Login, b"{}", "email", "is required"),
        (Operation::Login, b"no", "body", "cannot be read"),
        (Operation::ChangePassword, b"{}", "old_password", "is required"),
        (Operation::RequestReset, b"{}", "email", "is required"),
        (Operation::RequestReset, br#"{"email":"a"}"#, "email", "is malformed"),
        (Operation::ConfirmReset, br#"{"email":"a@b.co"}"#, "code", "is required"),
        (
            Operation::ConfirmReset,
            br#"{"email":"a@b.co","code":"123456"}"#,
            "new_password",
            "is required",
        ),
        (Operation::RequestVerification, b"{}", "email", "is required"),
        (Operation::ConfirmVerification, br#"{"email":"a@b.co"}"#, "code", "is required"),
    ];
    for (operation, sent, field, words) in rows {
        let sent = Sent { headers: &[JSON], body: sent, ..Sent::default() };

        let response = refused(&contract, operation, sent);

        assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
        let members = format!(r#""code":"invalid_input","field":"{field}""#);
        let expected = problem(400, "Bad Request", &format!("{field} {words}"), &members);
        assert_eq!(body(&response), expected, "{operation:?} {field}");
    }
}

#[test]
fn a_fault_found_by_the_operation_is_told_in_the_clients_words() {
    let contract = built_in("standard");
    let endpoint = endpoint(&contract, Operation::ChangePassword);
    let found =
        |field: &str| Problem { field: field.to_owned(), kind: ProblemKind::Length, message: None };
    for (field, told) in [("new_password", "new_password"), ("password", "old_password")] {
        let rejection = Rejection::invalid_input(found(field));

        let response = contract.refuse(Some(endpoint), &rejection, context());

        let members = format!(r#""code":"invalid_input","field":"{told}""#);
        let detail = format!("{told} has the wrong length");
        assert_eq!(body(&response), problem(400, "Bad Request", &detail, &members));
    }
}

#[test]
fn refresh_refusals_are_those_of_oauth_2_as_well() {
    let contract = built_in("standard");
    let endpoint = endpoint(&contract, Operation::Refresh);

    let spent = Rejection::new(ErrorCode::InvalidGrant, "reused");
    let spent = contract.refuse(Some(endpoint), &spent, context());
    let absent =
        refused(&contract, Operation::Refresh, Sent { headers: &[JSON], ..Sent::default() });

    assert_eq!(
        body(&spent),
        problem(
            400,
            "Bad Request",
            "the refresh token is not valid any more",
            r#""code":"invalid_grant","error":"invalid_grant""#
        )
    );
    assert_eq!(
        body(&absent),
        problem(
            400,
            "Bad Request",
            "refresh_token is required",
            r#""code":"invalid_input","error":"invalid_request","field":"refresh_token""#
        )
    );
}

#[test]
fn a_wrong_code_is_told() {
    let response = refuse(&built_in("standard"), ErrorCode::InvalidCode);

    let detail = "the code is wrong, used or expired";
    let expected = problem(400, "Bad Request", detail, r#""code":"invalid_code""#);
    assert_eq!((response.status().as_u16(), body(&response)), (400, expected.as_str()));
}

#[test]
fn every_kind_of_error_has_its_status_code_and_headers() {
    let contract = built_in("standard");
    for code in ErrorCode::ALL {
        let response = refuse(&contract, code);

        let status = response.status().as_u16();
        assert_eq!(status, code.status(), "{code:?}");
        assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"), "{code:?}");
        let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(json["status"], status, "{code:?}");
        assert!(json["code"].is_string() && json["detail"].is_string(), "{code:?}");
        let challenge = match code {
            ErrorCode::InvalidToken => Some("Bearer realm=\"a.example\", error=\"invalid_token\""),
            _ if status == 401 => Some("Bearer realm=\"a.example\""),
            _ => None,
        };
        assert_eq!(header(&response, "www-authenticate"), challenge, "{code:?}");
        let waits = matches!(status, 429 | 503).then_some("1");
        assert_eq!(header(&response, "retry-after"), waits, "{code:?}");
        let allow = (status == 405).then_some("");
        assert_eq!(header(&response, "allow"), allow, "{code:?}");
    }
}

#[test]
fn retry_after_is_rounded_up_and_allow_lists_methods() {
    let contract = built_in("standard");
    for (millis, expected) in [(0, "1"), (999, "1"), (1000, "1"), (1001, "2"), (90_000, "90")] {
        let rejection = Rejection::new(ErrorCode::RateLimited, "locked")
            .retry_after(Duration::from_millis(millis));

        let response = contract.refuse(None, &rejection, context());

        assert_eq!(header(&response, "retry-after"), Some(expected), "{millis}");
    }
    let allow = vec!["GET".to_owned(), "DELETE".to_owned()];
    let rejection = Rejection { allow, ..Rejection::new(ErrorCode::MethodNotAllowed, "") };
    let response = contract.refuse(None, &rejection, context());
    assert_eq!(header(&response, "allow"), Some("GET, DELETE"));
}

#[test]
fn an_endpoint_that_needs_a_token_is_not_decoded_without_one() {
    let contract = built_in("standard");
    for endpoint in contract.endpoints().iter().filter(|endpoint| endpoint.needs_principal()) {
        let request = crate::contract::EndpointRequest {
            headers: &http::HeaderMap::new(),
            query: None,
            path: &[],
            body: b"",
            principal: None,
        };

        let rejection = contract.decode(endpoint, request).unwrap_err();

        assert_eq!(rejection.code, ErrorCode::MissingToken, "{}", endpoint.path());
    }
}

#[test]
fn request_ids_are_uuids() {
    let id = built_in("standard").make_request_id([7; 16]);

    assert_eq!(Uuid::try_parse(&id).unwrap().get_version_num(), 4);
}

#[test]
fn an_identifier_may_be_an_email() {
    let sent = Sent { body: br#"{"email":"a@b.co","password":"p"}"#, ..Sent::default() };

    let command = decode(&built_in("standard"), Operation::Login, sent).unwrap();

    assert!(matches!(command, Command::Login { identifier: Identifier::Email(_), .. }));
}
